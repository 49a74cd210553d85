/**
 * WRITE ATOMIC (SBC-4): "all or none" holds over a loss of power, too, and hosts rely on it (Linux offers what VPD B0 tells as
 * RWF_ATOMIC, and databases stop writing everything twice). So it is there where the file system promises that, and nowhere else.
 */
import assert from "node:assert/strict";
import { closeSync, constants, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { statxAtomicWrites } from "io-uring-node";
import { ATOMIC_BYTES_MAX } from "../../../dataplane/scsi/block-limits.js";
import { inquiry, read16 } from "../../support/cdb.js";
import { MountedFileSystem, skipWithoutLoop } from "../../support/file-system.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { senseOf } from "../../support/sense.js";
import { logIn, serveUnits } from "../../support/served-units.js";
import { Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const BLOCK = 512;
const FUA = 0x08;
const ILLEGAL_REQUEST = 0x5;
const INVALID_COMMAND_OPERATION_CODE = 0x2000;
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

test("where a write passes through the page cache, it may be torn: the command is not there", async (context) => {
  const undo = new Undo(context);
  const folder = mkdtempSync(join(tmpdir(), "ringlun-atomic-"));
  undo.add(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "disk.img");
  const target = await serveUnits(undo, [{ path, cache: "writeback", sizeBytes: MIB }]);
  const initiator = await logIn(undo, target);
  assert.deepEqual(await limits(initiator), [0, 0, 0]);
  assert.equal(await refusal(initiator, writeAtomic(0, 8)), INVALID_COMMAND_OPERATION_CODE);
});

test("on XFS it is what the file system says, and no more", { skip: skipWithoutLoop("xfs") }, async (context) => {
  const undo = new Undo(context);
  const fileSystem = new MountedFileSystem("xfs");
  undo.add(() => fileSystem.release());
  const path = fileSystem.path("disk.img");
  const target = await serveUnits(undo, [{ path, cache: "direct", sizeBytes: MIB }]);
  const initiator = await logIn(undo, target);
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECT);
  const told = statxAtomicWrites(fd);
  closeSync(fd);
  // Since Linux 6.16 without a device that does it.
  if (told === undefined) return context.skip("XFS does not write atomically here");
  const bytesMax = Math.min(told.bytesMax, ATOMIC_BYTES_MAX);
  assert.deepEqual(await limits(initiator), [bytesMax, told.bytesMin, told.bytesMin]);
  for (const [bytes, flags] of [
    [told.bytesMin, 0],
    [told.bytesMin, FUA],
    [bytesMax, 0],
    [bytesMax, FUA],
  ] as const) {
    const blocks = bytes / BLOCK;
    for (const lba of [0, blocks, 0]) {
      const write = Buffer.alloc(bytes, 1 + ((lba + blocks + flags) % 200));
      await initiator.good({ cdb: writeAtomic(lba, blocks, flags), write });
      assert.ok((await initiator.good({ cdb: read16(lba, blocks), read: bytes })).equals(write));
    }
  }
  const [least, most] = [told.bytesMin / BLOCK, bytesMax / BLOCK];
  assert.equal(await refusal(initiator, writeAtomic(least / 2, least)), INVALID_FIELD_IN_CDB);
  for (const blocks of [least / 2, least + 1, 2 * most]) {
    assert.equal(await refusal(initiator, writeAtomic(0, blocks)), INVALID_FIELD_IN_CDB);
  }
});
