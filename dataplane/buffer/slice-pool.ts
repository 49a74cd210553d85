/** The slices of a shard, in three classes of size, all cut from the arena at the start. */
import { type Arena, PAGE_BYTES } from "../arena.js";
import { assert } from "../assert.js";
import type { Connection } from "../connection/connection.js";
import { RESERVED_LARGE_SLICES, RESERVED_SLICES, SLICE_BYTES_MAX, SLICE_CLASSES } from "../limits.js";
import type { Task } from "../task/task.js";
import { NO_TAG, Slice } from "./slice.js";

const LARGEST = SLICE_CLASSES.length - 1;

export class SlicePool {
  readonly slices: Slice[] = [];
  /** The part of the arena that holds all slices: what is registered with the ring as fixed buffer 0. */
  readonly regionOffset: number;
  readonly regionLength: number;
  readonly #free: (Slice | null)[] = [];
  readonly #freeCount: number[] = [];
  /** Something was released since the flag was last cleared: parked tasks may try again. */
  hasReleased = false;
  /** There was no slice for somebody since the flag was last cleared. */
  wasEmpty = false;
  /** For how much there was none, last. */
  #missedLength = 0;
  /** Slices of the smallest and of the largest class that are left to `acquireReserved`. */
  readonly #reservedSmall: number;
  readonly #reservedLarge: number;
  #credited: Connection[] = [];

  constructor(arena: Arena) {
    const start = arena.take(0, PAGE_BYTES);
    const budget = arena.left();
    let end = start;
    for (const [classIndex, { dataBytes, arenaShare }] of SLICE_CLASSES.entries()) {
      // One page in front of each: the front room must not touch a neighbour's data, and data is page-aligned.
      const stride = dataBytes + PAGE_BYTES;
      const count = Math.max(4, Math.floor((budget * arenaShare) / stride));
      const at = arena.take(stride * count, PAGE_BYTES);
      this.#free.push(null);
      this.#freeCount.push(0);
      for (let i = 0; i < count; i++) {
        const slice = new Slice(this.slices.length, classIndex, at + i * stride + PAGE_BYTES, dataBytes);
        this.slices.push(slice);
        this.#push(slice);
      }
      end = at + stride * count;
    }
    assert(this.slices.length <= 0xffff, "a slice's index is half of a Target Transfer Tag");
    this.#reservedSmall = Math.min(RESERVED_SLICES, this.#freeCount[0]! >>> 2);
    this.#reservedLarge = Math.min(RESERVED_LARGE_SLICES, this.#freeCount[LARGEST]! >>> 2);
    this.regionOffset = start;
    this.regionLength = end - start;
    this.hasReleased = false;
  }

  /** Of data, in all slices. */
  get capacityBytes(): number {
    return this.slices.reduce((sum, { classIndex }) => sum + SLICE_CLASSES[classIndex]!.dataBytes, 0);
  }

  /** Of data, in those that nobody has. */
  get allFreeBytes(): number {
    return this.#freeCount.reduce((sum, count, c) => sum + count * SLICE_CLASSES[c]!.dataBytes, 0);
  }

  /** A slice of at least `length` bytes of data for `task`, from the smallest class that has one; null if there is none. */
  acquire(length: number, task: Task | null): Slice | null {
    const slice = this.#take(length, task, this.#reservedSmall, this.#reservedLarge);
    if (slice === null) this.#miss(length);
    return slice;
  }

  /** One for what is no SCSI data (login, ping, text, Reject): a few are kept for that, however short they are. */
  acquireReserved(length: number): Slice | null {
    const slice = this.#take(length, null, 0, 0);
    if (slice === null) this.#miss(length);
    return slice;
  }

  /**
   * The same, or where no buffer is so large any more a smaller one, of this class at least: its `length` says how much goes into
   * it.
   */
  acquireUpTo(length: number, task: Task | null, smallestClass = 0): Slice | null {
    for (let c = LARGEST; c >= smallestClass; c--) {
      const most = Math.min(length, SLICE_CLASSES[c]!.dataBytes);
      const slice = this.#take(most, task, this.#reservedSmall, this.#reservedLarge);
      if (slice !== null) return slice;
    }
    this.#miss(Math.min(length, SLICE_CLASSES[smallestClass]!.dataBytes));
    return null;
  }

  #miss(length: number): void {
    this.wasEmpty = true;
    this.#missedLength = length;
  }

  /** There is still none for who found none last. */
  get isLacking(): boolean {
    return !SLICE_CLASSES.some(({ dataBytes }, c) => {
      const reserved = c === 0 ? this.#reservedSmall : c === LARGEST ? this.#reservedLarge : 0;
      return dataBytes >= this.#missedLength && this.#freeCount[c]! > reserved;
    });
  }

  /** Bytes of the free slices that are as large as `length` bytes need. */
  freeBytes(length: number): number {
    let bytes = 0;
    for (let c = 0; c < SLICE_CLASSES.length; c++) {
      const { dataBytes } = SLICE_CLASSES[c]!;
      if (dataBytes >= length) bytes += dataBytes * this.#freeCount[c]!;
    }
    return bytes;
  }

  /** Leaves so many slices of the smallest and of the largest class. */
  #take(length: number, task: Task | null, small: number, large: number): Slice | null {
    assert(length <= SLICE_BYTES_MAX, "a slice is at most SLICE_BYTES_MAX long");
    for (let c = 0; c < SLICE_CLASSES.length; c++) {
      const slice = this.#free[c]!;
      if (slice === null || slice.capacity < length) continue;
      if (this.#freeCount[c]! <= (c === 0 ? small : c === LARGEST ? large : 0)) continue;
      this.#free[c] = slice.nextOfTask;
      this.#freeCount[c]!--;
      slice.nextOfTask = null;
      slice.nextOfBatch = null;
      slice.task = task;
      slice.transferOffset = 0;
      slice.length = length;
      slice.filled = 0;
      slice.storeLength = 0;
      slice.storeOffset = 0;
      slice.storeDone = 0;
      slice.failure = 0;
      slice.sent = 0;
      slice.tag = NO_TAG;
      slice.requestedEnd = 0;
      slice.dataSN = 0;
      slice.gap = false;
      slice.numbered = false;
      return slice;
    }
    return null;
  }

  /** Its owner is done with it. What is still in a batch is free when the batch is sent. */
  release(slice: Slice): void {
    assert(!slice.storeBusy, "a slice in use by the store is not released");
    assert(slice.next === null && !slice.queued, "a queued slice is not released");
    slice.task = null;
    slice.tag = NO_TAG;
    if (slice.inBatch) {
      slice.released = true;
      return;
    }
    slice.released = false;
    if (slice.credit !== null) {
      slice.credit.creditBytes -= slice.capacity;
      this.returnCredit(slice.credit);
      slice.credit = null;
    }
    this.#push(slice);
    this.hasReleased = true;
  }

  /** Connections with tasks that wait for credit, some of which has come back. */
  takeCredited(): readonly Connection[] {
    const credited = this.#credited;
    if (credited.length === 0) return credited;
    this.#credited = [];
    return credited;
  }

  /** The connection has credit again, or might have: its tasks that wait for it are looked at. */
  returnCredit(connection: Connection): void {
    if (connection.starvedHead !== null && !this.#credited.includes(connection)) this.#credited.push(connection);
  }

  freeCount(classIndex: number): number {
    return this.#freeCount[classIndex]!;
  }

  #push(slice: Slice): void {
    slice.nextOfTask = this.#free[slice.classIndex]!;
    this.#free[slice.classIndex] = slice;
    this.#freeCount[slice.classIndex]!++;
  }
}
