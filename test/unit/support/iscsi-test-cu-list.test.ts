import assert from "node:assert/strict";
import { test } from "node:test";
import { addResults, type CuList, compare, formatTable } from "../../interop/iscsi-test-cu-list.js";
import type { CuOutcome, CuResult } from "../../support/iscsi-test-cu.js";

const result = (name: string, outcome: CuOutcome): CuResult => ({ test: name, outcome, reasons: [outcome] });
const results = (...tests: CuResult[]): Map<string, CuResult[]> => new Map([["SCSI.Read6", tests]]);

test("a result that is worse, missing, or new and no pass is worse than the list", () => {
  const list: CuList = new Map();
  addResults(list, results(result("A", "pass"), result("B", "skip"), result("C", "fail"), result("D", "pass")));
  const found = results(
    result("A", "skip"),
    result("B", "fail"),
    result("C", "skip"),
    result("E", "skip"),
    result("F", "pass"),
  );
  const { worse, better } = compare(list, found);
  assert.deepEqual(worse, [
    "SCSI.Read6.A: skip, was pass: skip",
    "SCSI.Read6.B: fail, was skip: fail",
    "SCSI.Read6.E: skip, was pass: skip",
    "SCSI.Read6.D: is not among iscsi-test-cu's tests any more",
  ]);
  assert.deepEqual(better, ["SCSI.Read6.C: skip, was fail"]);
});

test("of several runs the worst counts", () => {
  const list: CuList = new Map();
  for (const outcome of ["skip", "pass", "fail", "pass"] as const) addResults(list, results(result("A", outcome)));
  assert.deepEqual(compare(list, results(result("A", "fail"))), { worse: [], better: [] });
});

test("the table counts, and says why", () => {
  assert.equal(
    formatTable(results(result("A", "pass"), result("B", "skip"), result("C", "pass"))),
    [
      "suite                           pass fail skip",
      "SCSI.Read6                         2    -    1",
      "    skip B: skip",
      "together                           2    -    1",
    ].join("\n"),
  );
});
