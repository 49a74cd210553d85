/** LOGICAL UNIT RESETs that were asked for here and that other shards still have to carry out (through control). */
import type { Shard } from "../shard.js";
import type { Barrier } from "./barrier.js";

export class UnitResets {
  readonly #shard: Shard;
  readonly #pending = new Map<number, Barrier>();

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  /** Has all other shards reset the unit; `barrier` waits for them. */
  begin(unitIndex: number, barrier: Barrier): void {
    barrier.join();
    const exchange = this.#shard.nextExchange();
    this.#pending.set(exchange, barrier);
    this.#shard.host.post({ type: "unitReset", exchange, unitIndex });
  }

  /** `unitResetDone` from control. */
  done(exchange: number): void {
    const barrier = this.#pending.get(exchange);
    this.#pending.delete(exchange);
    barrier?.leave();
  }
}
