/**
 * LOGICAL UNIT RESET over several shards: the one where it was asked for has aborted its own tasks; the others are told to
 * do the same; it is told when all have.
 */
import type { Broadcasts } from "./broadcasts.js";
import type { ShardControl } from "./shards.js";

export class UnitResets {
  readonly #shards: ShardControl;
  readonly #broadcasts: Broadcasts;
  readonly #onReset: (unitIndex: number) => Promise<void>;

  /** @param onReset does what else a reset does, when the unit's tasks are gone; the reset is over when that is. */
  constructor(shards: ShardControl, broadcasts: Broadcasts, onReset: (unitIndex: number) => Promise<void>) {
    this.#shards = shards;
    this.#broadcasts = broadcasts;
    this.#onReset = onReset;
  }

  /** `unitReset` of a shard; `askersExchange` is its number for it. A shard that has died meanwhile asks for nothing. */
  async begin(asker: number, askersExchange: number, unitIndex: number): Promise<void> {
    await this.#broadcasts.send((exchange) => ({ type: "resetUnit", exchange, unitIndex }), asker);
    // What a shard that has died had begun on the unit is over only then.
    await this.#shards.unitsSettled([unitIndex]);
    await this.#onReset(unitIndex);
    this.#shards.send(asker, { type: "resetDone", exchange: askersExchange });
  }
}
