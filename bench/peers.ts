#!/usr/bin/env node
/**
 * Ringlun against tgt (and istgt), with the load generator of this folder, on files of one kind in memory:
 *
 *     npm run bench:peers -- --rounds 5 --workloads randread-4k-d32,read-256k
 *
 * The targets take turns within every round. A ratio is the median of the ratios of the rounds, so that what slows the machine for a while
 * slows both sides of it. Exit status 2 with --check where a ratio misses what is asked for.
 */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Command, Option } from "commander";
import { killAllDaemons } from "./daemon.js";
import { environment, formatEnvironment } from "./environment.js";
import { EXCHANGES, type FloorResult, formatFloor, measureFloor } from "./floor.js";
import type { LoadResult } from "./load.js";
import { killAllLoads, runLoad } from "./load-process.js";
import { parseBytes, parsePositive, parseSeconds } from "./options.js";
import { formatTable, median, spread } from "./statistics.js";
import { istgtStarter, ringlunStarter, type StartedTarget, type TargetStarter, tgtStarter } from "./targets.js";

/** What a ratio must keep to: `most` or `least`, with what we aim for. */
interface Wanted {
  readonly rateAtLeast?: number;
  readonly cpuAtMost: number;
  readonly p50AtMost?: number;
}

interface PeerWorkload {
  readonly name: string;
  readonly title: string;
  readonly args: readonly string[];
  /** Bytes a second are more telling than commands a second. */
  readonly large: boolean;
  readonly wanted: Wanted;
  /** Compare Ringlun with its own result in this workload, instead of with tgt. */
  readonly against?: string;
}

const RANDREAD_D32 = "randread-4k-d32";

const WORKLOADS: readonly PeerWorkload[] = [
  {
    name: RANDREAD_D32,
    title: "4k randread, depth 32",
    args: ["--block", "4k", "--mix", "read", "--depth", "32"],
    large: false,
    wanted: { rateAtLeast: 2.3, cpuAtMost: 0.25 },
  },
  {
    name: "randread-4k-d128",
    title: "4k randread, depth 128",
    args: ["--block", "4k", "--mix", "read", "--depth", "128"],
    large: false,
    wanted: { rateAtLeast: 2.3, cpuAtMost: 0.25 },
  },
  {
    name: "randwrite-4k-d32",
    title: "4k randwrite, depth 32",
    args: ["--block", "4k", "--mix", "write", "--depth", "32"],
    large: false,
    wanted: { rateAtLeast: 1.5, cpuAtMost: 0.48 },
  },
  {
    name: "read-256k",
    title: "256k read, depth 8",
    args: ["--block", "256k", "--mix", "read", "--depth", "8", "--pattern", "sequential"],
    large: true,
    wanted: { rateAtLeast: 1.6, cpuAtMost: 0.5 },
  },
  {
    name: "write-256k",
    title: "256k write, depth 8",
    args: ["--block", "256k", "--mix", "write", "--depth", "8", "--pattern", "sequential"],
    large: true,
    wanted: { rateAtLeast: 1.9, cpuAtMost: 0.48 },
  },
  {
    name: "randread-4k-d1",
    title: "4k randread, depth 1",
    args: ["--block", "4k", "--mix", "read", "--depth", "1"],
    large: false,
    wanted: { cpuAtMost: 0.9, p50AtMost: 0.9 },
  },
  {
    name: "randread-4k-d32-digests",
    title: "4k randread, depth 32, both digests",
    args: ["--block", "4k", "--mix", "read", "--depth", "32", "--digests", "both"],
    large: false,
    wanted: { cpuAtMost: 1.25 },
    against: RANDREAD_D32,
  },
];

const REFERENCE = "tgt";
const OURS = "ringlun";
const RAMP_S = 0.5;
const FILL_BYTES = 4 * 2 ** 20;

interface Options {
  readonly workloads?: string;
  readonly targets: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly size: number;
  readonly workers?: string;
  readonly cache: "direct" | "writeback" | "writethrough";
  readonly directory: string;
  readonly floor: boolean;
  readonly json?: string;
  readonly check: boolean;
}

/** Results by workload, then target; one of each round. */
type Results = Map<string, Map<string, LoadResult[]>>;

// -- running

let temporary: string | undefined;

/** Ends everything at once: what is left to do in a signal handler or after a failure. */
function abandon(): void {
  killAllLoads();
  killAllDaemons();
  if (temporary !== undefined) rmSync(temporary, { recursive: true, force: true });
}

/** A file without holes, full of bytes that are not zero. */
function createFile(path: string, sizeBytes: number): void {
  const chunk = Buffer.alloc(Math.min(FILL_BYTES, sizeBytes));
  for (let at = 0; at < chunk.length; at++) chunk[at] = (at * 167 + 13) & 0xff;
  const fd = openSync(path, "w");
  for (let at = 0; at < sizeBytes; at += chunk.length) writeSync(fd, chunk, 0, Math.min(chunk.length, sizeBytes - at));
  closeSync(fd);
}

