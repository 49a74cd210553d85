/** Changes to units while they are served: every shard makes them, and those that are started later begin with them. */
import type { UnitChange } from "../../dataplane/messages.js";
import type { Broadcasts } from "../broadcasts.js";
import type { Units } from "./units.js";

export class UnitChanges {
  readonly #units: Units;
  readonly #broadcasts: Broadcasts;

  constructor(units: Units, broadcasts: Broadcasts) {
    this.#units = units;
    this.#broadcasts = broadcasts;
  }

  /** Resolves when every shard has made the change, and the tasks that it aborts are gone. */
  async make(unitIndex: number, change: UnitChange): Promise<void> {
    if (change.state !== undefined) this.#units.setState(unitIndex, change.state);
    await this.#broadcasts.send((exchange) => ({ type: "unitChange", exchange, unitIndex, change }));
  }
}
