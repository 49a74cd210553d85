/**
 * The sending half of a connection: PDUs are gathered and go out with one send. Headers and digests are written one behind the other;
 * data stays where it is:
 *
 *     header area   |BHS|hd|BHS|hd|      |dd|BHS|hd|            |dd|
 *     data elsewhere               |data|           |   data   |
 *     iovec          [0............][1..] [2........][3........] [4.]
 *
 * While a send is under way (`busy`) nothing may be added: its memory belongs to the kernel.
 */
import { crc32cBatch, MSG_NOSIGNAL, MSG_WAITALL, type Ring } from "io-uring-node";
import type { Arena } from "../../dataplane/arena.js";
import { BHS_LENGTH } from "../../dataplane/wire/bhs.js";

/** PDUs of one send; twice as many iovecs and one more stay below the kernel's 1024. */
const PDUS_MAX = 256;
const IOVECS_MAX = 2 * PDUS_MAX + 1;
const IOVEC_BYTES = 16;
/** struct msghdr: name, namelen, iov, iovlen, control, controllen, flags; 64-bit Linux. */
const MSGHDR_BYTES = 56;
const MSGHDR_IOV = 16;
const MSGHDR_IOVLEN = 24;
const DIGEST_BYTES = 4;
const PDU_BYTES_MAX = BHS_LENGTH + 2 * DIGEST_BYTES;
const JOB_WORDS = 4;

export class Transmitter {
  /** Arena bytes that one needs. */
  static readonly arenaBytes = MSGHDR_BYTES + 8 + IOVECS_MAX * IOVEC_BYTES + PDUS_MAX * PDU_BYTES_MAX;

  busy = false;
  /** Bytes gathered, then bytes that the kernel has not taken yet. */
  bytes = 0;
  headerDigest = false;
  dataDigest = false;
  readonly #arena: Arena;
  readonly #msghdr: number;
  readonly #iovecs: number;
  readonly #headers: number;
  #pdus = 0;
  /** Where the next header goes, and where the run of headers that is not in an iovec yet begins. */
  #next: number;
  #runStart: number;
  #iovecFirst = 0;
  #iovecCount = 0;
  readonly #jobs = new Uint32Array(2 * PDUS_MAX * JOB_WORDS);
  readonly #digestAt = new Uint32Array(2 * PDUS_MAX);
  #jobCount = 0;

  constructor(arena: Arena) {
    this.#arena = arena;
    this.#msghdr = arena.take(MSGHDR_BYTES, 8);
    this.#iovecs = arena.take(IOVECS_MAX * IOVEC_BYTES, 8);
    this.#headers = arena.take(PDUS_MAX * PDU_BYTES_MAX, 8);
    this.#next = this.#runStart = this.#headers;
    arena.bytes.fill(0, this.#msghdr, this.#msghdr + MSGHDR_BYTES);
  }

  /** Room for another PDU? */
  get room(): boolean {
    return this.#pdus < PDUS_MAX;
  }

  /** Arena offset of the next PDU's BHS, to be filled in. Then call `add`. */
  get header(): number {
    return this.#next;
  }

  /** The header at `header` is complete; its data segment of `length` bytes, a multiple of 4, is at `data`. */
  add(data: number, length: number): void {
    const header = this.#next;
    this.#pdus++;
    let next = header + BHS_LENGTH;
    if (this.headerDigest) {
      this.#digest(header, BHS_LENGTH, next);
      next += DIGEST_BYTES;
    }
    if (length > 0) {
      this.#pushIovec(this.#runStart, next - this.#runStart);
      this.#pushIovec(data, length);
      this.#runStart = next;
      if (this.dataDigest) {
        this.#digest(data, length, next);
        next += DIGEST_BYTES;
      }
    }
    this.#next = next;
  }

  /** Queues what was gathered. False: nothing was. */
  queue(ring: Ring, fd: number, kind: number, index: number): boolean {
    if (this.#pdus === 0) return false;
    this.#pushIovec(this.#runStart, this.#next - this.#runStart);
    if (this.#jobCount > 0) this.#fillInDigests();
    this.busy = true;
    this.#submit(ring, fd, kind, index);
    return true;
  }

  /** The send has completed with `sent` bytes. What is left is queued again; false: nothing is, PDUs can be added anew. */
  sent(sent: number, ring: Ring, fd: number, kind: number, index: number): boolean {
    this.bytes -= sent;
    if (this.bytes > 0) {
      this.#skip(sent);
      this.#submit(ring, fd, kind, index);
      return true;
    }
    this.busy = false;
    this.#pdus = 0;
    this.#next = this.#runStart = this.#headers;
    this.#iovecFirst = this.#iovecCount = 0;
    return false;
  }

  #submit(ring: Ring, fd: number, kind: number, index: number): void {
    const first = this.#iovecs + this.#iovecFirst * IOVEC_BYTES;
    const count = this.#iovecCount - this.#iovecFirst;
    const flags = MSG_NOSIGNAL | MSG_WAITALL;
    if (count === 1) {
      const words = this.#arena.words;
      const address = words[first >>> 2]! + words[(first >>> 2) + 1]! * 4294967296;
      ring.send(fd, address, this.bytes, flags, kind, index);
      return;
    }
    this.#arena.setWord64(this.#msghdr + MSGHDR_IOV, this.#arena.address(first));
    this.#arena.setWord64(this.#msghdr + MSGHDR_IOVLEN, count);
    ring.sendmsg(fd, this.#arena.address(this.#msghdr), flags, kind, index);
  }

  #pushIovec(offset: number, length: number): void {
    if (length === 0) return;
    const at = this.#iovecs + this.#iovecCount++ * IOVEC_BYTES;
    this.#arena.setWord64(at, this.#arena.address(offset));
    this.#arena.setWord64(at + 8, length);
    this.bytes += length;
  }

  /** Takes `sent` bytes off the front of the iovecs. */
  #skip(sent: number): void {
    const words = this.#arena.words;
    for (let left = sent; left > 0; ) {
      const at = (this.#iovecs + this.#iovecFirst * IOVEC_BYTES) >>> 2;
      const length = words[at + 2]!;
      if (left >= length) {
        left -= length;
        this.#iovecFirst++;
      } else {
        this.#arena.setWord64(at << 2, words[at]! + words[at + 1]! * 4294967296 + left);
        words[at + 2] = length - left;
        left = 0;
      }
    }
  }

  #digest(offset: number, length: number, digestAt: number): void {
    const job = this.#jobCount * JOB_WORDS;
    this.#jobs[job] = offset;
    this.#jobs[job + 1] = length;
    this.#jobs[job + 2] = 0;
    this.#digestAt[this.#jobCount++] = digestAt;
  }

  #fillInDigests(): void {
    crc32cBatch(this.#arena.bytes, this.#jobs, this.#jobCount);
    for (let job = 0; job < this.#jobCount; job++) {
      // RFC 7143 section 13.1: the CRC's bytes, least significant first.
      this.#arena.view.setUint32(this.#digestAt[job]!, this.#jobs[job * JOB_WORDS + 3]!, true);
    }
    this.#jobCount = 0;
  }
}
