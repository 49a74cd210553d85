#!/usr/bin/env node
/**
 * What the recovery and the connections of a session cost, one after the other in turns on one target:
 *
 *     - ErrorRecoveryLevel 2 against 0, when nothing fails: CPU time per I/O;
 *     - a session of 4 connections against one of 1, with as many commands in flight on each, or in all: rate and CPU time per I/O;
 *       and the latter of bare TCP;
 *     - a connection that breaks with 128 commands in flight: the time from the new login to the last status.
 *
 * node dist/bench/sessions.js [--pairs 40] [--seconds 0.25]
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
import { type Exchange, measureFloor } from "./floor.js";
import { parseTargetUrl } from "./initiator/url.js";
import { parsePositive, parseSeconds } from "./options.js";
import { SlicedLoad, type SliceResult, type SliceShape } from "./slice.js";
import { formatTable, median, quantile } from "./statistics.js";
import { ringlunStarter, type StartedTarget } from "./targets.js";

const FILE_BYTES = 256 * 1024 * 1024;
const SESSION =
  "maxConnections: 4, errorRecoveryLevel: 2, defaultTime2Wait: 0, defaultTime2Retain: 20, initialR2T: true, immediateData: false";
const TASKS = 128;
const BLOCKS = 32;
const BLOCK_BYTES = 512;
const TASK_REASSIGN = 8;
const RECOVERIES = 25;
const UNREAD_MS = 50;
const WARM_UP_PAIRS = 4;

interface Comparison {
  readonly name: string;
  readonly base: SliceShape;
  readonly other: SliceShape;
}

const READS: SliceShape = { connections: 1, depth: 32, block: 4096, readPercent: 100, keys: {} };
const WRITES: SliceShape = { ...READS, readPercent: 0 };
const LARGE_READS: SliceShape = { ...READS, depth: 8, block: 256 * 1024 };
const LEVEL_2 = { keys: { ErrorRecoveryLevel: "2" } };
const COMPARISONS: readonly Comparison[] = [
  { name: "4k read, depth 32: level 2 to level 0", base: READS, other: { ...READS, ...LEVEL_2 } },
  { name: "4k write, depth 32: level 2 to level 0", base: WRITES, other: { ...WRITES, ...LEVEL_2 } },
  {
    name: "4k read, 8 in flight on each: 4 connections to 1",
    base: { ...READS, depth: 8 },
    other: { ...READS, depth: 8, connections: 4 },
  },
  {
    name: "4k read, 32 in flight: 4 connections to 1",
    base: READS,
    other: { ...READS, connections: 4, depth: READS.depth / 4 },
  },
  {
    name: "256k read, 8 in flight: 4 connections to 1",
    base: LARGE_READS,
    other: { ...LARGE_READS, connections: 4, depth: LARGE_READS.depth / 4 },
  },
];

type Measure = () => SliceResult | Promise<SliceResult>;

/** Both in turns; neither is always the first of a pair. Returns a row. */
async function compare(name: string, base: Measure, other: Measure, pairs: number): Promise<string[]> {
  const rates: number[] = [];
  const costs: number[] = [];
  for (let pair = -WARM_UP_PAIRS; pair < pairs; pair++) {
    const results: SliceResult[] = [];
    for (const which of pair % 2 === 0 ? [0, 1] : [1, 0]) results[which] = await [base, other][which]!();
    if (pair < 0) continue;
    rates.push(results[1]!.rate / results[0]!.rate);
    costs.push(results[1]!.targetUs / results[0]!.targetUs);
  }
  return [name, ...summary(rates), ...summary(costs)];
}

/** Median and quartiles. */
function summary(ratios: readonly number[]): string[] {
  const [low, middle, high] = [0.25, 0.5, 0.75].map((part) => quantile(ratios, part).toFixed(2));
  return [middle!, `${low} to ${high}`];
}

async function compareLoads(
  { url, pid }: StartedTarget,
  { name, base, other }: Comparison,
  pairs: number,
  seconds: number,
): Promise<string[]> {
  const [first, second] = [base, other].map((shape) => new SlicedLoad(url, pid, shape));
  const row = await compare(
    name,
    () => first!.run(seconds),
    () => second!.run(seconds),
    pairs,
  );
  first!.close();
  second!.close();
  return row;
}

/**
 * What several sockets cost whoever serves them in one thread: bare TCP, whose server works for each request for about as long as the
 * target does for a READ besides.
 */
function compareFloor(pairs: number, seconds: number): Promise<string[]> {
  const one: Exchange = { requestBytes: 48, responseBytes: 48 + 4096, depth: 32, connections: 1, workUs: 2 };
  const four: Exchange = { ...one, depth: one.depth / 4, connections: 4 };
  const measure = async (exchange: Exchange): Promise<SliceResult> => {
    const { rate, serverCpuUs } = await measureFloor(exchange, seconds);
    return { rate, targetUs: serverCpuUs };
  };
  return compare(
    "4k for a header by bare TCP, 32 in flight: 4 connections to 1",
    () => measure(one),
    () => measure(four),
    pairs,
  );
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
    .option("--pairs <n>", "slices of load in turns, for each row", parsePositive, 40)
    .option("--seconds <seconds>", "of a slice", parseSeconds, 0.25)
    .parse();
  const { pairs, seconds } = program.opts<{ pairs: number; seconds: number }>();
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
    for (const comparison of COMPARISONS) rows.push(await compareLoads(target, comparison, pairs, seconds));
    rows.push(await compareFloor(pairs, seconds));
    const times: number[] = [];
    for (let i = 0; i < RECOVERIES; i++) times.push(await recover(target));
    await target.stop();
    process.stdout.write(`${formatEnvironment(environment())}\n\n`);
    process.stdout.write(
      `${formatTable([["medians of ratios", "rate x", "quartiles", "CPU per I/O x", "quartiles"], ...rows])}\n\n`,
    );
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
