/** Changes to units while they are served: every shard makes them, and those that are started later begin with them. */
import type { UnitChange } from "../../dataplane/messages.js";
import type { Broadcasts } from "../broadcasts.js";
import type { ShardControl } from "../shards.js";
import type { Units } from "./units.js";

/** What reads and writes units from control. */
export interface UnitUsers {
  endOnUnit(unitIndex: number): void;
  endOfSessions(unitIndex: number, sessionIds: readonly number[]): void;
}

const NO_USERS: UnitUsers = { endOnUnit: () => {}, endOfSessions: () => {} };

export class UnitChanges {
  readonly #units: Units;
  readonly #broadcasts: Broadcasts;
  readonly #shards: ShardControl;
  readonly #users: UnitUsers;

  constructor(units: Units, broadcasts: Broadcasts, shards: ShardControl, users = NO_USERS) {
    this.#units = units;
    this.#broadcasts = broadcasts;
    this.#shards = shards;
    this.#users = users;
  }

  /**
   * Resolves when every shard has made the change, and the tasks that it aborts are gone, with what control had under way for
   * them, and those of a dead shard too.
   */
  async make(unitIndex: number, change: UnitChange): Promise<void> {
    const { state, refusesTasks, abortSessions } = change;
    if (state !== undefined) this.#units.setState(unitIndex, state);
    if (refusesTasks === true) this.#users.endOnUnit(unitIndex);
    if (abortSessions !== undefined) this.#users.endOfSessions(unitIndex, abortSessions);
    await this.#broadcasts.send((exchange) => ({ type: "unitChange", exchange, unitIndex, change }));
    await this.settled([unitIndex]);
  }

  /** Resolves when nothing that a dead shard, or a session that is gone, had begun on the units is under way any more. */
  settled(unitIndexes: readonly number[]): Promise<void> {
    return this.#shards.unitsSettled(unitIndexes);
  }
}
