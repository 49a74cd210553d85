#!/usr/bin/env node
/**
 * The load generator:
 *
 *     node dist/bench/load.js iscsi://127.0.0.1:3260/iqn.2026-11.io.ringlun:demo/0 --depth 32 --block 4k --mix read --pid PID
 *
 * Exit status: 0; 1: cannot start; 3: the connection was lost or the target broke the protocol; 4: data read was wrong.
 */
import { pathToFileURL } from "node:url";
import { Command, Option } from "commander";
import { build, type Histogram } from "hdr-histogram-js";
import { type CpuTime, cpuTimeOf, elapsedCpuTime, ownCpuTime } from "./cpu-time.js";
import { BlockStamps } from "./initiator/block-stamps.js";
import { InitiatorError, VerifyError } from "./initiator/errors.js";
import { type Capacity, Initiator } from "./initiator/initiator.js";
import { parseTargetUrl } from "./initiator/url.js";
import {
  CheckWorkload,
  FillWorkload,
  fillRandom,
  IdleWorkload,
  type LoadMeter,
  LoadWorkload,
  takeRandomData,
  Verification,
} from "./initiator/workloads.js";
import { type Area, WriteHistory } from "./initiator/write-history.js";
import { parseBytes, parseCount, parseKey, parseMix, parsePositive, parseSeconds } from "./options.js";

export interface LoadOptions {
  readonly sessions: number;
  readonly connections: number;
  readonly depth: number;
  /** Bytes of one command. */
  readonly block: number;
  /** Percentage of reads. */
  readonly mix: number;
  readonly pattern: "random" | "sequential";
  readonly digests: "none" | "header" | "data" | "both";
  /** Seconds. */
  readonly duration: number;
  readonly ramp: number;
  readonly offset: number;
  readonly size?: number;
  readonly fua: boolean;
  readonly sync: number;
  readonly verify: boolean;
  readonly fill: boolean;
  readonly state?: string;
  readonly check?: string;
  readonly idle: boolean;
  readonly seed?: number;
  readonly key: Readonly<Record<string, string>>;
  readonly initiatorName?: string;
  readonly apart: boolean;
  readonly pid?: number;
}

/** CPU time per command, microseconds. */
export interface CpuPerIo {
  readonly userUs: number;
  readonly systemUs: number;
}

export interface LoadResult {
  readonly ios: number;
  readonly seconds: number;
  readonly iops: number;
  /** Millions of bytes a second. */
  readonly megabytesPerSecond: number;
  readonly latencyUs: Readonly<Record<"mean" | "p50" | "p90" | "p99" | "p99_9" | "max", number>>;
  readonly client: CpuPerIo;
  /** Of --pid. */
  readonly target?: CpuPerIo;
  /** BUSY and TASK SET FULL answers, and unit attentions. */
  readonly refusals: number;
  /** What the target answered in the login. */
  readonly negotiated: Readonly<Record<string, string>>;
}

/** The histogram counts tenths of a microsecond. */
const HISTOGRAM_UNITS_PER_US = 10;
const LATENCY_MAX_US = 60_000_000;

class Meter implements LoadMeter {
  readonly histogram: Histogram = build({
    bitBucketSize: 32,
    autoResize: true,
    highestTrackableValue: LATENCY_MAX_US * HISTOGRAM_UNITS_PER_US,
    numberOfSignificantValueDigits: 3,
  });
  ios = 0;
  seconds = 0;
  client: CpuTime = { userUs: 0, systemUs: 0 };
  target: CpuTime | undefined;
  readonly #pid: number | undefined;
  #beganUs = 0;

  constructor(pid: number | undefined) {
    this.#pid = pid;
  }

