/** iscsi-test-cu-results.yaml: what the tests of iscsi-test-cu have come to, so that none gets worse unnoticed. */
import { readFileSync, writeFileSync } from "node:fs";
import { parse } from "yaml";
import { type CuOutcome, type CuResult, type CuResults, OUTCOMES } from "../support/iscsi-test-cu.js";

const PATH = new URL("../../../test/interop/iscsi-test-cu-results.yaml", import.meta.url);

const HEAD = `\
# What each test of iscsi-test-cu (libiscsi 1.19, Debian) comes to: pass, skip (the test found nothing to test: CUnit counts
# that as passed, we do not) or fail; of several cache modes and numbers of shards the worst. Suite by suite, each on a fresh
# unit as it wants it, and all in one process, one after the other on one unit without any option.
# test/interop/iscsi-test-cu*.test.ts fail where a result is worse than here. Where results are better, they say so, and with
# RECORD=1 in the environment they write them down here.
#
# Not the target's fault:
# - iSCSITMF.LUNResetSimpleAsync does nothing after AbortTaskSimpleAsync, which leaves no session. Alone it fails with any
#   target: it asserts before it has sent the reset that the callback for the answer to it was there (libiscsi 1.20 has moved
#   the assertion).
# - GetLBAStatus.UnmapSingle asks for the block behind the first of a physical block, and wants an answer that begins with the
#   next physical block. "The LBA STATUS LOGICAL BLOCK ADDRESS field in the first LBA status descriptor shall contain the
#   value specified in the STARTING LOGICAL BLOCK ADDRESS field" (SBC-4), and qemu takes anything else for an I/O error. It
#   passes where a physical block is one logical block; where it is, five others skip themselves. Physical blocks of
#   128 KiB and more, with which all six pass, no host takes.
# - A unit that is fixed and can be written has nothing for NoMedia, PreventAllow, StartStopUnit and ReadOnly to test.
# - Sanitize.Reservations leaves a RESERVE of the second path behind, so that the SANITIZE of Sanitize.Reset ends with RESERVATION
#   CONFLICT. It passes where there is one path.
`;

/** Suite, then test. */
export type CuList = Map<string, Map<string, CuResult>>;

/** How the suites are run. */
export type Mode = "suiteBySuite" | "oneProcess";
const MODES: readonly Mode[] = ["suiteBySuite", "oneProcess"];
export type CuLists = Readonly<Record<Mode, CuList>>;

const rank = (outcome: CuOutcome): number => OUTCOMES.indexOf(outcome);

type Section = Record<string, Record<string, CuOutcome>>;

export function readLists(): CuLists {
  const document: Partial<Record<Mode, Section | null>> = parse(readFileSync(PATH, "utf8")) ?? {};
  const listOf = (section: Section | null | undefined): CuList =>
    new Map(
      Object.entries(section ?? {}).map(([suite, tests]) => [
        suite,
        new Map(Object.entries(tests).map(([test, outcome]) => [test, { test, outcome, reasons: [] }])),
      ]),
    );
  return { suiteBySuite: listOf(document.suiteBySuite), oneProcess: listOf(document.oneProcess) };
}

/** Adds results; of a test that ran in several ways, the worst counts. */
export function addResults(list: CuList, results: CuResults): void {
  for (const [suite, tests] of results) {
    const listed = list.get(suite) ?? new Map<string, CuResult>();
    list.set(suite, listed);
    for (const result of tests) {
      const before = listed.get(result.test);
      if (before === undefined || rank(result.outcome) < rank(before.outcome)) listed.set(result.test, result);
    }
  }
}

/** Suites that are listed and have not been run stay as they are. */
export function writeList(of: Mode, found: CuList): void {
  const listed = readLists();
  const lists = { ...listed, [of]: new Map([...listed[of], ...found]) };
  writeFileSync(PATH, HEAD + MODES.map((mode) => `${mode}:\n${formatList(lists[mode])}`).join(""));
}

function formatList(list: CuList): string {
  const suites = [...list].map(([suite, tests]) => {
    const lines = [...tests.values()].map(({ test, outcome, reasons }) => {
      const reason = reasons.length === 0 ? "" : ` # ${reasons.join("; ")}`;
      return `    ${test}: ${outcome}${reason}\n`;
    });
    return `  ${suite}:\n${lines.join("")}`;
  });
  return suites.join("");
}

export interface Comparison {
  readonly worse: readonly string[];
  readonly better: readonly string[];
}

/** `results` against the list. A test that is listed and did not run is worse; one that ran and is not listed must pass. */
export function compare(list: CuList, results: CuResults): Comparison {
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
export function formatTable(results: CuResults): string {
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
