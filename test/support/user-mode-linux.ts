/**
 * A Linux kernel that is a process (Debian's user-mode-linux). Its root is this machine's, under an overlay in memory that is gone with it.
 * Takes root.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { compileRegisters } from "./uml-registers.js";

export const BOOT_TIMEOUT_MS = 240_000;
const COMMAND_TIMEOUT_MS = 180_000;
const END = "-- end of command:";

export interface LinuxOptions {
  /** What it does first: lines of shell. */
  readonly init: string;
  /** As the kernel's mem= has it. */
  readonly memory: string;
  /** Network namespace to run in; absent: this process' own. */
  readonly network?: string;
  /** More parameters of the kernel. */
  readonly parameters?: readonly string[];
}

export interface Outcome {
  readonly code: number;
  readonly output: string;
}

/** One line of the console after the other is a command; with the last one it ends. */
const initScript = (folder: string, init: string): string => `#!/bin/bash
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
stty -echo
mount -t proc proc /proc; mount -t sysfs sys /sys; mountpoint -q /dev || mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp; mount -t tmpfs run /run; mkdir -p /run/lock
mount -t hostfs none /mnt -o ${folder}
ip link set lo up
mkdir -p /lib/modules; ln -sfn /usr/lib/uml/modules/$(uname -r) /lib/modules/$(uname -r)
${init}
echo "${END} 0"
while IFS= read -r command; do eval "$command" 2>&1 < /dev/null; echo "${END} $?"; done
echo o > /proc/sysrq-trigger
`;

export class UserModeLinux {
  /** Shared with it: /mnt there. */
  readonly folder: string;
  readonly #directory: string;
  readonly #child: ChildProcess;
  readonly #closed: Promise<void>;
  #isClosed = false;
  #output = "";
  #wake: () => void = () => {};

  private constructor({ init, memory, network, parameters = [] }: LinuxOptions) {
    this.#directory = mkdtempSync(join(tmpdir(), "ringlun-uml-"));
    this.folder = join(this.#directory, "shared");
    const [upper, work, root] = ["upper", "work", "root"].map((name) => join(this.#directory, "memory", name));
    const boot = `set -e
cd ${this.#directory}
mkdir shared memory; mount -t tmpfs none memory; mkdir ${upper} ${work} ${root}
mount -t overlay overlay -o lowerdir=/,upperdir=${upper},workdir=${work} ${root}
mv init ${root}/ringlun-init
# What others mount is theirs to take away.
for mount in $(awk -v root=${this.#directory} '$2 ~ "^/tmp/" && index($2, root) != 1 { print $2 }' /proc/self/mounts); do umount -l $mount; done
# It does not outlive who has started it, however that ends.
(while kill -0 $PPID; do sleep 1; done; kill -KILL 0) < /dev/null > /dev/null 2>&1 &
LD_PRELOAD=${compileRegisters(this.#directory)} exec linux.uml mem=${memory} root=/dev/root rootfstype=hostfs rootflags=${root} rw init=/ringlun-init \
  uml_dir=${this.#directory}/ quiet loglevel=2 con=null con0=fd:0,fd:1 ${parameters.join(" ")}`;
    writeFileSync(join(this.#directory, "init"), initScript(this.folder, init), { mode: 0o755 });
    const inNetwork = network === undefined ? [] : ["ip", "netns", "exec", network];
    this.#child = spawn("unshare", ["--mount", ...inNetwork, "bash", "-c", boot], {
      stdio: ["pipe", "pipe", "pipe"],
      // Linux's own processes are in its group.
      detached: true,
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.#output += text;
        this.#wake();
      });
    }
    this.#closed = new Promise((resolve) => {
      this.#child.once("close", () => {
        this.#isClosed = true;
        this.#wake();
        resolve();
      });
    });
  }

  static async boot(options: LinuxOptions): Promise<UserModeLinux> {
    const linux = new UserModeLinux(options);
    try {
      await linux.#ended(BOOT_TIMEOUT_MS);
    } catch (error) {
      await linux.end();
      throw error;
    }
    return linux;
  }

  /** Runs a line of shell in Linux. */
  async run(command: string, timeoutMs = COMMAND_TIMEOUT_MS): Promise<Outcome> {
    assert(!this.#isClosed, "Linux does not run");
    assert(!command.includes("\n"), "a command is a line");
    this.#output = "";
    this.#child.stdin!.write(`${command}\n`);
    return this.#ended(timeoutMs);
  }

  /** `run`, which must succeed. Its output. */
  async good(command: string, timeoutMs?: number): Promise<string> {
    const { code, output } = await this.run(command, timeoutMs);
    assert.equal(code, 0, `${command}\n${output}`);
    return output;
  }

  /** Everything of it goes. */
  async end(): Promise<void> {
    process.kill(-this.#child.pid!, "SIGKILL");
    await this.#closed;
    // Mounted there is nothing: that was in Linux's own namespace.
    for (const name of readdirSync(this.#directory)) rmSync(join(this.#directory, name), { recursive: true });
    rmSync(this.#directory, { recursive: true });
  }

  async #ended(timeoutMs: number): Promise<Outcome> {
    const pattern = new RegExp(`${END} ([0-9]+)\\r?\\n`);
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const found = pattern.exec(this.#output);
      if (found !== null) {
        return { code: Number(found[1]), output: this.#output.slice(0, found.index).replaceAll("\r", "") };
      }
      const leftMs = deadline - performance.now();
      assert(!this.#isClosed, `Linux has ended:\n${this.#output}`);
      assert(leftMs > 0, `not done within ${timeoutMs} ms:\n${this.#output}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}
