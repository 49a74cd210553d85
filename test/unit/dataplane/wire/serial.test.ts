import assert from "node:assert/strict";
import { test } from "node:test";
import {
  serialAdd,
  serialDistance,
  serialGreater,
  serialGreaterOrEqual,
  serialInWindow,
  serialLess,
  serialLessOrEqual,
} from "../../../../dataplane/wire/serial.js";
import fc from "../../../support/fast-check.js";

const HALF = 2 ** 31;
const ALL = 2 ** 32;

const sn = fc.oneof(
  fc.constantFrom(0, 1, HALF - 1, HALF, HALF + 1, ALL - 2, ALL - 1),
  fc.integer({ min: 0, max: ALL - 1 }),
);

/** RFC 1982 section 3.2, word for word. */
function less(a: number, b: number): boolean {
  return (a < b && b - a < HALF) || (a > b && a - b > HALF);
}

test("comparisons are those of RFC 1982", () => {
  fc.assert(
    fc.property(sn, sn, (a, b) => {
      assert.equal(serialLess(a, b), less(a, b));
      assert.equal(serialGreater(a, b), less(b, a));
      assert.equal(serialLessOrEqual(a, b), a === b || less(a, b));
      assert.equal(serialGreaterOrEqual(a, b), a === b || less(b, a));
    }),
    { numRuns: 2000 },
  );
});

test("comparisons across 0xffffffff", () => {
  assert.equal(serialLess(0xffffffff, 0), true);
  assert.equal(serialLess(0, 0xffffffff), false);
  assert.equal(serialLess(0xfffffff0, 0x10), true);
  assert.equal(serialGreater(0x10, 0xfffffff0), true);
  assert.equal(serialLessOrEqual(0xffffffff, 0xffffffff), true);
  assert.equal(serialLess(0x7fffffff, 0x80000000), true);
});

test("numbers 2^31 apart have no order", () => {
  for (const a of [0, 1, HALF - 1, HALF, ALL - 1]) {
    const b = (a + HALF) % ALL;
    for (const compare of [serialLess, serialGreater]) assert.equal(compare(a, b) || compare(b, a), false);
    assert.equal(serialGreaterOrEqual(a, b) && serialLessOrEqual(a, b), false);
    assert.equal(serialLessOrEqual(a, b), false);
    assert.equal(serialGreaterOrEqual(a, b), false);
  }
});

test("addition and distance wrap, and undo each other", () => {
  assert.equal(serialAdd(0xffffffff, 1), 0);
  assert.equal(serialAdd(0, -1), 0xffffffff);
  assert.equal(serialAdd(0xfffffff0, 0x20), 0x10);
  assert.equal(serialDistance(0xfffffff0, 0x10), 0x20);
  assert.equal(serialDistance(0x10, 0xfffffff0), ALL - 0x20);
  fc.assert(
    fc.property(sn, fc.integer({ min: 0, max: HALF - 1 }), (a, count) => {
      const b = serialAdd(a, count);
      assert.equal(b, (a + count) % ALL);
      assert.equal(serialDistance(a, b), count);
      assert.equal(serialLessOrEqual(a, b), true);
      assert.equal(serialAdd(b, -count), a);
    }),
  );
});

test("a window holds what lies from its first to its last, and a closed one nothing", () => {
  fc.assert(
    fc.property(
      sn,
      fc.integer({ min: 0, max: 65536 }),
      fc.integer({ min: -65536, max: 2 * 65536 }),
      (first, length, at) => {
        const last = serialAdd(first, length - 1);
        assert.equal(serialInWindow(serialAdd(first, at), first, last), at >= 0 && at < length);
      },
    ),
    { numRuns: 1000 },
  );
  assert.equal(serialInWindow(0, 0xffffffff, 0), true);
  assert.equal(serialInWindow(0xffffffff, 0xffffffff, 0), true);
  assert.equal(serialInWindow(1, 0xffffffff, 0), false);
  assert.equal(serialInWindow(0, 0, 0xffffffff), false, "MaxCmdSN = ExpCmdSN - 1 closes the window");
});
