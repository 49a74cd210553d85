/** The blocks of a unit as an operation changes them, when nobody else does: synchronously, on a thread of its own. */
import { fdatasyncSync } from "node:fs";
import {
  addressOf,
  errno,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  fallocateSync,
  pwriteSync,
  SystemError,
  writeBackError,
} from "io-uring-node";
import type { UnitRecord } from "../../../dataplane/messages.js";

const PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
const ZERO_RANGE = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

/** Written with one system call. */
export const WRITE_BYTES = 1024 * 1024;
/** Deallocated or zeroed with one system call. */
export const ERASE_BYTES = 64 * 1024 * 1024;

/** What it needs to know of the unit. */
export type MediumUnit = Pick<
  UnitRecord,
  "fd" | "bufferedFd" | "alignmentBytes" | "rangeAlignmentBytes" | "blockLengthBytes" | "thin"
>;

/** @throws SystemError, or what node:fs throws: both with the code. */
export class Medium {
  readonly #unit: MediumUnit;
  /** WRITE_BYTES at an address that direct I/O takes. */
  readonly #memory: Uint8Array;

  constructor(unit: MediumUnit) {
    this.#unit = unit;
    const room = new Uint8Array(WRITE_BYTES + unit.alignmentBytes);
    const skipped = -addressOf(room) & (unit.alignmentBytes - 1);
    this.#memory = room.subarray(skipped, skipped + WRITE_BYTES);
    // What was lost before this is no fault of the operation, and told to those whom it concerns by the shards.
    writeBackError(unit.bufferedFd);
  }

  /** What `write` writes from now on: each block filled with the pattern, which begins anew with it. */
  fill(pattern: Uint8Array): void {
    const { blockLengthBytes } = this.#unit;
    for (let at = 0; at < blockLengthBytes; at++) this.#memory[at] = pattern[at % pattern.length]!;
    for (let filled = blockLengthBytes; filled < WRITE_BYTES; filled *= 2) {
      this.#memory.copyWithin(filled, 0, Math.min(filled, WRITE_BYTES - filled));
    }
  }

  /** Writes whole blocks, at most WRITE_BYTES. */
  write(offset: number, length: number): void {
    for (let done = 0; done < length; ) {
      const result = pwriteSync(
        this.#descriptor(offset + done, length - done),
        // A short write may have ended within a block: what follows is the rest of what was to be there.
        addressOf(this.#memory) + done,
        length - done,
        offset + done,
        0,
      );
      if (result === -errno.EINTR) continue;
      if (result <= 0) throw new SystemError(result === 0 ? errno.EIO : result, "write");
      done += result;
    }
  }

  /** Deallocates the range, or zeroes it. @returns false where the store can neither. */
  erase(offset: number, length: number): boolean {
    const { bufferedFd, thin } = this.#unit;
    for (;;) {
      const result = fallocateSync(bufferedFd, thin ? PUNCH_HOLE : ZERO_RANGE, offset, length);
      if (result === -errno.EINTR) continue;
      if (result >= 0) return true;
      if (result === -errno.EOPNOTSUPP || result === -errno.EINVAL) return false;
      throw new SystemError(result, "fallocate");
    }
  }

  /** Makes durable what was done before. */
  flush(): void {
    fdatasyncSync(this.#unit.bufferedFd);
  }

  /** As FileStore does it: what is shorter than direct I/O asks for, and so all where a block is, goes through the page cache. */
  #descriptor(offset: number, length: number): number {
    const { fd, bufferedFd, alignmentBytes, blockLengthBytes } = this.#unit;
    if (blockLengthBytes < alignmentBytes) return bufferedFd;
    return offset % alignmentBytes === 0 && length % alignmentBytes === 0 ? fd : bufferedFd;
  }
}
