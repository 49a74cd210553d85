/**
 * What may be done in a second, in shared memory: shards that serve one unit, or one initiator, spend from one budget. It has a
 * word for commands and a word for bytes, each a virtual clock (the generic cell rate algorithm), in credits:
 *
 *       spent and past      |<--- ahead --->|        free
 *     ----------------------+---------------+----------------
 *                          now            booked
 *
 * `now` goes on by as many credits as the limit has for the time; a command books its cost behind what is booked, and may begin
 * as soon as what was booked before it is less than the burst ahead. So over any time as much is let through as the limit and
 * the burst allow, whichever shard lets it through, and to the credit: a command that costs more than there is begins, and
 * those behind it wait for the rest. Who books first begins first: no shard can starve another. No lock, and no timer.
 *
 * Credits are counted modulo 2^32. What was booked so long ago that it would look like the future is put right once a second
 * (`settle`); where the process stood still for longer, it shows by being further ahead than can be.
 */
import { assert } from "../assert.js";
import {
  COST_BYTES_MAX,
  LIMITED_BYTES_PER_SECOND_MAX,
  LIMITED_COMMANDS_PER_SECOND_MAX,
  SHARDS_MAX,
} from "../limits.js";
import type { LimitsRecord } from "../messages.js";

/** Of commands a credit is one, of bytes it is a block: all lengths are multiples of it. */
const BYTES_OF_CREDIT = 512;
/** Nothing is further ahead of the burst: what all shards let through at one moment, and each has waiting. */
const OVERDRAFT_MAX = 2 ** 27;
/** A burst of more credits, far beyond an hour of any disk, is cut to it. */
const BURST_MAX = 2 ** 30;
/** Clocks of shards stand still within a turn: they differ by less than this. Microseconds. */
const CLOCKS_APART_US = 2_000_000;

/** 64 bytes: budgets of different units share no cache line. */
const STRIDE_WORDS = 16;
const COMMANDS_WORD = 0;
const BYTES_WORD = 1;

export function allocateBudgets(count: number): SharedArrayBuffer {
  return new SharedArrayBuffer(count * STRIDE_WORDS * 4);
}

export class Budget {
  readonly #commands: Meter | null;
  readonly #bytes: Meter | null;

  /** `budgets`: see ShardTask. */
  constructor(budgets: SharedArrayBuffer, { budget, iops, bytesPerSecond, burstSeconds }: LimitsRecord) {
    const words = new Int32Array(budgets);
    const at = budget * STRIDE_WORDS;
    const meter = (word: number, perSecond: number) => new Meter(words, at + word, perSecond, burstSeconds);
    this.#commands = iops === null ? null : meter(COMMANDS_WORD, iops);
    this.#bytes = bytesPerSecond === null ? null : meter(BYTES_WORD, bytesPerSecond / BYTES_OF_CREDIT);
  }

  /** Books one command and its bytes. @returns when it may begin, microseconds of the ring's clock: `nowUs` is at once. */
  book(bytes: number, nowUs: number): number {
    let startUs = nowUs;
    if (this.#commands !== null) startUs = this.#commands.book(1, nowUs);
    if (this.#bytes !== null && bytes > 0) {
      startUs = Math.max(startUs, this.#bytes.book(Math.ceil(bytes / BYTES_OF_CREDIT), nowUs));
    }
    return startUs;
  }

  /** Gives back what was booked for a command that does not begin. */
  cancel(bytes: number): void {
    this.#commands?.cancel(1);
    this.#bytes?.cancel(Math.ceil(bytes / BYTES_OF_CREDIT));
  }

  /** Nothing is used, and all of the burst is there: control makes it so before anybody gets the budget. */
  reset(nowUs: number): void {
    this.#commands?.reset(nowUs);
    this.#bytes?.reset(nowUs);
  }

  /** To be called once a second at least. */
  settle(nowUs: number): void {
    this.#commands?.settle(nowUs);
    this.#bytes?.settle(nowUs);
  }
}

/** One word. */
class Meter {
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #perUs: number;
  /** At least one: something can begin. */
  readonly #burst: number;
  readonly #aheadMax: number;

  constructor(words: Int32Array, at: number, perSecond: number, burstSeconds: number) {
    this.#words = words;
    this.#at = at;
    this.#perUs = perSecond / 1e6;
    this.#burst = Math.min(BURST_MAX, Math.max(1, Math.floor(perSecond * burstSeconds)));
    this.#aheadMax = this.#burst + OVERDRAFT_MAX + Math.ceil(this.#perUs * CLOCKS_APART_US);
    assert(this.#aheadMax < 2 ** 31, "what is ahead can be told from what is past");
  }

  book(cost: number, nowUs: number): number {
    const now = Math.floor(nowUs * this.#perUs);
    const seen = Atomics.load(this.#words, this.#at);
    if (this.#isPast(seen, now)) {
      // What was not used up to now is not saved beyond the burst.
      if (Atomics.compareExchange(this.#words, this.#at, seen, (now + cost) | 0) === seen) return nowUs;
    }
    const ahead = (Atomics.add(this.#words, this.#at, cost) - now) | 0;
    const wanting = ahead - this.#burst + 1;
    return wanting <= 0 ? nowUs : (now + wanting) / this.#perUs;
  }

  cancel(cost: number): void {
    Atomics.sub(this.#words, this.#at, cost);
  }

  reset(nowUs: number): void {
    Atomics.store(this.#words, this.#at, Math.floor(nowUs * this.#perUs) | 0);
  }

  settle(nowUs: number): void {
    const now = Math.floor(nowUs * this.#perUs);
    const seen = Atomics.load(this.#words, this.#at);
    if (this.#isPast(seen, now)) Atomics.compareExchange(this.#words, this.#at, seen, now | 0);
  }

  #isPast(booked: number, now: number): boolean {
    const ahead = (booked - now) | 0;
    return ahead < 0 || ahead > this.#aheadMax;
  }
}

const RATE_MAX = Math.max(LIMITED_COMMANDS_PER_SECOND_MAX, LIMITED_BYTES_PER_SECOND_MAX / BYTES_OF_CREDIT);
assert(2 * SHARDS_MAX * (COST_BYTES_MAX / BYTES_OF_CREDIT) <= OVERDRAFT_MAX, "all shards can book");
assert(
  BURST_MAX + OVERDRAFT_MAX + (CLOCKS_APART_US / 1e6) * RATE_MAX < 2 ** 31,
  "the fastest limit has room in a word",
);
