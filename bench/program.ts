/** The program, with a configuration made for a bench, and how it is asked over its socket. */
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { get, type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { mainThreadMs } from "./cpu-time.js";
import { type Daemon, startRinglun } from "./daemon.js";
import type { Hold, ProbeRequest } from "./hold-probe.js";

const YAML = "application/yaml";
const TIMEOUT_MS = 300_000;
const POLL_MS = 500;

export interface Answer {
  readonly body: string;
  readonly ms: number;
  /** Of the control thread. */
  readonly cpuMs: number;
}

/** `targets` and `units`: entries of the configuration, in YAML. */
export const configurationOf = (portal: string, targets: readonly string[], units: readonly string[]): string =>
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

export const unitOf = (index: number): string => `  unit${index}: { null: true, size: 1GiB }`;
export const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

export interface ProgramOptions {
  /** control/main.js of another build. */
  readonly main?: string | undefined;
  /** With a probe in it: see hold-probe.ts. */
  readonly isProbed?: boolean;
}

export class Program {
  readonly #daemon: Daemon;
  readonly #socketPath: string;

  private constructor(daemon: Daemon, socketPath: string) {
    this.#daemon = daemon;
    this.#socketPath = socketPath;
  }

  static async start(folder: string, configuration: string, options: ProgramOptions = {}): Promise<Program> {
    mkdirSync(folder);
    const file = join(folder, "ringlun.yaml");
    writeFileSync(file, configuration, { mode: 0o600 });
    return new Program(await startRinglun(file, options), join(folder, "state", "api.sock"));
  }

  ask(path: string, method = "GET", body = "", type = YAML): Promise<Answer> {
    const pid = this.#daemon.child.pid!;
    const [beganMs, beganCpuMs] = [performance.now(), mainThreadMs(pid)];
    return new Promise((resolve, reject) => {
      const headers = body === "" ? {} : { "content-type": type };
      const options = { socketPath: this.#socketPath, path, method, headers, agent: false };
      const outgoing = request(options, (incoming) => {
        let text = "";
        incoming.setEncoding("utf8").on("data", (part: string) => (text += part));
        incoming.once("end", () => {
          if (Math.trunc(incoming.statusCode! / 100) !== 2) {
            reject(new Error(`${method} ${path}: ${incoming.statusCode}: ${text.slice(0, 500)}`));
            return;
          }
          resolve({ body: text, ms: performance.now() - beganMs, cpuMs: mainThreadMs(pid) - beganCpuMs });
        });
      });
      outgoing.once("error", reject);
      outgoing.end(body);
    });
  }

  /** An answer that does not end. */
  async open(path: string): Promise<IncomingMessage> {
    const [incoming] = await once(get({ socketPath: this.#socketPath, path, agent: false }), "response");
    return incoming;
  }

  /** Small requests, one after the other, until `work` is done: the longest time that one took. */
  async longestWaitBeside(work: Promise<unknown>): Promise<number> {
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
    });
    let longestMs = 0;
    while (!isDone) longestMs = Math.max(longestMs, (await this.ask("/healthz")).ms);
    await done;
    return longestMs;
  }

  /** How long the control thread was held at a stretch, while something was done. Of a program with a probe. */
  async longestHoldDuring(work: () => Promise<unknown>): Promise<Hold> {
    await this.#probe("begin");
    await work();
    return (await this.#probe("end")) as Hold;
  }

  async #probe(request: ProbeRequest): Promise<unknown> {
    const answer = once(this.#daemon.child, "message");
    this.#daemon.child.send(request);
    return (await answer)[0];
  }

  /** Until so many are logged in. */
  async sessions(count: number): Promise<void> {
    const number = async () => Number(/^ringlun_sessions (\d+)$/m.exec((await this.ask("/metrics")).body)?.[1]);
    await this.#until(`${count} sessions`, async () => (await number()) === count);
  }

  /** Until so many units have been read from, and have all of their lines. */
  async unitsRead(count: number): Promise<void> {
    const line = /^ringlun_unit_latency_seconds_count\{[^}]*operation="read"/gm;
    await this.#until(`${count} units are read`, async () => {
      return (await this.ask("/metrics")).body.match(line)?.length === count;
    });
  }

  async #until(what: string, check: () => Promise<boolean>): Promise<void> {
    const deadlineMs = performance.now() + TIMEOUT_MS;
    while (!(await check())) {
      if (performance.now() > deadlineMs) throw new Error(`not within ${TIMEOUT_MS / 1000} s: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  stop(): Promise<void> {
    return this.#daemon.stop();
  }
}
