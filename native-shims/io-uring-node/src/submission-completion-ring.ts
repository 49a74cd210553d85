/**
 * Both queues of an io_uring, as plain TypeScript over `RingMemory`. The kernel's side (`enter`, registration, `close`)
 * is left to the subclass: `Ring` calls Linux; a simulation executes the SQEs itself and is used by the very same code.
 *
 * Nothing here allocates, and no 64-bit number is a BigInt: addresses (< 2^47) and file offsets (< 2^53) are plain
 * numbers, written as two u32.
 */
import * as c from "./constants.js";
import { errno, SystemError } from "./errno.js";
import type { ProvidedBuffers } from "./provided-buffers.js";
import { RingClosedError } from "./ring-errors.js";
import {
  CONTROL_FINISHED,
  CONTROL_SKIPS_QUEUED,
  CQE_WORDS,
  type RingMemory,
  SQ_CQ_OVERFLOW,
  SQE_WORDS,
} from "./ring-memory.js";

// Words of an SQE. Word 0: opcode u8, flags u8, ioprio u16; word 10: buffer index or group u16, personality u16.
const SQE_OFFSET = 2;
const SQE_ADDRESS = 4;
const SQE_USER_DATA = 8;

/**
 * Bit 31 of user_data's low word marks a CQE that ends none of our tracked SQEs: a message from another ring, or the
 * failure of an SQE with SQE_CQE_SKIP_SUCCESS. It is ours, not the user's: kinds are 31 bits wide.
 */
const UNTRACKED = 0x8000_0000;
const KIND_MASK = 0x7fff_ffff;

const TWO_TO_32 = 0x1_0000_0000;

/** A region of memory, for registration. */
export interface MemoryRegion {
  readonly address: number;
  readonly length: number;
}

export abstract class SubmissionCompletionRing {
  // ---- the CQE that `next` has moved to
  /** What the operation was queued with: 0 .. 2^31 - 1. */
  kind = 0;
  /** What the operation was queued with: u32. */
  index = 0;
  /** >= 0, or -errno. */
  result = 0;
  /** CQE_F_*; the number of a selected buffer is `completionFlags >>> 16`. */
  completionFlags = 0;
  /** CLOCK_MONOTONIC in microseconds, as of the last `enter`. */
  nowUs = 0;

  /** Entries of the submission queue. */
  readonly sqEntries: number;
  /** Entries of the completion queue. */
  readonly cqEntries: number;
  protected readonly memory: RingMemory;
  readonly #sqMask: number;
  readonly #cqMask: number;
  readonly #positions: Int32Array;
  readonly #sqes: Uint32Array;
  readonly #cqes: Uint32Array;
  /** Positions are int32 that wrap: our own two, and the kernel's as last seen. */
  #sqTail = 0;
  #sqHeadSeen = 0;
  #cqHead = 0;
  #cqTailSeen = 0;
  /** How many SQEs are finished, counted from where the SQ's positions began. */
  #finished = 0;
  #closed = false;

  constructor(memory: RingMemory) {
    this.memory = memory;
    this.sqEntries = memory.sqEntries;
    this.cqEntries = memory.cqEntries;
    this.#sqMask = memory.sqEntries - 1;
    this.#cqMask = memory.cqEntries - 1;
    this.#positions = memory.positions;
    this.#sqes = memory.sqes;
    this.#cqes = memory.cqes;
    this.#sqTail = this.#sqHeadSeen = Atomics.load(memory.positions, memory.sqTailAt);
    this.#cqHead = this.#cqTailSeen = Atomics.load(memory.positions, memory.cqHeadAt);
    this.#finished = memory.control[CONTROL_FINISHED] = this.#sqTail;
  }

  // ---- the kernel's side

  /** The descriptor of the ring, the target of another ring's `msgRing`. */
  abstract readonly fd: number;

  /**
   * Submits everything queued and waits for `minComplete` completions or `timeoutMs` (may be fractional; < 0: no
   * limit), but never longer than a second in one call: a thread has to be stoppable, and the caller loops anyway.
   * Returns how many completions are ready, possibly fewer than asked for (time-out, signal), and refreshes `nowUs`.
   * Completions that did not fit into the CQ are not lost: the kernel keeps them and later calls bring them.
   *
   * A time-out shorter than the kernel's tick (4 ms at 250 Hz) has it program a timer for every wait: measured in a virtual
   * machine, 3 to 9 us of CPU time per call. Longer ones cost nothing.
   */
  abstract enter(minComplete: number, timeoutMs: number): number;

