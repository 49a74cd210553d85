/**
 * User-mode Linux with open-iscsi and multipath, in a network of its own in which the target runs too:
 *
 *     network namespace:   target --- 10.99.0.1 (tap0) ~~~ 10.99.0.2 (vec0) --- Linux
 *                                '--- 10.99.1.1 (tap1) ~~~ 10.99.1.2 (vec1) ---'
 *
 * Takes root, and says so where it is not to be had.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COMPILER, compileRegisters } from "./uml-registers.js";
import { BOOT_TIMEOUT_MS, type Outcome, UserModeLinux } from "./user-mode-linux.js";

/** Paths between the target and Linux; the target's address on each. */
export const PATHS = ["10.99.0.1", "10.99.1.1"] as const;
export const LINUX_NAME = "iqn.1993-08.org.debian:01:linux";

const PROGRAMS = ["linux.uml", "iscsid", "iscsiadm", "multipathd", "multipath", "sg_inq", "ip", "unshare", "udevadm"];
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

const INIT = `${PATHS.map((address, i) => `ip addr add ${address.replace(/1$/, "2")}/24 dev vec${i}; ip link set vec${i} up`).join("\n")}
for module in ${MODULES.join(" ")}; do modprobe $module; done
rm -rf /etc/iscsi/nodes /etc/iscsi/send_targets /var/lib/iscsi; mkdir -p /etc/iscsi /etc/multipath
echo InitiatorName=${LINUX_NAME} > /etc/iscsi/initiatorname.iscsi
/lib/systemd/systemd-udevd --daemon; udevadm trigger; udevadm settle -t 60
iscsid`;

export class LinuxHost {
  /** Name of the network namespace, for the target to run in. */
  readonly network: string;
  #linux: UserModeLinux | undefined;

  private constructor(network: string) {
    this.network = network;
  }

  /** Makes the network; `boot` comes when the target listens there. */
  static make(): LinuxHost {
    const network = `ringlun-${process.pid}`;
    ip("netns", "add", network);
    ip("-n", network, "link", "set", "lo", "up");
    for (const [i, address] of PATHS.entries()) {
      ip("-n", network, "tuntap", "add", `tap${i}`, "mode", "tap");
      ip("-n", network, "addr", "add", `${address}/24`, "dev", `tap${i}`);
      // Linux's side takes no segments longer than a frame.
      ip("-n", network, "link", "set", "dev", `tap${i}`, "gso_max_segs", "1");
      ip("-n", network, "link", "set", `tap${i}`, "up");
    }
    return new LinuxHost(network);
  }

  async boot(): Promise<void> {
    const parameters = PATHS.map((_, i) => `vec${i}:transport=tap,ifname=tap${i}`);
    this.#linux = await UserModeLinux.boot({ init: INIT, memory: "512M", network: this.network, parameters });
  }

  run(command: string, timeoutMs?: number): Promise<Outcome> {
    return this.#linux!.run(command, timeoutMs);
  }

  good(command: string, timeoutMs?: number): Promise<string> {
    return this.#linux!.good(command, timeoutMs);
  }

  /** Has the target's side of a path fall silent, as if its cable were cut, or gives it back. */
  setPath(path: number, up: boolean): void {
    ip("-n", this.network, "addr", up ? "add" : "del", `${PATHS[path]}/24`, "dev", `tap${path}`);
  }

  /** Everything of it goes. */
  async end(): Promise<void> {
    await this.#linux?.end();
    ip("netns", "del", this.network);
  }
}