async function measure(target: StartedTarget, workload: PeerWorkload, seconds: number): Promise<LoadResult> {
  const options = ["--pid", `${target.pid}`, "--duration", `${seconds}`, "--ramp", `${RAMP_S}`];
  try {
    return await runLoad(target.url, [...options, ...workload.args]);
  } catch (error) {
    throw new Error(`${workload.title} on ${target.name}: ${(error as Error).message}`, { cause: error });
  }
}

/** One line that is written over; nothing where nobody watches. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\x1b[2K\r${text}`);
}

function chooseStarters(options: Options): [name: string, starter: TargetStarter][] {
  const starters: [string, TargetStarter][] = [];
  for (const name of options.targets.split(",")) {
    if (name === OURS) {
      for (const workers of (options.workers ?? "1").split(",").map(parsePositive)) {
        starters.push([workers === 1 ? OURS : `${OURS}-${workers}`, ringlunStarter({ workers, cache: options.cache })]);
      }
      continue;
    }
    const starter =
      name === "tgt"
        ? tgtStarter({})
        : name === "tgt-tuned"
          ? tgtStarter({ segmentBytes: 262144 })
          : name === "istgt"
            ? istgtStarter()
            : null;
    if (starter === null) throw new Error(`no such target: ${name}`);
    if (starter !== undefined) starters.push([name, starter]);
    else process.stderr.write(`${name} is not installed: left out (npm run peers:install)\n`);
  }
  return starters;
}

function chooseWorkloads(names: string | undefined): PeerWorkload[] {
  if (names === undefined) return [...WORKLOADS];
  return names.split(",").map((name) => {
    const workload = WORKLOADS.find((candidate) => candidate.name === name);
    if (workload === undefined) {
      throw new Error(`no such workload: ${name}; there are ${WORKLOADS.map((known) => known.name).join(", ")}`);
    }
    return workload;
  });
}

// -- reporting

const cpuOf = (result: LoadResult): number => result.target!.userUs + result.target!.systemUs;
const userOf = (result: LoadResult): number => result.target!.userUs;
const rateOf = (result: LoadResult): number => result.iops;
const p50Of = (result: LoadResult): number => result.latencyUs.p50;

function pairedRatio(
  ours: readonly LoadResult[],
  theirs: readonly LoadResult[],
  value: (result: LoadResult) => number,
): number {
  return median(ours.map((result, round) => value(result) / value(theirs[round]!)));
}

export interface Ratios {
  readonly rate: number;
  readonly cpu: number;
  readonly p50: number;
}

function ratios(ours: readonly LoadResult[], theirs: readonly LoadResult[]): Ratios {
  return {
    rate: pairedRatio(ours, theirs, rateOf),
    cpu: pairedRatio(ours, theirs, cpuOf),
    p50: pairedRatio(ours, theirs, p50Of),
  };
}

function us(value: number): string {
  return value < 100 ? value.toFixed(1) : value.toFixed(0);
}

function formatMeasurements(workloads: readonly PeerWorkload[], results: Results): string {
  const rows = [
    ["workload", "target", "rate", "spread", "CPU us", "spread", "user us", "p50 us", "p99 us", "client CPU us"],
  ];
  for (const { name, title, large } of workloads) {
    let label = title;
    for (const [target, samples] of results.get(name)!) {
      const rate = large
        ? `${median(samples.map((sample) => sample.megabytesPerSecond)).toFixed(0)} MB/s`
        : `${median(samples.map(rateOf)).toFixed(0)} IOPS`;
      const percent = (value: (result: LoadResult) => number): string =>
        `${(spread(samples.map(value)) * 100).toFixed(0)} %`;
      rows.push([
        label,
        target,
        rate,
        percent(rateOf),
        us(median(samples.map(cpuOf))),
        percent(cpuOf),
        us(median(samples.map(userOf))),
        us(median(samples.map(p50Of))),
        us(median(samples.map((sample) => sample.latencyUs.p99))),
        us(median(samples.map((sample) => sample.client.userUs + sample.client.systemUs))),
      ]);
      label = "";
    }
  }
  return formatTable(rows);
}

/** Undefined: there is nothing to compare the target with. */
function reference(workload: PeerWorkload, results: Results): readonly LoadResult[] | undefined {
  return workload.against === undefined
    ? results.get(workload.name)?.get(REFERENCE)
    : results.get(workload.against)?.get(OURS);
}

function misses({ rate, cpu, p50 }: Ratios, { rateAtLeast, cpuAtMost, p50AtMost }: Wanted): string[] {
  const missed: string[] = [];
  if (rateAtLeast !== undefined && rate < rateAtLeast)
    missed.push(`rate ${rate.toFixed(2)} x, at least ${rateAtLeast} x`);
  if (cpu > cpuAtMost) missed.push(`CPU per I/O ${cpu.toFixed(3)} x, at most ${cpuAtMost} x`);
  if (p50AtMost !== undefined && p50 > p50AtMost) missed.push(`p50 ${p50.toFixed(2)} x, at most ${p50AtMost} x`);
  return missed;
}

