#!/usr/bin/env node
/**
 * How long control's thread is held at a stretch, with 1,000 units, 1,000 sessions and 1,000 targets: nobody else's login, request or message
 * has its turn meanwhile. For each thing that is asked of it:
 *
 *     hold        the longest stretch, in the thread's own CPU time: what others take of the processor is not in it
 *     elapsed     the same by the clock, with what others took of the processor, and what the thread waited for
 *     GC          the longest garbage collection, which is part of both
 *     wait        the longest time that a small request beside it took, in another round: several turns, each of which waits for the processor
 *
 * No scrape may hold it for more than 20 ms; the rest is told beside it.
 *
 * node dist/bench/holds.js [--rounds 5] [--against OTHER/dist/control/main.js]
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Command } from "commander";
import { freePort } from "../test/support/target.js";
import { killAllDaemons } from "./daemon.js";
import { environment, formatEnvironment } from "./environment.js";
import type { Hold } from "./hold-probe.js";
import { parsePositive } from "./options.js";
import { configurationOf, numbers, Program, unitOf } from "./program.js";
import { formatTable, median } from "./statistics.js";

const LOAD = fileURLToPath(new URL("load.js", import.meta.url));
const MAIN = fileURLToPath(new URL("../control/main.js", import.meta.url));
const NAME = "iqn.2026-11.io.ringlun:bench";
const COUNT = 1000;
/** Of the same kind at once: scrapes, and other readers of everything. */
const AT_ONCE = 16;
/** The load lives longer than everything that is asked. */
const LOAD_SECONDS = 1800;
/** For what has no end of its own. */
const WATCH_MS = 2000;
const ASKED_MS = 20;

/** What was asked for, and what it took in each round. */
class Holds {
  readonly #rows = new Map<string, { readonly holds: Hold[]; readonly waits: number[]; readonly limitMs?: number }>();

  /** @param limitMs that it must not hold the thread for longer than. */
  async measure(program: Program, name: string, work: () => Promise<unknown>, limitMs?: number): Promise<void> {
    const hold = await program.longestHoldDuring(work);
    const row = this.#rows.get(name) ?? { holds: [], waits: [], ...(limitMs === undefined ? {} : { limitMs }) };
    this.#rows.set(name, row);
    row.holds.push(hold);
  }

  /** In a round of its own: requests beside it would hold the thread too. */
  async measureWait(program: Program, name: string, work: () => Promise<unknown>): Promise<void> {
    this.#rows.get(name)!.waits.push(await program.longestWaitBeside(work()));
  }

  get missed(): boolean {
    return [...this.#rows.values()].some(isMissed);
  }

  table(): string {
    const both = (values: readonly number[]) =>
      values.length === 0 ? "" : `${median(values).toFixed(1)}, ${Math.max(...values).toFixed(1)}`;
    return formatTable([
      ["median and longest, ms", "hold", "elapsed", "GC", "wait", "asked for", ""],
      ...[...this.#rows].map(([name, row]) => [
        name,
        both(row.holds.map(({ cpuMs }) => cpuMs)),
        both(row.holds.map(({ elapsedMs }) => elapsedMs)),
        both(row.holds.map(({ collectionMs }) => collectionMs)),
        both(row.waits),
        row.limitMs === undefined ? "" : `hold ${row.limitMs}`,
        row.limitMs === undefined ? "" : isMissed(row) ? "missed" : "PASS",
      ]),
    ]);
  }
}

function isMissed({ holds, limitMs }: { readonly holds: readonly Hold[]; readonly limitMs?: number }): boolean {
  return limitMs !== undefined && holds.some(({ cpuMs }) => cpuMs > limitMs);
}

const atOnce = (work: () => Promise<unknown>) => Promise.all(numbers(AT_ONCE).map(work));

/** So many streams, read as they come, for WATCH_MS. */
async function watch(program: Program): Promise<void> {
  const streams = await Promise.all(
    numbers(AT_ONCE).map(() => program.open("/api/v1/statistics?interval=0.1&state=true")),
  );
  for (const stream of streams) stream.on("error", () => {}).resume();
  await setTimeout(WATCH_MS);
  for (const stream of streams) stream.destroy();
}

function startLoad(url: string, args: readonly string[]): ChildProcess {
  const options = ["--sessions", `${COUNT}`, "--apart", "--duration", `${LOAD_SECONDS}`, ...args];
  return spawn(process.execPath, [LOAD, url, ...options], { stdio: "ignore" });
}

