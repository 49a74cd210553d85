import assert from "node:assert/strict";
import test from "node:test";
import { nearest } from "../../../../control/config/nearest.js";

const KEYS = ["file", "null", "size", "cache", "readOnly", "blockLength", "id"];

for (const [word, meant] of [
  ["sise", "size"],
  ["siez", "size"],
  ["files", "file"],
  ["fil", "file"],
  ["readonly", "readOnly"],
  ["READONLY", "readOnly"],
  ["blocklenght", "blockLength"],
  ["ID", "id"],
  // Too far from all of them, or from too many.
  ["caching", undefined],
  ["password", undefined],
  ["ie", undefined],
  ["", undefined],
  ["x", undefined],
] as const) {
  test(`${JSON.stringify(word)} is ${meant ?? "nothing known"}`, () => {
    assert.equal(nearest(word, KEYS), meant);
  });
}

test("of several that are as near the first is taken, and a nearer one before it", () => {
  assert.equal(nearest("vm2", ["vm0", "vm1"]), "vm0");
  assert.equal(nearest("disk-10", ["disk-1x", "disk-1", "disk-10"]), "disk-10");
});
