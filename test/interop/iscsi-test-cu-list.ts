/** iscsi-test-cu-results.yaml: what the tests of iscsi-test-cu have come to, so that none gets worse unnoticed. */
import { readFileSync, writeFileSync } from "node:fs";
import { parse } from "yaml";
import { type CuOutcome, type CuResult, OUTCOMES } from "../support/iscsi-test-cu.js";

const PATH = new URL("../../../test/interop/iscsi-test-cu-results.yaml", import.meta.url);

const HEAD = `\
# What each test of iscsi-test-cu (libiscsi 1.19, Debian) comes to, suite by suite, on fresh units with every cache mode and
# number of shards: pass, skip (the test found nothing to test: CUnit counts that as passed, we do not) or fail.
# test/interop/iscsi-test-cu.test.ts fails where a result is worse than here. Where results are better, it says so, and with
# RECORD=1 in the environment it writes them down here.
#
# Not the target's fault:
# - WriteSame10.UnmapUntilEnd sends blocks of FFh with UNMAP=1 and wants zeroes back. Where LBPRZ=1, UNMAP is ignored if the
#   data is anything but zeroes (SBC-4). Its twin for WRITE SAME(16) clears the buffer first.
# - iSCSITMF.LUNResetSimpleAsync does nothing after AbortTaskSimpleAsync, which leaves no session; alone it fails, as it
#   asserts before the reset that a callback of the reset was there (libiscsi 1.20 has moved the assertion).
`;

/** Suite, then test. */
export type CuList = Map<string, Map<string, CuResult>>;

const rank = (outcome: CuOutcome): number => OUTCOMES.indexOf(outcome);

export function readList(): CuList {
  const document: Record<string, Record<string, CuOutcome>> = parse(readFileSync(PATH, "utf8")) ?? {};
  return new Map(
    Object.entries(document).map(([suite, tests]) => [
      suite,
      new Map(Object.entries(tests).map(([test, outcome]) => [test, { test, outcome, reasons: [] }])),
    ]),
  );
}

/** Adds results; of a test that ran in several ways, the worst counts. */
export function addResults(list: CuList, results: ReadonlyMap<string, readonly CuResult[]>): void {
  for (const [suite, tests] of results) {
    const listed = list.get(suite) ?? new Map<string, CuResult>();
    list.set(suite, listed);
    for (const result of tests) {
      const before = listed.get(result.test);
      if (before === undefined || rank(result.outcome) < rank(before.outcome)) listed.set(result.test, result);
    }
  }
}

/** Suites that are in the list and have not been run stay as they are. */
export function writeList(list: CuList): void {
  const suites = [...list].map(([suite, tests]) => {
    const lines = [...tests.values()].map(({ test, outcome, reasons }) => {
      const reason = reasons.length === 0 ? "" : ` # ${reasons.join("; ")}`;
      return `  ${test}: ${outcome}${reason}\n`;
    });
    return `${suite}:\n${lines.join("")}`;
  });
  writeFileSync(PATH, HEAD + suites.join(""));
}

export interface Comparison {
  readonly worse: readonly string[];
  readonly better: readonly string[];
}

/** `results` against the list. A test that is listed and did not run is worse; one that ran and is not listed must pass. */
export function compare(list: CuList, results: ReadonlyMap<string, readonly CuResult[]>): Comparison {
  const worse: string[] = [];
  const better: string[] = [];
  for (const [suite, tests] of results) {
    const listed = list.get(suite);
    const missing = new Set(listed?.keys());
    for (const { test, outcome, reasons } of tests) {
      missing.delete(test);
      const expected = listed?.get(test)?.outcome ?? "pass";
      const difference = rank(outcome) - rank(expected);
      if (difference < 0) worse.push(`${suite}.${test}: ${outcome}, was ${expected}: ${reasons.join("; ")}`);
      if (difference > 0) better.push(`${suite}.${test}: ${outcome}, was ${expected}`);
    }
    for (const test of missing) worse.push(`${suite}.${test}: is not among iscsi-test-cu's tests any more`);
  }
  return { worse, better };
}

/** How many of each suite's tests passed, failed and skipped themselves; and why those did that did not pass. */
export function formatTable(results: ReadonlyMap<string, readonly CuResult[]>): string {
  const lines = [`${"suite".padEnd(32)}pass fail skip`];
  const totals = [0, 0, 0];
  const row = (name: string, counts: readonly number[]): string =>
    name.padEnd(32) + counts.map((count) => String(count || "-").padStart(4)).join(" ");
  for (const [suite, tests] of results) {
    const counts = (["pass", "fail", "skip"] as const).map(
      (outcome) => tests.filter((result) => result.outcome === outcome).length,
    );
    for (const [i, count] of counts.entries()) totals[i]! += count;
    lines.push(row(suite, counts));
    for (const { test, outcome, reasons } of tests) {
      if (outcome !== "pass") lines.push(`    ${outcome} ${test}: ${reasons.join("; ")}`);
    }
  }
  lines.push(row("together", totals));
  return lines.join("\n");
}