/** With 1,000 units, each read and written by an initiator of its own all the while. */
async function readers(folder: string, rounds: number, main: string | undefined, holds: Holds): Promise<void> {
  const port = await freePort();
  const luns = numbers(COUNT).map((index) => `${index}: unit${index}`);
  const target = `  - { name: "${NAME}", portalGroups: [1], pingInterval: 0, luns: { ${luns.join(", ")} } }`;
  const units = numbers(COUNT).map(unitOf);
  const configuration = configurationOf(`127.0.0.1:${port}`, [target], units);
  const program = await Program.start(folder, configuration, { main, isProbed: true });
  const url = `iscsi://127.0.0.1:${port}/${NAME}/0`;
  let load = startLoad(url, ["--depth", "1", "--mix", "50"]);
  const logIn = async (args: readonly string[]) => {
    load = startLoad(url, args);
    await program.sessions(COUNT);
  };
  try {
    await program.sessions(COUNT);
    await program.unitsRead(COUNT);
    const asked: readonly (readonly [name: string, work: () => Promise<unknown>, limitMs?: number])[] = [
      ["nothing asked, I/O on all units", () => setTimeout(WATCH_MS)],
      ["a scrape", () => program.ask("/metrics"), ASKED_MS],
      [`${AT_ONCE} scrapes at once`, () => atOnce(() => program.ask("/metrics")), ASKED_MS],
      ["/api/v1/status", () => program.ask("/api/v1/status"), ASKED_MS],
      ["/api/v1/sessions", () => program.ask("/api/v1/sessions"), ASKED_MS],
      ["/api/v1/units", () => program.ask("/api/v1/units"), ASKED_MS],
      ["/api/v1/targets", () => program.ask("/api/v1/targets"), ASKED_MS],
      [`${AT_ONCE} times /api/v1/status at once`, () => atOnce(() => program.ask("/api/v1/status")), ASKED_MS],
      [`${AT_ONCE} streams of statistics, ten events a second`, () => watch(program), ASKED_MS],
    ];
    for (let round = 0; round < rounds; round++) {
      for (const [name, work, limitMs] of asked) {
        await holds.measure(program, name, work, limitMs);
        await holds.measureWait(program, name, work);
      }
    }
    for (let round = 0; round < rounds; round++) {
      await holds.measure(program, `${COUNT} initiators are gone at once`, async () => {
        load.kill("SIGKILL");
        await program.sessions(0);
      });
      await holds.measure(program, `${COUNT} logins`, () => logIn(["--idle"]));
      await holds.measure(program, `a drain of ${COUNT} sessions`, async () => {
        const drain = { target: NAME, timeout: 1 };
        await program.ask("/api/v1/drains", "POST", JSON.stringify(drain), "application/json");
        await program.sessions(0);
      });
      const { drainId } = JSON.parse((await program.ask("/api/v1/drains")).body)[0];
      await program.ask(`/api/v1/drains/${drainId}`, "DELETE");
      await logIn(["--idle"]);
    }
  } finally {
    load.kill("SIGKILL");
    await program.stop();
  }
}

/** With 1,000 targets, each with a unit. */
async function targets(folder: string, rounds: number, main: string | undefined, holds: Holds): Promise<void> {
  const portal = `127.0.0.1:${await freePort()}`;
  const of = (count: number) =>
    configurationOf(
      portal,
      numbers(count).map((index) => `  - { name: "${NAME}-${index}", portalGroups: [1], luns: { 0: unit${index} } }`),
      numbers(count).map(unitOf),
    );
  const program = await Program.start(folder, of(1), { main, isProbed: true });
  const put = (count: number) => program.ask("/api/v1/config", "PUT", of(count));
  const discover = async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [MAIN, "discover", portal, "--json"]);
    if (JSON.parse(stdout).length !== COUNT) throw new Error(`not ${COUNT} targets: ${stdout.slice(0, 500)}`);
  };
  try {
    for (let round = 0; round < rounds; round++) {
      const name = `from 1 to ${COUNT} targets, each with a unit`;
      await holds.measure(program, name, () => put(COUNT));
      await put(1);
      await holds.measureWait(program, name, () => put(COUNT));
      await holds.measure(program, "one target and unit more", () => put(COUNT + 1));
      await put(COUNT);
      await holds.measure(program, `discovery of ${COUNT} targets`, discover);
      await holds.measure(program, `${AT_ONCE} at once`, () => atOnce(discover));
      await holds.measure(program, `from ${COUNT} targets to 1`, () => put(1));
    }
  } finally {
    await program.stop();
  }
}

async function main(): Promise<void> {
  const command = new Command("holds")
    .option("--rounds <n>", "", parsePositive, 5)
    .option("--against <main>", "control/main.js of another build, in place of this one's")
    .parse();
  const { rounds, against } = command.opts<{ rounds: number; against?: string }>();
  const directory = mkdtempSync("/dev/shm/ringlun-bench-holds-");
  try {
    process.stdout.write(`${formatEnvironment(environment())}\n`);
    for (const [name, run] of Object.entries({ readers, targets })) {
      const holds = new Holds();
      await run(join(directory, name), rounds, against, holds);
      process.stdout.write(`\n${holds.table()}\n`);
      if (holds.missed) process.exitCode = 1;
    }
  } finally {
    killAllDaemons();
    rmSync(directory, { recursive: true });
  }
}

await main();
