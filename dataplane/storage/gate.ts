/**
 * Keeps commands that must be atomic (COMPARE AND WRITE, ORWRITE, WRITE ATOMIC) apart from every other write to their unit, on
 * all shards. Each shard counts its writes in flight per unit, and so does control, which copies; an atomic command becomes the
 * owner of the unit's gate, waits until all counts are zero, runs, and opens the gate again.
 *
 *     shared words of one gate, each on cache lines of its own:
 *
 *         | owner | writes of shard 0 | writes of shard 1 | ... | writes of control |
 *
 * A writer counts itself first, then looks at the owner, and backs out if there is one; the owner makes itself known first,
 * then looks at the counts. Both are sequentially consistent, so at least one of the two sees the other.
 */
import { assert } from "../assert.js";
import type { ShardTask } from "../messages.js";

/** Gates of a process. Units share one if there are more of them, which costs time and harms nothing. */
const GATES = 256;
/** 128 bytes: two cache lines, as in sharedarraybuffer-ring. */
const STRIDE_WORDS = 32;
/** No owner. */
export const NOBODY = 0;

export function allocateGates(shards: number): SharedArrayBuffer {
  return new SharedArrayBuffer(GATES * wordsOfGate(shards) * 4);
}

function wordsOfGate(shards: number): number {
  return (1 + shards + 1) * STRIDE_WORDS;
}

/** A shard has died and nothing of it is in flight any more: it owns nothing and writes nothing. */
export function forgetShard(gates: SharedArrayBuffer, shards: number, shard: number): void {
  const words = new Int32Array(gates);
  for (let gate = 0; gate < GATES; gate++) {
    const at = gate * wordsOfGate(shards);
    Atomics.store(words, at + (1 + shard) * STRIDE_WORDS, 0);
    if (Atomics.compareExchange(words, at, shard + 1, NOBODY) === shard + 1) Atomics.notify(words, at);
  }
}

/** See ShardTask. Of control's own gates `shard` is the number of shards. */
export type GateSetup = Pick<ShardTask, "gates" | "shards" | "shard">;

export class Gate {
  /** Of all gates. */
  readonly words: Int32Array<SharedArrayBuffer>;
  /** Index of this gate's owner: NOBODY, or something else. Who may have waited for that is notified when it changes. */
  readonly owner: number;
  readonly #ours: number;
  readonly #shard: number;
  readonly #shards: number;
  /** Wakes the other shards: something that they may wait for has happened. */
  readonly #wakeOthers: () => void;

  constructor({ gates, shards, shard }: GateSetup, unitIndex: number, wakeOthers: () => void) {
    this.words = new Int32Array(gates);
    this.owner = (unitIndex % GATES) * wordsOfGate(shards);
    this.#ours = this.owner + (1 + shard) * STRIDE_WORDS;
    this.#shard = shard;
    this.#shards = shards;
    this.#wakeOthers = wakeOthers;
  }

  /** A write begins. False: an atomic command owns the unit, so it must wait. */
  enter(): boolean {
    Atomics.add(this.words, this.#ours, 1);
    if (Atomics.load(this.words, this.owner) === NOBODY) return true;
    this.leave();
    return false;
  }

  /** A write that entered has ended. */
  leave(): void {
    const before = Atomics.sub(this.words, this.#ours, 1);
    assert(before > 0, "a write leaves once");
    if (before === 1 && Atomics.load(this.words, this.owner) !== NOBODY) this.#wakeOthers();
  }

  /** An atomic command wants the unit. False: another one has it. */
  own(): boolean {
    return Atomics.compareExchange(this.words, this.owner, NOBODY, this.#shard + 1) === NOBODY;
  }

  /** For the owner: no write is in flight, on any shard or in control. */
  isQuiet(): boolean {
    for (let writer = 0; writer <= this.#shards; writer++) {
      if (Atomics.load(this.words, this.owner + (1 + writer) * STRIDE_WORDS) !== 0) return false;
    }
    return true;
  }

  /** The owner is done. */
  disown(): void {
    const owner = Atomics.exchange(this.words, this.owner, NOBODY);
    assert(owner === this.#shard + 1, "only the owner opens a gate");
    Atomics.notify(this.words, this.owner);
    this.#wakeOthers();
  }
}
