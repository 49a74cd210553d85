/**
 * A machine under systemd: systemd itself, as process 1 of namespaces of its own. Its network is this machine's, and its root:
 *
 *     /usr                                  this machine's, read-only
 *     /usr/local/lib/node_modules/ringlun   this clone, as if it had been installed
 *     /usr/local/bin                        ringlun and node
 *     /etc, /run, /srv, /tmp, /var          in memory, empty at first
 *
 * Takes root, and says so where it is not to be had.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { findProgram } from "./peers.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const SYSTEMD = "/lib/systemd/systemd";
const PROGRAMS = ["systemctl", "journalctl", "systemd-sysusers", "unshare", "nsenter", "pivot_root"];
const BOOT_TIMEOUT_MS = 60_000;
const COMMAND_TIMEOUT_MS = 180_000;
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin";

/** For `describe(name, { skip: skipWithoutSystemd() }, ...)`: false, or what is missing. */
export function skipWithoutSystemd(): string | false {
  if (process.getuid?.() !== 0) return "takes root";
  const missing = PROGRAMS.filter((program) => findProgram(program) === undefined);
  if (!existsSync(SYSTEMD)) missing.push("systemd");
  if (missing.length > 0) return `not installed: ${missing.join(", ")}; run: npm run peers:install -- --linux`;
  return cgroupFolder() === undefined ? "cgroup2 is not mounted" : false;
}

function cgroupFolder(): string | undefined {
  return /^\S+ (\S+) cgroup2 /m.exec(readFileSync("/proc/self/mounts", "utf8"))?.[1];
}

/** $1: an empty folder, $2: a control group, $3: the clone, $4: node */
const BOOT = `set -e
echo $$ > $2/cgroup.procs
exec unshare --fork --kill-child --pid --mount --uts --ipc --cgroup sh -c '
set -e
mount -t tmpfs root $1; cd $1
mkdir dev etc old proc root run srv sys tmp usr var
for name in bin lib lib32 lib64 libx32 sbin; do if [ -L /$name ]; then cp -a /$name .; fi; done
mount --bind /usr usr; mount -o remount,bind,ro usr
mount -t tmpfs local usr/local; mkdir -p usr/local/bin usr/local/lib/node_modules/ringlun
mount --bind $3 usr/local/lib/node_modules/ringlun
printf "#!/bin/sh\\nexec node /usr/local/lib/node_modules/ringlun/dist/control/main.js \\"\\$@\\"\\n" > usr/local/bin/ringlun
chmod 755 usr/local/bin/ringlun
touch usr/local/bin/node; mount --bind $4 usr/local/bin/node
# Nothing of this machine is for systemd to set.
mount -t proc proc proc; mount --bind proc/sys proc/sys; mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sys sys; mount -t cgroup2 cgroup sys/fs/cgroup
mount -t tmpfs dev dev; mkdir dev/shm; ln -s /proc/self/fd dev/fd
for name in null zero full random urandom tty; do cp -a /dev/$name dev; done
# Not the first boot, at which systemd would enable whatever is installed.
echo 0123456789abcdef0123456789abcdef > etc/machine-id
mkdir -p etc/systemd/system; ln -s /dev/null etc/systemd/system/systemd-journald-audit.socket
pivot_root . old; umount -l old; rmdir old
exec env -i container=ringlun ${SYSTEMD} --unit=basic.target --log-target=journal
' sh "$1" "$2" "$3" "$4"`;

export interface Outcome {
  readonly code: number | null;
  readonly output: string;
}

export class SystemdHost {
  readonly #folder: string;
  readonly #cgroup: string;
  readonly #child: ChildProcess;
  readonly #closed: Promise<void>;
  #output = "";
  /** Process 1, as it is called outside. */
  #pid = "";

  private constructor() {
    this.#folder = mkdtempSync(join(tmpdir(), "ringlun-systemd-"));
    this.#cgroup = join(cgroupFolder()!, `ringlun-${process.pid}`);
    const make = `mkdir "$2"\n${BOOT}`;
    this.#child = spawn("sh", ["-c", make, "sh", this.#folder, this.#cgroup, ROOT, process.execPath], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.#output += text;
      });
    }
    this.#closed = new Promise((resolve) => this.#child.once("close", () => resolve()));
  }

  static async boot(): Promise<SystemdHost> {
    const host = new SystemdHost();
    try {
      const deadline = performance.now() + BOOT_TIMEOUT_MS;
      while (!host.#isBooted()) {
        assert(host.#child.exitCode === null, `systemd has ended:\n${host.#output}`);
        assert(performance.now() < deadline, `not booted within ${BOOT_TIMEOUT_MS} ms:\n${host.#output}`);
        await sleep(50);
      }
    } catch (error) {
      await host.end();
      throw error;
    }
    return host;
  }

  #isBooted(): boolean {
    const { pid } = this.#child;
    this.#pid = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    const isSystemd = this.#pid !== "" && readFileSync(`/proc/${this.#pid}/comm`, "utf8") === "systemd\n";
    return isSystemd && this.run("systemctl is-active --quiet basic.target").code === 0;
  }

  /** Runs a script of the shell there, as root. */
  run(script: string): Outcome {
    const inside = ["env", "-i", `PATH=${PATH}`, "HOME=/root", "SYSTEMD_PAGER=", "sh", "-c", `exec 2>&1; ${script}`];
    const args = ["--target", this.#pid, "--mount", "--pid", "--uts", "--ipc", "--cgroup", ...inside];
    const { status, stdout } = spawnSync("nsenter", args, { encoding: "utf8", timeout: COMMAND_TIMEOUT_MS });
    return { code: status, output: stdout };
  }

  /** `run`, which must succeed. Its output. */
  good(script: string): string {
    const { code, output } = this.run(script);
    assert.equal(code, 0, `${script}\n${output}`);
    return output;
  }

  /** Everything of it goes. */
  async end(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#closed;
    // Those who were in it may be going still.
    while (existsSync(this.#cgroup)) {
      removeGroups(this.#cgroup);
      await sleep(20);
    }
    rmSync(this.#folder, { recursive: true });
  }
}

function removeGroups(group: string): void {
  for (const entry of readdirSync(group, { withFileTypes: true })) {
    if (entry.isDirectory()) removeGroups(join(group, entry.name));
  }
  try {
    rmdirSync(group);
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "EBUSY");
  }
}
