/** The fixed table of a shard's connections. */
import type { Arena } from "../arena.js";
import { CONNECTIONS_MAX } from "../limits.js";
import { CONNECTION_FREE, Connection, HEADER_AREA_BYTES } from "./connection.js";

export class ConnectionTable {
  /** Made when first needed; an index, once used, keeps its place in the arena. */
  readonly connections: Connection[] = [];
  readonly #free: number[] = [];
  readonly #headerAreas: number;
  open = 0;

  constructor(arena: Arena) {
    this.#headerAreas = arena.take(CONNECTIONS_MAX * HEADER_AREA_BYTES, 64);
  }

  /** A connection in its initial state, or null when all are in use. */
  acquire(): Connection | null {
    if (this.open === CONNECTIONS_MAX) return null;
    const index = this.#free.pop() ?? this.connections.length;
    const connection = new Connection(index, this.#headerAreas + index * HEADER_AREA_BYTES);
    this.connections[index] = connection;
    this.open++;
    return connection;
  }

  release(connection: Connection): void {
    connection.state = CONNECTION_FREE;
    connection.session = null;
    this.#free.push(connection.index);
    this.open--;
  }
}
