/**
 * LOGICAL UNIT RESET over several shards: the one where it was asked for has aborted its own tasks; the others are told to
 * do the same; it is told when all have. A shard that dies meanwhile has no tasks left.
 */
import type { ShardControl } from "./shards.js";

interface Reset {
  readonly asker: number;
  /** The asker's number for it. */
  readonly exchange: number;
  /** Shards that have not answered. */
  readonly pending: Set<number>;
}

export class UnitResets {
  readonly #shards: ShardControl;
  readonly #resets = new Map<number, Reset>();
  #lastExchange = 0;

  constructor(shards: ShardControl) {
    this.#shards = shards;
  }

  /** `unitReset` of a shard. */
  begin(asker: number, exchange: number, unitIndex: number): void {
    const pending = new Set(this.#shards.serving().filter((shard) => shard !== asker));
    const ours = ++this.#lastExchange;
    const reset: Reset = { asker, exchange, pending };
    this.#resets.set(ours, reset);
    for (const shard of pending) this.#shards.send(shard, { type: "resetUnit", exchange: ours, unitIndex });
    this.#finishIfDone(ours, reset);
  }

  /** `done` of a shard. */
  done(shard: number, exchange: number): void {
    const reset = this.#resets.get(exchange);
    if (reset === undefined) return;
    reset.pending.delete(shard);
    this.#finishIfDone(exchange, reset);
  }

  shardDied(shard: number): void {
    for (const [ours, reset] of this.#resets) {
      if (reset.asker === shard) this.#resets.delete(ours);
      else if (reset.pending.delete(shard)) this.#finishIfDone(ours, reset);
    }
  }

  #finishIfDone(ours: number, { asker, exchange, pending }: Reset): void {
    if (pending.size > 0) return;
    this.#resets.delete(ours);
    this.#shards.send(asker, { type: "unitResetDone", exchange });
  }
}