  #targetTime(): CpuTime | undefined {
    if (this.#pid === undefined) return undefined;
    const time = cpuTimeOf(this.#pid);
    if (time === undefined) throw new Error(`no process ${this.#pid}`);
    return time;
  }

  begin(nowUs: number): void {
    this.#beganUs = nowUs;
    this.target = this.#targetTime();
    this.client = ownCpuTime();
  }

  record(latencyUs: number): void {
    this.ios++;
    this.histogram.recordValue(Math.round(latencyUs * HISTOGRAM_UNITS_PER_US));
  }

  end(nowUs: number): void {
    this.client = elapsedCpuTime(this.client, ownCpuTime());
    if (this.target !== undefined) this.target = elapsedCpuTime(this.target, this.#targetTime()!);
    this.seconds = (nowUs - this.#beganUs) / 1e6;
  }

  result(options: LoadOptions, refusals: number, negotiated: ReadonlyMap<string, string>): LoadResult {
    const { histogram, ios, seconds } = this;
    const percentile = (percent: number): number => histogram.getValueAtPercentile(percent) / HISTOGRAM_UNITS_PER_US;
    const perIo = (time: CpuTime): CpuPerIo => ({ userUs: time.userUs / ios, systemUs: time.systemUs / ios });
    return {
      ios,
      seconds,
      iops: ios / seconds,
      megabytesPerSecond: (ios * options.block) / seconds / 1e6,
      latencyUs: {
        mean: histogram.mean / HISTOGRAM_UNITS_PER_US,
        p50: percentile(50),
        p90: percentile(90),
        p99: percentile(99),
        p99_9: percentile(99.9),
        max: percentile(100),
      },
      client: perIo(this.client),
      ...(this.target === undefined ? {} : { target: perIo(this.target) }),
      refusals,
      negotiated: Object.fromEntries(negotiated),
    };
  }
}

function digestKeys(digests: LoadOptions["digests"]): Record<string, string> {
  const key = (on: boolean): string => (on ? "CRC32C" : "None");
  return {
    HeaderDigest: key(digests === "header" || digests === "both"),
    DataDigest: key(digests === "data" || digests === "both"),
  };
}

/** The part of the unit that is worked on, cut into slots of one command each. */
function areaOf(options: LoadOptions, capacity: Capacity, seed: number): Area {
  const { blockLength, blocks } = capacity;
  if (options.block % blockLength !== 0 || options.offset % blockLength !== 0) {
    throw new Error(`--block and --offset must be multiples of ${blockLength}, the unit's block length`);
  }
  const slotBlocks = options.block / blockLength;
  const lba = options.offset / blockLength;
  const size = Math.min(options.size ?? Number.MAX_SAFE_INTEGER, (blocks - lba) * blockLength);
  const slots = Math.floor(size / options.block);
  if (slots < 1) throw new Error(`no block of ${options.block} bytes fits into the working set`);
  return { seed, lba, slots, slotBlocks, blockLength };
}

/** Runs a load; undefined where nothing was measured (--idle, --check). `onFilled`: the load itself begins. @throws InitiatorError and its subclasses, SystemError */
export function runLoad(
  urlText: string,
  options: LoadOptions,
  onFilled: () => void = () => {},
): LoadResult | undefined {
  const { sessions, connections, depth, block } = options;
  const earlier = options.check === undefined ? undefined : WriteHistory.load(options.check);
  const commandBytes = earlier === undefined ? block : earlier.area.slotBlocks * earlier.area.blockLength;
  const verifies = options.verify || earlier !== undefined;
  const initiator = Initiator.connect({
    url: parseTargetUrl(urlText),
    sessions,
    connections,
    depth,
    keys: { ...digestKeys(options.digests), ...options.key },
    taskBytes: verifies ? commandBytes : 0,
    workloadBytes: commandBytes,
    apart: options.apart,
    ...(options.initiatorName === undefined ? {} : { initiatorName: options.initiatorName }),
  });
  let history = earlier;
  try {
    if (options.idle) {
      initiator.run(new IdleWorkload(initiator.ring, options.duration * 1e6));
      initiator.logout();
      return undefined;
    }
    const seed = earlier?.area.seed ?? options.seed ?? 1 + Math.floor(Math.random() * 0xffff_fffe);
    const area = earlier?.area ?? areaOf(options, initiator.readCapacity(), seed);
    if (verifies) history ??= new WriteHistory(area);
    let verification: Verification | null = null;
    if (history !== undefined) {
      const stamps = new BlockStamps(initiator.arena, area.blockLength, area.slotBlocks, area.seed);
      verification = new Verification(history, stamps);
      for (const { tasks } of initiator.sessions) {
        for (const task of tasks) fillRandom(initiator.arena, task.ownData, commandBytes, task.index + 1);
      }
    }
    if (earlier !== undefined) {
      initiator.readCapacity();
      initiator.run(new CheckWorkload(area, verification!, true));
      initiator.logout();
      return undefined;
    }
    if (verification !== null && options.fill) {
      initiator.run(new FillWorkload(area, verification));
      onFilled();
    }
    const meter = new Meter(options.pid);
    const workload = new LoadWorkload(
      {
        area,
        readPercent: options.mix,
        sequential: options.pattern === "sequential",
        fua: options.fua,
        synchronizeEvery: options.sync,
        rampUs: options.ramp * 1e6,
        durationUs: options.duration * 1e6,
        seed,
      },
      meter,
      verification,
      takeRandomData(initiator.arena, commandBytes, seed),
    );
    initiator.run(workload);
    if (verification !== null) initiator.run(new CheckWorkload(area, verification, false));
    initiator.logout();
    return meter.result(options, workload.refusals, initiator.negotiated);
  } finally {
    if (options.state !== undefined) history?.save(options.state);
    initiator.close();
  }
}

/** The lines that people read. */
export function formatLoad(result: LoadResult): string {
  const us = (value: number): string => `${value < 100 ? value.toFixed(1) : value.toFixed(0)} us`;
  const cpu = ({ userUs, systemUs }: CpuPerIo): string =>
    `${us(userUs + systemUs)} (user ${us(userUs)}, system ${us(systemUs)})`;
  const { latencyUs } = result;
  const lines = [
    `${result.iops.toFixed(0)} IOPS, ${result.megabytesPerSecond.toFixed(1)} MB/s  (${result.ios} in ${result.seconds.toFixed(2)} s)`,
    `latency  p50 ${us(latencyUs.p50)}  p90 ${us(latencyUs.p90)}  p99 ${us(latencyUs.p99)}  p99.9 ${us(latencyUs.p99_9)}  max ${us(latencyUs.max)}`,
    `CPU per I/O  load generator ${cpu(result.client)}`,
  ];
  if (result.target !== undefined) lines.push(`CPU per I/O  target ${cpu(result.target)}`);
  if (result.refusals > 0)
    lines.push(`${result.refusals} commands refused with BUSY, TASK SET FULL or a unit attention`);
  return lines.join("\n");
}

function main(): void {
  const program = new Command("load")
    .description("Puts load on an iSCSI target and measures it.")
    .argument("<url>", "iscsi://[user[%secret]@]host[:port]/target-name/lun")
    .option("--sessions <n>", "sessions", parsePositive, 1)
    .option("--connections <n>", "connections of each session", parsePositive, 1)
    .option("--depth <n>", "commands in flight on each connection", parsePositive, 32)
    .option("--block <size>", "bytes of one command", parseBytes, 4096)
    .option("--mix <mix>", "read, write, or percentage of reads", parseMix, 100)
    .addOption(new Option("--pattern <pattern>").choices(["random", "sequential"]).default("random"))
    .addOption(new Option("--digests <which>").choices(["none", "header", "data", "both"]).default("none"))
    .option("--duration <seconds>", "measured time", parseSeconds, 10)
    .option("--ramp <seconds>", "time before that", parseSeconds, 1)
    .option("--offset <size>", "where the working set begins", parseBytes, 0)
    .option("--size <size>", "its size (default: to the end of the unit)", parseBytes)
    .option("--fua", "writes with FUA", false)
    .option("--sync <n>", "SYNCHRONIZE CACHE after every n writes", parseCount, 0)
    .option("--verify", "fill the working set first, check what is read, check all of it at the end", false)
    .option("--no-fill", "with --verify: do not fill it first")
    .option("--state <file>", "with --verify: save what was written where, also when the target is lost")
    .option("--check <file>", "read everything that such a file tells of, after a crash of the target")
    .option("--idle", "no commands: log in, keep the sessions for --duration, log out", false)
    .option("--seed <n>", "of random numbers and stamps", parsePositive)
    .option("--key <key=value>", "negotiable key to offer (repeatable)", parseKey, {})
    .option("--initiator-name <name>")
    .option("--apart", "each session is an initiator of its own, NAME-i, on a LUN of its own, i after the URL's", false)
    .option("--pid <pid>", "the target's process: measure its CPU time, too", parsePositive)
    .option("--json", "print the result as JSON", false);
  program.parse();
  const options = program.opts<LoadOptions & { readonly json: boolean }>();
  try {
    const result = runLoad(program.args[0]!, options, () => process.stderr.write("filled\n"));
    if (result === undefined) process.stdout.write(options.json ? "{}\n" : "done\n");
    else process.stdout.write(`${options.json ? JSON.stringify(result) : formatLoad(result)}\n`);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
    process.exitCode = error instanceof VerifyError ? 4 : error instanceof InitiatorError ? 3 : 1;
  }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) main();
