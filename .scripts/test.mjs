// Runs the tests: node .scripts/test.mjs [--long | --all | --linux] [path...]
// (npm test, npm run test:long, npm run test:linux)
//
// Each test file is a process and a process group of its own, so that one that hangs, even in a call that blocks its
// thread, can be ended with everything that it started. The files are found among the sources, not in dist/, where tests
// may lie whose sources are gone.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { outputOf } from "./build.mjs";
import { fail, filesBelow, ROOT, run } from "./common.mjs";

const isLinux = process.argv.includes("--linux");
/** test/linux boots a Linux kernel, and is a run of its own. */
const KINDS = isLinux ? ["linux"] : ["interop", "simulation", "conformance", "fuzz", "unit"];
/** Files that take longest, before all others, so that none of them is left over at the end. */
const LONGEST = [
  "test/conformance/faults/kill-9.long.test.ts",
  "test/conformance/faults/power-cut.long.test.ts",
  "test/interop/iscsi-test-cu.test.ts",
  "test/conformance/faults/memory.long.test.ts",
  "test/simulation/random.long.test.ts",
  "test/interop/qemu-img.long.test.ts",
  "test/simulation/recovery.long.test.ts",
  "test/interop/iscsi-test-cu-in-one-process.test.ts",
];
/** More than the usual two cores: files wait a good part of their time. With twice as many, waits take longer than people's patience. */
const CONCURRENCY = 3;
/** For a file, on a machine that is busy with other things; what takes minutes on an idle one is a *.long.test.ts. */
const TIMEOUT_MS = 600_000;
const TIMEOUT_LONG_MS = 1_500_000;

const isCI = process.env.CI === "true";
const isLong = process.argv.includes("--long");
const isAll = process.argv.includes("--all");
const paths = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));

