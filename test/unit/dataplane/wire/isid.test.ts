import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ISID_FORMAT_EN,
  ISID_FORMAT_RANDOM,
  isidA,
  isidB,
  isidC,
  isidD,
  isidFormat,
  isidOf,
  readIsid,
  writeIsid,
} from "../../../../dataplane/wire/isid.js";
import fc from "../../../support/fast-check.js";
import { golden, hexOf } from "./twin.js";

test("ISID: golden bytes", () => {
  assert.equal(isidOf(ISID_FORMAT_EN, 0, 0x0001, 0x37, 1), 0x4000_0137_0001);
  const random = readIsid(golden("ff 80 123456 abcd ff"), 1);
  assert.equal(isidFormat(random), ISID_FORMAT_RANDOM);
  assert.deepEqual([isidA(random), isidB(random), isidC(random), isidD(random)], [0, 0x1234, 0x56, 0xabcd]);
});

test("ISID: fields, number and bytes survive the round trip", () => {
  const below = (bits: number) =>
    fc.oneof(fc.constantFrom(0, 2 ** bits - 1), fc.integer({ min: 0, max: 2 ** bits - 1 }));
  fc.assert(
    fc.property(below(2), below(6), below(16), below(8), below(16), (format, a, b, c, d) => {
      const isid = isidOf(format, a, b, c, d);
      assert.deepEqual([isidFormat(isid), isidA(isid), isidB(isid), isidC(isid), isidD(isid)], [format, a, b, c, d]);
      const view = golden("a5".repeat(8));
      writeIsid(view, 1, isid);
      assert.equal(hexOf(view), `a5${isid.toString(16).padStart(12, "0")}a5`);
      assert.equal(readIsid(view, 1), isid);
    }),
  );
});
