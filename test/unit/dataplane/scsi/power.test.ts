import assert from "node:assert/strict";
import { test } from "node:test";
import { assertInvalidFieldInCdb, assertSense, Bench, type Outcome } from "./bench.js";

const START = 0x01;
const LOEJ = 0x02;
const NO_FLUSH = 0x04;
const NOT_READY = { asc: 0x3a, ascq: 0, progress: -1 };

function startStop(bench: Bench, flags: number, modifier = 0): Outcome {
  return bench.run([0x1b, 0, 0, modifier, flags, 0]);
}

function assertGood({ status }: Outcome, bench: Bench, operations: readonly string[]): void {
  assert.equal(status, "good");
  assert.deepEqual(bench.operations, operations);
}

test("START STOP UNIT is control's, which answers or asks for a flush", () => {
  const bench = new Bench();
  for (const flags of [0, START, NO_FLUSH, START | NO_FLUSH, START | LOEJ]) {
    assertGood(startStop(bench, flags), bench, ["control"]);
  }
  bench.controlFlushes = "before GOOD";
  assertGood(startStop(bench, 0), bench, ["control", "flush"]);
  bench.controlFlushes = "in background";
  assertGood(startStop(bench, 0), bench, ["control", "flush in background"]);
  bench.controlFlushes = "before GOOD";
  bench.failures.set("flush", -5);
  assert.equal(assertSense(startStop(bench, 0), 3, 0x0c, 0).information, null);
});

test("START STOP UNIT: power conditions that there are not, and their modifiers", () => {
  const bench = new Bench();
  const modifiers = new Map([
    [0x0, 1],
    [0x1, 1],
    [0x2, 3],
    [0x3, 2],
    [0x7, 1],
    [0xa, 3],
    [0xb, 2],
  ]);
  for (let condition = 0; condition < 16; condition++) {
    const count = modifiers.get(condition);
    for (let modifier = 0; modifier < 16; modifier++) {
      const outcome = startStop(bench, condition << 4, modifier);
      if (count === undefined) assertInvalidFieldInCdb(outcome, "4.7");
      else if (modifier >= count) assertInvalidFieldInCdb(outcome, "3.3");
      else assertGood(outcome, bench, ["control"]);
    }
  }
});

test("START STOP UNIT: a removable medium takes every power condition, without modifier those that are reserved", () => {
  const bench = new Bench({ removable: true });
  for (let condition = 1; condition < 16; condition++) {
    for (const flags of [0, LOEJ, START]) assertGood(startStop(bench, (condition << 4) | flags), bench, ["control"]);
  }
  for (const condition of [4, 5, 6, 8, 9, 0xc, 0xd, 0xe, 0xf]) {
    assertInvalidFieldInCdb(startStop(bench, condition << 4, 1), "3.3");
  }
});

test("START STOP UNIT: only a removable medium can be ejected", () => {
  const fixed = new Bench();
  assertInvalidFieldInCdb(startStop(fixed, LOEJ), "4.1");
  assertInvalidFieldInCdb(startStop(fixed, LOEJ | NO_FLUSH), "4.1");
  // LOEJ is ignored where the power condition is given.
  assertGood(startStop(fixed, 0x10 | LOEJ), fixed, ["control"]);
  const removable = new Bench({ removable: true });
  assertGood(startStop(removable, LOEJ), removable, ["control"]);
});

test("START STOP UNIT: reserved bits", () => {
  const bench = new Bench({ removable: true });
  assertInvalidFieldInCdb(bench.run([0x1b, 0x02, 0, 0, 1, 0]), "1.1");
  assertInvalidFieldInCdb(bench.run([0x1b, 0, 0x80, 0, 1, 0]), "2.7");
  assertInvalidFieldInCdb(bench.run([0x1b, 0, 0, 0x10, 1, 0]), "3.4");
  assertInvalidFieldInCdb(bench.run([0x1b, 0, 0, 0, 0x09, 0]), "4.3");
  assertInvalidFieldInCdb(bench.run([0x1b, 0, 0, 0, 1, 0x04]), "5.2");
});

test("PREVENT ALLOW MEDIUM REMOVAL of a fixed unit changes nothing", () => {
  const bench = new Bench();
  for (const prevent of [0, 1]) assertGood(bench.run([0x1e, 0, 0, 0, prevent, 0]), bench, []);
});

test("PREVENT ALLOW MEDIUM REMOVAL: removal is allowed only when the cache has been written out", () => {
  const bench = new Bench({ removable: true });
  assertGood(bench.run([0x1e, 0, 0, 0, 1, 0]), bench, ["control"]);
  assertGood(bench.run([0x1e, 0, 0, 0, 0, 0]), bench, ["flush", "control"]);
  bench.failures.set("flush", -5);
  assertSense(bench.run([0x1e, 0, 0, 0, 0, 0]), 3, 0x0c, 0);
  assert.deepEqual(bench.operations, ["flush"]);
});

test("PREVENT ALLOW MEDIUM REMOVAL with nothing in the drive", () => {
  const bench = new Bench({ removable: true, notReady: NOT_READY });
  for (const prevent of [0, 1]) assertGood(bench.run([0x1e, 0, 0, 0, prevent, 0]), bench, ["control"]);
});

test("PREVENT ALLOW MEDIUM REMOVAL: values that are obsolete", () => {
  const bench = new Bench({ removable: true });
  for (const prevent of [2, 3]) assertInvalidFieldInCdb(bench.run([0x1e, 0, 0, 0, prevent, 0]), "4.1");
});
