import assert from "node:assert/strict";
import { test } from "node:test";
import { LOST } from "../../../../../control/units/reservations/state.js";
import { A, APTPL, B, CLEAR, hex, REGISTER, REPLACE_LOST, RESERVE, SPEC_I_PT, transportId, Unit } from "./fixture.js";

const EXCLUSIVE_ACCESS = 3;
const EXCLUSIVE_ACCESS_ALL_REGISTRANTS = 8;

function lost(): Unit {
  const unit = new Unit();
  unit.state = LOST;
  return unit;
}

test("REPLACE LOST RESERVATION registers and reserves in one step, and tells nobody", () => {
  const unit = lost();
  const result = unit.out(A, REPLACE_LOST, { actionKey: 5, type: EXCLUSIVE_ACCESS, flags: APTPL });
  assert.deepEqual(result, { answer: "good", notices: {}, aborted: [] });
  assert.deepEqual([unit.keys, unit.holder], [["a/1:5"], "a/1 type 3"]);
  assert.deepEqual([unit.state.generation, unit.state.survivesPowerLoss], [0, true]);
  unit.registered([B, 2]);
  assert.equal(unit.out(B, RESERVE, { key: 2, type: EXCLUSIVE_ACCESS }).answer, "conflict");
});

test("of a type All Registrants, and without APTPL", () => {
  const unit = lost();
  unit.out(B, REPLACE_LOST, { actionKey: 1, type: EXCLUSIVE_ACCESS_ALL_REGISTRANTS });
  assert.deepEqual([unit.holder, unit.state.survivesPowerLoss], ["all type 8", false]);
});

test("what is wrong with it leaves everything lost", () => {
  const unit = lost();
  for (const [command, answer] of [
    [{ key: 1, actionKey: 5, type: EXCLUSIVE_ACCESS }, "conflict"],
    [{ actionKey: 0, type: EXCLUSIVE_ACCESS }, "26/00 list 8"],
    [{ actionKey: 5, type: 2 }, "24/00 cdb 2.3"],
    [{ actionKey: 5, type: EXCLUSIVE_ACCESS, scope: 1 }, "24/00 cdb 2.7"],
    [{ actionKey: 5, type: EXCLUSIVE_ACCESS, flags: SPEC_I_PT, transportIds: [transportId(B)] }, "26/00 list 20.3"],
    [{ actionKey: 5, type: EXCLUSIVE_ACCESS, length: 25 }, "1a/00"],
    [{ actionKey: 5, type: EXCLUSIVE_ACCESS, list: new Uint8Array(23) }, "1a/00"],
  ] as const) {
    assert.equal(unit.out(A, REPLACE_LOST, command).answer, answer);
    assert.equal(unit.holder, "lost");
  }
});

test("everything else is refused while reservations are lost", () => {
  const unit = lost();
  for (const action of [REGISTER, RESERVE, CLEAR]) {
    assert.equal(unit.out(A, action, { actionKey: 5, type: EXCLUSIVE_ACCESS }).answer, "key 7 44/01");
  }
  assert.equal(unit.reserve(A).answer, "conflict");
  assert.equal(unit.holder, "lost");
});

test("where nothing is lost there is nothing to replace", () => {
  const unit = new Unit().registered([A, 1]);
  const before = hex(Buffer.from(JSON.stringify([...unit.state.registrations])));
  for (const sender of [A, B]) {
    assert.equal(unit.out(sender, REPLACE_LOST, { actionKey: 5, type: EXCLUSIVE_ACCESS }).answer, "26/04");
  }
  assert.equal(hex(Buffer.from(JSON.stringify([...unit.state.registrations]))), before);
});
