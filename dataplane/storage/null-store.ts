/** A unit that discards what is written and reads as zeroes: what remains is the cost of the protocol. For benchmarks. */
import type { Arena } from "../arena.js";
import type { Store } from "./store.js";

export class NullStore implements Store {
  readonly inMemory = true;
  readonly #bytes: Uint8Array;

  constructor(arena: Arena) {
    this.#bytes = arena.bytes;
  }

  read(arenaOffset: number, length: number): number {
    // What lay in the buffer before may be another initiator's.
    this.#bytes.fill(0, arenaOffset, arenaOffset + length);
    return length;
  }

  write(_arenaOffset: number, length: number): number {
    return length;
  }

  writeAtomic(_arenaOffset: number, length: number): number {
    return length;
  }

  flush(): number {
    return 0;
  }

  takeLoss(): number {
    return 0;
  }

  discard(): number {
    return 0;
  }

  zero(): number {
    return 0;
  }
}
