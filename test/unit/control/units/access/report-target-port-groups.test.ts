import assert from "node:assert/strict";
import { test } from "node:test";
import type { UnitAccess } from "../../../../../control/units/access/group-access.js";
import { reportTargetPortGroups } from "../../../../../control/units/access/report-target-port-groups.js";

const ACCESS: UnitAccess = new Map([
  [1, { state: 0x0, preferred: true, statusCode: 0, setOver: null }],
  [2, { state: 0x1, preferred: false, statusCode: 1, setOver: "optimized" }],
  [0x1234, { state: 0xf, preferred: false, statusCode: 2, setOver: null }],
]);

const DESCRIPTORS =
  "80 8f 0001 00 00 00 01  0000 0001" + "01 8f 0002 00 01 00 01  0000 0002" + "0f 8f 1234 00 02 00 01  0000 1234";

function hex(text: string): string {
  return text.replaceAll(" ", "");
}

test("length only header", () => {
  const data = reportTargetPortGroups(ACCESS, 0)!;
  assert.equal(Buffer.from(data).toString("hex"), hex(`00000024${DESCRIPTORS}`));
});

test("extended header: the length counts the rest of it, and the transition time is told", () => {
  const data = reportTargetPortGroups(ACCESS, 1)!;
  assert.equal(Buffer.from(data).toString("hex"), hex(`00000028 10 01 0000${DESCRIPTORS}`));
});

test("there are no other formats", () => {
  for (const format of [2, 3, 4, 5, 6, 7]) assert.equal(reportTargetPortGroups(ACCESS, format), undefined);
});

test("a unit that nobody reaches has no group", () => {
  assert.equal(Buffer.from(reportTargetPortGroups(new Map(), 0)!).toString("hex"), "00000000");
});
