#!/usr/bin/env node
/**
 * What a second shard brings: 4k random reads of one unit by two sessions, each with a load generator of its own, on one shard and on
 * two, taking turns.
 *
 *     node dist/bench/shards.js [--rounds 5] [--seconds 3] [--depth 64] [--check]
 *
 * Two shards want 1.6 times what one does at least. That can be judged only where each shard and each load generator has a core; elsewhere
 * it says so. Exit status 2 with --check where it can be judged and is missed.
 */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { killAllDaemons } from "./daemon.js";
import { environment, formatEnvironment } from "./environment.js";
import { runLoad } from "./load-process.js";
import { parsePositive, parseSeconds } from "./options.js";
import { formatTable, median, spread } from "./statistics.js";
import { ringlunStarter, type StartedTarget } from "./targets.js";

const FILE_BYTES = 256 * 1024 * 1024;
const RAMP_SECONDS = 0.5;
const SESSIONS = 2;
const RATIO_WANTED = 1.6;
/** Two shards, two load generators. */
const CORES_WANTED = 2 + SESSIONS;

interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly depth: number;
  readonly check: boolean;
}

/** Commands a second of both sessions together. */
async function iopsOf({ url }: StartedTarget, { seconds, depth }: Options): Promise<number> {
  const args = ["--duration", `${seconds}`, "--ramp", `${RAMP_SECONDS}`, "--depth", `${depth}`];
  const results = await Promise.all(Array.from({ length: SESSIONS }, () => runLoad(url, args)));
  return results.reduce((sum, { iops }) => sum + iops, 0);
}

async function main(): Promise<void> {
  const options = new Command("shards")
    .option("--rounds <n>", "", parsePositive, 5)
    .option("--seconds <seconds>", "of each measurement", parseSeconds, 3)
    .option("--depth <n>", "commands in flight of each session", parsePositive, 64)
    .option("--check", "exit status 2 where too little is gained", false)
    .parse()
    .opts<Options>();
  const directory = mkdtempSync("/dev/shm/ringlun-bench-shards-");
  try {
    const iops = new Map<number, number[]>([1, 2].map((workers) => [workers, []]));
    for (let round = 0; round < options.rounds; round++) {
      for (const [workers, samples] of iops) {
        const path = join(directory, `disk-${round}-${workers}.img`);
        writeFileSync(path, "");
        truncateSync(path, FILE_BYTES);
        const start = ringlunStarter({ workers, cache: "writeback" });
        const target = await start({ path, sizeBytes: FILE_BYTES, directory });
        samples.push(await iopsOf(target, options));
        await target.stop();
        rmSync(path);
      }
    }
    const [one, two] = [iops.get(1)!, iops.get(2)!];
    const row = (name: string, samples: readonly number[]): string[] => [
      name,
      `${median(samples).toFixed(0)} +-${(spread(samples) * 50).toFixed(0)} %`,
    ];
    const ratio = median(two.map((value, round) => value / one[round]!));
    const cores = availableParallelism();
    const canJudge = cores >= CORES_WANTED;
    const verdict = !canJudge
      ? `not judged: ${cores} cores, and two shards and two load generators want ${CORES_WANTED}`
      : ratio >= RATIO_WANTED
        ? `asked for: ${RATIO_WANTED} at least`
        : `TOO LITTLE: ${RATIO_WANTED} is asked for`;
    process.stdout.write(`${formatEnvironment(environment())}\n\n`);
    process.stdout.write(
      `${formatTable([["one unit, two sessions", "IOPS"], row("one shard", one), row("two shards", two)])}\n\n` +
        `two shards to one: ${ratio.toFixed(2)} (${verdict})\n`,
    );
    if (options.check && canJudge && ratio < RATIO_WANTED) process.exitCode = 2;
  } finally {
    killAllDaemons();
    rmSync(directory, { recursive: true });
  }
}

await main();