  /** Submits everything queued, waits for nothing and looks at no completions. */
  protected abstract submit(): void;

  /**
   * Pins memory for readFixed and writeFixed; index i of `regions` is their bufferIndex. At most 1 GiB each. Once per
   * ring.
   * @throws SystemError ENOMEM where RLIMIT_MEMLOCK does not allow it.
   */
  abstract registerBuffers(regions: readonly MemoryRegion[]): void;

  /**
   * Makes the table for SQE_FIXED_FILE, whose `fd` is then a slot; -1 leaves a slot free. Once per ring. @throws
   * SystemError
   */
  abstract registerFiles(fds: readonly number[]): void;

  /**
   * Puts `fd` into a slot of the table, or frees it (-1). The table holds its own reference to the file. @throws
   * SystemError
   */
  abstract updateFile(slot: number, fd: number): void;

  /**
   * A ring of provided buffers for `recvSelect` and `recvMultishot`; `entries` is a power of two up to 32768. @throws
   * SystemError
   */
  abstract registerBufferRing(group: number, entries: number): ProvidedBuffers;

  /**
   * Cancels what is in flight, waits (bounded) until the kernel holds none of it, releases the ring. CQEs that nobody
   * has read are dropped. Idempotent. Afterwards every other call throws RingClosedError.
   */
  abstract close(): void;

  // ---- completions

