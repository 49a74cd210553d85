/** What others have to do before a reset that was asked for here is over: other shards, and control (which keeps reservations). */
import type { ShardMessage } from "../messages.js";
import type { Shard } from "../shard.js";
import type { Barrier } from "./barrier.js";

export class Resets {
  readonly #shard: Shard;
  readonly #pending = new Map<number, Barrier>();

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  /** Has all other shards reset the unit; `barrier` waits for them. */
  ofUnit(unitIndex: number, barrier: Barrier): void {
    this.#ask(barrier, (exchange) => ({ type: "unitReset", exchange, unitIndex }));
  }

  /** Has control take the session's nexus for lost. */
  ofNexus(sessionId: number, barrier: Barrier, isLogout: boolean): void {
    this.#ask(barrier, (exchange) => ({ type: "nexusReset", exchange, sessionId, isLogout }));
  }

  #ask(barrier: Barrier, message: (exchange: number) => ShardMessage): void {
    barrier.join();
    const exchange = this.#shard.nextExchange();
    this.#pending.set(exchange, barrier);
    this.#shard.host.post(message(exchange));
  }

  /** `resetDone` from control. */
  done(exchange: number): void {
    const barrier = this.#pending.get(exchange);
    this.#pending.delete(exchange);
    barrier?.leave();
  }
}
