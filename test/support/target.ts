/** Starts Ringlun itself (`node dist/control/main.js serve --config FILE`) for a test, and ends it. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type ListenOptions, type Server as NetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../control/main.js", import.meta.url));
const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;
/** So many lines of log are kept. */
const LINES_MAX = 10_000;

export const TARGET_NAME = "iqn.2026-11.io.ringlun:test";

/** What a configuration may refer to. */
export interface Places {
  readonly port: number;
  /** For a second portal. */
  readonly port2: number;
  readonly httpPort: number;
  /** The configuration file's directory: relative paths are relative to it. */
  readonly directory: string;
}

export interface TargetOptions {
  /** YAML; absent: one target TARGET_NAME, whose units are files. */
  readonly config?: (places: Places) => string;
  /** Shards of the default configuration. */
  readonly workers?: number;
  /** Unit of each LUN in the default configuration; absent: one at LUN 0. */
  readonly luns?: Readonly<Record<number, string>>;
  /** Cache mode of the default configuration's units. */
  readonly cache?: "direct" | "writeback" | "writethrough";
  /** Size of each; absent: 64 MiB. */
  readonly size?: string;
  /** More keys of the default configuration's `session`, as YAML flow mapping content: "initialR2T: false". */
  readonly session?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Arguments after `serve --config FILE`. */
  readonly args?: readonly string[];
  /** What is started with `serve --config FILE`; absent: Node with the program as it was built here. */
  readonly program?: string;
  /** Where the configuration and its files go; absent: a directory of its own, removed by `stop`. */
  readonly directory?: string;
  /** Network namespace to run in; absent: this process' own. */
  readonly network?: string;
  /** Where the directory of its own is made; absent: the system's folder for temporary files. */
  readonly temporaryFolder?: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Below those that the kernel gives to whoever asks for none in particular, be it for a moment (ip_local_port_range). */
const PORT_MIN = 10_240;
const PORT_MAX = 32_767;

/** undefined if somebody listens there. */
async function listen(where: ListenOptions): Promise<NetServer | undefined> {
  const server = createServer();
  const isListening = await new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(where, () => resolve(true));
  });
  return isListening ? server.unref() : undefined;
}

