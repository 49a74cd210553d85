/**
 * kill -9 under a verified load, and a new start: what was acknowledged reads back. Even what was not durable, since the page
 * cache is the kernel's and survives; what the power takes with it is in power-cut.test.ts.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { CRASH_UNIT_BYTES, crashUnderLoad } from "../../support/crash.js";
import { serveUnits } from "../../support/served-units.js";
import { Undo } from "../../support/undo.js";
import { TEMPORARY_FOLDER, VARIANTS } from "../../support/variants.js";

for (const { name, cache, workers } of VARIANTS) {
  test(name, async (context) => {
    const undo = new Undo(context);
    const directory = undo.folder(TEMPORARY_FOLDER);
    const unit = { path: join(directory, "disk.img"), cache, sizeBytes: CRASH_UNIT_BYTES } as const;
    const target = await serveUnits(undo, [unit], workers);
    await crashUnderLoad(undo, target, {
      directory,
      loadMs: 500 + Math.random() * 1000,
      isClean: true,
      crash: async () => assert.deepEqual(await target.kill9(), { code: null, signal: "SIGKILL" }),
      restart: () => target.run(),
    });
  });
}
