import assert from "node:assert/strict";
import { test } from "node:test";
import { A, A2, ALL_TYPES, APTPL, B, key, REGISTER, transportId, Unit } from "./fixture.js";

const READ_KEYS = 0;
const READ_RESERVATION = 1;
const REPORT_CAPABILITIES = 2;
const READ_FULL_STATUS = 3;

test("READ KEYS: PRGENERATION, length, a key for each registration", () => {
  const unit = new Unit();
  assert.equal(unit.in(READ_KEYS), "00000000 00000000".replaceAll(" ", ""));
  unit.registered([A, 0x1234], [B, 0x1234], [A2, 7]);
  assert.equal(unit.in(READ_KEYS), `0000000300000018${key(0x1234)}${key(0x1234)}${key(7)}`);
});

test("READ RESERVATION: nothing, or key, scope and type", () => {
  const unit = new Unit().registered([A, 0x1234], [B, 2]);
  assert.equal(unit.in(READ_RESERVATION), "0000000200000000");
  for (const type of ALL_TYPES) {
    const reserved = new Unit().registered([A, 0x1234], [B, 2]).reserved(A, 0x1234, type);
    const held = type >= 7 ? key(0) : key(0x1234);
    assert.equal(reserved.in(READ_RESERVATION), `0000000200000010${held}00000000000${type}0000`);
  }
});

test("READ RESERVATION shows the key that the holder has now", () => {
  const unit = new Unit().registered([A, 1]).reserved(A, 1, 3);
  unit.out(A, REGISTER, { key: 1, actionKey: 9 });
  assert.equal(unit.in(READ_RESERVATION), `0000000200000010${key(9)}0000000000030000`);
});

test("REPORT CAPABILITIES", () => {
  const unit = new Unit();
  // RLR_C, CRH, SIP_C, ATP_C, PTPL_C; TMV, ALLOW COMMANDS 100b; all six types.
  assert.equal(unit.in(REPORT_CAPABILITIES), "00089dc0ea010000");
  unit.out(A, REGISTER, { actionKey: 1, flags: APTPL });
  assert.equal(unit.in(REPORT_CAPABILITIES), "00089dc1ea010000");
});

test("READ FULL STATUS: a descriptor for each registration", () => {
  const unit = new Unit();
  assert.equal(unit.in(READ_FULL_STATUS), "0000000000000000");
  unit.registered([A, 1], [B, 2], [A2, 3]).reserved(B, 2, 6);
  const descriptor = (own: number, holder: string, type: string, port: string, id: string) =>
    `${key(own)}00000000${holder}${type}00000000${port}00000030${id}`;
  assert.equal(
    unit.in(READ_FULL_STATUS),
    `00000003000000d8${descriptor(1, "00", "00", "0001", transportId(A))}${descriptor(
      2,
      "01",
      "06",
      "0001",
      transportId(B),
    )}${descriptor(3, "00", "00", "0002", transportId(A))}`,
  );
});

test("READ FULL STATUS: of All Registrants every one is a holder", () => {
  const unit = new Unit().registered([A, 1], [B, 2]).reserved(B, 2, 8);
  const data = Buffer.from(unit.in(READ_FULL_STATUS), "hex");
  assert.equal(data.length, 8 + 2 * 72);
  for (const at of [8, 80]) assert.deepEqual([data[at + 12], data[at + 13]], [1, 8]);
});
