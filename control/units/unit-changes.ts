/** Changes to units while they are served: every shard makes them, and those that are started later begin with them. */
import type { UnitChange } from "../../dataplane/messages.js";
import type { Broadcasts } from "../broadcasts.js";
import type { ShardControl } from "../shards.js";
import type { Units } from "./units.js";

export class UnitChanges {
  readonly #units: Units;
  readonly #broadcasts: Broadcasts;
  readonly #shards: ShardControl;

  constructor(units: Units, broadcasts: Broadcasts, shards: ShardControl) {
    this.#units = units;
    this.#broadcasts = broadcasts;
    this.#shards = shards;
  }

  /** Resolves when every shard has made the change, and the tasks that it aborts are gone, those of a dead shard too. */
  async make(unitIndex: number, change: UnitChange): Promise<void> {
    if (change.state !== undefined) this.#units.setState(unitIndex, change.state);
    await this.#broadcasts.send((exchange) => ({ type: "unitChange", exchange, unitIndex, change }));
    await this.settled([unitIndex]);
  }

  /** Resolves when nothing that a dead shard had begun on the units is under way any more. */
  settled(unitIndexes: readonly number[]): Promise<void> {
    return this.#shards.unitsSettled(unitIndexes);
  }
}
