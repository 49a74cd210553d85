import assert from "node:assert/strict";
import { closeSync, openSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { answerLbaStatus } from "../../../../control/units/lba-status.js";
import { initialState } from "../../../../control/units/unit-state.js";
import type { UnitRecord } from "../../../../dataplane/messages.js";
import { temporaryFolder } from "../../../support/undo.js";
import { unitRecord } from "../../../support/unit-record.js";

const MIB = 2 ** 20;
const BLOCK = 512;
const BLOCKS = (4 * MIB) / BLOCK;

/** A unit of 4 MiB, with data in the second MiB and in one block of the third. */
function sparseUnit(context: TestContext, changes: Partial<UnitRecord> = {}): UnitRecord {
  const folder = temporaryFolder(context);
  const path = join(folder, "disk.img");
  writeFileSync(path, "");
  truncateSync(path, 4 * MIB);
  const fd = openSync(path, "r+");
  context.after(() => closeSync(fd));
  writeSync(fd, Buffer.alloc(MIB, 1), 0, MIB, MIB);
  writeSync(fd, Buffer.alloc(BLOCK, 1), 0, BLOCK, 2.5 * MIB);
  return unitRecord({ fd, bufferedFd: fd, ...changes }, 4 * MIB);
}

function answerOf(unit: UnitRecord, lba: number, allocationLength: number, reportType: number) {
  const cdb = Buffer.alloc(16);
  cdb.set([0x9e, 0x12]);
  cdb.writeBigUInt64BE(BigInt(lba), 2);
  cdb.writeUInt32BE(allocationLength, 10);
  cdb[14] = reportType;
  return answerLbaStatus({ unit, cdb: Uint8Array.from(cdb) });
}

function dataOf(unit: UnitRecord, lba: number, allocationLength = 4096, reportType = 0): Buffer {
  const answer = answerOf(unit, lba, allocationLength, reportType);
  assert(answer.kind === "good" && answer.data !== undefined);
  assert.equal(answer.allocationLength, allocationLength);
  return Buffer.from(answer.data, "hex");
}

function ask(unit: UnitRecord, lba: number, allocationLength = 4096, reportType = 0) {
  const data = dataOf(unit, lba, allocationLength, reportType);
  assert.equal(data.readUInt32BE(0), data.length - 4);
  const descriptors: [lba: number, blocks: number, status: number][] = [];
  for (let at = 8; at < data.length; at += 16) {
    descriptors.push([Number(data.readBigUInt64BE(at)), data.readUInt32BE(at + 8), data.readUInt8(at + 12)]);
  }
  return descriptors;
}

test("holes are deallocated, data is mapped, and together they are the unit", (t) => {
  const descriptors = ask(sparseUnit(t), 0);
  let next = 0;
  for (const [lba, blocks] of descriptors) {
    assert.equal(lba, next);
    next += blocks;
  }
  assert.equal(next, BLOCKS);
  const statusOf = (lba: number) => descriptors.find(([first, blocks]) => lba >= first && lba < first + blocks)![2];
  // File systems give out pages or more, so only what is far from data is surely a hole.
  assert.deepEqual(
    [0, MIB, 2 * MIB - BLOCK, 2.5 * MIB, 3 * MIB].map((offset) => statusOf(offset / BLOCK)),
    [1, 0, 0, 0, 1],
  );
});

test("from the middle of a stretch: what is left of it", (t) => {
  const unit = sparseUnit(t);
  assert.deepEqual(ask(unit, MIB / BLOCK + 7, 24), [[MIB / BLOCK + 7, MIB / BLOCK - 7, 0]]);
  assert.deepEqual(ask(unit, BLOCKS - 1), [[BLOCKS - 1, 1, 1]]);
});

test("as many descriptors as have room, and at least one", (t) => {
  const unit = sparseUnit(t);
  assert.equal(ask(unit, 0, 0).length, 1);
  assert.equal(ask(unit, 0, 8 + 2 * 16 + 15).length, 2);
  assert.equal(ask(unit, 0, 0xffff_ffff).length, 5);
});

test("a file that is shorter than its unit ends in a hole", (t) => {
  const unit = sparseUnit(t, { state: initialState(8 * MIB, "writeback") });
  assert.deepEqual(ask(unit, (5 * MIB) / BLOCK), [[(5 * MIB) / BLOCK, (3 * MIB) / BLOCK, 1]]);
});

test("blocks that are data in part are mapped", (t) => {
  const unit = sparseUnit(t, { blockLengthBytes: 4096 });
  const [, data] = ask(unit, 0);
  assert.deepEqual(data, [MIB / 4096, MIB / 4096, 0]);
});

test("where nothing can be deallocated, or nothing is kept", (t) => {
  assert.deepEqual(ask(sparseUnit(t, { thin: false }), 1), [[1, BLOCKS - 1, 0]]);
  const state = initialState(2 ** 42, "writeback");
  assert.deepEqual(ask(sparseUnit(t, { kind: "null", fd: -1, state }), 0), [
    [0, 2 ** 32 - 1, 1],
    [2 ** 32 - 1, 2 ** 32 - 1, 1],
    [2 ** 33 - 2, 2, 1],
  ]);
});

test("only what is asked for is told, and what is mapped is said to be", (t) => {
  const unit = sparseUnit(t);
  const all = ask(unit, 0);
  const mapped = all.filter(([, , status]) => status === 0).map(([lba, blocks]) => [lba, blocks, 3]);
  const deallocated = all.filter(([, , status]) => status === 1);
  assert.deepEqual([mapped.length, deallocated.length], [2, 3]);
  assert.deepEqual(
    ask(unit, 0, 4096, 0x01),
    [...mapped, ...deallocated].sort(([a], [b]) => a! - b!),
  );
  assert.deepEqual(ask(unit, 0, 4096, 0x02), mapped);
  assert.deepEqual(ask(unit, 0, 24, 0x02), mapped.slice(0, 1));
  assert.deepEqual(ask(unit, 0, 4096, 0x03), deallocated);
  for (const reportType of [0x04, 0x10]) assert.deepEqual(ask(unit, 0, 4096, reportType), []);
  for (const reportType of [0x05, 0x11, 0xff]) {
    const answer = answerOf(unit, 0, 4096, reportType);
    assert.ok(answer.kind === "sense" && answer.asc === 0x24 && answer.senseKeySpecific === 0xc0_000e);
  }
  const state = initialState(2 ** 52, "writeback");
  assert.deepEqual(ask(sparseUnit(t, { kind: "null", fd: -1, state }), 0, 4096, 0x02), [], "at once");
});

test("why there is no more is told: the end of the unit, or no room", (t) => {
  const unit = sparseUnit(t);
  assert.deepEqual(
    [dataOf(unit, 0, 4096), dataOf(unit, 0, 24), dataOf(unit, BLOCKS - 1, 24), dataOf(unit, 0, 4096, 0x04)].map(
      (data) => data[7],
    ),
    [0x07, 0x03, 0x07, 0x07],
  );
});
