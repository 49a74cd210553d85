/** Processes that a bench starts and watches, each ended by its pid. */
import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const START_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 10_000;
const POLL_MS = 20;
/** Characters of a daemon's output that are kept for the error message. */
const OUTPUT_CHARACTERS_MAX = 8192;
const RINGLUN_MAIN = fileURLToPath(new URL("../control/main.js", import.meta.url));
const PROBE = new URL("hold-probe.js", import.meta.url).href;

const children = new Set<ChildProcess>();

/** Ends, without waiting, everything that was started here and still runs: for signals and for failures. */
export function killAllDaemons(): void {
  for (const child of children) child.kill("SIGKILL");
  children.clear();
}

export class Daemon {
  readonly child: ChildProcess;
  readonly #name: string;
  readonly #exit: Promise<void>;
  #exited = false;
  #output = "";

  /** `isProbed`: it is sent messages, and sends some. */
  constructor(
    name: string,
    program: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
    isProbed = false,
  ) {
    this.#name = name;
    const stdio: StdioOptions = ["ignore", "pipe", "pipe", ...(isProbed ? ["ipc" as const] : [])];
    this.child = spawn(program, args, { env: { ...process.env, ...env }, stdio });
    children.add(this.child);
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.#output = (this.#output + text).slice(-OUTPUT_CHARACTERS_MAX);
      });
    }
    this.#exit = new Promise((resolve) => {
      const ended = (): void => {
        this.#exited = true;
        children.delete(this.child);
        resolve();
      };
      this.child.once("exit", ended);
      this.child.once("error", (error) => {
        this.#output += error.message;
        ended();
      });
    });
  }

  get output(): string {
    return this.#output;
  }

  /** Calls `check` until it is true. Throws, with the output, if the daemon ends or the time is over. */
  async until(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!(await check())) {
      if (this.#exited || performance.now() > deadline) {
        const why = this.#exited ? "ended" : `took more than ${START_TIMEOUT_MS} ms`;
        throw new Error(`${this.#name} ${why} before ${what}; its output:\n${this.#output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.#exited) return;
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill("SIGKILL"), STOP_TIMEOUT_MS);
    await this.#exit;
    clearTimeout(timer);
  }
}

/** Ringlun with a configuration file, when it is ready. `main`: the program, as another build has it. `isProbed`: with hold-probe.ts in it. */
export async function startRinglun(
  configurationFile: string,
  { main = RINGLUN_MAIN, isProbed = false }: { readonly main?: string | undefined; readonly isProbed?: boolean } = {},
): Promise<Daemon> {
  const probe = isProbed ? ["--import", PROBE] : [];
  const args = [...probe, main, "serve", "--config", configurationFile];
  const daemon = new Daemon("ringlun", process.execPath, args, {}, isProbed);
  try {
    await daemon.until("it was ready", () => /^ready$/m.test(daemon.output));
  } catch (error) {
    await daemon.stop();
    throw error;
  }
  return daemon;
}
