/**
 * Where requests may have files opened, made and removed: below the folders of `api.fileRoots`, with all links followed. What a path
 * leads to is held by a descriptor first, judged by where that really is, and used through it: whoever exchanges a folder or a link
 * on the way meanwhile changes nothing.
 */
import { closeSync, constants, fsyncSync, lstatSync, openSync, readlinkSync, unlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { isBelow, realPath } from "../config/named-files.js";

/** Of open(2): holds what a path leads to, and does nothing to it. Node.js has no name for it. */
export const O_PATH = 0x20_0000;

/** Leads to what the descriptor has, whatever its name is by now. */
export function descriptorPath(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

/** A file is none of those that requests may reach. */
export class OutsideRootsError extends Error {
  override readonly name = "OutsideRootsError";

  constructor(path: string) {
    super(`${path} is in none of the folders that api.fileRoots lists`);
  }
}

/** `roots`: null where people have written the path, who may reach everything. @throws OutsideRootsError */
export function judgeReal(real: string, roots: readonly string[] | null): void {
  if (roots !== null && !isBelowAny(real, roots)) throw new OutsideRootsError(real);
}

/** `real`: without links. */
export function isBelowAny(real: string, roots: readonly string[]): boolean {
  return roots.some((root) => isBelow(real, realPath(root)));
}

/** A folder that is held, in which a file is made or removed by its name. */
export class HeldFolder {
  readonly fd: number;

  private constructor(fd: number) {
    this.fd = fd;
  }

  /** That of the path. @throws OutsideRootsError, or what open(2) says */
  static of(path: string, roots: readonly string[] | null): HeldFolder {
    const folder = new HeldFolder(openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY));
    try {
      judgeReal(join(readlinkSync(descriptorPath(folder.fd)), basename(path)), roots);
    } catch (error) {
      folder.close();
      throw error;
    }
    return folder;
  }

  /** What has this name in it. */
  at(name: string): string {
    return join(descriptorPath(this.fd), name);
  }

  /** The names in it are durable when this returns. */
  sync(): void {
    fsyncSync(this.fd);
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** Tells a file from all others, as long as it is there. */
export function identityOf({ dev, ino }: { readonly dev: bigint; readonly ino: bigint }): string {
  return `inode ${dev}:${ino}`;
}

/**
 * Removes the file at the path, if it is still this one, for good.
 *
 * @throws OutsideRootsError, or why not
 */
export function removeFile(path: string, identity: string, roots: readonly string[] | null): void {
  const folder = HeldFolder.of(path, roots);
  try {
    const name = folder.at(basename(path));
    if (identityOf(lstatSync(name, { bigint: true })) !== identity)
      throw new Error("another file is there by now, or a link");
    unlinkSync(name);
    folder.sync();
  } finally {
    folder.close();
  }
}
