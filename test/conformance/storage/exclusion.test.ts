/** One writer at most has a file or a device; what is read-only is not written, whatever the initiator tries. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import {
  modeSense6,
  read16,
  synchronizeCache16,
  unmap,
  unmapList,
  write10,
  write16,
  writeSame16,
} from "../../support/cdb.js";
import { LoopDevice, skipWithoutLoop } from "../../support/file-system.js";
import { DATA_PROTECT, senseOf, WRITE_PROTECTED } from "../../support/sense.js";
import { logIn, serveUnits } from "../../support/served-units.js";
import { freePorts, TARGET_NAME } from "../../support/target.js";
import { Undo } from "../../support/undo.js";

const MAIN = fileURLToPath(new URL("../../../control/main.js", import.meta.url));
const MIB = 2 ** 20;

/** Starts a second instance on the same storage, which must fail. */
async function assertRefused(directory: string, path: string, readOnly: boolean): Promise<void> {
  const [port] = await freePorts(1);
  const config = join(directory, "second.yaml");
  writeFileSync(
    config,
    `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: [{ name: "${TARGET_NAME}2", portalGroups: [1], luns: { 0: other } }]
units: { other: { file: "${path}", readOnly: ${readOnly} } }
`,
  );
  const { status, stderr } = spawnSync(process.execPath, [MAIN, "serve", "--config", config], {
    encoding: "utf8",
    timeout: 30_000,
  });
  assert.equal(status, 1, stderr);
  assert.match(stderr, new RegExp(`unit other: ${path}: .*(in use|busy)`));
}

test("a second instance on the same file is refused, for reading too", async (context) => {
  const undo = new Undo(context);
  const directory = undo.folder();
  const path = join(directory, "disk.img");
  const initiator = await logIn(undo, await serveUnits(undo, [{ path, sizeBytes: MIB }]));
  await assertRefused(directory, path, false);
  await assertRefused(directory, path, true);
  await initiator.good({ cdb: read16(0, 1), read: 512 });
});

test("a second instance on the same device is refused", { skip: skipWithoutLoop() }, async (context) => {
  const undo = new Undo(context);
  const directory = undo.folder();
  const loop = new LoopDevice(join(directory, "backing"), { sizeBytes: 8 * MIB });
  undo.add(() => loop.detach());
  await serveUnits(undo, [{ path: loop.device }]);
  await assertRefused(directory, loop.device, false);
  await assertRefused(directory, loop.device, true);
});

test("two instances may read the same file; none may write it meanwhile", async (context) => {
  const undo = new Undo(context);
  const directory = undo.folder();
  const path = join(directory, "disk.img");
  const content = Buffer.alloc(MIB, 0x3c);
  writeFileSync(path, content);
  for (let instance = 0; instance < 2; instance++) {
    const initiator = await logIn(undo, await serveUnits(undo, [{ path, readOnly: true }]));
    const data = await initiator.good({ cdb: read16(0, 8), read: 4096 });
    assert.ok(data.equals(content.subarray(0, 4096)));
  }
  await assertRefused(directory, path, false);
});

test("a read-only unit is not changed by anything", async (context) => {
  const undo = new Undo(context);
  const path = join(undo.folder(), "disk.img");
  const content = Buffer.alloc(MIB, 0x3c);
  writeFileSync(path, content);
  const initiator = await logIn(undo, await serveUnits(undo, [{ path, readOnly: true }]));
  const list = unmapList([{ lba: 0, blocks: 8 }]);
  const block = Buffer.alloc(512, 1);
  for (const command of [
    { cdb: write10(0, 1), write: block },
    { cdb: write16(0, 8), write: Buffer.alloc(4096, 1) },
    { cdb: writeSame16(0, 8), write: block },
    { cdb: unmap(list.length), write: list },
  ]) {
    const sense = senseOf(await initiator.command(command));
    assert.deepEqual(sense, { key: DATA_PROTECT, code: WRITE_PROTECTED, information: undefined });
  }
  await initiator.good({ cdb: synchronizeCache16() });
  const mode = await initiator.good({ cdb: modeSense6(0x3f), read: 255 });
  assert.equal(mode[2]! & 0x80, 0x80, "WP");
  assert.ok(readFileSync(path).equals(content));
});
