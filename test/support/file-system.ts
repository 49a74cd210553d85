/**
 * Real file systems and block devices for tests: small images, mounted or attached through loop devices. It takes root and the
 * programs of each file system; without them the tests are skipped, and say why.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findProgram } from "./peers.js";

export type FileSystemType = "ext4" | "xfs" | "btrfs";

const MIB = 2 ** 20;
/** XFS makes none smaller. */
const IMAGE_BYTES = 320 * MIB;
const UNMOUNT_ATTEMPTS_MAX = 200;
const UNMOUNT_POLL_MS = 50;

const MAKE: Readonly<Record<FileSystemType, { readonly package: string; readonly arguments: readonly string[] }>> = {
  // Blocks as large as on any disk that is not as small as ours.
  ext4: { package: "e2fsprogs", arguments: ["-q", "-b", "4096"] },
  xfs: { package: "xfsprogs", arguments: ["-q"] },
  btrfs: { package: "btrfs-progs", arguments: ["-q"] },
};

function run(program: string, ...options: string[]): string {
  return execFileSync(findProgram(program) ?? program, options, { encoding: "utf8", stdio: "pipe" }).trim();
}

/** For `test(name, { skip: skipWithoutLoop("xfs") }, ...)`: false if these can be had here, otherwise the reason. */
export function skipWithoutLoop(...types: readonly FileSystemType[]): string | false {
  if (process.getuid?.() !== 0) return "loop devices and mounts take root";
  for (const program of ["losetup", "mount", "umount"]) {
    if (findProgram(program) === undefined) return `not installed: ${program} (Debian: mount, util-linux)`;
  }
  for (const type of types) {
    if (findProgram(`mkfs.${type}`) === undefined) return `not installed: mkfs.${type} (Debian: ${MAKE[type].package})`;
  }
  return loopRefused();
}

let refusal: string | false | undefined;

/** Root in a container may still have no loop devices. */
function loopRefused(): string | false {
  if (refusal === undefined) {
    try {
      run("losetup", "--find");
      refusal = false;
    } catch (error) {
      refusal = `no loop device to be had: ${(error as Error).message}`;
    }
  }
  return refusal;
}

/** Tests that were killed leave mounts behind, which nobody else would ever end. The folders say whose they are. */
function sweep(): void {
  for (const line of readFileSync("/proc/self/mounts", "utf8").split("\n")) {
    const [, directory = ""] = line.split(" ");
    const match = /\/ringlun-mount-(\d+)-[^/]*\/mount$/.exec(directory);
    if (match === null || existsSync(`/proc/${match[1]}`)) continue;
    // Somebody else may be at it, too.
    spawnSync(findProgram("umount") ?? "umount", [directory]);
    rmSync(dirname(directory), { recursive: true, force: true });
  }
}

export class MountedFileSystem {
  readonly type: FileSystemType;
  /** Where it is mounted. */
  readonly directory: string;
  readonly #image: string;
  #mounted = false;

  /** Makes and mounts one. */
  constructor(type: FileSystemType, sizeBytes = IMAGE_BYTES) {
    sweep();
    const base = mkdtempSync(join(tmpdir(), `ringlun-mount-${process.pid}-`));
    this.type = type;
    this.directory = join(base, "mount");
    this.#image = join(base, "image");
    mkdirSync(this.directory);
    writeFileSync(this.#image, "");
    truncateSync(this.#image, sizeBytes);
    run(`mkfs.${type}`, ...MAKE[type].arguments, this.#image);
    this.mount();
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  mount(): void {
    run("mount", "-o", "loop", this.#image, this.directory);
    this.#mounted = true;
  }

  /**
   * Until it can be mounted anew. Where another mount namespace that began meanwhile still has it, it would be the same file
   * system again, in the state in which it was.
   */
  async unmount(): Promise<void> {
    await this.#unmountHere();
    for (let attempt = 1; run("losetup", "--associated", this.#image) !== ""; attempt++) {
      if (attempt === UNMOUNT_ATTEMPTS_MAX) throw new Error(`${this.directory} is mounted in another namespace, too`);
      await sleep(UNMOUNT_POLL_MS);
    }
  }

  /** Waits for what a process that was killed still has in flight; whose files are open otherwise will not let it. */
  async #unmountHere(): Promise<void> {
    if (!this.#mounted) return;
    for (let attempt = 1; ; attempt++) {
      try {
        run("umount", this.directory);
        break;
      } catch (error) {
        if (attempt === UNMOUNT_ATTEMPTS_MAX || !(error as Error).message.includes("busy")) throw error;
      }
      await sleep(UNMOUNT_POLL_MS);
    }
    this.#mounted = false;
  }

  /**
   * As if the power failed: from now on nothing reaches the image, what was not durable is lost, and everything fails with
   * EIO until it is mounted again. Not on btrfs.
   */
  cutPower(): void {
    run("xfs_io", "-x", "-c", "shutdown", this.directory);
  }

  /** From now on it answers nobody who would change something, until `thaw`. */
  freeze(): void {
    run("fsfreeze", "--freeze", this.directory);
  }

  thaw(): void {
    run("fsfreeze", "--unfreeze", this.directory);
  }

  /** Unmounts and removes it. Nobody may have a file open. */
  async release(): Promise<void> {
    await this.#unmountHere();
    rmSync(dirname(this.directory), { recursive: true });
  }
}

/** Whether `cutPower` is to be had: false, or why not. */
export function skipWithoutPowerCut(): string | false {
  return findProgram("xfs_io") === undefined
    ? "not installed: xfs_io (Debian: xfsprogs)"
    : skipWithoutLoop("ext4", "xfs");
}

/** A tmpfs that soon is full. */
export class MemoryFileSystem {
  readonly directory = mkdtempSync(join(tmpdir(), "ringlun-tmpfs-"));

  constructor(sizeBytes: number) {
    run("mount", "-t", "tmpfs", "-o", `size=${sizeBytes}`, "ringlun-test", this.directory);
  }

  resize(sizeBytes: number): void {
    run("mount", "-o", `remount,size=${sizeBytes}`, this.directory);
  }

  path(name: string): string {
    return join(this.directory, name);
  }

  release(): void {
    run("umount", this.directory);
    rmSync(this.directory, { recursive: true });
  }
}

/** A file attached as a block device. */
export class LoopDevice {
  readonly device: string;

  /** `path`: the file behind it, made anew, with this content or sparse. */
  constructor(
    path: string,
    options: { readonly sectorBytes?: 512 | 4096 } & ({ readonly sizeBytes: number } | { readonly content: Buffer }),
  ) {
    writeFileSync(path, "content" in options ? options.content : "");
    if ("sizeBytes" in options) truncateSync(path, options.sizeBytes);
    this.device = run("losetup", "--sector-size", String(options.sectorBytes ?? 512), "--find", "--show", path);
  }

  detach(): void {
    run("losetup", "--detach", this.device);
  }
}
