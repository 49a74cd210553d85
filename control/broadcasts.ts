/** Messages to all shards that are over when every one of them has answered `done`. A shard that dies has nothing left to do. */
import type { ControlMessage } from "../dataplane/messages.js";
import type { ShardControl } from "./shards.js";

interface Broadcast {
  /** Shards that have not answered. */
  readonly pending: Set<number>;
  readonly resolve: () => void;
}

export class Broadcasts {
  readonly #shards: ShardControl;
  readonly #broadcasts = new Map<number, Broadcast>();
  #lastExchange = 0;

  constructor(shards: ShardControl) {
    this.#shards = shards;
  }

  /**
   * Sends what `message` makes of the exchange's number to all shards but `except`; resolves when all that serve are done. One
   * that is being started hears of it before it has any session.
   */
  send(message: (exchange: number) => ControlMessage, except?: number): Promise<void> {
    return this.#send(message, (shard) => shard !== except);
  }

  /** The same to one shard. */
  sendTo(only: number, message: (exchange: number) => ControlMessage): Promise<void> {
    return this.#send(message, (shard) => shard === only);
  }

  async #send(message: (exchange: number) => ControlMessage, concerns: (shard: number) => boolean): Promise<void> {
    const pending = new Set(this.#shards.serving().filter(concerns));
    const exchange = ++this.#lastExchange;
    const done =
      pending.size === 0
        ? Promise.resolve()
        : new Promise<void>((resolve) => this.#broadcasts.set(exchange, { pending, resolve }));
    for (let shard = 0; shard < this.#shards.count; shard++) {
      if (concerns(shard)) this.#shards.send(shard, message(exchange));
    }
    await done;
  }

  /** `done` of a shard. */
  done(shard: number, exchange: number): void {
    const broadcast = this.#broadcasts.get(exchange);
    if (broadcast?.pending.delete(shard)) this.#endIfDone(exchange, broadcast);
  }

  shardDied(shard: number): void {
    for (const [exchange, broadcast] of this.#broadcasts) {
      if (broadcast.pending.delete(shard)) this.#endIfDone(exchange, broadcast);
    }
  }

  #endIfDone(exchange: number, { pending, resolve }: Broadcast): void {
    if (pending.size > 0) return;
    this.#broadcasts.delete(exchange);
    resolve();
  }
}
