/**
 * A Linux kernel with open-iscsi and multipath, booted as a process (Debian's user-mode-linux), in a network of its own in which
 * the target runs too:
 *
 *     network namespace:   target --- 10.99.0.1 (tap0) ~~~ 10.99.0.2 (vec0) --- Linux
 *                                '--- 10.99.1.1 (tap1) ~~~ 10.99.1.2 (vec1) ---'
 *
 * Its root is this machine's, under an overlay in memory that is gone with it. Takes root, and says so where it is not to be had.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COMPILER, compileRegisters } from "./uml-registers.js";

/** Paths between the target and Linux; the target's address on each. */
export const PATHS = ["10.99.0.1", "10.99.1.1"] as const;
export const LINUX_NAME = "iqn.1993-08.org.debian:01:linux";

const PROGRAMS = ["linux.uml", "iscsid", "iscsiadm", "multipathd", "multipath", "sg_inq", "ip", "unshare", "udevadm"];
const BOOT_TIMEOUT_MS = 240_000;
const COMMAND_TIMEOUT_MS = 180_000;
const END = "-- end of command:";
const MODULES = ["iscsi_tcp", "sd_mod", "sg", "dm-multipath", "dm-round-robin", "scsi_dh_alua"];

/** For `describe(name, { skip: skipWithoutLinux("fio") }, ...)`: false, or what is missing of what all need and of these programs. */
export function skipWithoutLinux(...programs: readonly string[]): string | false {
  if (process.getuid?.() !== 0) return "takes root";
  const missing = [...PROGRAMS, ...programs, COMPILER].filter((program) => spawnSync("which", [program]).status !== 0);
  if (missing.length > 0) return `not installed: ${missing.join(", ")}; run: npm run peers:install -- --linux`;
  if (!existsSync("/dev/net/tun")) return "there is no /dev/net/tun";
  return runsPrograms() ? false : "linux.uml runs no program here";
}

/** Its first process says something, and ends, and the kernel with it. */
function runsPrograms(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "ringlun-linux-"));
  try {
    const init = join(folder, "init");
    writeFileSync(init, "#!/bin/sh\necho it runs\n", { mode: 0o755 });
    const root = ["root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", `init=${init}`, `uml_dir=${folder}/`];
    const env = { ...process.env, LD_PRELOAD: compileRegisters(folder) };
    const options = { encoding: "utf8", input: "", timeout: BOOT_TIMEOUT_MS, env } as const;
    const { stdout } = spawnSync("linux.uml", ["mem=64M", ...root, "con=null", "con0=fd:0,fd:1"], options);
    return stdout.includes("it runs");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync("ip", args, { encoding: "utf8" });
  assert.equal(status, 0, `ip ${args.join(" ")}: ${stderr}`);
}

/** What Linux does first, and then: one line of the console after the other is a command. */
function initScript(): string {
  return `#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
stty -echo
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mount -t tmpfs tmp /tmp; mount -t tmpfs run /run; mkdir -p /run/lock /etc/multipath
ip link set lo up
${PATHS.map((address, i) => `ip addr add ${address.replace(/1$/, "2")}/24 dev vec${i}; ip link set vec${i} up`).join("\n")}
mkdir -p /lib/modules; ln -sfn /usr/lib/uml/modules/$(uname -r) /lib/modules/$(uname -r)
for module in ${MODULES.join(" ")}; do modprobe $module; done
rm -rf /etc/iscsi/nodes /etc/iscsi/send_targets /var/lib/iscsi; mkdir -p /etc/iscsi
echo InitiatorName=${LINUX_NAME} > /etc/iscsi/initiatorname.iscsi
/lib/systemd/systemd-udevd --daemon; udevadm trigger; udevadm settle -t 60
iscsid
echo "${END} 0"
while IFS= read -r command; do eval "$command" 2>&1; echo "${END} $?"; done
`;
}

export interface Outcome {
  readonly code: number;
  readonly output: string;
}

export class LinuxHost {
  /** Name of the network namespace, for the target to run in. */
  readonly network: string;
  readonly #directory: string;
  #child: ChildProcess | undefined;
  #output = "";
  #wake: () => void = () => {};

