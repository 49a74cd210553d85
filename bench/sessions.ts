#!/usr/bin/env node
/**
 * What the recovery and the connections of a session cost, one after the other in turns on one target:
 *
 *     - ErrorRecoveryLevel 2 against 0, when nothing fails: CPU time per I/O;
 *     - a session of 4 connections against one of 1, with as many commands in flight: rate and CPU time per I/O;
 *     - a connection that breaks with 128 commands in flight: the time from the new login to the last status.
 *
 * node dist/bench/sessions.js [--rounds 5] [--seconds 2]
 */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { read10, write10 } from "../test/support/cdb.js";
import { RawInitiator } from "../test/support/raw-initiator.js";
import type { RawTask } from "../test/support/raw-task.js";
import { killAllDaemons } from "./daemon.js";
import { environment, formatEnvironment } from "./environment.js";
import { parseTargetUrl } from "./initiator/url.js";
import type { LoadResult } from "./load.js";
import { runLoad } from "./load-process.js";
import { parsePositive, parseSeconds } from "./options.js";
import { formatTable, median } from "./statistics.js";
import { ringlunStarter, type StartedTarget } from "./targets.js";

const FILE_BYTES = 256 * 1024 * 1024;
const SESSION =
  "maxConnections: 4, errorRecoveryLevel: 2, defaultTime2Wait: 0, defaultTime2Retain: 20, initialR2T: true, immediateData: false";
const TASKS = 128;
const BLOCKS = 32;
const BLOCK_BYTES = 512;
const TASK_REASSIGN = 8;
const RECOVERIES_PER_ROUND = 5;
const UNREAD_MS = 50;

interface Comparison {
  readonly name: string;
  readonly base: readonly string[];
  readonly other: readonly string[];
}

const LEVEL_0 = ["--key", "ErrorRecoveryLevel=0"];
const LEVEL_2 = ["--key", "ErrorRecoveryLevel=2"];
const COMPARISONS: readonly Comparison[] = [
  ...["read", "write"].map((mix) => ({
    name: `4k ${mix}, depth 32: level 2 to level 0`,
    base: ["--block", "4k", "--mix", mix, "--depth", "32", ...LEVEL_0],
    other: ["--block", "4k", "--mix", mix, "--depth", "32", ...LEVEL_2],
  })),
  ...[
    ["4k", "32", "8"],
    ["256k", "8", "2"],
  ].map(([block, one, each]) => ({
    name: `${block} read, ${one} in flight: 4 connections to 1`,
    base: ["--block", block!, "--mix", "read", "--depth", one!],
    other: ["--block", block!, "--mix", "read", "--depth", each!, "--connections", "4"],
  })),
];

function load({ url, pid }: StartedTarget, args: readonly string[], seconds: number): Promise<LoadResult> {
  return runLoad(url, ["--duration", `${seconds}`, "--pid", `${pid}`, ...args]);
}

async function compare(
  target: StartedTarget,
  { name, base, other }: Comparison,
  rounds: number,
  seconds: number,
): Promise<string[]> {
  const rates: number[] = [];
  const costs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    // Neither is always the first.
    const order = round % 2 === 0 ? [base, other] : [other, base];
    const results = [await load(target, order[0]!, seconds), await load(target, order[1]!, seconds)];
    const [of, to] = round % 2 === 0 ? [results[1]!, results[0]!] : [results[0]!, results[1]!];
    rates.push(of.iops / to.iops);
    costs.push(cost(of) / cost(to));
  }
  return [name, median(rates).toFixed(2), median(costs).toFixed(2)];
}

function cost({ target }: LoadResult): number {
  return target!.userUs + target!.systemUs;
}

/** Half READs, whose data was not read, and half WRITEs, for which nothing was sent. Milliseconds. */
async function recover(target: StartedTarget): Promise<number> {
  const { port, targetName } = parseTargetUrl(target.url);
  const keys = {
    ErrorRecoveryLevel: "2",
    DefaultTime2Wait: "0",
    DefaultTime2Retain: "20",
    InitialR2T: "Yes",
    ImmediateData: "No",
    MaxRecvDataSegmentLength: "262144",
  };
  const first = await RawInitiator.connect(port);
  await first.login({ targetName, keys });
  // Unit attentions of the new session.
  await first.command({ cdb: read10(0, 1), read: BLOCK_BYTES });
  first.pause();
  const tasks: RawTask[] = [];
  const bytes = Buffer.alloc(BLOCKS * BLOCK_BYTES, 0x5a);
  for (let i = 0; i < TASKS; i++) {
    const cdb = i % 2 === 0 ? read10(i * BLOCKS, BLOCKS) : write10(i * BLOCKS, BLOCKS);
    tasks.push(await first.start({ cdb, ...(i % 2 === 0 ? { read: bytes.length } : { write: bytes }) }));
  }
  await sleep(UNREAD_MS);
  first.destroy();

  const beganMs = performance.now();
  const second = await RawInitiator.connect(port, { session: first.session, strict: false });
  await second.login({ targetName, keys: {} });
  for (const task of tasks) second.adopt(task);
  for (const { initiatorTaskTag } of tasks) {
    const { response } = await second.taskManagement(TASK_REASSIGN, { referencedTaskTag: initiatorTaskTag });
    if (response !== 0) throw new Error(`TASK REASSIGN: response ${response}`);
  }
  for (const task of tasks) {
    const { status, sense } = await second.finish(task);
    if (status !== 0) throw new Error(`status ${status.toString(16)}h, sense ${sense.toString("hex")}`);
  }
  const tookMs = performance.now() - beganMs;
  await second.logout();
  return tookMs;
}

async function main(): Promise<void> {
  const program = new Command("sessions")
    .option("--rounds <n>", "", parsePositive, 5)
    .option("--seconds <seconds>", "of each measurement", parseSeconds, 2)
    .parse();
  const { rounds, seconds } = program.opts<{ rounds: number; seconds: number }>();
  const directory = mkdtempSync("/dev/shm/ringlun-bench-sessions-");
  try {
    const path = join(directory, "disk.img");
    writeFileSync(path, "");
    truncateSync(path, FILE_BYTES);
    const target = await ringlunStarter({ workers: 1, cache: "writeback", session: SESSION })({
      path,
      sizeBytes: FILE_BYTES,
      directory,
    });
    const rows: string[][] = [];
    for (const comparison of COMPARISONS) rows.push(await compare(target, comparison, rounds, seconds));
    const times: number[] = [];
    for (let i = 0; i < rounds * RECOVERIES_PER_ROUND; i++) times.push(await recover(target));
    await target.stop();
    process.stdout.write(`${formatEnvironment(environment())}\n\n`);
    process.stdout.write(`${formatTable([["medians of ratios", "rate x", "CPU per I/O x"], ...rows])}\n\n`);
    process.stdout.write(
      `a broken connection with ${TASKS} commands in flight, from the new login to the last status, in ${times.length} times: ` +
        `median ${median(times).toFixed(0)} ms, longest ${Math.max(...times).toFixed(0)} ms\n`,
    );
  } finally {
    killAllDaemons();
    rmSync(directory, { recursive: true });
  }
}

await main();