function formatRatios(workloads: readonly PeerWorkload[], results: Results, faults: string[]): string {
  const rows = [["ratios", "of", "to", "rate x", "CPU per I/O x", "p50 x", "asked for: rate, CPU, p50"]];
  for (const workload of workloads) {
    const theirs = reference(workload, results);
    if (theirs === undefined) {
      faults.push(`${workload.title}: there was nothing to compare with`);
      continue;
    }
    let label = workload.title;
    for (const [target, samples] of results.get(workload.name)!) {
      if (samples === theirs || (workload.against !== undefined && target !== OURS)) continue;
      const ratio = ratios(samples, theirs);
      const { rateAtLeast, cpuAtMost, p50AtMost } = workload.wanted;
      const ours = target === OURS;
      if (ours) faults.push(...misses(ratio, workload.wanted).map((missed) => `${workload.title}: ${missed}`));
      rows.push([
        label,
        target,
        workload.against === undefined ? REFERENCE : "without",
        ratio.rate.toFixed(2),
        ratio.cpu.toFixed(3),
        ratio.p50.toFixed(2),
        ours ? `${rateAtLeast ?? "-"}, ${cpuAtMost}, ${p50AtMost ?? "-"}` : "",
      ]);
      label = "";
    }
  }
  return formatTable(rows);
}

// -- main

async function compare(options: Options): Promise<void> {
  const workloads = chooseWorkloads(options.workloads);
  const starters = chooseStarters(options);
  const about = environment();
  process.stdout.write(`${formatEnvironment(about)}\n\n`);

  const floor: FloorResult[] = [];
  if (options.floor) {
    for (const exchange of EXCHANGES) floor.push(await measureFloor(exchange, Math.min(options.seconds, 2)));
    process.stdout.write(`${formatFloor(floor)}\n\n`);
  }

  temporary = mkdtempSync(join(options.directory, "ringlun-bench-"));
  const targets: StartedTarget[] = [];
  const results: Results = new Map(
    workloads.map(({ name }) => [name, new Map(starters.map(([target]) => [target, []]))]),
  );
  const faults: string[] = [];
  try {
    for (const [name, start] of starters) {
      const path = join(temporary, `${name}.img`);
      createFile(path, options.size);
      const target = await start({ path, sizeBytes: options.size, directory: temporary });
      targets.push(target);
      process.stdout.write(`${target.name}: ${target.version}\n`);
    }
    for (let round = 0; round < options.rounds; round++) {
      for (const workload of workloads) {
        for (let turn = 0; turn < targets.length; turn++) {
          const target = targets[(turn + round) % targets.length]!;
          progress(`round ${round + 1} of ${options.rounds}: ${workload.title}, ${target.name}`);
          results
            .get(workload.name)!
            .get(target.name)!
            .push(await measure(target, workload, options.seconds));
        }
      }
    }
    progress("");
    process.stdout.write(
      `\n${formatMeasurements(workloads, results)}\n\n${formatRatios(workloads, results, faults)}\n`,
    );
    process.stdout.write(
      `${options.rounds} rounds of ${options.seconds} s; medians; CPU is the target's, per command, user and system\n`,
    );
  } finally {
    for (const target of targets) await target.stop();
    rmSync(temporary, { recursive: true, force: true });
    temporary = undefined;
  }
  for (const fault of faults) process.stdout.write(`missed: ${fault}\n`);
  if (options.check && faults.length > 0) process.exitCode = 2;
  if (options.json !== undefined) {
    const plain = Object.fromEntries([...results].map(([name, byTarget]) => [name, Object.fromEntries(byTarget)]));
    const versions = Object.fromEntries(targets.map(({ name, version }) => [name, version]));
    writeFileSync(
      options.json,
      `${JSON.stringify({ environment: about, options, floor, targets: versions, results: plain, missed: faults }, null, 2)}\n`,
    );
  }
}

const program = new Command("bench:peers")
  .description("Compares Ringlun with other targets.")
  .option("--workloads <names>", `comma-separated: ${WORKLOADS.map(({ name }) => name).join(", ")} (default: all)`)
  .option(
    "--targets <names>",
    "comma-separated: ringlun, tgt, tgt-tuned (with segments of 256 KiB), istgt",
    "ringlun,tgt,istgt",
  )
  .option("--rounds <n>", "", parsePositive, 5)
  .option("--seconds <seconds>", "of each measurement", parseSeconds, 3)
  .option("--size <size>", "of the file", parseBytes, 2 ** 30)
  .option("--workers <counts>", "of Ringlun, comma-separated: one column each", "1")
  .addOption(
    new Option("--cache <mode>", "of Ringlun").choices(["direct", "writeback", "writethrough"]).default("writeback"),
  )
  .option("--directory <path>", "where the files go", "/dev/shm")
  .option("--no-floor", "leave out the bare TCP exchanges")
  .option("--json <file>", "write everything there, too")
  .option("--check", "exit status 2 where a ratio misses what is asked for", false);
program.parse();

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => {
    abandon();
    process.exit(130);
  });
}
try {
  await compare(program.opts<Options>());
} catch (error) {
  abandon();
  process.stderr.write(`\n${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
