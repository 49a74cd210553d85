/**
 * A unit on a regular file or a block device.
 *
 *     direct        aligned I/O through `fd` (O_DIRECT), the rest through `bufferedFd`
 *     writeback     everything through the page cache; flush is fdatasync
 *     writethrough  the same, and who asks marks every write as durable (RWF_DSYNC)
 *
 * The kernel keeps the two descriptors coherent with one exception: a page that a buffered write changes while a direct write
 * to the same page is in flight may go back to the device with what the direct write has replaced. So where blocks are
 * shorter than what direct I/O asks for, all writes are buffered; only reads are direct where they can be.
 *
 * A file in memory (tmpfs) never waits for a device, and the ring would hand its writes to another thread (io-wq), as it does
 * with every buffered write of a file system without FOP_BUFFER_WASYNC: there, reads and writes are plain system calls.
 */
import {
  errno,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  RWF_ATOMIC,
  RWF_DSYNC,
  type SubmissionCompletionRing,
} from "io-uring-node";
import type { Arena } from "../arena.js";
import type { UnitRecord } from "../messages.js";
import { PENDING, type Store, type SynchronousFiles } from "./store.js";

const PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
const ZERO_RANGE = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

/** Index of the fixed buffer that holds all slices. */
export const FIXED_BUFFER = 0;

export class FileStore implements Store {
  readonly inMemory: boolean;
  readonly #ring: SubmissionCompletionRing;
  readonly #arena: Arena;
  readonly #files: SynchronousFiles;
  readonly #fd: number;
  readonly #bufferedFd: number;
  /** This shard's of the unit's errorFds, or -1. */
  readonly #errorFd: number;
  readonly #alignmentMask: number;
  readonly #writesDirect: boolean;
  readonly #rangeAlignmentBytes: number;
  readonly #thin: boolean;
  /** The slices are registered with the ring. */
  readonly #fixed: boolean;

  constructor(
    ring: SubmissionCompletionRing,
    arena: Arena,
    files: SynchronousFiles,
    record: UnitRecord,
    shard: number,
    fixed: boolean,
  ) {
    this.#ring = ring;
    this.#arena = arena;
    this.#files = files;
    this.#fd = record.fd;
    this.#bufferedFd = record.bufferedFd;
    this.#errorFd = record.errorFds[shard] ?? -1;
    this.#alignmentMask = record.alignmentBytes - 1;
    this.#writesDirect = record.blockLengthBytes >= record.alignmentBytes;
    this.#rangeAlignmentBytes = record.rangeAlignmentBytes;
    this.#thin = record.thin;
    this.inMemory = record.inMemory;
    this.#fixed = fixed;
  }

  read(arenaOffset: number, length: number, fileOffset: number, kind: number, index: number): number {
    const address = this.#arena.address(arenaOffset);
    if (this.inMemory) return this.#files.read(this.#fd, address, length, fileOffset);
    const fd = this.#descriptor(arenaOffset, length, fileOffset);
    if (this.#fixed) this.#ring.readFixed(fd, address, length, fileOffset, 0, FIXED_BUFFER, kind, index);
    else this.#ring.read(fd, address, length, fileOffset, 0, kind, index);
    return PENDING;
  }

  write(
    arenaOffset: number,
    length: number,
    fileOffset: number,
    durable: boolean,
    kind: number,
    index: number,
  ): number {
    const address = this.#arena.address(arenaOffset);
    if (this.inMemory) return this.#files.write(this.#fd, address, length, fileOffset);
    const flags = durable ? RWF_DSYNC : 0;
    const fd = this.#writesDirect ? this.#descriptor(arenaOffset, length, fileOffset) : this.#bufferedFd;
    if (this.#fixed) this.#ring.writeFixed(fd, address, length, fileOffset, flags, FIXED_BUFFER, kind, index);
    else this.#ring.write(fd, address, length, fileOffset, flags, kind, index);
    return PENDING;
  }

  writeAtomic(
    arenaOffset: number,
    length: number,
    fileOffset: number,
    durable: boolean,
    kind: number,
    index: number,
  ): number {
    const flags = RWF_ATOMIC | (durable ? RWF_DSYNC : 0);
    // The kernel takes no registered buffer for it.
    this.#ring.write(this.#fd, this.#arena.address(arenaOffset), length, fileOffset, flags, kind, index);
    return PENDING;
  }

  flush(kind: number, index: number): number {
    if (this.inMemory) return 0;
    this.#ring.fdatasync(this.#bufferedFd, kind, index);
    return PENDING;
  }

  takeLoss(): number {
    return this.#errorFd < 0 ? 0 : this.#files.writeBackError(this.#errorFd);
  }

  discard(fileOffset: number, length: number, kind: number, index: number): number {
    this.#ring.fallocate(this.#bufferedFd, PUNCH_HOLE, fileOffset, length, kind, index);
    return PENDING;
  }

  zero(fileOffset: number, length: number, keepAllocated: boolean, kind: number, index: number): number {
    if (fileOffset % this.#rangeAlignmentBytes !== 0 || length % this.#rangeAlignmentBytes !== 0)
      return -errno.EOPNOTSUPP;
    const mode = keepAllocated || !this.#thin ? ZERO_RANGE : PUNCH_HOLE;
    this.#ring.fallocate(this.#bufferedFd, mode, fileOffset, length, kind, index);
    return PENDING;
  }

  /** O_DIRECT asks that place, length and memory be aligned; `>>> 0` keeps the low 32 bits of an offset. */
  #descriptor(arenaOffset: number, length: number, fileOffset: number): number {
    return (((fileOffset >>> 0) | length | arenaOffset) & this.#alignmentMask) === 0 ? this.#fd : this.#bufferedFd;
  }
}
