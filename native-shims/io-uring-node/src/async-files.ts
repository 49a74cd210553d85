/**
 * Files and block devices on the threads of libuv's pool, for a thread that has no ring and must not wait. Promises of a
 * result >= 0, or of -errno; they never reject. The pool has few threads (UV_THREADPOOL_SIZE), which all of Node.js shares: who
 * has much to do keeps few calls in flight. Memory stays where it is until the promise is settled: see `addressOf`.
 */
import { SEEK_DATA, SEEK_HOLE } from "./constants.js";
import { addon } from "./native.js";

/** Bytes read, fewer at the end of the file. */
export function pread(fd: number, address: number, length: number, fileOffset: number): Promise<number> {
  return addon.preadAsync(fd, address, length, fileOffset);
}

/** Bytes written. `rwFlags`: RWF_*. */
export function pwrite(
  fd: number,
  address: number,
  length: number,
  fileOffset: number,
  rwFlags: number,
): Promise<number> {
  return addon.pwriteAsync(fd, address, length, fileOffset, rwFlags);
}

export function fdatasync(fd: number): Promise<number> {
  return addon.fdatasyncAsync(fd);
}

/** `mode`: FALLOC_FL_*. */
export function fallocate(fd: number, mode: number, fileOffset: number, length: number): Promise<number> {
  return addon.fallocateAsync(fd, mode, fileOffset, length);
}

/** As `seekData`. */
export function seekDataAsync(fd: number, fileOffset: number): Promise<number> {
  return addon.seekAsync(fd, fileOffset, SEEK_DATA);
}

/** As `seekHole`. */
export function seekHoleAsync(fd: number, fileOffset: number): Promise<number> {
  return addon.seekAsync(fd, fileOffset, SEEK_HOLE);
}

/**
 * Copies between regular files, or within one, inside the kernel: by sharing the blocks where the file system can (reflinks),
 * on a server of its own where there is one. Bytes copied, perhaps fewer; 0 at the end of the source. -EXDEV, -EOPNOTSUPP,
 * -EINVAL: not between these two files, or ranges of one file overlap.
 */
export function copyFileRange(
  fromFd: number,
  fromOffset: number,
  toFd: number,
  toOffset: number,
  length: number,
): Promise<number> {
  return addon.copyFileRangeAsync(fromFd, fromOffset, toFd, toOffset, length);
}
