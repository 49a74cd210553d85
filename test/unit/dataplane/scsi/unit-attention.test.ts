import assert from "node:assert/strict";
import { test } from "node:test";
import { SENSE_DEFERRED, WRITE_ERROR } from "../../../../dataplane/scsi/sense.js";
import { senseKeyOf, UNIT_ATTENTIONS_PER_LUN_MAX, UnitAttentions } from "../../../../dataplane/scsi/unit-attention.js";

function drain(attentions: UnitAttentions, lun: number): string[] {
  const codes: string[] = [];
  for (let code = attentions.take(lun); code >= 0; code = attentions.take(lun)) codes.push(code.toString(16));
  assert.equal(attentions.pending(lun), false);
  return codes;
}

test("nothing is pending at first", () => {
  const attentions = new UnitAttentions();
  assert.equal(attentions.pending(0), false);
  assert.equal(attentions.take(0), -1);
});

test("conditions are reported once, oldest first, per LUN", () => {
  const attentions = new UnitAttentions();
  attentions.add(0, 0x2a, 0x09);
  attentions.add(0, 0x3f, 0x0e);
  attentions.add(300, 0x2a, 0x01);
  assert.equal(attentions.pending(0), true);
  assert.equal(attentions.pending(1), false);
  assert.equal(attentions.pending(300), true);
  assert.deepEqual(drain(attentions, 0), ["2a09", "3f0e"]);
  assert.equal(attentions.pending(300), true);
  assert.deepEqual(drain(attentions, 300), ["2a01"]);
});

test("deferred errors wait in the same queue, behind a reset; a full queue does not drop them", () => {
  const attentions = new UnitAttentions();
  attentions.add(0, 0x2a, 0x09);
  attentions.addDeferredError(0, WRITE_ERROR);
  attentions.addDeferredError(0, WRITE_ERROR);
  attentions.add(0, 0x29, 0x03);
  const conditions = [0, 1, 2].map(() => attentions.take(0));
  assert.deepEqual(
    conditions.map((condition) => [senseKeyOf(condition), condition & 0xffff]),
    [
      [6, 0x2903],
      [6, 0x2a09],
      [SENSE_DEFERRED | 3, 0x0c00],
    ],
  );
  assert.equal(attentions.pending(0), false);
  attentions.addDeferredError(0, WRITE_ERROR);
  for (let ascq = 0; ascq < UNIT_ATTENTIONS_PER_LUN_MAX; ascq++) attentions.add(0, 0x3f, ascq);
  assert.deepEqual(drain(attentions, 0), ["2900", "130c00"]);
  for (let ascq = 0; ascq < UNIT_ATTENTIONS_PER_LUN_MAX; ascq++) attentions.add(0, 0x3f, ascq);
  attentions.addDeferredError(0, WRITE_ERROR);
  assert.deepEqual(drain(attentions, 0), ["2900", "130c00"]);
});

test("a condition that is pending already is not added again", () => {
  const attentions = new UnitAttentions();
  attentions.add(0, 0x2a, 0x09);
  attentions.add(0, 0x2a, 0x01);
  attentions.add(0, 0x2a, 0x09);
  assert.deepEqual(drain(attentions, 0), ["2a09", "2a01"]);
  attentions.add(0, 0x2a, 0x09);
  assert.deepEqual(drain(attentions, 0), ["2a09"]);
});

test("resets go first, in their own order", () => {
  const attentions = new UnitAttentions();
  attentions.add(0, 0x2a, 0x09);
  attentions.add(0, 0x29, 0x00);
  attentions.add(0, 0x2a, 0x01);
  attentions.add(0, 0x29, 0x03);
  assert.deepEqual(drain(attentions, 0), ["2900", "2903", "2a09", "2a01"]);
});

test("a queue that is full becomes one POWER ON, RESET, OR BUS DEVICE RESET OCCURRED", () => {
  const attentions = new UnitAttentions();
  for (let i = 0; i < UNIT_ATTENTIONS_PER_LUN_MAX; i++) attentions.add(0, 0x40, i);
  attentions.add(0, 0x40, 0);
  attentions.add(1, 0x40, 0);
  attentions.add(0, 0x40, 0xff);
  assert.deepEqual(drain(attentions, 0), ["2900"]);
  assert.deepEqual(drain(attentions, 1), ["4000"]);
});

test("a condition can be withdrawn from all LUNs, and a LUN from all conditions", () => {
  const attentions = new UnitAttentions();
  for (const lun of [0, 1, 2]) attentions.add(lun, 0x3f, 0x0e);
  attentions.add(1, 0x2a, 0x09);
  attentions.withdraw(0x3f, 0x0e);
  assert.equal(attentions.pending(0), false);
  assert.equal(attentions.pending(2), false);
  assert.deepEqual(drain(attentions, 1), ["2a09"]);
  attentions.add(2, 0x2a, 0x09);
  attentions.add(2, 0x2a, 0x01);
  attentions.clear(2);
  assert.equal(attentions.pending(2), false);
});