  /**
   * Moves to the next completion and loads `kind`, `index`, `result`, `completionFlags`. False: none is left (until the
   * next `enter`).
   */
  next(): boolean {
    if (this.#cqHead === this.#cqTailSeen && !this.#moreCompletions()) return false;
    const at = (this.#cqHead & this.#cqMask) * CQE_WORDS;
    const cqes = this.#cqes;
    const word = cqes[at]!;
    const flags = cqes[at + 3]!;
    this.kind = word & KIND_MASK;
    this.index = cqes[at + 1]!;
    this.result = cqes[at + 2]! | 0;
    this.completionFlags = flags;
    this.#cqHead = (this.#cqHead + 1) | 0;
    if ((flags & c.CQE_F_MORE) === 0 && word < UNTRACKED) this.#finished = (this.#finished + 1) | 0;
    return true;
  }

  /** Gives what was read back to the kernel, and looks for what has come since. */
  #moreCompletions(): boolean {
    if (this.#closed) throw new RingClosedError();
    this.#releaseCompletions();
    this.#cqTailSeen = Atomics.load(this.#positions, this.memory.cqTailAt);
    return this.#cqHead !== this.#cqTailSeen;
  }

  /**
   * The count of finished SQEs is released together with the CQEs it counts. So whoever drains the ring later, knowing
   * just the shared memory, counts each CQE once, wherever this thread was stopped.
   */
  #releaseCompletions(): void {
    this.memory.control[CONTROL_FINISHED] = this.#finished;
    Atomics.store(this.#positions, this.memory.cqHeadAt, this.#cqHead);
  }

  // ---- state

  /** True once `close` was called. */
  get closed(): boolean {
    return this.#closed;
  }

  /** How many SQEs have been filled since the ring was made, modulo 2^32. */
  get submittedCount(): number {
    return this.#sqTail >>> 0;
  }

  /** How many SQEs can be queued before one has to wait for a submission. */
  sqSpace(): number {
    return this.sqEntries - ((this.#sqTail - this.#sqHeadSeen) | 0);
  }

  /**
   * SQEs that were queued and whose last CQE has not been read; those with SQE_CQE_SKIP_SUCCESS count until they are
   * submitted.
   */
  inFlight(): number {
    if (this.#closed) return 0;
    return (this.#sqTail - this.#finished) | 0;
  }

  /**
   * True if completions wait in the kernel because the CQ was full. The next `enter` fetches them; a larger CQ avoids
   * it.
   */
  overflowed(): boolean {
    if (this.#closed) throw new RingClosedError();
    return (Atomics.load(this.#positions, this.memory.sqFlagsAt) & SQ_CQ_OVERFLOW) !== 0;
  }

  // ---- for subclasses

  /**
   * Call first in `enter` and `submit`: shows the kernel what was queued and read. Returns how many SQEs are to be
   * submitted.
   */
  protected publish(): number {
    if (this.#closed) throw new RingClosedError();
    this.#releaseCompletions();
    const positions = this.#positions;
    Atomics.store(positions, this.memory.sqTailAt, this.#sqTail);
    return (this.#sqTail - this.#sqHeadSeen) | 0;
  }

  /**
   * Call last in `enter` and `submit`: looks at what the kernel has taken and completed. Returns how many completions
   * are ready.
   */
  protected refresh(): number {
    const positions = this.#positions;
    const memory = this.memory;
    this.#sqHeadSeen = Atomics.load(positions, memory.sqHeadAt);
    this.#cqTailSeen = Atomics.load(positions, memory.cqTailAt);
    this.#finished = memory.control[CONTROL_FINISHED]!;
    return (this.#cqTailSeen - this.#cqHead) | 0;
  }

  /** Call in `close`: from here on, the queues look full and empty, so that the slow paths find out. */
  protected markClosed(): void {
    this.#closed = true;
    this.#sqHeadSeen = (this.#sqTail - this.sqEntries) | 0;
    this.#cqTailSeen = this.#cqHead;
  }

  #makeRoom(): void {
    if (this.#closed) throw new RingClosedError();
    this.submit();
    if (this.sqSpace() === 0) throw new SystemError(errno.EAGAIN, "io_uring_enter", "takes no more submissions");
  }

  /** Queues one SQE, every word of which is written. */
  #queue(
    word0: number,
    fd: number,
    offset: number,
    address: number,
    length: number,
    operationFlags: number,
    kind: number,
    index: number,
    bufferIndex: number,
    fileWord: number,
  ): number {
    if (((this.#sqTail - this.#sqHeadSeen) | 0) === this.sqEntries) this.#makeRoom();
    const slot = this.#sqTail & this.#sqMask;
    const at = slot * SQE_WORDS;
    const sqes = this.#sqes;
    sqes[at] = word0;
    sqes[at + 1] = fd;
    sqes[at + 2] = offset >>> 0;
    sqes[at + 3] = Math.floor(offset / TWO_TO_32) >>> 0;
    sqes[at + 4] = address >>> 0;
    sqes[at + 5] = (address / TWO_TO_32) >>> 0;
    sqes[at + 6] = length;
    sqes[at + 7] = operationFlags;
    sqes[at + 8] = kind & KIND_MASK;
    sqes[at + 9] = index;
    sqes[at + 10] = bufferIndex;
    sqes[at + 11] = fileWord;
    sqes[at + 12] = 0;
    sqes[at + 13] = 0;
    sqes[at + 14] = 0;
    sqes[at + 15] = 0;
    this.#sqTail = (this.#sqTail + 1) | 0;
    return slot;
  }

  // ---- submissions: each queues one SQE and returns its slot, for `setSqeFlags`. If the queue is full it submits
  // first, without waiting.
  //      `kind` (31 bits) and `index` (u32) come back with the completion. Memory and descriptors must stay as they are
  //      until then.

  /**
   * Adds SQE_* flags to the SQE just queued. With SQE_CQE_SKIP_SUCCESS a success has no CQE, so nobody learns when the
   * kernel is done with its memory: such an SQE is not waited for when the ring is closed. Use it for operations that
   * touch none.
   */
  setSqeFlags(slot: number, flags: number): void {
    const at = slot * SQE_WORDS;
    this.#sqes[at]! |= flags << 8;
    if ((flags & c.SQE_CQE_SKIP_SUCCESS) !== 0) {
      this.#sqes[at + SQE_USER_DATA]! |= UNTRACKED;
      this.memory.control[CONTROL_SKIPS_QUEUED] = 1;
    }
  }

  /** Does nothing; completes with 0. */
  nop(kind: number, index: number): number {
    return this.#queue(c.OP_NOP, -1, 0, 0, 0, 0, kind, index, 0, 0);
  }

  /** Result: the new socket. `flags`: SOCK_CLOEXEC. The peer's address: `peerAddress`. */
  accept(fd: number, flags: number, kind: number, index: number): number {
    return this.#queue(c.OP_ACCEPT, fd, 0, 0, 0, flags, kind, index, 0, 0);
  }

  /** One completion per connection, with CQE_F_MORE as long as it goes on. */
  acceptMultishot(fd: number, flags: number, kind: number, index: number): number {
    return this.#queue(c.OP_ACCEPT | (c.ACCEPT_MULTISHOT << 16), fd, 0, 0, 0, flags, kind, index, 0, 0);
  }

  /** Result: 0. For the address see `encodeSockaddr`. */
  connect(fd: number, sockaddrAddress: number, sockaddrLength: number, kind: number, index: number): number {
    return this.#queue(c.OP_CONNECT, fd, sockaddrLength, sockaddrAddress, 0, 0, kind, index, 0, 0);
  }

  /** Result: bytes received; 0: the peer has shut down. */
  recv(fd: number, address: number, length: number, msgFlags: number, kind: number, index: number): number {
    return this.#queue(c.OP_RECV, fd, 0, address, length, msgFlags, kind, index, 0, 0);
  }

  /** `recv` for a socket known to be empty: waits for readiness at once, saving the first, futile attempt. */
  recvPollFirst(fd: number, address: number, length: number, msgFlags: number, kind: number, index: number): number {
    return this.#queue(c.OP_RECV | (c.RECVSEND_POLL_FIRST << 16), fd, 0, address, length, msgFlags, kind, index, 0, 0);
  }

  /**
   * Receives at most `length` bytes (0: as many as fit) into a buffer that the kernel takes from `bufferGroup` when
   * there is data. `ioprio`: 0 or RECVSEND_POLL_FIRST. Result as `recv`; -ENOBUFS: the group is empty.
   */
  recvSelect(
    fd: number,
    length: number,
    bufferGroup: number,
    msgFlags: number,
    ioprio: number,
    kind: number,
    index: number,
  ): number {
    const word0 = c.OP_RECV | (c.SQE_BUFFER_SELECT << 8) | (ioprio << 16);
    return this.#queue(word0, fd, 0, 0, length, msgFlags, kind, index, bufferGroup, 0);
  }

  /** A completion per received chunk, each in a buffer of the group, with CQE_F_MORE as long as it goes on. */
  recvMultishot(fd: number, bufferGroup: number, msgFlags: number, kind: number, index: number): number {
    const word0 = c.OP_RECV | (c.SQE_BUFFER_SELECT << 8) | (c.RECV_MULTISHOT << 16);
    return this.#queue(word0, fd, 0, 0, 0, msgFlags, kind, index, bufferGroup, 0);
  }

  /**
   * Result: bytes sent, possibly fewer than asked for (MSG_WAITALL makes the kernel go on by itself). With MSG_DONTWAIT it
   * completes while it is submitted; with both, fewer than asked for count as a failure, which SQE_CQE_SKIP_SUCCESS does not
   * keep silent.
   */
  send(fd: number, address: number, length: number, msgFlags: number, kind: number, index: number): number {
    return this.#queue(c.OP_SEND, fd, 0, address, length, msgFlags, kind, index, 0, 0);
  }

  /**
   * Zero-copy send: the result comes with CQE_F_MORE, and a second CQE with CQE_F_NOTIF when the memory is free again.
   */
  sendZeroCopy(
    fd: number,
    address: number,
    length: number,
    msgFlags: number,
    ioprio: number,
    kind: number,
    index: number,
  ): number {
    return this.#queue(c.OP_SEND_ZC | (ioprio << 16), fd, 0, address, length, msgFlags, kind, index, 0, 0);
  }

  /** `struct msghdr` at the address; it, its iovec and the data must stay until completion. Result as `send`. */
  sendmsg(fd: number, msghdrAddress: number, msgFlags: number, kind: number, index: number): number {
    return this.#queue(c.OP_SENDMSG, fd, 0, msghdrAddress, 1, msgFlags, kind, index, 0, 0);
  }

  /** As `sendZeroCopy`, with a `struct msghdr`. */
  sendmsgZeroCopy(
    fd: number,
    msghdrAddress: number,
    msgFlags: number,
    ioprio: number,
    kind: number,
    index: number,
  ): number {
    return this.#queue(c.OP_SENDMSG_ZC | (ioprio << 16), fd, 0, msghdrAddress, 1, msgFlags, kind, index, 0, 0);
  }

  /** Result as `recv`. */
  recvmsg(fd: number, msghdrAddress: number, msgFlags: number, kind: number, index: number): number {
    return this.#queue(c.OP_RECVMSG, fd, 0, msghdrAddress, 1, msgFlags, kind, index, 0, 0);
  }

  /**
   * Result: bytes read; fewer at the end of the file. For eventfds, pipes: fileOffset 0 (or -1, the current position).
   */
  read(
    fd: number,
    address: number,
    length: number,
    fileOffset: number,
    rwFlags: number,
    kind: number,
    index: number,
  ): number {
    return this.#queue(c.OP_READ, fd, fileOffset, address, length, rwFlags, kind, index, 0, 0);
  }

  /** `read` into memory that lies within the registered buffer `bufferIndex`. */
  readFixed(
    fd: number,
    address: number,
    length: number,
    fileOffset: number,
    rwFlags: number,
    bufferIndex: number,
    kind: number,
    index: number,
  ): number {
    return this.#queue(c.OP_READ_FIXED, fd, fileOffset, address, length, rwFlags, kind, index, bufferIndex, 0);
  }

  /** Result: bytes written, possibly fewer than asked for. */
  write(
    fd: number,
    address: number,
    length: number,
    fileOffset: number,
    rwFlags: number,
    kind: number,
    index: number,
  ): number {
    return this.#queue(c.OP_WRITE, fd, fileOffset, address, length, rwFlags, kind, index, 0, 0);
  }

  /** `write` from memory that lies within the registered buffer `bufferIndex`. */
  writeFixed(
    fd: number,
    address: number,
    length: number,
    fileOffset: number,
    rwFlags: number,
    bufferIndex: number,
    kind: number,
    index: number,
  ): number {
    return this.#queue(c.OP_WRITE_FIXED, fd, fileOffset, address, length, rwFlags, kind, index, bufferIndex, 0);
  }

  /** `struct iovec[iovecCount]` at the address; it may be reused as soon as the SQE is submitted. */
  readv(
    fd: number,
    iovecAddress: number,
    iovecCount: number,
    fileOffset: number,
    rwFlags: number,
    kind: number,
    index: number,
  ): number {
    return this.#queue(c.OP_READV, fd, fileOffset, iovecAddress, iovecCount, rwFlags, kind, index, 0, 0);
  }

  /** As `readv`. */
  writev(
    fd: number,
    iovecAddress: number,
    iovecCount: number,
    fileOffset: number,
    rwFlags: number,
    kind: number,
    index: number,
  ): number {
    return this.#queue(c.OP_WRITEV, fd, fileOffset, iovecAddress, iovecCount, rwFlags, kind, index, 0, 0);
  }

  /** Result: 0. Covers the writes that have completed, not those in flight. */
  fsync(fd: number, kind: number, index: number): number {
    return this.#queue(c.OP_FSYNC, fd, 0, 0, 0, 0, kind, index, 0, 0);
  }

  /** As `fsync`, without metadata that is not needed to read the data again. */
  fdatasync(fd: number, kind: number, index: number): number {
    return this.#queue(c.OP_FSYNC, fd, 0, 0, 0, c.FSYNC_DATASYNC, kind, index, 0, 0);
  }

  /** `mode`: FALLOC_FL_*. Result: 0. */
  fallocate(fd: number, mode: number, fileOffset: number, length: number, kind: number, index: number): number {
    // The kernel takes the length from the address field, and the mode from the length field.
    return this.#queue(c.OP_FALLOCATE, fd, fileOffset, length, mode, 0, kind, index, 0, 0);
  }

  /** Path: NUL-terminated, relative to the working directory. Result: the descriptor. Pass O_CLOEXEC. */
  openat(pathAddress: number, flags: number, mode: number, kind: number, index: number): number {
    return this.#queue(c.OP_OPENAT, c.AT_FDCWD, 0, pathAddress, mode, flags, kind, index, 0, 0);
  }

  closeFd(fd: number, kind: number, index: number): number {
    return this.#queue(c.OP_CLOSE, fd, 0, 0, 0, 0, kind, index, 0, 0);
  }

  /**
   * `struct __kernel_timespec` (s64 seconds, s64 nanoseconds) at the address, read when the SQE is submitted. Completes
   * with -ETIME when the time is over, or 0 when `count` other completions have come (0: only the time counts).
   * `flags`: TIMEOUT_*.
   */
  timeout(timespecAddress: number, count: number, flags: number, kind: number, index: number): number {
    return this.#queue(c.OP_TIMEOUT, -1, count, timespecAddress, 1, flags, kind, index, 0, 0);
  }

  /** Ends a `timeout` (it completes with -ECANCELED). Result: 0, -ENOENT, or -EBUSY if it is expiring. */
  timeoutRemove(targetKind: number, targetIndex: number, flags: number, kind: number, index: number): number {
    const slot = this.#queue(c.OP_TIMEOUT_REMOVE, -1, 0, 0, 0, flags, kind, index, 0, 0);
    return this.#target(slot, SQE_ADDRESS, targetKind, targetIndex);
  }

  /** Bounds the SQE queued before it, which needs SQE_IO_LINK: that one is cancelled when the time is over. */
  linkTimeout(timespecAddress: number, flags: number, kind: number, index: number): number {
    return this.#queue(c.OP_LINK_TIMEOUT, -1, 0, timespecAddress, 1, flags, kind, index, 0, 0);
  }

  /**
   * Cancels the operation (all with ASYNC_CANCEL_ALL) that was queued with these two; it still completes, mostly with
   * -ECANCELED. Result: 0, or the number cancelled with ASYNC_CANCEL_ALL; -ENOENT: none found; -EALREADY: it is running
   * and may or may not finish.
   */
  cancel(targetKind: number, targetIndex: number, flags: number, kind: number, index: number): number {
    const slot = this.#queue(c.OP_ASYNC_CANCEL, -1, 0, 0, 0, flags, kind, index, 0, 0);
    return this.#target(slot, SQE_ADDRESS, targetKind, targetIndex);
  }

  /** Cancels one operation (all with ASYNC_CANCEL_ALL) on a descriptor. Result as `cancel`. */
  cancelFd(fd: number, flags: number, kind: number, index: number): number {
    return this.#queue(c.OP_ASYNC_CANCEL, fd, 0, 0, 0, flags | c.ASYNC_CANCEL_FD, kind, index, 0, 0);
  }

  /** `mask`: POLL*. Result: the events that are there. Multishot: again and again, with CQE_F_MORE. */
  pollAdd(fd: number, mask: number, multishot: boolean, kind: number, index: number): number {
    return this.#queue(c.OP_POLL_ADD, fd, 0, 0, multishot ? c.POLL_ADD_MULTI : 0, mask, kind, index, 0, 0);
  }

  /** Puts a completion (targetKind, targetIndex, result) into another ring, waking its `enter`. Result here: 0. */
  msgRing(
    ringFd: number,
    targetKind: number,
    targetIndex: number,
    result: number,
    kind: number,
    index: number,
  ): number {
    const slot = this.#queue(c.OP_MSG_RING, ringFd, 0, 0, result, 0, kind, index, 0, 0);
    return this.#target(slot, SQE_OFFSET, (targetKind | UNTRACKED) >>> 0, targetIndex);
  }

  /** Moves up to `length` bytes; one side is a pipe, whose offset is -1. Result: bytes moved. */
  splice(
    fdIn: number,
    offsetIn: number,
    fdOut: number,
    offsetOut: number,
    length: number,
    spliceFlags: number,
    kind: number,
    index: number,
  ): number {
    const slot = this.#queue(c.OP_SPLICE, fdOut, offsetOut, 0, length, spliceFlags, kind, index, 0, fdIn);
    return this.#target(slot, SQE_ADDRESS, offsetIn >>> 0, Math.floor(offsetIn / TWO_TO_32) >>> 0);
  }

  /** `how`: SHUT_*. Result: 0. */
  shutdownSocket(fd: number, how: number, kind: number, index: number): number {
    return this.#queue(c.OP_SHUTDOWN, fd, 0, 0, how, 0, kind, index, 0, 0);
  }

  /** Writes two words into a 64-bit field of an SQE. */
  #target(slot: number, field: number, low: number, high: number): number {
    const at = slot * SQE_WORDS + field;
    this.#sqes[at] = low;
    this.#sqes[at + 1] = high;
    return slot;
  }
}
