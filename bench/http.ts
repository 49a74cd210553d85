#!/usr/bin/env node
/**
 * What HTTP at full speed costs I/O: 4k random reads with and without autocannon on /metrics and /api/v1/status, taking turns.
 * node dist/bench/http.js [--rounds 5] [--seconds 3]
 *
 * With fewer cores than busy threads (load generator, shard, control, autocannon) they share them, whatever HTTP does: CPU
 * time per I/O tells more than the rate.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import autocannon from "autocannon";
import { Command } from "commander";
import { environment, formatEnvironment } from "./environment.js";
import type { LoadResult } from "./load.js";
import { parsePositive, parseSeconds } from "./options.js";
import { formatTable, median, spread } from "./statistics.js";
import { killAllTargets, ringlunStarter } from "./targets.js";

const LOAD = fileURLToPath(new URL("load.js", import.meta.url));
const FILE_BYTES = 256 * 1024 * 1024;
const HTTP_CONNECTIONS = 4;
/** autocannon runs a little longer than the load's ramp and measurement. */
const RAMP_SECONDS = 0.5;

interface Round {
  readonly load: LoadResult;
  /** Undefined without HTTP. */
  readonly http: autocannon.Result | undefined;
}

async function load(url: string, pid: number, seconds: number): Promise<LoadResult> {
  const args = [LOAD, url, "--json", "--duration", `${seconds}`, "--ramp", `${RAMP_SECONDS}`, "--pid", `${pid}`];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  const exitCode = await new Promise((resolve) => child.once("close", resolve));
  if (exitCode !== 0) throw new Error(`the load generator ended with ${exitCode}`);
  return JSON.parse(output) as LoadResult;
}

function hammer(url: string, seconds: number): Promise<autocannon.Result> {
  const requests = [{ path: "/metrics" }, { path: "/api/v1/status" }];
  return autocannon({ url, connections: HTTP_CONNECTIONS, duration: seconds, requests });
}

function describe(name: string, rounds: readonly Round[]): string[] {
  const of = (read: (round: Round) => number): string => {
    const samples = rounds.map(read);
    return `${median(samples).toFixed(1)} +-${(spread(samples) * 50).toFixed(0)} %`;
  };
  return [
    name,
    of(({ load }) => load.iops),
    of(({ load }) => load.latencyUs.p99),
    of(({ load }) => load.target!.userUs + load.target!.systemUs),
    rounds[0]!.http === undefined ? "-" : of(({ http }) => http!.requests.average),
    rounds[0]!.http === undefined ? "-" : of(({ http }) => http!.latency.p99),
  ];
}

async function main(): Promise<void> {
  const program = new Command("http")
    .option("--rounds <n>", "", parsePositive, 5)
    .option("--seconds <seconds>", "of each measurement", parseSeconds, 3)
    .parse();
  const { rounds, seconds } = program.opts<{ rounds: number; seconds: number }>();
  const directory = mkdtempSync("/dev/shm/ringlun-bench-http-");
  try {
    const path = join(directory, "disk.img");
    writeFileSync(path, "");
    truncateSync(path, FILE_BYTES);
    const start = ringlunStarter({ workers: 1, cache: "writeback" });
    const target = await start({ path, sizeBytes: FILE_BYTES, directory });
    const alone: Round[] = [];
    const beside: Round[] = [];
    for (let round = 0; round < rounds; round++) {
      alone.push({ load: await load(target.url, target.pid, seconds), http: undefined });
      const http = hammer(target.httpUrl!, seconds + 2 * RAMP_SECONDS);
      beside.push({ load: await load(target.url, target.pid, seconds), http: await http });
    }
    await target.stop();
    const failed = beside.reduce((sum, { http }) => sum + http!.errors + http!.non2xx + http!.timeouts, 0);
    process.stdout.write(`${formatEnvironment(environment())}\n\n`);
    process.stdout.write(
      `${formatTable([
        ["4k random reads", "IOPS", "p99 us", "CPU us per I/O, HTTP included", "HTTP requests/s", "HTTP p99 ms"],
        describe("alone", alone),
        describe("beside HTTP", beside),
      ])}\n${failed} HTTP requests failed\n`,
    );
    if (failed > 0) process.exitCode = 1;
  } finally {
    killAllTargets();
    rmSync(directory, { recursive: true });
  }
}

await main();
