/** RESERVE and RELEASE, (6) and (10): SPC-2, and the exceptions of SPC-5. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { withoutReserve } from "../../../../../control/units/reservations/reserve-unit.js";
import { isExempt } from "../../../../../control/units/reservations/state.js";
import {
  A,
  A2,
  ALL_TYPES,
  B,
  C,
  CLEAR,
  CONFLICT,
  GOOD,
  moveList,
  PREEMPT,
  PREEMPT_AND_ABORT,
  REGISTER,
  REGISTER_AND_IGNORE,
  REGISTER_AND_MOVE,
  RELEASE,
  RESERVE,
  transportId,
  Unit,
} from "./fixture.js";

test("one nexus reserves, as often as it likes; the others have to wait", () => {
  const unit = new Unit();
  assert.deepEqual(unit.reserve(A), GOOD);
  assert.deepEqual(unit.reserve(A), GOOD);
  for (const other of [B, A2]) {
    assert.deepEqual(unit.reserve(other), CONFLICT);
    assert.deepEqual(unit.release(other), GOOD, "no error, and no effect");
  }
  assert.equal(unit.holder, "reserve a/1");
  assert.deepEqual(
    [A, B, A2].map((nexus) => isExempt(unit.state, nexus)),
    [true, false, false],
  );
  assert.deepEqual(unit.release(A), GOOD);
  assert.deepEqual([unit.holder, unit.state.generation], ["none", 0]);
  assert.deepEqual(unit.release(A), GOOD);
  assert.deepEqual(unit.reserve(B), GOOD);
});

test("it ends with its nexus or a reset", () => {
  const unit = new Unit();
  assert.equal(withoutReserve(unit.state), undefined);
  unit.reserve(A);
  assert.equal(withoutReserve(unit.state, B), undefined);
  assert.equal(withoutReserve(unit.state, A2), undefined);
  for (const nexus of [A, undefined]) {
    const outcome = withoutReserve(unit.state, nexus);
    assert.equal(outcome?.kind === "changed" && outcome.state.reservation, null);
  }
  const persistent = new Unit().registered([A, 1]).reserved(A, 1, 3);
  assert.equal(withoutReserve(persistent.state, A), undefined);
  assert.equal(withoutReserve(persistent.state), undefined);
});

test("while it holds, PERSISTENT RESERVE OUT conflicts, whoever and whatever it is, also with a bad list", () => {
  const unit = new Unit();
  unit.reserve(A);
  for (const sender of [A, B]) {
    for (const action of [REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT, REGISTER_AND_IGNORE]) {
      assert.deepEqual(unit.out(sender, action, { actionKey: 1, type: 3 }), CONFLICT);
      assert.deepEqual(unit.out(sender, action, { list: new Uint8Array() }), CONFLICT);
    }
    const list = moveList({ key: 0, actionKey: 1, transportId: transportId(C) });
    assert.deepEqual(unit.out(sender, REGISTER_AND_MOVE, { list }), CONFLICT);
  }
  assert.deepEqual([unit.keys, unit.holder], [[], "reserve a/1"]);
});

test("while anybody is registered nobody reserves or releases this way", () => {
  const unit = new Unit().registered([A, 1]);
  for (const sender of [A, B]) {
    assert.deepEqual(unit.reserve(sender), CONFLICT);
    assert.deepEqual(unit.release(sender), CONFLICT);
  }
  unit.out(A, REGISTER, { key: 1 });
  assert.deepEqual(unit.reserve(B), GOOD);
});

test("under a persistent reservation, those who may use the unit hear GOOD, without effect; the others a conflict", () => {
  for (const type of ALL_TYPES) {
    const unit = new Unit().registered([A, 1], [B, 2]).reserved(A, 1, type);
    const { state } = unit;
    for (const command of [(nexus: typeof A) => unit.reserve(nexus), (nexus: typeof A) => unit.release(nexus)]) {
      assert.deepEqual(command(A), GOOD);
      assert.deepEqual(command(B), type >= 5 ? GOOD : CONFLICT, `type ${type}`);
      assert.deepEqual(command(C), CONFLICT);
    }
    assert.equal(unit.state, state);
  }
});