/** Ports that nothing listens on, and that are given to no other test, in whatever process, until this one ends. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = randomInt(PORT_MIN, PORT_MAX + 1);
    // An abstract name says whose the port is: it is there as long as the process, and takes no port.
    if ((await listen({ path: `\0ringlun-test-port-${port}` })) === undefined) continue;
    const server = await listen({ host: "127.0.0.1", port });
    if (server === undefined) continue;
    await new Promise((resolve) => server.close(resolve));
    ports.push(port);
  }
  return ports;
}

export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port!;
}

function defaultConfig(options: TargetOptions): (places: Places) => string {
  const { luns = { 0: "disk" }, size = "64MiB", cache = "writeback" } = options;
  const unit = (name: string) => `  ${name}: { file: ./${name}.img, size: ${size}, cache: ${cache} }`;
  return ({ port, httpPort }) => `
portalGroups:
  - { tag: 1, portals: ["127.0.0.1:${port}"] }
targets:
  - name: ${TARGET_NAME}
    portalGroups: [1]
    session: { ${options.session ?? ""} }
    luns: { ${Object.entries(luns).map(([lun, name]) => `${lun}: ${name}`)} }
units:
${[...new Set(Object.values(luns))].map(unit).join("\n")}
http: { listen: "127.0.0.1:${httpPort}" }
workers: ${options.workers ?? 1}
`;
}

export class RunningTarget {
  readonly places: Places;
  readonly configPath: string;
  /** Lines of stdout and stderr, in the order in which they came. */
  readonly log: string[] = [];
  readonly #options: TargetOptions;
  readonly #temporary: boolean;
  #child: ChildProcess | undefined;
  #exit: Promise<Exit> = Promise.resolve({ code: null, signal: null });
  readonly #watchers = new Set<() => void>();

  private constructor(options: TargetOptions, places: Places) {
    this.#options = options;
    this.#temporary = options.directory === undefined;
    this.places = places;
    this.configPath = join(places.directory, "ringlun.yaml");
  }

  static async start(options: TargetOptions = {}): Promise<RunningTarget> {
    const [port, port2, httpPort] = await freePorts(3);
    const directory = options.directory ?? (await mkdtemp(join(options.temporaryFolder ?? tmpdir(), "ringlun-test-")));
    const target = new RunningTarget(options, { port: port!, port2: port2!, httpPort: httpPort!, directory });
    await target.configure((options.config ?? defaultConfig(options))(target.places));
    try {
      await target.run();
    } catch (error) {
      await target.stop();
      throw error;
    }
    return target;
  }

  get port(): number {
    return this.places.port;
  }

  get pid(): number {
    assert(this.#child?.pid !== undefined, "the target does not run");
    return this.#child.pid;
  }

  /** How the process ended; pending while it runs. */
  get exit(): Promise<Exit> {
    return this.#exit;
  }

  url(lun = 0, targetName = TARGET_NAME): string {
    return `iscsi://127.0.0.1:${this.port}/${targetName}/${lun}`;
  }

  /** Writes the configuration file anew; `reload` makes it count. */
  async configure(yaml: string): Promise<void> {
    await writeFile(this.configPath, yaml);
  }

  reload(): void {
    process.kill(this.pid, "SIGHUP");
  }

  /** Starts the process (again, with the same files and ports) and waits for `ready`. */
  async run(): Promise<void> {
    assert(this.#child === undefined, "the target runs already");
    const from = this.log.length;
    const { network, program: ringlun } = this.#options;
    const [program, ...args] = [
      ...(network === undefined ? [] : ["ip", "netns", "exec", network]),
      ...(ringlun === undefined ? [process.execPath, MAIN] : [ringlun]),
      ...["serve", "--config", this.configPath, ...(this.#options.args ?? [])],
    ];
    const child = spawn(program!, args, {
      env: { ...process.env, ...this.#options.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    this.#exit = new Promise((resolve) => {
      child.once("error", (error) => {
        this.#append(String(error));
        resolve({ code: null, signal: null });
      });
      child.once("close", (code, signal) => {
        this.#child = undefined;
        resolve({ code, signal });
        for (const watch of this.#watchers) watch();
      });
    });
    for (const stream of [child.stdout, child.stderr]) {
      let partial = "";
      stream.setEncoding("utf8").on("data", (text: string) => {
        const lines = (partial + text).split("\n");
        partial = lines.pop()!;
        for (const line of lines) this.#append(line);
      });
    }
    await this.waitForLog(/^ready$/, READY_TIMEOUT_MS, from);
  }

  #append(line: string): void {
    this.log.push(line);
    if (this.log.length > LINES_MAX) this.log.shift();
    for (const watch of this.#watchers) watch();
  }

  /** The first line since `from` that matches. Throws, with the log, if the process ends or the time is over before. */
  async waitForLog(pattern: RegExp, timeoutMs = READY_TIMEOUT_MS, from = 0): Promise<string> {
    const find = (): string | undefined => this.log.slice(from).find((line) => pattern.test(line));
    let timer: NodeJS.Timeout | undefined;
    let watch: (() => void) | undefined;
    try {
      return await new Promise<string>((resolve, reject) => {
        const fail = (why: string): void => reject(new Error(`${why}; the target's log:\n${this.log.join("\n")}`));
        watch = () => {
          const line = find();
          if (line !== undefined) resolve(line);
          else if (this.#child === undefined) fail(`the target ended before it logged ${pattern}`);
        };
        timer = setTimeout(() => fail(`no line ${pattern} within ${timeoutMs} ms`), timeoutMs);
        this.#watchers.add(watch);
        watch();
      });
    } finally {
      clearTimeout(timer);
      if (watch !== undefined) this.#watchers.delete(watch);
    }
  }

  async #end(signal: NodeJS.Signals): Promise<Exit> {
    const child = this.#child;
    if (child === undefined) return this.#exit;
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    try {
      return await this.#exit;
    } finally {
      clearTimeout(timer);
    }
  }

  /** SIGTERM; the files stay, `run` starts it again. Killed if it does not end in time (signal SIGKILL in the result). */
  async terminate(): Promise<Exit> {
    return this.#end("SIGTERM");
  }

  /** As a crash would end it; the files stay. */
  async kill9(): Promise<Exit> {
    return this.#end("SIGKILL");
  }

  /** Ends it if it runs, and removes its directory. For `after` hooks: never throws for a target that is gone already. */
  async stop(): Promise<Exit> {
    const exit = await this.#end("SIGTERM");
    if (this.#temporary) await rm(this.places.directory, { recursive: true, force: true });
    return exit;
  }
}
