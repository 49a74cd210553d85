/** What the files are that a configuration names. */
import { readFileSync, realpathSync, statSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";

/** What a path leads to. Two paths have one identity exactly when they lead to the same file or device. */
export type FoundFile =
  | { readonly kind: "regular"; readonly identity: string; readonly sizeBytes: number }
  | { readonly kind: "missing" | "block device" | "folder" | "other"; readonly identity: string }
  | { readonly kind: "unreachable"; readonly reason: string };

/** "missing" means that it could be created: its folder is there. */
export function inspectFile(path: string): FoundFile {
  try {
    // Not throwIfNoEntry: with it what lies below a file (ENOTDIR) is no entry either, from Node 22 on.
    const stat = statSync(path, { bigint: true });
    if (stat.isBlockDevice()) return { kind: "block device", identity: `device ${stat.rdev}` };
    const identity = `inode ${stat.dev}:${stat.ino}`;
    if (stat.isFile()) return { kind: "regular", identity, sizeBytes: Number(stat.size) };
    return { kind: stat.isDirectory() ? "folder" : "other", identity };
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? missingFile(path) : unreachable(error);
  }
}

function missingFile(path: string): FoundFile {
  try {
    return { kind: "missing", identity: join(realpathSync(dirname(path)), basename(path)) };
  } catch (error) {
    return unreachable(error);
  }
}

function unreachable(error: unknown): FoundFile {
  return { kind: "unreachable", reason: systemReason(error) };
}

/** Whether everybody may write into the folder: put links there, for instance, in the place of what has just been looked at. */
export function isWorldWritable(folder: string): boolean {
  try {
    return (statSync(folder).mode & 0o002) !== 0;
  } catch {
    return false;
  }
}

export type SecretFile =
  | { readonly ok: true; readonly bytes: Uint8Array; readonly mode: number }
  | { readonly ok: false; readonly reason: string };

/** The bytes of a file but for one line break at its end, and its permission bits. `what` it is that has such a length. */
export function readSecretFile(path: string, lengthMaxBytes: number, what = "a secret"): SecretFile {
  try {
    const stat = statSync(path);
    // Opening a pipe would wait for somebody to write into it.
    if (!stat.isFile()) return { ok: false, reason: "is not a regular file" };
    if (stat.size > lengthMaxBytes) {
      return { ok: false, reason: `holds ${stat.size} bytes: ${what} has at most ${lengthMaxBytes}` };
    }
    const bytes = readFileSync(path);
    const lineBreak = /\r?\n$/.exec(bytes.toString("latin1"))?.[0] ?? "";
    return { ok: true, bytes: bytes.subarray(0, bytes.length - lineBreak.length), mode: stat.mode & 0o777 };
  } catch (error) {
    return { ok: false, reason: `cannot be read: ${systemReason(error)}` };
  }
}

/** `ENOENT: no such file or directory`, without the system call and the path that Node appends. */
export function systemReason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.replace(/, \w+( '.*)?$/s, "");
}

/** With all links followed; of what is not there, its folder's. */
export function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const folder = dirname(path);
    return folder === path ? path : join(realPath(folder), basename(path));
  }
}

/** Both with all links followed. */
export function isBelow(path: string, root: string): boolean {
  const from = relative(root, path);
  return from !== "" && from !== ".." && !from.startsWith("../");
}
