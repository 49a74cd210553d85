/**
 * How many flushes of a unit have failed, wherever, and durable writes for which its device may have been flushed: what the shards and
 * control tell each other. The page cache tells a failure once to every open file description (errorFds). A device that could not
 * empty its own cache tells the operation that asked for it, and nobody else; the next one may be good, although what was lost was
 * another initiator's. So whoever is told counts it here first, and answers then.
 */

/** Counters of a process. Units that share one, if there are more of them, are told of each other's failures too. */
const COUNTERS = 4096;

export function allocateFailedFlushes(): SharedArrayBuffer {
  return new SharedArrayBuffer(COUNTERS * Int32Array.BYTES_PER_ELEMENT);
}

export class FailedFlushes {
  readonly #counters: Int32Array<SharedArrayBuffer>;
  readonly #index: number;

  /** `memory`: see ShardTask. */
  constructor(memory: SharedArrayBuffer, unitIndex: number) {
    this.#counters = new Int32Array(memory);
    this.#index = unitIndex % COUNTERS;
  }

  get count(): number {
    return Atomics.load(this.#counters, this.#index);
  }

  add(): void {
    Atomics.add(this.#counters, this.#index, 1);
  }
}
