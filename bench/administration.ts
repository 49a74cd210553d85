#!/usr/bin/env node
/**
 * What is asked of control when there is much of everything: a scrape of /metrics with 1,000 units and 1,000 sessions (time, bytes,
 * and the longest that a small request beside it had to wait, which is how long the control thread was held), a configuration of
 * 1,000 targets put in force, and one more.
 *
 * node dist/bench/administration.js [--rounds 5]
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { environment, formatEnvironment } from "./environment.js";
import { parsePositive } from "./options.js";
import { formatTable, median } from "./statistics.js";
import { freePort } from "./targets.js";

const MAIN = fileURLToPath(new URL("../control/main.js", import.meta.url));
const LOAD = fileURLToPath(new URL("load.js", import.meta.url));
const UNITS = 1000;
const SESSIONS = 1000;
const TARGETS = 1000;
/** The sessions live longer than all of the scrapes. */
const SESSIONS_SECONDS = 600;
const START_TIMEOUT_MS = 30_000;
const POLL_MS = 50;
const NAME = "iqn.2026-11.io.ringlun:bench";

interface Answer {
  readonly body: string;
  readonly ms: number;
}

function ask(socketPath: string, path: string, method = "GET", body = ""): Promise<Answer> {
  const beganMs = performance.now();
  return new Promise((resolve, reject) => {
    const headers = body === "" ? {} : { "content-type": "application/yaml" };
    const outgoing = request({ socketPath, path, method, headers, agent: false }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8").on("data", (part: string) => (text += part));
      incoming.once("end", () => {
        if (incoming.statusCode === 200) resolve({ body: text, ms: performance.now() - beganMs });
        else reject(new Error(`${method} ${path}: ${incoming.statusCode}: ${text.slice(0, 500)}`));
      });
    });
    outgoing.once("error", reject);
    outgoing.end(body);
  });
}

/** Small requests, one after the other, until `work` is done: the longest time that one took. */
async function longestWaitBeside(socketPath: string, work: Promise<unknown>): Promise<number> {
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  let longestMs = 0;
  while (!isDone) longestMs = Math.max(longestMs, (await ask(socketPath, "/healthz")).ms);
  await done;
  return longestMs;
}

class Program {
  readonly socketPath: string;
  readonly child: ChildProcess;
  #output = "";

  constructor(folder: string, configuration: string) {
    const file = join(folder, "ringlun.yaml");
    writeFileSync(file, configuration, { mode: 0o600 });
    this.socketPath = join(folder, "state", "api.sock");
    this.child = spawn(process.execPath, [MAIN, "serve", "--config", file], { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.child.stdout!, this.child.stderr!])
      stream.setEncoding("utf8").on("data", (text: string) => (this.#output = (this.#output + text).slice(-8192)));
  }

  async ready(): Promise<void> {
    const deadlineMs = performance.now() + START_TIMEOUT_MS;
    while (!/^ready$/m.test(this.#output)) {
      if (this.child.exitCode !== null || performance.now() > deadlineMs)
        throw new Error(`ringlun does not start:\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    this.child.kill("SIGTERM");
    await new Promise((resolve) => this.child.once("exit", resolve));
  }
}

const configurationOf = (portal: string, targets: readonly string[], units: readonly string[]): string =>
  [
    `portalGroups: [{ tag: 1, portals: ["${portal}"] }]`,
    "targets:",
    ...targets,
    "units:",
    ...units,
    "stateDir: state",
    "log: { level: warn }",
    "workers: 1",
    "",
  ].join("\n");

const unitOf = (index: number): string => `  unit${index}: { null: true, size: 1GiB }`;
const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

async function scrapes(folder: string, rounds: number): Promise<string[][]> {
  const port = await freePort();
  const luns = numbers(UNITS).map((index) => `${index}: unit${index}`);
  const target = `  - { name: "${NAME}", portalGroups: [1], pingInterval: 0, luns: { ${luns.join(", ")} } }`;
  const program = new Program(folder, configurationOf(`127.0.0.1:${port}`, [target], numbers(UNITS).map(unitOf)));
  let initiator: ChildProcess | undefined;
  try {
    await program.ready();
    const url = `iscsi://127.0.0.1:${port}/${NAME}/0`;
    const args = [LOAD, url, "--sessions", `${SESSIONS}`, "--idle", "--duration", `${SESSIONS_SECONDS}`];
    initiator = spawn(process.execPath, args, { stdio: "ignore" });
    await sessionsThere(program.socketPath);
    const times: number[] = [];
    const waits: number[] = [];
    let bytes = 0;
    for (let round = 0; round < rounds; round++) {
      const alone = await ask(program.socketPath, "/metrics");
      times.push(alone.ms);
      bytes = Buffer.byteLength(alone.body);
      waits.push(await longestWaitBeside(program.socketPath, ask(program.socketPath, "/metrics")));
    }
    const most = (samples: readonly number[]): string => `${Math.max(...samples).toFixed(0)}`;
    return [
      ["scrape, ms", median(times).toFixed(0), most(times), "500"],
      ["scrape, MB", (bytes / 1e6).toFixed(2), "", "6"],
      ["longest wait of a request beside a scrape, ms", median(waits).toFixed(1), most(waits), "20"],
    ];
  } finally {
    initiator?.kill("SIGTERM");
    await program.stop();
  }
}

async function sessionsThere(socketPath: string): Promise<void> {
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  for (;;) {
    const { body } = await ask(socketPath, "/api/v1/status");
    const { sessions } = JSON.parse(body) as { sessions: readonly unknown[] };
    if (sessions.length >= SESSIONS) return;
    if (performance.now() > deadlineMs) throw new Error(`${sessions.length} of ${SESSIONS} sessions are there`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function applications(folder: string, rounds: number): Promise<string[][]> {
  const portal = `127.0.0.1:${await freePort()}`;
  const of = (count: number): string =>
    configurationOf(
      portal,
      numbers(count).map((index) => `  - { name: "${NAME}-${index}", portalGroups: [1], luns: { 0: unit${index} } }`),
      numbers(count).map(unitOf),
    );
  const program = new Program(folder, of(1));
  try {
    await program.ready();
    const all: number[] = [];
    const onesMore: number[] = [];
    for (let round = 0; round < rounds; round++) {
      all.push((await ask(program.socketPath, "/api/v1/config", "PUT", of(TARGETS))).ms);
      onesMore.push((await ask(program.socketPath, "/api/v1/config", "PUT", of(TARGETS + 1))).ms);
      await ask(program.socketPath, "/api/v1/config", "PUT", of(1));
    }
    const row = (name: string, samples: readonly number[], limit: string): string[] => [
      name,
      median(samples).toFixed(0),
      Math.max(...samples).toFixed(0),
      limit,
    ];
    return [
      row(`from 1 to ${TARGETS} targets, each with a unit, ms`, all, "2000"),
      row("one more, ms", onesMore, "100"),
    ];
  } finally {
    await program.stop();
  }
}

async function main(): Promise<void> {
  const program = new Command("administration").option("--rounds <n>", "", parsePositive, 5).parse();
  const { rounds } = program.opts<{ rounds: number }>();
  const directory = mkdtempSync("/dev/shm/ringlun-bench-administration-");
  try {
    const [first, second] = [join(directory, "scrapes"), join(directory, "applications")];
    for (const folder of [first, second]) mkdirSync(folder);
    const rows = [...(await scrapes(first, rounds)), ...(await applications(second, rounds))];
    process.stdout.write(`${formatEnvironment(environment())}\n\n`);
    process.stdout.write(`${formatTable([["", "median", "most", "asked for"], ...rows])}\n`);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

await main();
