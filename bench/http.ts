#!/usr/bin/env node
/**
 * What HTTP at full speed costs I/O: 4k random reads alone, beside autocannon on /metrics and /api/v1/sessions, and beside busy loops that
 * take as much CPU as autocannon and the control thread took, taking turns.
 * node dist/bench/http.js [--rounds 5] [--seconds 3]
 *
 * With fewer cores than busy threads (load generator, shard, control, autocannon) they share them, whatever HTTP does: the busy loops
 * show how much of the loss that is.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import autocannon from "autocannon";
import { Command } from "commander";
import { type CpuTime, mainThreadCpuTimeOf, ownCpuTime } from "./cpu-time.js";
import { killAllDaemons } from "./daemon.js";
import { environment, formatEnvironment } from "./environment.js";
import type { LoadResult } from "./load.js";
import { runLoad } from "./load-process.js";
import { parsePositive, parseSeconds } from "./options.js";
import { formatTable, median, spread } from "./statistics.js";
import { ringlunStarter, type StartedTarget } from "./targets.js";

const BUSY_LOOP = fileURLToPath(new URL("busy-loop.js", import.meta.url));
const FILE_BYTES = 256 * 1024 * 1024;
const HTTP_CONNECTIONS = 4;
/** autocannon runs a little longer than the load's ramp and measurement. */
const RAMP_SECONDS = 0.5;

/** One way of measuring, in all rounds. */
interface Rounds {
  readonly name: string;
  readonly loads: LoadResult[];
  readonly https: autocannon.Result[];
}

function load({ url, pid }: StartedTarget, seconds: number): Promise<LoadResult> {
  return runLoad(url, ["--duration", `${seconds}`, "--ramp", `${RAMP_SECONDS}`, "--pid", `${pid}`]);
}

function hammer(socketPath: string, seconds: number): Promise<autocannon.Result> {
  const requests = [{ path: "/metrics" }, { path: "/api/v1/sessions" }];
  const url = "http://localhost";
  return autocannon({ url, socketPath, connections: HTTP_CONNECTIONS, duration: seconds, requests });
}

const totalUs = ({ userUs, systemUs }: CpuTime): number => userUs + systemUs;

/** The load beside autocannon, which runs in this process; what share of the time that and the control thread computed. */
async function besideHttp(target: StartedTarget, seconds: number, into: Rounds): Promise<[number, number]> {
  const wholeSeconds = seconds + 2 * RAMP_SECONDS;
  const before = [ownCpuTime(), mainThreadCpuTimeOf(target.pid)!] as const;
  const beganMs = performance.now();
  const http = hammer(target.apiSocket!, wholeSeconds);
  into.loads.push(await load(target, seconds));
  into.https.push(await http);
  const elapsedUs = (performance.now() - beganMs) * 1000;
  const share = (from: CpuTime, to: CpuTime): number => Math.min(1, (totalUs(to) - totalUs(from)) / elapsedUs);
  return [share(before[0], ownCpuTime()), share(before[1], mainThreadCpuTimeOf(target.pid)!)];
}

async function besideBusyLoops(
  target: StartedTarget,
  seconds: number,
  shares: readonly number[],
  into: Rounds,
): Promise<void> {
  const loops: ChildProcess[] = shares.map((share) => spawn(process.execPath, [BUSY_LOOP, `${share}`]));
  try {
    into.loads.push(await load(target, seconds));
  } finally {
    for (const loop of loops) loop.kill();
  }
}

function describe({ name, loads, https }: Rounds): string[] {
  const of = <T>(samples: readonly T[], read: (sample: T) => number): string => {
    if (samples.length === 0) return "-";
    const values = samples.map(read);
    return `${median(values).toFixed(1)} +-${(spread(values) * 50).toFixed(0)} %`;
  };
  return [
    name,
    of(loads, ({ iops }) => iops),
    of(loads, ({ latencyUs }) => latencyUs.p99),
    of(loads, ({ target }) => totalUs(target!)),
    of(https, ({ requests }) => requests.average),
    of(https, ({ latency }) => latency.p99),
  ];
}

/** In each round: HTTP to busy loops. */
function ratio(http: Rounds, busy: Rounds, read: (load: LoadResult) => number): string {
  return median(http.loads.map((load, round) => read(load) / read(busy.loads[round]!))).toFixed(2);
}

async function main(): Promise<void> {
  const program = new Command("http")
    .option("--rounds <n>", "", parsePositive, 5)
    .option("--seconds <seconds>", "of each measurement", parseSeconds, 3)
    .parse();
  const { rounds, seconds } = program.opts<{ rounds: number; seconds: number }>();
  const directory = mkdtempSync("/dev/shm/ringlun-bench-http-");
  const named = (name: string): Rounds => ({ name, loads: [], https: [] });
  const [alone, beside, busy] = [named("alone"), named("beside HTTP"), named("beside busy loops")];
  try {
    const path = join(directory, "disk.img");
    writeFileSync(path, "");
    truncateSync(path, FILE_BYTES);
    const start = ringlunStarter({ workers: 1, cache: "writeback" });
    const target = await start({ path, sizeBytes: FILE_BYTES, directory });
    for (let round = 0; round < rounds; round++) {
      alone.loads.push(await load(target, seconds));
      const shares = await besideHttp(target, seconds, beside);
      await besideBusyLoops(target, seconds, shares, busy);
    }
    await target.stop();
    const failed = beside.https.reduce((sum, http) => sum + http.errors + http.non2xx + http.timeouts, 0);
    process.stdout.write(`${formatEnvironment(environment())}\n\n`);
    process.stdout.write(
      `${formatTable([
        ["4k random reads", "IOPS", "p99 us", "CPU us per I/O, HTTP included", "HTTP requests/s", "HTTP p99 ms"],
        ...[alone, beside, busy].map(describe),
      ])}\n\n`,
    );
    process.stdout.write(
      `HTTP to busy loops: IOPS ${ratio(beside, busy, ({ iops }) => iops)} (asked for: 0.95 at least), ` +
        `p99 ${ratio(beside, busy, ({ latencyUs }) => latencyUs.p99)} (1.10 at most); ${failed} HTTP requests failed\n`,
    );
    if (failed > 0) process.exitCode = 1;
  } finally {
    killAllDaemons();
    rmSync(directory, { recursive: true });
  }
}

await main();
