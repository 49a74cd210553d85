/** REGISTER, REGISTER AND IGNORE EXISTING KEY, REGISTER AND MOVE (SPC-5, tables of register behaviors). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { REGISTRATIONS_PER_UNIT_MAX } from "../../../../../control/limits.js";
import { nexusKey } from "../../../../../control/units/reservations/nexus.js";
import {
  A,
  A2,
  ALL_TG_PT,
  ALL_TYPES,
  APTPL,
  B,
  C,
  CONFLICT,
  deviceTransportId,
  GOOD,
  key,
  moveList,
  REGISTER,
  REGISTER_AND_IGNORE,
  REGISTER_AND_MOVE,
  refused,
  SPEC_I_PT,
  transportId,
  Unit,
} from "./fixture.js";

test("REGISTER by one that is not registered", () => {
  const unit = new Unit();
  assert.deepEqual(unit.out(A, REGISTER), GOOD);
  assert.deepEqual([unit.keys, unit.state.generation], [[], 0], "nothing but GOOD");
  assert.deepEqual(unit.out(A, REGISTER, { key: 5, actionKey: 6 }), CONFLICT);
  assert.deepEqual(unit.out(A, REGISTER, { actionKey: 6 }), GOOD);
  assert.deepEqual([unit.keys, unit.state.generation], [["a/1:6"], 1]);
});

test("REGISTER by one that is registered", () => {
  const unit = new Unit().registered([A, 1], [B, 1]);
  for (const wrong of [0, 2]) {
    assert.deepEqual(unit.out(A, REGISTER, { key: wrong, actionKey: 7 }), CONFLICT);
    assert.deepEqual(unit.out(A, REGISTER, { key: wrong }), CONFLICT);
  }
  assert.equal(unit.state.generation, 2);
  assert.deepEqual(unit.out(A, REGISTER, { key: 1, actionKey: 7 }), GOOD);
  assert.deepEqual([unit.keys, unit.state.generation], [["a/1:7", "b/1:1"], 3], "the other one with the key keeps it");
  assert.deepEqual(unit.out(A, REGISTER, { key: 7, actionKey: 7 }), GOOD);
  assert.deepEqual(unit.out(A, REGISTER, { key: 7 }), GOOD);
  assert.deepEqual([unit.keys, unit.state.generation], [["b/1:1"], 5]);
});

test("REGISTER AND IGNORE EXISTING KEY does not look at the key", () => {
  const unit = new Unit();
  assert.deepEqual(unit.out(A, REGISTER_AND_IGNORE, { key: 99 }), GOOD);
  assert.deepEqual([unit.keys, unit.state.generation], [[], 0]);
  assert.deepEqual(unit.out(A, REGISTER_AND_IGNORE, { key: 99, actionKey: 1 }), GOOD);
  assert.deepEqual(unit.out(A, REGISTER_AND_IGNORE, { key: 99, actionKey: 2 }), GOOD);
  assert.deepEqual([unit.keys, unit.state.generation], [["a/1:2"], 2]);
  assert.deepEqual(unit.out(A, REGISTER_AND_IGNORE, { key: 99 }), GOOD);
  assert.deepEqual([unit.keys, unit.state.generation], [[], 3]);
});

test("a nexus is initiator name, ISID, target and portal group", () => {
  const unit = new Unit().registered([A, 1]);
  for (const other of [A2, { ...A, isid: "00023d000009" }, { ...A, targetName: "iqn.2026-11.io.ringlun:other" }]) {
    assert.deepEqual(unit.out(other, REGISTER, { key: 1, actionKey: 2 }), CONFLICT);
  }
});

test("a change of the holder's key changes nothing of its reservation", () => {
  const unit = new Unit().registered([A, 1], [B, 2]).reserved(A, 1, 3);
  assert.deepEqual(unit.out(A, REGISTER, { key: 1, actionKey: 9 }), GOOD);
  assert.equal(unit.holder, "a/1 type 3");
});

test("unregistering the holder releases; of Registrants Only those who are left are told", () => {
  for (const type of ALL_TYPES) {
    for (const action of [REGISTER, REGISTER_AND_IGNORE]) {
      const unit = new Unit().registered([A, 1], [B, 2], [C, 3]).reserved(A, 1, type);
      const { answer, notices } = unit.out(A, action, { key: 1 });
      assert.equal(answer, "good");
      assert.deepEqual(notices, type === 5 || type === 6 ? { "2a04": ["b/1", "c/1"] } : {}, `type ${type}`);
      assert.equal(unit.holder, type >= 7 ? `all type ${type}` : "none");
    }
  }
});

test("unregistering one that is not the holder releases nothing and tells nobody", () => {
  for (const type of ALL_TYPES) {
    const unit = new Unit().registered([A, 1], [B, 2]).reserved(A, 1, type);
    const { holder } = unit;
    assert.deepEqual(unit.out(B, REGISTER, { key: 2 }), GOOD);
    assert.equal(unit.holder, holder);
  }
});

test("of All Registrants the last one that unregisters releases", () => {
  const unit = new Unit().registered([A, 1], [B, 2]).reserved(A, 1, 7);
  unit.out(A, REGISTER, { key: 1 });
  assert.equal(unit.holder, "all type 7");
  assert.deepEqual(unit.out(B, REGISTER, { key: 2 }), GOOD);
  assert.equal(unit.holder, "none");
});

test("APTPL is what was last received with a registration that was made, changed or removed", () => {
  const unit = new Unit();
  unit.out(A, REGISTER, { flags: APTPL });
  assert.equal(unit.state.survivesPowerLoss, false, "nothing was registered");
  unit.out(A, REGISTER, { actionKey: 1, flags: APTPL });
  assert.equal(unit.state.survivesPowerLoss, true);
  unit.out(A, REGISTER, { key: 2, actionKey: 3 });
  assert.equal(unit.state.survivesPowerLoss, true, "that was a conflict");
  unit.out(B, REGISTER_AND_IGNORE, { actionKey: 2 });
  assert.equal(unit.state.survivesPowerLoss, false);
  unit.out(B, REGISTER, { key: 2, flags: APTPL });
  assert.equal(unit.state.survivesPowerLoss, true);
});

// -- ALL_TG_PT

test("ALL_TG_PT registers through every portal group of the target", () => {
  const unit = new Unit();
  assert.deepEqual(unit.out(A, REGISTER, { actionKey: 1, flags: ALL_TG_PT }), GOOD);
  assert.deepEqual([unit.keys, unit.state.generation], [["a/1:1", "a/2:1"], 1]);
  assert.deepEqual(unit.out(A2, REGISTER, { key: 1, actionKey: 2 }), GOOD);
  assert.deepEqual(unit.keys, ["a/1:1", "a/2:2"]);
  assert.deepEqual(
    unit.out(A, REGISTER, { key: 1, flags: ALL_TG_PT }),
    CONFLICT,
    "at the other port the key is another",
  );
  assert.deepEqual(unit.keys, ["a/1:1", "a/2:2"]);
  assert.deepEqual(unit.out(A, REGISTER_AND_IGNORE, { actionKey: 3, flags: ALL_TG_PT }), GOOD);
  assert.deepEqual(unit.keys, ["a/1:3", "a/2:3"]);
  assert.deepEqual(unit.out(A, REGISTER, { key: 3, flags: ALL_TG_PT }), GOOD);
  assert.deepEqual(unit.keys, []);
});

test("ALL_TG_PT conflicts where one of the ports is registered and another is not", () => {
  const unit = new Unit().registered([A2, 2]);
  assert.deepEqual(unit.out(A, REGISTER, { actionKey: 1, flags: ALL_TG_PT }), CONFLICT);
  assert.deepEqual(unit.out(A2, REGISTER, { key: 2, actionKey: 1, flags: ALL_TG_PT }), CONFLICT);
  assert.deepEqual(unit.keys, ["a/2:2"]);
});

test("ALL_TG_PT unregisters the holder behind another port too", () => {
  const unit = new Unit();
  unit.out(A, REGISTER, { actionKey: 1, flags: ALL_TG_PT });
  unit.registered([B, 2]).reserved(A2, 1, 5);
  assert.deepEqual(unit.out(A, REGISTER_AND_IGNORE, { flags: ALL_TG_PT }).notices, { "2a04": ["b/1"] });
  assert.deepEqual([unit.keys, unit.holder], [["b/1:2"], "none"]);
});

// -- SPEC_I_PT

test("SPEC_I_PT registers the initiator ports of the list, through the sender's port", () => {
  const unit = new Unit();
  const transportIds = [transportId(B), transportId(C)];
  assert.deepEqual(unit.out(A, REGISTER, { actionKey: 4, flags: SPEC_I_PT, transportIds }), GOOD);
  assert.deepEqual([unit.keys, unit.state.generation], [["a/1:4", "b/1:4", "c/1:4"], 1]);
});

test("SPEC_I_PT and ALL_TG_PT: each of these through each port", () => {
  const unit = new Unit();
  unit.out(A, REGISTER, { actionKey: 4, flags: SPEC_I_PT | ALL_TG_PT, transportIds: [transportId(B)] });
  assert.deepEqual(unit.keys, ["a/1:4", "a/2:4", "b/1:4", "b/2:4"]);
});

test("an empty list, the sender itself and one port twice are no error", () => {
  const unit = new Unit();
  assert.deepEqual(unit.out(A, REGISTER, { actionKey: 4, flags: SPEC_I_PT, transportIds: [] }), GOOD);
  const transportIds = [transportId(B), transportId(B)];
  assert.deepEqual(unit.out(B, REGISTER, { actionKey: 5, flags: SPEC_I_PT, transportIds }), GOOD);
  assert.deepEqual(unit.keys, ["a/1:4", "b/1:5"]);
});

test("a TransportID of the device stands for all of its ports that are known", () => {
  const unit = new Unit();
  unit.known.set(B.initiatorName, [B.isid, "00023d00000b"]);
  const transportIds = [deviceTransportId(B.initiatorName), deviceTransportId(C.initiatorName)];
  assert.deepEqual(unit.out(A, REGISTER, { actionKey: 4, flags: SPEC_I_PT, transportIds }), GOOD);
  assert.deepEqual(unit.keys, ["a/1:4", "b/1:4", "b/1:4"]);
});

test("SPEC_I_PT with a port that is registered is refused as a whole", () => {
  const unit = new Unit().registered([C, 3]);
  const transportIds = [transportId(B), transportId(C)];
  // The second TransportID stands behind the first: 28 + 48.
  const command = { actionKey: 4, flags: SPEC_I_PT, transportIds };
  assert.deepEqual(unit.out(A, REGISTER, command), refused("26/00 list 76"));
  assert.deepEqual([unit.keys, unit.state.generation], [["c/1:3"], 1]);
});

test("SPEC_I_PT by one that is registered is refused; a wrong key is a conflict all the same", () => {
  const unit = new Unit().registered([A, 1]);
  const transportIds = [transportId(B)];
  for (const actionKey of [0, 2]) {
    assert.deepEqual(unit.out(A, REGISTER, { key: 2, actionKey, flags: SPEC_I_PT, transportIds }), CONFLICT);
    const answer = unit.out(A, REGISTER, { key: 1, actionKey, flags: SPEC_I_PT, transportIds });
    assert.deepEqual(answer, refused("26/00 list 20.3"));
  }
  assert.deepEqual(unit.keys, ["a/1:1"]);
});

test("SPEC_I_PT without a key to register does nothing", () => {
  const unit = new Unit();
  assert.deepEqual(unit.out(A, REGISTER, { flags: SPEC_I_PT, transportIds: [transportId(B)] }), GOOD);
  assert.deepEqual(unit.keys, []);
});

test("registrations are bounded, and none is made where not all can be", () => {
  const unit = new Unit();
  const registrations = new Map(unit.state.registrations);
  for (let i = 0; i < REGISTRATIONS_PER_UNIT_MAX - 1; i++) {
    const nexus = { ...C, isid: i.toString(16).padStart(12, "0") };
    registrations.set(nexusKey(nexus), { nexus, key: key(3) });
  }
  unit.state = { ...unit.state, registrations };
  const transportIds = [transportId(B)];
  assert.deepEqual(unit.out(A, REGISTER, { actionKey: 1, flags: SPEC_I_PT, transportIds }), refused("55/04"));
  assert.deepEqual(unit.out(A, REGISTER, { actionKey: 1 }), GOOD);
  assert.deepEqual(unit.out(B, REGISTER_AND_IGNORE, { actionKey: 1 }), refused("55/04"));
  assert.deepEqual(unit.out(A, REGISTER, { key: 1, actionKey: 2 }), GOOD, "that is no new one");
  unit.reserved(A, 2, 3);
  const destination = { ...B, isid: "00023d0000ff" };
  const move = { key: 2, actionKey: 2, transportId: transportId(destination) };
  assert.deepEqual(unit.move(A, move), refused("55/04"));
});

// -- REGISTER AND MOVE

test("REGISTER AND MOVE registers the destination and makes it the holder", () => {
  const unit = new Unit().registered([A, 1]).reserved(A, 1, 5);
  assert.deepEqual(unit.move(A, { key: 1, actionKey: 7, transportId: transportId(B) }), GOOD);
  assert.deepEqual([unit.keys, unit.holder, unit.state.generation], [["a/1:1", "b/1:7"], "b/1 type 5", 2]);
});

test("REGISTER AND MOVE through another port, with UNREG and APTPL, tells nobody", () => {
  const unit = new Unit().registered([A, 1], [B, 2], [C, 3]).reserved(A, 1, 6);
  const move = { key: 1, actionKey: 7, flags: 0x03, port: 2, transportId: transportId(B) };
  assert.deepEqual(unit.move(A, move), GOOD);
  assert.deepEqual([unit.keys, unit.holder], [["b/1:2", "c/1:3", "b/2:7"], "b/2 type 6"]);
  assert.equal(unit.state.survivesPowerLoss, true);
});

test("REGISTER AND MOVE to one that is registered gives it the key", () => {
  const unit = new Unit().registered([A, 1], [B, 2]).reserved(A, 1, 3);
  assert.deepEqual(unit.move(A, { key: 1, actionKey: 9, transportId: transportId(B) }), GOOD);
  assert.deepEqual([unit.keys, unit.holder], [["a/1:1", "b/1:9"], "b/1 type 3"]);
});

test("REGISTER AND MOVE to a device moves to its only known port", () => {
  const unit = new Unit().registered([A, 1]).reserved(A, 1, 3);
  const move = { key: 1, actionKey: 7, transportId: deviceTransportId(B.initiatorName) };
  assert.deepEqual(unit.move(A, move), refused("26/00 list 24"), "none is known");
  unit.known.set(B.initiatorName, [B.isid, "00023d00000b"]);
  assert.deepEqual(unit.move(A, move), refused("26/00 list 24"), "which of the two?");
  unit.known.set(B.initiatorName, [B.isid]);
  assert.deepEqual(unit.move(A, move), GOOD);
  assert.equal(unit.holder, "b/1 type 3");
});

test("REGISTER AND MOVE: who may not, and what cannot be", () => {
  const unit = new Unit();
  const good = { key: 1, actionKey: 7, transportId: transportId(C) };
  assert.deepEqual(unit.move(A, good), CONFLICT, "not registered");
  unit.registered([A, 1], [B, 2]);
  assert.deepEqual(unit.move(A, { ...good, key: 2 }), CONFLICT, "another's key");
  assert.deepEqual(unit.move(A, good), refused("24/00 cdb 1.4"), "no reservation");
  unit.reserved(A, 1, 3);
  assert.deepEqual(unit.move(B, { ...good, key: 2 }), CONFLICT, "not the holder");
  assert.deepEqual(unit.move(A, { ...good, actionKey: 0 }), refused("26/00 list 8"));
  assert.deepEqual(unit.move(A, { ...good, port: 3 }), refused("26/00 list 18"));
  for (const port of [1, 2]) {
    assert.deepEqual(unit.move(A, { ...good, port, transportId: transportId(A) }), refused("26/00 list 24"));
  }
  assert.deepEqual([unit.keys, unit.holder, unit.state.generation], [["a/1:1", "b/1:2"], "a/1 type 3", 2]);
});

test("REGISTER AND MOVE of an All Registrants reservation is a conflict", () => {
  for (const type of [7, 8]) {
    const unit = new Unit().registered([A, 1]).reserved(A, 1, type);
    assert.deepEqual(unit.move(A, { key: 1, actionKey: 7, transportId: transportId(C) }), CONFLICT);
  }
});

test("REGISTER AND MOVE: lists that are malformed", () => {
  const unit = new Unit().registered([A, 1]).reserved(A, 1, 3);
  const move = { key: 1, actionKey: 7, transportId: transportId(B) };
  const list = moveList(move);
  const changed = (...changes: readonly (readonly [number, number])[]) => {
    const copy = list.slice();
    for (const [byte, value] of changes) copy[byte] = value;
    return copy;
  };
  for (const [why, bytes, length, answer] of [
    ["no list", new Uint8Array(), 0, "1a/00"],
    ["less than the fixed part", list.subarray(0, 23), 23, "1a/00"],
    ["less came than was announced", list.subarray(0, 71), 72, "1a/00"],
    ["the TransportID is longer than the list", list.subarray(0, 68), 68, "1a/00"],
    ["a TransportID of less than 24 bytes", changed([23, 20]), 72, "26/00 list 20"],
    ["a TransportID that is no multiple of four", changed([23, 50]), 72, "26/00 list 20"],
    ["a length field of 2^32 - 4", changed([20, 255], [21, 255], [22, 255], [23, 252]), 72, "1a/00"],
    ["a TransportID that is cut", changed([23, 44]), 72, "26/00 list 26"],
    ["a TransportID of another protocol", changed([24, 0x46]), 72, "26/00 list 24"],
    ["a reserved byte", changed([16, 1]), 72, "26/00 list 16.0"],
    ["reserved bits", changed([17, 0x14]), 72, "26/00 list 17.4"],
  ] as const) {
    assert.deepEqual(unit.out(A, REGISTER_AND_MOVE, { list: bytes, length }), refused(answer), why);
  }
  assert.equal(list.length, 72);
  assert.deepEqual(unit.out(A, REGISTER_AND_MOVE, { list }), GOOD);
});
