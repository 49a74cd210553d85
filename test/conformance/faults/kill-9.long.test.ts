/** kill -9 under verified loads, again and again, on every file system: what was acknowledged reads back each time. */
import { test } from "node:test";
import { CRASH_UNIT_BYTES, crashUnderLoad } from "../../support/crash.js";
import { type FileSystemType, MountedFileSystem, skipWithoutLoop } from "../../support/file-system.js";
import { CACHE_MODES, serveUnits } from "../../support/served-units.js";
import { Undo } from "../../support/undo.js";

const ROUNDS = 2;
const LOAD_MS_MAX = 3000;

for (const type of ["ext4", "xfs", "btrfs"] satisfies FileSystemType[]) {
  for (const cache of CACHE_MODES) {
    for (const workers of [1, 2]) {
      test(`${type}, ${cache}, shards: ${workers}`, { skip: skipWithoutLoop(type) }, async (context) => {
        const undo = new Undo(context);
        const fileSystem = new MountedFileSystem(type);
        undo.add(() => fileSystem.release());
        const unit = { path: fileSystem.path("disk.img"), cache, sizeBytes: CRASH_UNIT_BYTES };
        const target = await serveUnits(undo, [unit], workers);
        for (let round = 0; round < ROUNDS; round++) {
          await crashUnderLoad(undo, target, {
            directory: target.places.directory,
            loadMs: 500 + Math.random() * LOAD_MS_MAX,
            isClean: true,
            crash: async () => void (await target.kill9()),
            restart: () => target.run(),
          });
        }
      });
    }
  }
}
