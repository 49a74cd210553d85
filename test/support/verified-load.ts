/** The load generator in its verify mode, as a process, and what it remembers of a target that is lost. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { STAMP_NONE } from "../../bench/initiator/block-stamps.js";
import { WriteHistory } from "../../bench/initiator/write-history.js";

const LOAD = fileURLToPath(new URL("../../bench/load.js", import.meta.url));

// Its exit codes.
const CONNECTION_LOST = 3;

/** So long a load goes on if nobody ends it. */
const DURATION_S = 600;

export interface LoadExit {
  readonly code: number | null;
  readonly output: string;
}

interface Run {
  readonly child: ChildProcess;
  readonly exit: Promise<LoadExit>;
  /** Resolves when it has written every slot once, or has ended. */
  readonly filled: Promise<void>;
}

function run(options: readonly string[]): Run {
  const child = spawn(process.execPath, [LOAD, ...options], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let announceFilled: () => void = () => {};
  const filled = new Promise<void>((resolve) => {
    announceFilled = resolve;
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (output.includes("filled\n")) announceFilled();
    });
  }
  const exit = new Promise<LoadExit>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      announceFilled();
      resolve({ code, output });
    });
  });
  return { child, exit, filled };
}

export class VerifiedLoad {
  readonly #statePath: string;
  readonly #child: ChildProcess;
  readonly #exit: Promise<LoadExit>;
  /** It has written every slot once, and goes on (or it has ended). */
  readonly filled: Promise<void>;

  private constructor(statePath: string, options: readonly string[]) {
    this.#statePath = statePath;
    const { child, exit, filled } = run([...options, "--state", statePath]);
    this.#child = child;
    this.#exit = exit;
    this.filled = filled;
  }

  /** Reads and writes until the target is lost. `options`: of the load generator, over those here. */
  static start(url: string, statePath: string, options: readonly string[]): VerifiedLoad {
    const common = ["--verify", "--ramp", "0", "--duration", String(DURATION_S), "--mix", "30"];
    return new VerifiedLoad(statePath, [url, ...common, ...options]);
  }

  /** For clean-up: it may have ended long ago. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Waits for the end that the loss of the target brings; anything that was read wrong before is a failure. Returns its output. */
  async lost(): Promise<string> {
    const { code, output } = await this.#exit;
    assert.equal(code, CONNECTION_LOST, output);
    return output;
  }

  get history(): WriteHistory {
    return WriteHistory.load(this.#statePath);
  }

  /** How many slots hold something that was said to be durable. */
  get durableSlots(): number {
    const { history } = this;
    let count = 0;
    for (let slot = 0; slot < history.area.slots; slot++) {
      if (history.judgeAfterCrash(slot, STAMP_NONE) !== undefined) count++;
    }
    return count;
  }

  /** Counts everything that was acknowledged as durable: the target was not lost by accident. */
  demandAcknowledged(): void {
    const { history } = this;
    history.beginSynchronize();
    history.endSynchronize();
    history.save(this.#statePath);
  }

  /** Reads everything back: nothing that was durable may be missing, and nothing be there that was never written. */
  async check(url: string): Promise<void> {
    const { code, output } = await run([url, "--check", this.#statePath]).exit;
    assert.equal(code, 0, output);
  }
}
