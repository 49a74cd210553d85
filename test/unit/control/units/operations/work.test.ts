import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ERASE,
  type Overwrite,
  passesOf,
  patternOf,
  progressOf,
} from "../../../../../control/units/operations/work.js";

function overwrite(passes: number, invert: boolean): Overwrite {
  return { kind: "overwrite", pattern: "0f", passes, invert };
}

function passes(work: Overwrite): number[] {
  return Array.from({ length: passesOf(work) }, (_, pass) => patternOf(work, pass)[0]!);
}

test("with INVERT the passes take turns, and the last one leaves the pattern", () => {
  assert.deepEqual(passes(overwrite(3, false)), [0x0f, 0x0f, 0x0f]);
  assert.deepEqual(passes(overwrite(3, true)), [0x0f, 0xf0, 0x0f]);
  assert.deepEqual(passes(overwrite(4, true)), [0xf0, 0x0f, 0xf0, 0x0f]);
  assert.deepEqual(passes(overwrite(1, true)), [0x0f]);
});

test("progress goes from 0 to 65535 over all passes", () => {
  const size = 1000;
  assert.equal(progressOf(ERASE, { pass: 0, offset: 0 }, size), 0);
  assert.equal(progressOf(ERASE, { pass: 0, offset: 500 }, size), 0x8000);
  assert.equal(progressOf(ERASE, { pass: 1, offset: 0 }, size), 0xffff);
  const work = overwrite(4, false);
  assert.equal(progressOf(work, { pass: 1, offset: 0 }, size), 0x4000);
  assert.equal(progressOf(work, { pass: 3, offset: 500 }, size), 0xe000);
  assert.equal(progressOf(work, { pass: 4, offset: 0 }, size), 0xffff);
});
