/** FORMAT UNIT (SBC-4): what it leaves, and what it refuses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { getLbaStatus, inquiry, read10, readCapacity16, reportLuns, write10 } from "../../support/cdb.js";
import { GOOD, outcomeOf } from "../../support/sense.js";
import { CACHE_MODES } from "../../support/served-units.js";
import { Undo } from "../../support/undo.js";
import {
  assertContent,
  BLOCK_BYTES,
  BLOCK_ERASE,
  diskPath,
  FORMAT_IN_PROGRESS,
  Host,
  INVALID_FIELD_IN_CDB,
  progressOf,
  sanitizeCommand,
  startTarget,
  UNIT_BYTES,
  WRITE_PROTECTED,
} from "./fixture.js";

const FMTDATA = 0x10;
const LONGLIST = 0x20;
const DATA = Buffer.alloc(BLOCK_BYTES, 0x77);

for (const cache of CACHE_MODES) {
  test(`without a pattern all is deallocated, with one it is written: ${cache}`, async (context) => {
    const undo = new Undo(context);
    const target = await startTarget(undo, { cache });
    const host = await Host.logIn(undo, target);
    const capacity = await host.initiator.good({ cdb: readCapacity16(), read: 32 });
    for (const [flags, list, expected] of [
      [0, undefined, Buffer.alloc(1)],
      [FMTDATA, "00000000", Buffer.alloc(1)],
      [FMTDATA, "00880000000100020fa5", Buffer.from([0x0f, 0xa5])],
      [FMTDATA | LONGLIST, "00880000000000000001000400000000", Buffer.alloc(1)],
    ] as const) {
      assert.equal(await host.run({ cdb: write10(7, 1), write: DATA }), GOOD);
      assert.equal(await host.format(flags, list === undefined ? undefined : Buffer.from(list, "hex")), GOOD);
      assertContent(diskPath(target), expected);
      const status = await host.initiator.good({ cdb: getLbaStatus(0, 24), read: 24 });
      assert.equal(status[20], expected.length === 1 ? 1 : 0, "deallocated, or mapped");
      assert.equal(status.readUInt32BE(16), UNIT_BYTES / BLOCK_BYTES, "all of it");
    }
    assert.deepEqual(await host.initiator.good({ cdb: readCapacity16(), read: 32 }), capacity);
  });
}

test("with IMMED it goes on in the background, and nothing but what needs no unit runs", async (context) => {
  const undo = new Undo(context);
  const target = await startTarget(undo, { eraseRate: "16MiB" });
  const [host, other] = [await Host.logIn(undo, target, "host"), await Host.logIn(undo, target, "other")];
  assert.equal(await host.format(FMTDATA, Buffer.from("008a00000001000133", "hex")), GOOD);
  for (const each of [host, other]) {
    for (const command of [
      { cdb: read10(0, 1), read: BLOCK_BYTES },
      { cdb: readCapacity16(), read: 32 },
      { cdb: Buffer.from([0x04, 0, 0, 0, 0, 0]) },
      sanitizeCommand(BLOCK_ERASE),
    ]) {
      const result = await each.initiator.command(command);
      assert.equal(outcomeOf(result), FORMAT_IN_PROGRESS, `opcode ${command.cdb[0]}`);
      assert.ok(progressOf(result.sense) !== undefined);
    }
    assert.equal(await each.run({ cdb: inquiry(), read: 255 }), GOOD);
    assert.equal(await each.run({ cdb: reportLuns(), read: 4096 }), GOOD);
    assert.equal((await each.pollable()).sense, FORMAT_IN_PROGRESS);
  }
  await host.untilReady(FORMAT_IN_PROGRESS);
  assertContent(diskPath(target), Buffer.from([0x33]));
});

test("what is wrong with it is told before anything is done", async (context) => {
  const undo = new Undo(context);
  const target = await startTarget(undo);
  const host = await Host.logIn(undo, target);
  assert.equal(await host.run({ cdb: write10(0, 1), write: DATA }), GOOD);
  assert.equal(await host.format(0x80), INVALID_FIELD_IN_CDB);
  assert.equal(await host.format(FMTDATA), "5/1a00");
  assert.equal(await host.format(FMTDATA, Buffer.from("000000", "hex")), "5/1a00");
  assert.equal(await host.format(FMTDATA, Buffer.from("0000000400000000", "hex")), "5/2600");
  assert.equal(await host.format(FMTDATA, Buffer.from("01000000", "hex")), "5/2600");
  const readOnly = { cdb: Buffer.from([0x04, 0, 0, 0, 0, 0]), lun: 1 };
  assert.equal(await host.run(readOnly), WRITE_PROTECTED);
  const kept = await host.initiator.good({ cdb: read10(0, 1), read: BLOCK_BYTES });
  assert.ok(kept.equals(DATA));
});
