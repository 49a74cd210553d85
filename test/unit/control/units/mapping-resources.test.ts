import assert from "node:assert/strict";
import { closeSync, openSync, statfsSync, truncateSync, unlinkSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { measureMappingResources } from "../../../../control/units/mapping-resources.js";
import { temporaryFolder } from "../../../support/undo.js";
import { fileUnitRecord } from "./slow-fixture.js";

const MIB = 2 ** 20;

test("of a sparse file what is written is used, also when the file has lost its name", async (context) => {
  const folder = temporaryFolder(context);
  const path = join(folder, "disk.img");
  writeFileSync(path, "");
  truncateSync(path, 64 * MIB);
  const fd = openSync(path, "r+");
  context.after(() => closeSync(fd));
  writeSync(fd, Buffer.alloc(2 * MIB, 1), 0, 2 * MIB, 8 * MIB);
  unlinkSync(path);
  const measured = await measureMappingResources({ ...fileUnitRecord(), bufferedFd: fd });
  assert.ok(measured !== null);
  // With what the file system needs for itself.
  assert.ok(measured.usedBytes >= 2 * MIB && measured.usedBytes < 3 * MIB, `${measured.usedBytes}`);
  const { blocks, bsize } = statfsSync(folder);
  assert.ok(measured.availableBytes >= 0 && measured.availableBytes <= blocks * bsize);
});

test("of a device, of nothing, and where holes cannot be punched there is nothing to tell", async () => {
  for (const changes of [{ kind: "block" }, { kind: "null" }, { thin: false }] as const) {
    assert.equal(await measureMappingResources({ ...fileUnitRecord(), ...changes }), null);
  }
});
