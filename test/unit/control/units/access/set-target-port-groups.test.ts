import assert from "node:assert/strict";
import { test } from "node:test";
import type { GroupAccess, UnitAccess } from "../../../../../control/units/access/group-access.js";
import { askedStates } from "../../../../../control/units/access/set-target-port-groups.js";

const group = (state: number): GroupAccess => ({ state, preferred: false, statusCode: 0, setOver: null });
const ACCESS: UnitAccess = new Map([
  [1, group(0x0)],
  [0x0200, group(0x2)],
  [3, group(0xf)],
]);

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
}

/** "1: 0" of each group, or "5/2600 byte.bit". */
function ask(text: string, length = bytes(text).length): string {
  const outcome = askedStates(bytes(text), length, ACCESS);
  if (outcome.kind === "asked") return [...outcome.states].map(([tag, state]) => `${tag}: ${state}`).join(", ");
  const { answer } = outcome;
  assert.equal(answer.kind, "sense");
  const code = `${answer.senseKey}/${((answer.asc << 8) | answer.ascq).toString(16).padStart(4, "0")}`;
  const specific = answer.senseKeySpecific ?? -1;
  if (specific < 0) return code;
  // SKSV, and no C/D: the field is in the list.
  assert.equal(specific & 0xc0_0000, 0x80_0000);
  const bit = (specific & 0x08_0000) === 0 ? "" : `.${(specific >>> 16) & 7}`;
  return `${code} ${specific & 0xffff}${bit}`;
}

test("states of groups, in whatever order; bits that are reserved do not matter", () => {
  assert.equal(ask("00000000 01000200 03000001"), "512: 1, 1: 3");
  assert.equal(ask("ffffffff f2ff0001"), "1: 2");
  assert.equal(ask("00000000 00000001"), "1: 0");
});

test("nothing is asked for without a descriptor", () => {
  assert.equal(ask(""), "");
  assert.equal(ask("00000000"), "");
});

test("a list that is cut off, or comes shorter than was said, is refused", () => {
  for (const text of ["00", "000000", "0000000000", "00000000 000000", "00000000 00000001 00"]) {
    assert.equal(ask(text), "5/1a00", text);
  }
  assert.equal(ask("00000000 00000001", 12), "5/1a00");
  assert.equal(ask("", 8), "5/1a00");
  assert.equal(ask("", 0xffff_ffff), "5/1a00");
});

test("what comes beyond the length that was said does not count", () => {
  assert.equal(ask("00000000 02000001 0e000001", 8), "1: 2");
});

test("states that cannot be set: LBA dependent, offline, transitioning, reserved", () => {
  for (const state of ["04", "05", "0d", "0e", "0f"]) {
    assert.equal(ask(`00000000 00000001 ${state}000200`), "5/2600 8.3", state);
  }
});

test("groups that are not the unit's, and a group twice", () => {
  assert.equal(ask("00000000 00000002"), "5/2600 6");
  assert.equal(ask("00000000 00000000"), "5/2600 6");
  assert.equal(ask("00000000 02000001 00000001"), "5/2600 10");
});

test("a group in transition is not to be set", () => {
  assert.equal(ask("00000000 00000003"), "2/040a");
});
