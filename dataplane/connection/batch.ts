/**
 * One sendmsg in the making and in flight: the kernel's structures, cells for headers and trailers, and what is to be
 * released when it is sent. Arena layout of one batch:
 *
 *     | struct msghdr (64) | iovec x IOVECS_MAX (16 each) | cell x BATCH_PDUS_MAX (CELL_BYTES each) |
 *                 cell: | BHS 48 | header digest 4 | padding and data digest 12 | sense data with its length 64 |
 */
import type { Arena } from "../arena.js";
import { assert } from "../assert.js";
import type { Slice } from "../buffer/slice.js";
import { BATCH_PDUS_MAX, BATCHES } from "../limits.js";
import { SENSE_BYTES_MAX } from "../scsi/sense.js";
import { SENSE_LENGTH_LENGTH } from "../wire/sense-data-segment.js";
import type { Connection } from "./connection.js";

const MSGHDR_BYTES = 64;
const IOVEC_BYTES = 16;
/** Header, data, trailer of each PDU. */
const IOVECS_MAX = BATCH_PDUS_MAX * 3;
export const CELL_BYTES = 128;
export const CELL_TRAILER = 52;
export const CELL_SENSE = 64;
const BATCH_BYTES = MSGHDR_BYTES + IOVECS_MAX * IOVEC_BYTES + BATCH_PDUS_MAX * CELL_BYTES;

assert(CELL_SENSE + SENSE_LENGTH_LENGTH + SENSE_BYTES_MAX <= CELL_BYTES, "a cell has room for sense data");

// struct msghdr on 64-bit Linux: name 8, namelen 4 (+4), iov 8, iovlen 8, control 8, controllen 8, flags 4.
const MSGHDR_IOV = 16;
const MSGHDR_IOVLEN = 24;

export class Batch {
  readonly arena: Arena;
  readonly offset: number;
  readonly #iovecs: number;
  readonly #cells: number;
  connection: Connection | null = null;
  pdus = 0;
  iovecs = 0;
  /** Of all iovecs together. */
  bytes = 0;
  /** First iovec that is not sent in full. */
  #sentIovecs = 0;
  slices: Slice | null = null;
  closesConnection = false;
  /** Since when the socket has taken nothing more of it. */
  sinceUs = 0;
  /** Of a reply in it. */
  onGone: (() => void) | null = null;
  nextFree: Batch | null = null;

  constructor(arena: Arena, offset: number) {
    this.arena = arena;
    this.offset = offset;
    this.#iovecs = offset + MSGHDR_BYTES;
    this.#cells = this.#iovecs + IOVECS_MAX * IOVEC_BYTES;
  }

  reset(connection: Connection | null): void {
    this.connection = connection;
    this.pdus = 0;
    this.iovecs = 0;
    this.bytes = 0;
    this.#sentIovecs = 0;
    this.slices = null;
    this.closesConnection = false;
    this.onGone = null;
  }

  /** Arena offset of the cell of the PDU that is added next. */
  cell(): number {
    return this.#cells + this.pdus * CELL_BYTES;
  }

  addIovec(offset: number, length: number): void {
    const at = this.#iovecs + this.iovecs * IOVEC_BYTES;
    this.arena.setWord64(at, this.arena.address(offset));
    this.arena.setWord64(at + 8, length);
    this.iovecs++;
    this.bytes += length;
  }

  /** Where an iovec begins in the arena; of a batch that is not with the kernel yet. */
  iovecOffset(index: number): number {
    const word = (this.#iovecs + index * IOVEC_BYTES) >>> 2;
    return this.arena.words[word]! + this.arena.words[word + 1]! * 4294967296 - this.arena.base;
  }

  iovecLength(index: number): number {
    return this.arena.words[((this.#iovecs + index * IOVEC_BYTES) >>> 2) + 2]!;
  }

  /** The batch refers to memory of the slice. */
  addSlice(slice: Slice): void {
    if (slice.inBatch) return;
    slice.inBatch = true;
    slice.nextOfBatch = this.slices;
    this.slices = slice;
  }

  /** Address of the msghdr that covers what is not sent yet. */
  messageHeader(): number {
    const at = this.offset;
    this.arena.setWord64(at + MSGHDR_IOV, this.arena.address(this.#iovecs + this.#sentIovecs * IOVEC_BYTES));
    this.arena.setWord64(at + MSGHDR_IOVLEN, this.iovecs - this.#sentIovecs);
    return this.arena.address(at);
  }

  /** Address and length of the only iovec. */
  singleAddress(): number {
    const word = (this.#iovecs + this.#sentIovecs * IOVEC_BYTES) >>> 2;
    return this.arena.words[word]! + this.arena.words[word + 1]! * 4294967296;
  }

  /** Moves past `count` bytes that the kernel took. */
  advance(count: number): void {
    this.bytes -= count;
    const words = this.arena.words;
    let left = count;
    while (left > 0) {
      const word = (this.#iovecs + this.#sentIovecs * IOVEC_BYTES) >>> 2;
      const length = words[word + 2]!;
      if (left >= length) {
        left -= length;
        this.#sentIovecs++;
        continue;
      }
      const address = words[word]! + words[word + 1]! * 4294967296 + left;
      words[word] = address >>> 0;
      words[word + 1] = (address / 4294967296) >>> 0;
      words[word + 2] = length - left;
      left = 0;
    }
  }

  get single(): boolean {
    return this.iovecs - this.#sentIovecs === 1;
  }
}

export class BatchPool {
  #free: Batch | null = null;

  constructor(arena: Arena) {
    for (let i = 0; i < BATCHES; i++) this.release(new Batch(arena, arena.take(BATCH_BYTES, 64)));
  }

  acquire(connection: Connection): Batch | null {
    const batch = this.#free;
    if (batch === null) return null;
    this.#free = batch.nextFree;
    batch.nextFree = null;
    batch.reset(connection);
    return batch;
  }

  release(batch: Batch): void {
    batch.connection = null;
    batch.nextFree = this.#free;
    this.#free = batch;
  }
}