  private constructor(network: string, directory: string) {
    this.network = network;
    this.#directory = directory;
  }

  /** Makes the network; `boot` comes when the target listens there. */
  static make(): LinuxHost {
    const network = `ringlun-${process.pid}`;
    const host = new LinuxHost(network, mkdtempSync(join(tmpdir(), "ringlun-linux-")));
    ip("netns", "add", network);
    ip("-n", network, "link", "set", "lo", "up");
    for (const [i, address] of PATHS.entries()) {
      ip("-n", network, "tuntap", "add", `tap${i}`, "mode", "tap");
      ip("-n", network, "addr", "add", `${address}/24`, "dev", `tap${i}`);
      // Linux's side takes no segments longer than a frame.
      ip("-n", network, "link", "set", "dev", `tap${i}`, "gso_max_segs", "1");
      ip("-n", network, "link", "set", `tap${i}`, "up");
    }
    return host;
  }

  async boot(): Promise<void> {
    const init = join(this.#directory, "init");
    writeFileSync(init, initScript(), { mode: 0o755 });
    const [upper, work, root] = ["upper", "work", "root"].map((name) => join(this.#directory, "memory", name));
    const boot = `set -e
mkdir ${this.#directory}/memory; mount -t tmpfs none ${this.#directory}/memory; mkdir ${upper} ${work} ${root}
mount -t overlay overlay -o lowerdir=/,upperdir=${upper},workdir=${work} ${root}
cp ${init} ${root}/ringlun-init
# What others mount is theirs to take away.
for mount in $(awk -v root=${this.#directory} '$2 ~ "^/tmp/" && index($2, root) != 1 { print $2 }' /proc/self/mounts); do umount -l $mount; done
LD_PRELOAD=${compileRegisters(this.#directory)} exec linux.uml mem=512M root=/dev/root rootfstype=hostfs rootflags=${root} rw init=/ringlun-init uml_dir=${this.#directory}/ quiet loglevel=2 \
  con=null con0=fd:0,fd:1 ${PATHS.map((_, i) => `vec${i}:transport=tap,ifname=tap${i}`).join(" ")}`;
    const child = spawn("unshare", ["--mount", "ip", "netns", "exec", this.network, "bash", "-c", boot], {
      stdio: ["pipe", "pipe", "pipe"],
      // Linux's own processes are in its group.
      detached: true,
    });
    this.#child = child;
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.#output += text;
        this.#wake();
      });
    }
    child.once("close", () => {
      this.#child = undefined;
      this.#wake();
    });
    await this.#ended(BOOT_TIMEOUT_MS);
  }

  /** Runs a line of shell in Linux. */
  async run(command: string, timeoutMs = COMMAND_TIMEOUT_MS): Promise<Outcome> {
    assert(this.#child !== undefined, "Linux does not run");
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

  /** Has the target's side of a path fall silent, as if its cable were cut, or gives it back. */
  setPath(path: number, up: boolean): void {
    ip("-n", this.network, "addr", up ? "add" : "del", `${PATHS[path]}/24`, "dev", `tap${path}`);
  }

  /** Everything of it goes. */
  async end(): Promise<void> {
    const child = this.#child;
    if (child !== undefined) {
      const closed = new Promise((resolve) => child.once("close", resolve));
      process.kill(-child.pid!, "SIGKILL");
      await closed;
    }
    ip("netns", "del", this.network);
    // Mounted there is nothing: that was in Linux's own namespace.
    for (const name of readdirSync(this.#directory)) rmSync(join(this.#directory, name), { recursive: true });
    rmSync(this.#directory, { recursive: true });
  }

  async #ended(timeoutMs: number): Promise<Outcome> {
    const pattern = new RegExp(`^${END} ([0-9]+)\\r?\\n`, "m");
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const found = pattern.exec(this.#output);
      if (found !== null) {
        return { code: Number(found[1]), output: this.#output.slice(0, found.index).replaceAll("\r", "") };
      }
      const leftMs = deadline - performance.now();
      assert(this.#child !== undefined, `Linux has ended:\n${this.#output}`);
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
