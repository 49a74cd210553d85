/**
 * Copies between storage that fails: what has failed is told, of the destination of WRITE USING TOKEN as if the initiator had
 * written it itself; and without a write cache GOOD means that nothing is lost.
 */
import assert from "node:assert/strict";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { read16 } from "../../support/cdb.js";
import { LoopDevice, MemoryFileSystem, MountedFileSystem, skipWithoutLoop } from "../../support/file-system.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import {
  DATA_PROTECT,
  MEDIUM_ERROR,
  SPACE_ALLOCATION_FAILED,
  senseOf,
  UNRECOVERED_READ_ERROR,
  WRITE_ERROR,
} from "../../support/sense.js";
import { type CacheMode, logIn, serveUnits } from "../../support/served-units.js";
import {
  copyIn,
  cscd,
  extendedCopy,
  listLid1,
  nameOf,
  rodInformation,
  segment,
  tokenOf,
  writeUsingToken,
  writeUsingTokenList,
} from "../../support/third-party-copy.js";
import { Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const BLOCK = 512;
const SIZE_BYTES = 16 * MIB;
const COPY_ABORTED = 0xa;
const THIRD_PARTY_DEVICE_FAILURE = 0x0d01;

function sourceFile(undo: Undo): string {
  const folder = undo.folder();
  const path = join(folder, "source.img");
  writeFileSync(path, Buffer.alloc(SIZE_BYTES, 0x5a));
  return path;
}

/** LUN 0 to LUN 1, all of it, in segments of 4 MiB. */
async function listOf(initiator: RawInitiator, id: number): Promise<Buffer> {
  const blocks = (4 * MIB) / BLOCK;
  const segments = [0, 1, 2, 3].map((i) =>
    segment({ source: 0, destination: 1, from: i * blocks, to: i * blocks, blocks }),
  );
  return listLid1([cscd(await nameOf(initiator, 0)), cscd(await nameOf(initiator, 1))], segments, { id });
}

for (const cache of ["direct", "writeback"] as const satisfies readonly CacheMode[]) {
  test(`a source that was cut behind our back (${cache})`, async (context) => {
    const undo = new Undo(context);
    const path = sourceFile(undo);
    const to = `${path}.copy`;
    const target = await serveUnits(undo, [
      { path, cache },
      { path: to, cache, sizeBytes: SIZE_BYTES },
    ]);
    const initiator = await logIn(undo, target, 2);
    truncateSync(path, 6 * MIB);
    const result = await extendedCopy(initiator, await listOf(initiator, 3));
    const { key, code, information: residual = (4 * MIB) / BLOCK } = senseOf(result);
    assert.deepEqual([key, code], [COPY_ABORTED, THIRD_PARTY_DEVICE_FAILURE]);
    assert.equal(result.sense.readUInt32BE(8), 0x1200_0001, "the second segment, and where the source's answer begins");
    assert.equal(result.sense.subarray(15, 18).toString("hex"), "800010", "the source's CSCD descriptor");
    assert.equal(result.sense[18], 2);
    const ofSource = result.sense.subarray(19);
    assert.deepEqual([ofSource[2], ofSource.readUInt16BE(12)], [MEDIUM_ERROR, UNRECOVERED_READ_ERROR]);
    assert.equal(ofSource.readUInt32BE(3), (8 * MIB) / BLOCK - residual, "the first block that is not there");
    const status = await initiator.good({ cdb: copyIn(0x00, 3), read: 64 });
    assert.deepEqual([status[4], status.readUInt16BE(5)], [0x02, 1]);
    assert.equal(status.readUInt32BE(8), 8 * MIB - residual * BLOCK);
    assert.ok(status.readUInt32BE(8) >= 4 * MIB && status.readUInt32BE(8) <= 6 * MIB);
    const copied = await initiator.good({ cdb: read16(0, 2048), read: MIB, lun: 1 });
    assert.ok(copied.every((byte) => byte === 0x5a));
    const token = await tokenOf(initiator, [{ lba: (6 * MIB) / BLOCK, blocks: 8 }]);
    const used = await writeUsingToken(initiator, writeUsingTokenList(token, [{ lba: 0, blocks: 8 }]), 9, 1);
    assert.deepEqual(senseOf(used), { key: COPY_ABORTED, code: THIRD_PARTY_DEVICE_FAILURE, information: undefined });
    const { status: outcome, sense } = await rodInformation(initiator, 9, 1);
    assert.equal(outcome, 0x02);
    assert.deepEqual(sense, used.sense);
  });
}

test("a destination that is full", { skip: skipWithoutLoop("ext4") }, async (context) => {
  const undo = new Undo(context);
  const fileSystem = new MountedFileSystem("ext4", 16 * MIB);
  undo.add(() => fileSystem.release());
  const units = [{ path: sourceFile(undo) }, { path: fileSystem.path("full.img"), sizeBytes: SIZE_BYTES }];
  const initiator = await logIn(undo, await serveUnits(undo, units), 2);
  const token = await tokenOf(initiator, [{ lba: 0, blocks: SIZE_BYTES / BLOCK }]);
  const list = writeUsingTokenList(token, [{ lba: 0, blocks: SIZE_BYTES / BLOCK }]);
  const full = { key: DATA_PROTECT, code: SPACE_ALLOCATION_FAILED, information: undefined };
  assert.deepEqual(senseOf(await writeUsingToken(initiator, list, 1, 1)), full);
  const result = senseOf(await extendedCopy(initiator, await listOf(initiator, 1)));
  assert.deepEqual([result.key, result.code], [COPY_ABORTED, THIRD_PARTY_DEVICE_FAILURE]);
  await initiator.ping();
});

test("without a write cache a copy that cannot be kept is not GOOD", { skip: skipWithoutLoop() }, async (context) => {
  const undo = new Undo(context);
  const memory = new MemoryFileSystem(4 * MIB);
  undo.add(() => memory.release());
  const loop = new LoopDevice(memory.path("backing"), { sizeBytes: SIZE_BYTES });
  undo.add(() => loop.detach());
  const units = [{ path: sourceFile(undo) }, { path: loop.device, cache: "writethrough" as const }];
  const initiator = await logIn(undo, await serveUnits(undo, units), 2);
  const token = await tokenOf(initiator, [{ lba: 0, blocks: SIZE_BYTES / BLOCK }]);
  const list = writeUsingTokenList(token, [{ lba: 0, blocks: SIZE_BYTES / BLOCK }]);
  const { key, code } = senseOf(await writeUsingToken(initiator, list, 1, 1));
  assert.ok(
    (key === MEDIUM_ERROR && code === WRITE_ERROR) || (key === DATA_PROTECT && code === SPACE_ALLOCATION_FAILED),
    `${key}/${code.toString(16)}`,
  );
  memory.resize(2 * SIZE_BYTES);
  assert.equal((await writeUsingToken(initiator, list, 2, 1)).status, 0, "once there is room");
  const last = await initiator.good({ cdb: read16(SIZE_BYTES / BLOCK - 8, 8), read: 8 * BLOCK, lun: 1 });
  assert.ok(last.every((byte) => byte === 0x5a));
});
