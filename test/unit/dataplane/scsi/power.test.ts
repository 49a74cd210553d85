import assert from "node:assert/strict";
import { test } from "node:test";
import { assertInvalidFieldInCdb, assertSense, Bench, type Outcome } from "./bench.js";

const START = 0x01;
const LOEJ = 0x02;
const NO_FLUSH = 0x04;

function startStop(bench: Bench, flags: number, immed = 0): Outcome {
  return bench.run([0x1b, immed, 0, 0, flags, 0]);
}

test("START STOP UNIT: stopping flushes, unless NO_FLUSH", () => {
  const bench = new Bench();
  for (const immed of [0, 1]) {
    assert.equal(startStop(bench, 0, immed).status, "good");
    assert.deepEqual(bench.operations, ["flush"]);
    for (const flags of [NO_FLUSH, START, START | NO_FLUSH, START | LOEJ]) {
      assert.equal(startStop(bench, flags, immed).status, "good");
      assert.deepEqual(bench.operations, []);
    }
  }
  bench.failures.set("flush", -5);
  assertSense(startStop(bench, 0), 3, 0x0c, 0);
});

test("START STOP UNIT: a stopped unit goes on serving", () => {
  const bench = new Bench();
  startStop(bench, 0);
  assert.equal(bench.run([0, 0, 0, 0, 0, 0]).status, "good");
});

test("START STOP UNIT: power conditions change nothing", () => {
  const bench = new Bench({ removable: true });
  for (let condition = 1; condition < 16; condition++) {
    for (const flags of [0, LOEJ, START]) {
      assert.equal(startStop(bench, (condition << 4) | flags, 1).status, "good");
      assert.deepEqual(bench.operations, []);
    }
  }
});

test("START STOP UNIT: the medium cannot be ejected", () => {
  assertInvalidFieldInCdb(startStop(new Bench({ removable: true }), LOEJ), "4.1");
});

test("PREVENT ALLOW MEDIUM REMOVAL", () => {
  const bench = new Bench({ removable: true });
  for (const prevent of [0, 1]) assert.equal(bench.run([0x1e, 0, 0, 0, prevent, 0]).status, "good");
  assertInvalidFieldInCdb(bench.run([0x1e, 0, 0, 0, 2, 0]), "4.1");
});
