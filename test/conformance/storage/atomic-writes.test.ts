/**
 * WRITE ATOMIC (SBC-4): "all or none" holds over a loss of power, too, and hosts rely on it (Linux offers what VPD B0 tells as
 * RWF_ATOMIC, and databases stop writing everything twice).
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { closeSync, openSync, readdirSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ALLOCATION_BYTES, WRITE_ATOMIC_BYTES_MAX } from "../../../dataplane/scsi/block-limits.js";
import { ask, socketOf } from "../../support/administration.js";
import { inquiry, read16, write16 } from "../../support/cdb.js";
import { MountedFileSystem, skipWithoutLoop } from "../../support/file-system.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { senseOf } from "../../support/sense.js";
import { logIn, serveUnits } from "../../support/served-units.js";
import { Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const BLOCK = 512;
const FUA = 0x08;
const ILLEGAL_REQUEST = 0x5;
const INVALID_FIELD_IN_CDB = 0x2400;

function writeAtomic(lba: number, blocks: number, flags = 0): Buffer {
  const cdb = Buffer.alloc(16);
  cdb[0] = 0x9c;
  cdb[1] = flags;
  cdb.writeBigUInt64BE(BigInt(lba), 2);
  cdb.writeUInt16BE(blocks, 12);
  return cdb;
}

/** MAXIMUM ATOMIC TRANSFER LENGTH, ATOMIC ALIGNMENT, ATOMIC TRANSFER LENGTH GRANULARITY; bytes. */
async function limits(initiator: RawInitiator): Promise<readonly number[]> {
  const page = await initiator.good({ cdb: inquiry(0xb0), read: 255 });
  return [44, 48, 52].map((offset) => page.readUInt32BE(offset) * BLOCK);
}

async function refusal(initiator: RawInitiator, cdb: Buffer): Promise<number> {
  const write = Buffer.alloc(cdb.readUInt16BE(12) * BLOCK, 0xee);
  const { key, code } = senseOf(await initiator.command({ cdb, write }));
  assert.equal(key, ILLEGAL_REQUEST);
  return code;
}

function inFolder(undo: Undo): string {
  const folder = undo.folder();
  return join(folder, "disk.img");
}

function onFileSystem(undo: Undo, kind: "xfs"): string {
  const fileSystem = new MountedFileSystem(kind);
  undo.add(() => fileSystem.release());
  return fileSystem.path("disk.img");
}

const FILE_SYSTEMS = [
  { name: "a file in the page cache", cache: "writeback", fileSystem: null },
  { name: "a file on XFS, which may write atomically itself", cache: "direct", fileSystem: "xfs" },
] as const;

for (const { name, cache, fileSystem } of FILE_SYSTEMS) {
  const skip = fileSystem === null ? false : skipWithoutLoop(fileSystem);
  test(`${name}: what VPD B0 tells is written, and nothing else`, { skip }, async (context) => {
    const undo = new Undo(context);
    const path = fileSystem === null ? inFolder(undo) : onFileSystem(undo, fileSystem);
    const target = await serveUnits(undo, [{ path, cache, sizeBytes: MIB }]);
    const initiator = await logIn(undo, target);
    assert.deepEqual(await limits(initiator), [WRITE_ATOMIC_BYTES_MAX, ALLOCATION_BYTES, ALLOCATION_BYTES]);
    const least = ALLOCATION_BYTES / BLOCK;
    const most = WRITE_ATOMIC_BYTES_MAX / BLOCK;
    for (const [lba, blocks] of [
      [0, least],
      [least, least],
      [least, 3 * least],
      [0, most],
      [most + least, most],
      [MIB / BLOCK - least, least],
    ] as const) {
      for (const flags of [0, FUA]) {
        const write = Buffer.alloc(blocks * BLOCK, 1 + ((lba + blocks + flags) % 200));
        await initiator.good({ cdb: writeAtomic(lba, blocks, flags), write });
        assert.ok((await initiator.good({ cdb: read16(lba, blocks), read: write.length })).equals(write));
      }
    }
    assert.equal(await refusal(initiator, writeAtomic(1, least)), INVALID_FIELD_IN_CDB);
    for (const blocks of [least - 1, least + 1, most + least]) {
      assert.equal(await refusal(initiator, writeAtomic(0, blocks)), INVALID_FIELD_IN_CDB);
    }
  });
}

test("a write that was cut short is finished by the next start, before anybody reads", async (context) => {
  const undo = new Undo(context);
  const path = inFolder(undo);
  const target = await serveUnits(undo, [{ path, cache: "writeback", sizeBytes: MIB }]);
  const initiator = await logIn(undo, target);
  const old = Buffer.alloc(WRITE_ATOMIC_BYTES_MAX, 0x11);
  await initiator.good({ cdb: writeAtomic(0, old.length / BLOCK), write: old });
  const { document: units } = await ask({ path: "/api/v1/units" }, socketOf(target.configPath));
  await target.kill9();
  // As it is left between the first page in its place and the last.
  const state = `${target.configPath}.state`;
  assert.ok(!readdirSync(state).some((entry) => entry.startsWith("atomic-write-")), "nothing is kept of what is done");
  const write = Buffer.alloc(WRITE_ATOMIC_BYTES_MAX, 0x22);
  const data = { write: { offset: 0, data: write.toString("base64") } };
  const sha256 = createHash("sha256").update(JSON.stringify(data)).digest("hex");
  const name = `atomic-write-${units[0].uuid}.json`;
  writeFileSync(join(state, name), JSON.stringify({ version: 1, sha256, data }));
  const fd = openSync(path, "r+");
  writeSync(fd, write, 0, ALLOCATION_BYTES, 0);
  closeSync(fd);
  await target.run();
  const after = await logIn(undo, target);
  const read = { cdb: read16(0, write.length / BLOCK), read: write.length };
  assert.ok((await after.good(read)).equals(write));
  // And never again: what is written from now on stays.
  await after.good({ cdb: write16(0, old.length / BLOCK), write: old });
  await target.kill9();
  await target.run();
  assert.ok((await (await logIn(undo, target)).good(read)).equals(old));
});

test("writes of either kind, on two shards, to the same blocks: each is there as a whole", async (context) => {
  const undo = new Undo(context);
  const target = await serveUnits(undo, [{ path: inFolder(undo), cache: "writeback", sizeBytes: MIB }], 2);
  const initiators = await Promise.all(Array.from({ length: 4 }, () => logIn(undo, target)));
  const blocks = 32;
  await Promise.all(
    initiators.map(async (initiator, writer) => {
      for (let round = 0; round < 20; round++) {
        const write = Buffer.alloc(blocks * BLOCK, 16 * (writer + 1) + (round % 16));
        const cdb = (writer + round) % 2 === 0 ? writeAtomic(0, blocks) : write16(0, blocks);
        await initiator.good({ cdb, write });
      }
    }),
  );
  const found = await initiators[0]!.good({ cdb: read16(0, blocks), read: blocks * BLOCK });
  assert.equal(new Set(found).size, 1);
});
