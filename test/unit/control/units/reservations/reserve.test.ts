/** RESERVE, RELEASE and CLEAR of PERSISTENT RESERVE OUT; what holds of every service action. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  A,
  A2,
  ALL_TYPES,
  B,
  basicList,
  C,
  CLEAR,
  CONFLICT,
  fromHex,
  GOOD,
  PREEMPT,
  PREEMPT_AND_ABORT,
  REGISTER,
  REGISTER_AND_IGNORE,
  RELEASE,
  RESERVE,
  refused,
  transportId,
  Unit,
} from "./fixture.js";

test("RESERVE by one that is registered, of every type", () => {
  for (const type of ALL_TYPES) {
    const unit = new Unit().registered([A, 1], [B, 2]);
    assert.deepEqual(unit.out(A, RESERVE, { key: 1, actionKey: 77, type }), GOOD);
    assert.equal(unit.holder, type >= 7 ? `all type ${type}` : `a/1 type ${type}`);
    assert.equal(unit.state.generation, 2, "RESERVE does not count");
  }
});

test("RESERVE again: the same by a holder is no error, all else is a conflict", () => {
  for (const type of ALL_TYPES) {
    const unit = new Unit().registered([A, 1], [B, 2]).reserved(A, 1, type);
    const { holder } = unit;
    assert.deepEqual(unit.out(A, RESERVE, { key: 1, type }), GOOD);
    assert.deepEqual(unit.out(B, RESERVE, { key: 2, type }), type >= 7 ? GOOD : CONFLICT);
    for (const other of ALL_TYPES.filter((each) => each !== type)) {
      assert.deepEqual(unit.out(A, RESERVE, { key: 1, type: other }), CONFLICT);
      assert.deepEqual(unit.out(B, RESERVE, { key: 2, type: other }), CONFLICT);
    }
    assert.equal(unit.holder, holder);
  }
});

test("the holder is one nexus, not one initiator", () => {
  const unit = new Unit().registered([A, 1], [A2, 1]).reserved(A, 1, 3);
  assert.deepEqual(unit.out(A2, RESERVE, { key: 1, type: 3 }), CONFLICT);
});

test("a scope or type that there is not is refused", () => {
  const unit = new Unit().registered([A, 1]);
  for (const action of [RESERVE, RELEASE]) {
    for (const type of [0, 2, 4, 9, 15]) {
      assert.deepEqual(unit.out(A, action, { key: 1, type }), refused("24/00 cdb 2.3"));
    }
    for (const scope of [1, 2, 15]) {
      assert.deepEqual(unit.out(A, action, { key: 1, scope, type: 3 }), refused("24/00 cdb 2.7"));
    }
  }
  assert.equal(unit.holder, "none");
});

test("RELEASE by the holder, of the types of Registrants with word to all others", () => {
  for (const type of ALL_TYPES) {
    const unit = new Unit().registered([A, 1], [B, 2], [C, 3]).reserved(A, 1, type);
    const { answer, notices } = unit.out(A, RELEASE, { key: 1, type });
    assert.equal(answer, "good");
    assert.deepEqual(notices, type >= 5 ? { "2a04": ["b/1", "c/1"] } : {}, `type ${type}`);
    assert.deepEqual([unit.holder, unit.keys.length, unit.state.generation], ["none", 3, 3]);
  }
});

test("of All Registrants any of them releases", () => {
  const unit = new Unit().registered([A, 1], [B, 2]).reserved(A, 1, 8);
  assert.deepEqual(unit.out(B, RELEASE, { key: 2, type: 8 }).notices, { "2a04": ["a/1"] });
  assert.equal(unit.holder, "none");
});

test("RELEASE by the holder of what it does not hold is INVALID RELEASE OF PERSISTENT RESERVATION", () => {
  for (const type of ALL_TYPES) {
    const unit = new Unit().registered([A, 1]).reserved(A, 1, type);
    for (const other of [0, ...ALL_TYPES].filter((each) => each !== type)) {
      assert.deepEqual(unit.out(A, RELEASE, { key: 1, type: other }), refused("26/04"));
    }
    assert.deepEqual(unit.out(A, RELEASE, { key: 1, scope: 1, type }), refused("26/04"));
    assert.notEqual(unit.holder, "none");
  }
});

test("RELEASE by others that are registered does nothing, without an error", () => {
  const unit = new Unit().registered([A, 1], [B, 2]);
  assert.deepEqual(unit.out(B, RELEASE, { key: 2, type: 3 }), GOOD);
  unit.reserved(A, 1, 5);
  for (const type of ALL_TYPES) assert.deepEqual(unit.out(B, RELEASE, { key: 2, type }), GOOD);
  assert.equal(unit.holder, "a/1 type 5");
});

test("CLEAR ends everything, and all others that were registered are told", () => {
  for (const type of [0, ...ALL_TYPES]) {
    const unit = new Unit().registered([A, 1], [B, 2], [C, 3]);
    if (type !== 0) unit.reserved(A, 1, type);
    const { answer, notices } = unit.out(B, CLEAR, { key: 2, scope: 15, type: 15 });
    assert.deepEqual([answer, notices], ["good", { "2a03": ["a/1", "c/1"] }]);
    assert.deepEqual([unit.keys, unit.holder, unit.state.generation], [[], "none", 4]);
  }
});

test("who is not registered, or comes with another key, gets a conflict from every service action but the registering ones", () => {
  const actions = [RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT];
  for (const action of actions) {
    // The key is looked at before scope and type are.
    const command = { actionKey: 1, scope: 1, type: 0 };
    const unit = new Unit().registered([A, 1], [B, 2]);
    assert.deepEqual(unit.out(C, action, { ...command, key: 0 }), CONFLICT);
    assert.deepEqual(unit.out(C, action, { ...command, key: 1 }), CONFLICT);
    assert.deepEqual(unit.out(A, action, { ...command, key: 0 }), CONFLICT);
    assert.deepEqual(unit.out(A, action, { ...command, key: 2 }), CONFLICT);
    assert.deepEqual([unit.keys, unit.state.generation], [["a/1:1", "b/1:2"], 2]);
  }
});

test("the parameter list is 24 bytes long, unless SPEC_I_PT says otherwise", () => {
  const good = basicList({ key: 1, actionKey: 1 });
  for (const action of [REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT, REGISTER_AND_IGNORE]) {
    const unit = new Unit().registered([A, 1]);
    for (const [why, list, length] of [
      ["none", new Uint8Array(), 0],
      ["23 bytes", good.subarray(0, 23), 23],
      ["25 bytes", fromHex(`${Buffer.from(good).toString("hex")}00`), 25],
      ["less came than was announced", good.subarray(0, 20), 24],
      ["nothing came of what was announced", new Uint8Array(), 24],
    ] as const) {
      assert.deepEqual(unit.out(A, action, { list, length }), refused("1a/00"), `${action}: ${why}`);
    }
  }
});

test("SPEC_I_PT is for REGISTER alone", () => {
  for (const action of [RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_AND_ABORT, REGISTER_AND_IGNORE]) {
    const unit = new Unit().registered([A, 1]);
    const command = { key: 1, actionKey: 1, type: 3, flags: 0x08 };
    assert.deepEqual(unit.out(A, action, command), refused("26/00 list 20.3"));
    assert.deepEqual(unit.out(A, action, { ...command, transportIds: [transportId(B)] }), refused("26/00 list 20.3"));
  }
});

test("reserved bits of the parameter list are refused", () => {
  const unit = new Unit().registered([A, 1]);
  for (const [flags, bit] of [
    [0x02, 1],
    [0x10, 4],
    [0x82, 7],
  ] as const) {
    assert.deepEqual(unit.out(A, RESERVE, { key: 1, type: 3, flags }), refused(`26/00 list 20.${bit}`));
  }
  const list = basicList({ key: 1 });
  list[21] = 0x40;
  assert.deepEqual(unit.out(A, CLEAR, { list }), refused("26/00 list 21.6"));
});

test("obsolete bytes, and flags that a service action ignores, change nothing", () => {
  const unit = new Unit().registered([A, 1]);
  const list = basicList({ key: 1, flags: 0x05 });
  list.fill(0xff, 16, 20);
  list.fill(0xff, 22, 24);
  assert.deepEqual(unit.out(A, RESERVE, { list, type: 3 }), GOOD);
  assert.equal(unit.state.survivesPowerLoss, false);
});

test("lists of TransportIDs that are malformed", () => {
  const id = transportId(B);
  const head = "0000000000000000000000000000000400000000080000 00".replace(" ", "");
  for (const [why, text, answer] of [
    ["no length of the TransportIDs", `${head}000000`, "1a/00"],
    ["a length beyond the list", `${head}00000034${id}`, "1a/00"],
    ["a length of 2^32 - 1", `${head}ffffffff${id}`, "1a/00"],
    ["a length that cuts the last one", `${head}0000002c${id}`, "26/00 list 30"],
    ["bytes behind the last one", `${head}00000032${id}0000`, "26/00 list 76"],
    ["another protocol", `${head}00000018${"06".padEnd(48, "0")}`, "26/00 list 28"],
  ] as const) {
    const unit = new Unit();
    assert.deepEqual(unit.out(A, REGISTER, { list: fromHex(text) }), refused(answer), why);
    assert.deepEqual(unit.keys, []);
  }
  // What the length does not cover is not looked at.
  const unit = new Unit();
  assert.deepEqual(unit.out(A, REGISTER, { list: fromHex(`${head}00000030${id}ffff`) }), GOOD);
  assert.deepEqual(unit.keys, ["a/1:4", "b/1:4"]);
});

test("PRGENERATION wraps", () => {
  const unit = new Unit();
  unit.state = { ...unit.state, generation: 0xffff_ffff };
  unit.registered([A, 1]);
  assert.equal(unit.state.generation, 0);
});
