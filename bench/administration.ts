#!/usr/bin/env node
/**
 * What is asked of control when there is much of everything, with 1,000 units:
 *
 *     - a scrape of /metrics beside 1,000 sessions, idle ones and such as read and write, each of an initiator of its own and on a
 *       unit of its own: time, bytes, and the longest that a small request beside it had to wait, for its turn and for the processor
 *       (bench/holds.ts tells the two apart);
 *     - a configuration of 1,000 targets put in force, one target more, and edits of one unit by the API.
 *
 * Where others use the machine too, the CPU time of the control thread says more. With another build's control/main.js the two take turns.
 *
 * node dist/bench/administration.js [--rounds 5] [--against OTHER/dist/control/main.js]
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { freePort } from "../test/support/target.js";
import { killAllDaemons } from "./daemon.js";
import { environment, formatEnvironment } from "./environment.js";
import { parsePositive } from "./options.js";
import { type Answer, configurationOf, numbers, Program, unitOf } from "./program.js";
import { formatTable, median } from "./statistics.js";

const LOAD = fileURLToPath(new URL("load.js", import.meta.url));
const UNITS = 1000;
const SESSIONS = 1000;
const TARGETS = 1000;
/** The sessions live longer than all of the scrapes. */
const SESSIONS_SECONDS = 600;
const NAME = "iqn.2026-11.io.ringlun:bench";
const JSON_TYPE = "application/json";

/** Milliseconds, and of them the control thread's CPU time, by what was asked. */
class Samples {
  readonly #ms = new Map<string, number[]>();
  readonly #cpuMs = new Map<string, number[]>();

