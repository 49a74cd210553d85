/** PREEMPT and PREEMPT AND ABORT (SPC-5: table of preempting actions, and what follows it). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { A, ALL_TYPES, B, C, CONFLICT, GOOD, nameOf, PREEMPT, PREEMPT_AND_ABORT, refused, Unit } from "./fixture.js";

const SINGLE = [1, 3, 5, 6];
const ALL_REGISTRANTS = [7, 8];

test("the holder's key: its registrations go, the reservation is the sender's, of the new type", () => {
  for (const before of SINGLE) {
    for (const type of ALL_TYPES) {
      const unit = new Unit().registered([A, 1], [B, 2], [C, 3]).reserved(A, 1, before);
      const { answer, notices, aborted } = unit.out(B, PREEMPT, { key: 2, actionKey: 1, type });
      assert.equal(answer, "good");
      const released = before === type ? {} : { "2a04": ["c/1"] };
      assert.deepEqual(notices, { "2a05": ["a/1"], ...released }, `type ${before} to ${type}`);
      assert.deepEqual(aborted, []);
      assert.deepEqual([unit.keys, unit.state.generation], [["b/1:2", "c/1:3"], 4]);
      assert.equal(unit.holder, type >= 7 ? `all type ${type}` : `b/1 type ${type}`);
    }
  }
});

test("the holder's key goes from all that have it", () => {
  const unit = new Unit().registered([A, 1], [B, 2], [C, 1]).reserved(A, 1, 3);
  assert.deepEqual(unit.out(B, PREEMPT, { key: 2, actionKey: 1, type: 3 }).notices, { "2a05": ["a/1", "c/1"] });
  assert.deepEqual([unit.keys, unit.holder], [["b/1:2"], "b/1 type 3"]);
});

test("a holder may preempt itself: it stays registered, and gets the new type", () => {
  const unit = new Unit().registered([A, 1], [B, 2], [C, 1]).reserved(A, 1, 5);
  assert.deepEqual(unit.out(A, PREEMPT, { key: 1, actionKey: 1, type: 1 }), {
    answer: "good",
    notices: { "2a05": ["c/1"], "2a04": ["b/1"] },
    aborted: [],
  });
  assert.deepEqual([unit.keys, unit.holder], [["a/1:1", "b/1:2"], "a/1 type 1"]);
});

test("the sender that has the holder's key too keeps its registration", () => {
  const unit = new Unit().registered([A, 1], [B, 1]).reserved(A, 1, 3);
  assert.deepEqual(unit.out(B, PREEMPT, { key: 1, actionKey: 1, type: 3 }).notices, { "2a05": ["a/1"] });
  assert.deepEqual([unit.keys, unit.holder], [["b/1:1"], "b/1 type 3"]);
});

test("All Registrants and zero: all others go", () => {
  for (const before of ALL_REGISTRANTS) {
    for (const type of ALL_TYPES) {
      const unit = new Unit().registered([A, 1], [B, 2], [C, 2]).reserved(A, 1, before);
      const { answer, notices } = unit.out(B, PREEMPT, { key: 2, actionKey: 0, type });
      assert.deepEqual([answer, notices], ["good", { "2a05": ["a/1", "c/1"] }]);
      assert.deepEqual(unit.keys, ["b/1:2"]);
      assert.equal(unit.holder, type >= 7 ? `all type ${type}` : `b/1 type ${type}`);
    }
  }
});

test("All Registrants and a key: the registrations go, the reservation stays until the last has gone", () => {
  for (const type of ALL_REGISTRANTS) {
    const unit = new Unit().registered([A, 1], [B, 2], [C, 2]).reserved(A, 1, type);
    // Scope and type are ignored.
    const command = { key: 1, actionKey: 2, scope: 15, type: 0 };
    assert.deepEqual(unit.out(A, PREEMPT, command), {
      answer: "good",
      notices: { "2a05": ["b/1", "c/1"] },
      aborted: [],
    });
    assert.deepEqual([unit.keys, unit.holder], [["a/1:1"], `all type ${type}`]);
    assert.deepEqual(unit.out(A, PREEMPT, { ...command, actionKey: 1 }), GOOD);
    assert.deepEqual([unit.keys, unit.holder], [[], "none"]);
  }
});

test("another key than the holder's: the registrations go, also the sender's own, who is not told", () => {
  for (const type of [0, ...SINGLE]) {
    const unit = new Unit().registered([A, 1], [B, 2], [C, 2]);
    if (type !== 0) unit.reserved(A, 1, type);
    const { holder } = unit;
    const command = { key: 2, actionKey: 2, scope: 15, type: 0 };
    assert.deepEqual(unit.out(B, PREEMPT, command), { answer: "good", notices: { "2a05": ["c/1"] }, aborted: [] });
    assert.deepEqual([unit.keys, unit.holder, unit.state.generation], [["a/1:1"], holder, 4]);
  }
});

test("a key that nobody has is a conflict, zero is INVALID FIELD IN PARAMETER LIST", () => {
  for (const action of [PREEMPT, PREEMPT_AND_ABORT]) {
    for (const type of [0, ...SINGLE]) {
      const unit = new Unit().registered([A, 1], [B, 2]);
      if (type !== 0) unit.reserved(A, 1, type);
      assert.deepEqual(unit.out(B, action, { key: 2, actionKey: 9, type: 3 }), CONFLICT);
      assert.deepEqual(unit.out(B, action, { key: 2, actionKey: 0, type: 3 }), refused("26/00 list 8"));
      assert.equal(unit.state.generation, 2);
    }
    for (const type of ALL_REGISTRANTS) {
      const unit = new Unit().registered([A, 1], [B, 2]).reserved(A, 1, type);
      assert.deepEqual(unit.out(B, action, { key: 2, actionKey: 9, type: 3 }), CONFLICT);
    }
  }
});

test("a scope or type that there is not is refused where the reservation is replaced", () => {
  const unit = new Unit().registered([A, 1], [B, 2]).reserved(A, 1, 3);
  assert.deepEqual(unit.out(B, PREEMPT, { key: 2, actionKey: 1, type: 2 }), refused("24/00 cdb 2.3"));
  assert.deepEqual(unit.out(B, PREEMPT, { key: 2, actionKey: 1, scope: 1, type: 3 }), refused("24/00 cdb 2.7"));
  assert.deepEqual([unit.keys, unit.holder], [["a/1:1", "b/1:2"], "a/1 type 3"]);
});

test("PREEMPT AND ABORT aborts the commands of all that are registered with the key", () => {
  const unit = new Unit().registered([A, 1], [B, 2], [C, 1]).reserved(A, 1, 3);
  const { answer, notices, aborted } = unit.out(B, PREEMPT_AND_ABORT, { key: 2, actionKey: 1, type: 3 });
  assert.deepEqual([answer, notices, aborted], ["good", { "2a05": ["a/1", "c/1"] }, ["a/1", "c/1"]]);
  assert.equal(unit.holder, "b/1 type 3");
});

test("PREEMPT AND ABORT without a reservation, and with the sender's own key", () => {
  const unit = new Unit().registered([A, 1], [B, 2]);
  assert.deepEqual(unit.out(A, PREEMPT_AND_ABORT, { key: 1, actionKey: 2 }).aborted, ["b/1"]);
  assert.deepEqual(unit.out(A, PREEMPT_AND_ABORT, { key: 1, actionKey: 1 }).aborted, ["a/1"]);
  assert.deepEqual(unit.keys, []);
});

test("PREEMPT AND ABORT of All Registrants with zero aborts the commands of all that are registered", () => {
  const unit = new Unit().registered([A, 1], [B, 2], [C, 3]).reserved(A, 1, 8);
  const { aborted } = unit.out(B, PREEMPT_AND_ABORT, { key: 2, actionKey: 0, type: 3 });
  assert.deepEqual(aborted, [A, B, C].map(nameOf));
  assert.deepEqual(unit.keys, ["b/1:2"]);
});
