/**
 * Initiator Task Tag -> task, for the tasks of one session: open addressing over two typed arrays, linear probing, deletion
 * by shifting back, so that there are no tombstones and a look-up touches one cache line as a rule.
 */
import { assert } from "../assert.js";
import { SESSION_TASKS_MAX } from "../limits.js";

const SLOTS = 1024;
const MASK = SLOTS - 1;
const EMPTY = -1;

assert(SESSION_TASKS_MAX * 2 <= SLOTS, "the index is at most half full");

/** Fibonacci hashing: consecutive tags spread over the table. */
function home(tag: number): number {
  return Math.imul(tag, 0x9e3779b1) >>> 22;
}

export class TagIndex {
  readonly #tags = new Uint32Array(SLOTS);
  readonly #values = new Int32Array(SLOTS).fill(EMPTY);
  size = 0;

  /** The task's number, or -1. */
  get(tag: number): number {
    for (let i = home(tag); ; i = (i + 1) & MASK) {
      const value = this.#values[i]!;
      if (value === EMPTY || this.#tags[i] === tag >>> 0) return value;
    }
  }

  /** `tag` is not in the index. */
  add(tag: number, value: number): void {
    assert(this.size < SLOTS / 2, "the tag index is never more than half full");
    let i = home(tag);
    while (this.#values[i] !== EMPTY) i = (i + 1) & MASK;
    this.#tags[i] = tag;
    this.#values[i] = value;
    this.size++;
  }

  remove(tag: number): void {
    let i = home(tag);
    while (this.#tags[i] !== tag >>> 0 || this.#values[i] === EMPTY) {
      if (this.#values[i] === EMPTY) return;
      i = (i + 1) & MASK;
    }
    this.size--;
    for (let j = (i + 1) & MASK; this.#values[j] !== EMPTY; j = (j + 1) & MASK) {
      // The entry at j may fill the gap at i unless its home lies cyclically in (i, j].
      const h = home(this.#tags[j]!);
      if (((j - h) & MASK) < ((j - i) & MASK)) continue;
      this.#tags[i] = this.#tags[j]!;
      this.#values[i] = this.#values[j]!;
      i = j;
    }
    this.#values[i] = EMPTY;
  }
}
