/**
 * Response fences (RFC 7143 section 4.2.2.3.2): a response goes out only when everything that was sent before it on the other
 * connections of its session is acknowledged. NOP-Ins are sent to hurry the acknowledgments.
 */
import { CONNECTION_OPEN, type Connection } from "../connection/connection.js";
import type { Shard } from "../shard.js";
import { serialGreaterOrEqual } from "../wire/serial.js";
import type { Barrier } from "./barrier.js";

interface Fence {
  readonly connection: Connection;
  /** StatSN behind the last one that has to be acknowledged. */
  readonly statSN: number;
  readonly barrier: Barrier;
}

export class Fences {
  readonly #shard: Shard;
  #fences: Fence[] = [];

  constructor(shard: Shard) {
    this.#shard = shard;
  }

  /** `barrier` waits until the other connections of the session have acknowledged all that they were sent. */
  raise(connection: Connection, barrier: Barrier): void {
    for (const other of connection.session!.connections) {
      if (other === connection || other.state !== CONNECTION_OPEN || other.expStatSN === other.statSN) continue;
      barrier.join();
      this.#fences.push({ connection: other, statSN: other.statSN, barrier });
      this.#shard.requests.ping(other);
    }
  }

  /** ExpStatSN of the connection has moved on. */
  acknowledged(connection: Connection): void {
    if (this.#fences.length === 0) return;
    this.#clear((fence) => fence.connection === connection && serialGreaterOrEqual(connection.expStatSN, fence.statSN));
  }

  /** The connection is gone: nothing more will be acknowledged on it. */
  gone(connection: Connection): void {
    if (this.#fences.length > 0) this.#clear((fence) => fence.connection === connection);
  }

  #clear(isOver: (fence: Fence) => boolean): void {
    const over = this.#fences.filter(isOver);
    this.#fences = this.#fences.filter((fence) => !isOver(fence));
    for (const { barrier } of over) barrier.leave();
  }
}
