/**
 * Runs libiscsi's iscsi-test-cu (Debian's libiscsi-bin, 1.19) and says of each of its tests what came of it.
 *
 * CUnit counts a test that finds its preconditions unmet as passed. With -V most of them say so: "[SKIPPED] ...". Those that
 * don't are known by having done nothing that -V would show. Both are skips here.
 */
import { type PeerOptions, peerOutput, runPeer } from "./peer-process.js";

/** From the worst to the best. */
export const OUTCOMES = ["fail", "skip", "pass"] as const;
export type CuOutcome = (typeof OUTCOMES)[number];

export interface CuResult {
  readonly test: string;
  readonly outcome: CuOutcome;
  /** Why it is no pass: failed assertions, unexpected answers, what was missing. */
  readonly reasons: readonly string[];
}

/** The name of a suite -> what came of its tests. */
export type CuResults = ReadonlyMap<string, readonly CuResult[]>;

/** One suite of a family: "SCSI.Read10" and its tests, in the order in which they run. */
export interface CuSuite {
  readonly name: string;
  readonly tests: readonly string[];
}

export interface CuOptions {
  readonly url: string;
  /** Another path to the same unit, for the tests of multipath. */
  readonly secondUrl?: string;
  /** Allows tests that destroy what is on the disk; without it they skip themselves. */
  readonly dataloss?: boolean;
  /** Allows SANITIZE. */
  readonly sanitize?: boolean;
  readonly initiatorName?: string;
  /** Of the second path, and of tests with two initiators. */
  readonly secondInitiatorName?: string;
  readonly timeoutMs: number;
}

/** Reasons of a failure beyond these say nothing new. */
const REASONS_MAX = 5;

/** The suites of the families of iSCSI targets. "ALL" holds the same once more, "LINUX" is for local devices. */
const FAMILIES = ["SCSI", "iSCSI"];

export async function listSuites(): Promise<CuSuite[]> {
  const listed = (await peerOutput("iscsi-test-cu", ["-l"])).split("\n");
  const suites = new Map<string, string[]>();
  for (const line of listed) {
    const [family, suite, test] = line.trim().split(".");
    if (!FAMILIES.includes(family!) || suite === undefined) continue;
    const name = `${family}.${suite}`;
    const tests = suites.get(name) ?? [];
    suites.set(name, tests);
    if (test !== undefined) tests.push(test);
  }
  return [...suites].map(([name, tests]) => ({ name, tests }));
}

/**
 * Runs suites one after the other in one process. There is a result for each of their tests; those that were not reached
 * have failed.
 */
export async function runSuites(suites: readonly CuSuite[], options: CuOptions): Promise<Map<string, CuResult[]>> {
  const { timeoutMs } = options;
  // It takes the last of a list first.
  const names = suites.map(({ name }) => name).reverse();
  const args = ["-V", "-v", "-t", names.join(",")];
  if (options.dataloss) args.push("--dataloss");
  if (options.sanitize) args.push("--allow-sanitize");
  if (options.initiatorName !== undefined) args.push(`--initiator-name=${options.initiatorName}`);
  if (options.secondInitiatorName !== undefined) args.push(`--initiator-name-2=${options.secondInitiatorName}`);
  args.push(options.url);
  if (options.secondUrl !== undefined) args.push(options.secondUrl);

  const peerOptions: PeerOptions = { timeoutMs, lineBuffered: true };
  const { exitCode, isTimedOut, stdout, stderr } = await runPeer("iscsi-test-cu", args, peerOptions);
  const report = parseReport(stdout.toString());
  const end = isTimedOut ? `it did not end within ${timeoutMs} ms` : `iscsi-test-cu ended with ${exitCode}`;
  const missing = ["did not run to its end", end, ...lastLines(stderr)];
  const results = new Map<string, CuResult[]>();
  for (const { name, tests } of suites) {
    const found = report.get(name.slice(name.indexOf(".") + 1)) ?? [];
    const resultOf = (test: string): CuResult =>
      found.find((result) => result.test === test) ?? { test, outcome: "fail", reasons: missing };
    results.set(name, tests.map(resultOf));
  }
  return results;
}

function lastLines(text: string): string[] {
  return text.trim().split("\n").slice(-2).filter(Boolean);
}

const SUITE_HEAD = /^Suite: (\S+)$/;
const TEST_HEAD = /^ {2}Test: (\S+) \.\.\.(.*)$/;
const TEST_END = /^(passed|FAILED)/;
/** What is said while a suite is cleaned up may follow on the same line. */
const FAILED_ASSERTION = /^ +\d+\. (.*?)(?: {4}\S.*)?$/;

/** Reads the report of a run with -V and -v: suites, without their family. Tests without an end are left out. */
export function parseReport(report: string): Map<string, CuResult[]> {
  const suites = new Map<string, CuResult[]>();
  let results: CuResult[] = [];
  let test: string | undefined;
  let log: string[] = [];
  let assertions: string[] | undefined;
  for (const line of report.split("\n")) {
    const suite = SUITE_HEAD.exec(line)?.[1];
    if (suite !== undefined) {
      results = [];
      suites.set(suite, results);
    }
    const head = TEST_HEAD.exec(line);
    if (head !== null) {
      test = head[1];
      log = [];
      assertions = undefined;
    }
    const text = head === null ? line : head[2]!;
    const end = test === undefined ? null : TEST_END.exec(text);
    if (end !== null) {
      assertions = [];
      results.push(end[1] === "passed" ? passed(test!, log) : failed(test!, log, assertions));
      test = undefined;
    } else if (test !== undefined) {
      if (text.trim() !== "") log.push(text.trim());
    } else {
      const assertion = FAILED_ASSERTION.exec(line);
      if (assertion !== null) assertions?.push(assertion[1]!);
    }
  }
  return suites;
}

function passed(test: string, log: readonly string[]): CuResult {
  const skips = unique(
    log.filter((line) => line.startsWith("[SKIPPED]")).map((line) => line.slice("[SKIPPED] ".length)),
  );
  if (skips.length > 0) return { test, outcome: "skip", reasons: skips };
  // The first line tells what the test is about, whether it is done or not.
  if (log.length <= 1) return { test, outcome: "skip", reasons: ["did nothing"] };
  return { test, outcome: "pass", reasons: [] };
}

/** `assertions` is filled later, by the lines that follow. */
function failed(test: string, log: readonly string[], assertions: readonly string[]): CuResult {
  const answers = unique(
    log.filter((line) => line.startsWith("[FAILED]")).map((line) => line.slice("[FAILED] ".length)),
  );
  return {
    test,
    outcome: "fail",
    get reasons() {
      return [...answers.slice(0, REASONS_MAX), ...unique(assertions).slice(0, REASONS_MAX)];
    },
  };
}

const unique = (lines: readonly string[]): string[] => [...new Set(lines)];