  add(name: string, { ms, cpuMs }: Pick<Answer, "ms"> & Partial<Answer>): void {
    push(this.#ms, name, ms);
    if (cpuMs !== undefined) push(this.#cpuMs, name, cpuMs);
  }

  rows(limits: Readonly<Record<string, string>>, title: string): string[][] {
    return [...this.#ms].map(([name, ms]) => {
      const cpuMs = this.#cpuMs.get(name);
      return [
        `${name}${title}`,
        median(ms).toFixed(1),
        Math.max(...ms).toFixed(1),
        cpuMs === undefined ? "" : median(cpuMs).toFixed(1),
        limits[name] ?? "",
      ];
    });
  }
}

function push(samples: Map<string, number[]>, name: string, sample: number): void {
  samples.set(name, [...(samples.get(name) ?? []), sample]);
}

// -- scrapes

const SCRAPE = "scrape, ms";
const SCRAPE_BYTES = "scrape, MB";
const SCRAPE_WAIT = "longest wait of a request beside a scrape, ms";
const SCRAPE_LIMITS = { [SCRAPE]: "500", [SCRAPE_BYTES]: "6" };

async function scrapes(folder: string, rounds: number, main: string | undefined, args: string[]): Promise<Samples> {
  const port = await freePort();
  const luns = numbers(UNITS).map((index) => `${index}: unit${index}`);
  const target = `  - { name: "${NAME}", portalGroups: [1], pingInterval: 0, luns: { ${luns.join(", ")} } }`;
  const program = await Program.start(
    folder,
    configurationOf(`127.0.0.1:${port}`, [target], numbers(UNITS).map(unitOf)),
    { main },
  );
  let initiator: ChildProcess | undefined;
  try {
    const url = `iscsi://127.0.0.1:${port}/${NAME}/0`;
    const options = ["--sessions", `${SESSIONS}`, "--apart", "--duration", `${SESSIONS_SECONDS}`, ...args];
    initiator = spawn(process.execPath, [LOAD, url, ...options], { stdio: "ignore" });
    await program.sessions(SESSIONS);
    if (!args.includes("--idle")) await program.unitsRead(UNITS);
    const samples = new Samples();
    for (let round = 0; round < rounds; round++) {
      const alone = await program.ask("/metrics");
      samples.add(SCRAPE, alone);
      samples.add(SCRAPE_WAIT, { ms: await program.longestWaitBeside(program.ask("/metrics")) });
      samples.add(SCRAPE_BYTES, { ms: Buffer.byteLength(alone.body) / 1e6 });
    }
    return samples;
  } finally {
    initiator?.kill("SIGTERM");
    await program.stop();
  }
}

// -- configurations

const ALL = `from 1 to ${TARGETS} targets, each with a unit`;
const ALL_WAIT = "longest wait of a request beside it";
const ONE_MORE = "one more";
const CREATE = "a unit comes, with a LUN";
const RESIZE = "a unit grows";
const MAP = "a LUN comes";
const UNMAP = "a LUN goes";
const DELETE = "a unit goes, with its LUN";
const LIMITS = { [ALL]: "2000", [ONE_MORE]: "100" };

async function applications(program: Program, of: (count: number) => string, samples: Samples, round: number) {
  const put = (count: number) => program.ask("/api/v1/config", "PUT", of(count));
  const json = (path: string, method: string, body: object) =>
    program.ask(`/api/v1/${path}`, method, JSON.stringify(body), JSON_TYPE);
  const target = (index: number) => `${NAME}-${index}`;
  samples.add(ALL, await put(TARGETS));
  await put(1);
  samples.add(ALL_WAIT, { ms: await program.longestWaitBeside(put(TARGETS)) });
  samples.add(ONE_MORE, await put(TARGETS + 1));
  const maps = [{ target: target(500), lun: 7 }];
  samples.add(CREATE, await json("units", "POST", { name: "new", null: true, size: "1GiB", maps }));
  samples.add(RESIZE, await json("units/unit400", "PATCH", { size: `${round + 2}GiB` }));
  samples.add(MAP, await json(`targets/${target(600)}/luns/5`, "PUT", { unit: "unit3" }));
  samples.add(UNMAP, await program.ask(`/api/v1/targets/${target(600)}/luns/5`, "DELETE"));
  samples.add(DELETE, await program.ask("/api/v1/units/new?force=true", "DELETE"));
  await put(1);
}

async function main(): Promise<void> {
  const command = new Command("administration")
    .option("--rounds <n>", "", parsePositive, 5)
    .option("--against <main>", "control/main.js of another build")
    .parse();
  const { rounds, against } = command.opts<{ rounds: number; against?: string }>();
  const builds: readonly { readonly title: string; readonly main?: string }[] =
    against === undefined ? [{ title: "" }] : [{ title: ", other", main: against }, { title: ", this" }];
  const directory = mkdtempSync("/dev/shm/ringlun-bench-administration-");
  try {
    const rows: string[][] = [];
    for (const [sessions, args] of [
      ["idle", ["--idle"]],
      ["busy", ["--depth", "1", "--mix", "50"]],
    ] as const) {
      for (const [build, { title, main }] of builds.entries()) {
        const samples = await scrapes(join(directory, `${sessions}-${build}`), rounds, main, [...args]);
        rows.push(...samples.rows(SCRAPE_LIMITS, `, ${SESSIONS} sessions, ${sessions}${title}`));
      }
    }
    const portals = await Promise.all(builds.map(() => freePort()));
    const of = (build: number) => (count: number) =>
      configurationOf(
        `127.0.0.1:${portals[build]}`,
        numbers(count).map((index) => `  - { name: "${NAME}-${index}", portalGroups: [1], luns: { 0: unit${index} } }`),
        numbers(count).map(unitOf),
      );
    const programs = await Promise.all(
      builds.map(({ main }, build) => Program.start(join(directory, `targets-${build}`), of(build)(1), { main })),
    );
    const samples = builds.map(() => new Samples());
    for (let round = 0; round < rounds; round++) {
      for (const [build, program] of programs.entries()) {
        await applications(program, of(build), samples[build]!, round);
      }
    }
    for (const program of programs) await program.stop();
    for (const [build, { title }] of builds.entries()) rows.push(...samples[build]!.rows(LIMITS, `, ms${title}`));
    process.stdout.write(`${formatEnvironment(environment())}\n\n`);
    process.stdout.write(`${formatTable([["", "median", "most", "control's CPU", "asked for"], ...rows])}\n`);
  } finally {
    killAllDaemons();
    rmSync(directory, { recursive: true });
  }
}

await main();