const isLongFile = (file) => file.endsWith(".long.test.ts");
const timeoutOf = (file) => (isLongFile(file) || isLinux ? TIMEOUT_LONG_MS : TIMEOUT_MS);
const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`;
const print = (text) => process.stdout.write(`${text}\n`);

/** The test sources that this run is about. */
function selectFiles() {
  const all = KINDS.flatMap((kind) => filesBelow(`test/${kind}`, ".test.ts"));
  const place = (file) => (LONGEST.includes(file) ? LONGEST.indexOf(file) : LONGEST.length);
  const files = all.filter((file) => isAll || isLongFile(file) === isLong).sort((a, b) => place(a) - place(b));
  if (paths.length === 0) return files;
  const selected = new Set();
  for (const path of paths) {
    const wanted = relative(ROOT, path);
    const found = files.filter((file) => file === wanted || wanted === "" || file.startsWith(`${wanted}/`));
    if (found.length === 0) fail(`no ${isLong ? "*.long.test.ts" : "*.test.ts (without --long, --all)"} at ${path}`);
    for (const file of found) selected.add(file);
  }
  return [...selected];
}

const children = new Set();

/** Ends a test file's process group; there may be nothing left of it. */
function killGroup(child, signal) {
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if (error.code !== "ESRCH") throw error;
  }
}

/** Runs one file. Its output is kept together: shown when it has ended, in CI only if it failed. */
function runFile(file, scratch) {
  const eventsPath = join(scratch, `${file.replaceAll("/", "_")}.events`);
  const env = { ...process.env };
  // Otherwise node:test takes itself for the child of another runner.
  delete env.NODE_TEST_CONTEXT;
  if (process.stdout.isTTY) env.FORCE_COLOR = "1";
  const child = spawn(
    process.execPath,
    [
      "--enable-source-maps",
      "--test-reporter=spec",
      "--test-reporter-destination=stdout",
      `--test-reporter=${new URL("./test-events.mjs", import.meta.url)}`,
      `--test-reporter-destination=${eventsPath}`,
      outputOf(file),
    ],
    { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"], detached: true },
  );
  children.add(child);
  const startMs = performance.now();
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  let isTimedOut = false;
  const timer = setTimeout(() => {
    isTimedOut = true;
    killGroup(child, "SIGKILL");
  }, timeoutOf(file));
  return new Promise((resolve) => {
    // What a test leaves running would hold its output open, and disturb the next.
    child.on("exit", () => killGroup(child, "SIGKILL"));
    child.on("close", (exitCode, signal) => {
      clearTimeout(timer);
      children.delete(child);
      resolve({ file, output, exitCode, signal, isTimedOut, durationMs: performance.now() - startMs, eventsPath });
    });
  });
}

/** What the events of a run, and the way it ended, amount to. `fault` is undefined if all is well. */
function judge({ file, exitCode, signal, isTimedOut, eventsPath }) {
  const lines = existsSync(eventsPath) ? readFileSync(eventsPath, "utf8").split("\n") : [];
  // A killed process may leave half a line.
  const events = lines.slice(0, -1).map((line) => JSON.parse(line));
  const outcomes = events.filter((event) => event.outcome !== undefined);
  const count = (outcome) => outcomes.filter((event) => event.outcome === outcome && !event.isSuite).length;
  const passed = count("pass");
  const failed = count("fail");
  const skips = outcomes.filter((event) => event.outcome === "skip");

  let fault;
  if (isTimedOut) {
    const ended = new Set(events.map((event) => event.ended));
    const running = events.map((event) => event.begun).filter((name) => name !== undefined && !ended.has(name));
    fault = `did not end within ${seconds(timeoutOf(file))}, last seen in: ${running.join(", ") || "no test"}`;
  } else if (signal) {
    fault = `ended by ${signal}`;
  } else if (exitCode !== 0) {
    fault = failed > 0 ? `${failed} failed, ${passed} passed` : `exit code ${exitCode}`;
  } else if (outcomes.length === 0) {
    fault = "holds no test";
  }
  return { passed, failed, skips, fault };
}

async function runFiles(files) {
  const scratch = mkdtempSync(join(tmpdir(), "ringlun-test-"));
  process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
  const results = [];
  const queue = [...files];
  const runQueue = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const ran = await runFile(file, scratch);
      const result = { file, ...judge(ran) };
      results.push(result);
      const counts = `${result.passed} passed${result.skips.length > 0 ? `, ${result.skips.length} SKIPPED` : ""}`;
      print(`${result.fault ? "FAILED" : "ok    "} ${file}: ${result.fault || counts} (${seconds(ran.durationMs)})`);
      if (ran.output && (result.fault || !isCI)) print(ran.output);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, runQueue));
  return results;
}

for (const [signal, exitCode] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
]) {
  process.on(signal, () => {
    for (const child of children) killGroup(child, "SIGKILL");
    process.exit(exitCode);
  });
}

const files = selectFiles();
if (files.length === 0 && !isLong) fail("no tests found");
if (isCI) {
  const { exitCode } = await run(process.execPath, [".scripts/peers-install.mjs"]);
  if (exitCode !== 0) process.exit(1);
}
const faults = [];
if (paths.length === 0 && !isLong) {
  const { exitCode } = await run("node_modules/.bin/biome", ["check", "--error-on-warnings", "."]);
  if (exitCode !== 0) faults.push("lint (biome check): see above, and npm run format");
}
const startMs = performance.now();
const results = await runFiles(files);
for (const { file, fault } of results) if (fault) faults.push(`${file}: ${fault}`);

const total = (key) => results.reduce((sum, result) => sum + result[key], 0);
const skips = results.flatMap(({ file, skips }) =>
  skips.map(({ name, reason }) => `${file}: ${name}: ${reason || "no reason given"}`),
);
print(
  `\n${total("passed")} passed, ${total("failed")} failed, ${skips.length} skipped ` +
    `in ${files.length} ${isLong ? "long " : ""}files, ${seconds(performance.now() - startMs)}`,
);
if (skips.length > 0) {
  print(`\n!!! SKIPPED, not tested here: ${skips.length}`);
  for (const skip of skips) print(`!!!   ${skip}`);
}
if (faults.length > 0) {
  print("\nFAILED");
  for (const fault of faults) print(`  ${fault}`);
  process.exitCode = 1;
}
