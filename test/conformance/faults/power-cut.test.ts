/**
 * The power fails under a verified load: what was not durable is lost for good, with the page cache and the file system's
 * journal. What was acknowledged as durable reads back.
 */
import { test } from "node:test";
import { CRASH_UNIT_BYTES, crashUnderLoad } from "../../support/crash.js";
import { MountedFileSystem, skipWithoutPowerCut } from "../../support/file-system.js";
import { serveUnits } from "../../support/served-units.js";
import { Undo } from "../../support/undo.js";
import { VARIANTS } from "../../support/variants.js";

for (const { name, cache, workers } of VARIANTS) {
  test(`ext4, ${name}`, { skip: skipWithoutPowerCut() }, async (context) => {
    const undo = new Undo(context);
    const fileSystem = new MountedFileSystem("ext4");
    undo.add(() => fileSystem.release());
    const unit = { path: fileSystem.path("disk.img"), cache, sizeBytes: CRASH_UNIT_BYTES } as const;
    const target = await serveUnits(undo, [unit], workers);
    await crashUnderLoad(undo, target, {
      directory: target.places.directory,
      loadMs: 500 + Math.random() * 1000,
      crash: async () => {
        fileSystem.cutPower();
        await target.kill9();
        await fileSystem.unmount();
      },
      restart: async () => {
        fileSystem.mount();
        await target.run();
      },
    });
  });
}
