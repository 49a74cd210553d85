/** An eventfd: what control rings when there are messages for the shard. */
import type { ArenaMemory } from "./arena-memory.js";
import type { Operation } from "./operation.js";

const COUNTER_BYTES = 8;

export class Doorbell {
  readonly #memory: ArenaMemory;
  #count = 0;
  #reading: Operation | null = null;

  constructor(memory: ArenaMemory) {
    this.#memory = memory;
  }

  ring(): void {
    this.#count++;
    this.#answer();
  }

  startRead(operation: Operation): void {
    this.#reading = operation;
    this.#answer();
  }

  #answer(): void {
    const operation = this.#reading;
    if (operation === null || this.#count === 0) return;
    const counter = this.#memory.bytes(operation.address, COUNTER_BYTES);
    counter.fill(0);
    counter[0] = Math.min(0xff, this.#count);
    this.#count = 0;
    this.#reading = null;
    operation.end(COUNTER_BYTES);
  }
}
