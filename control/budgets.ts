/** The budgets of limits (dataplane/throttle/budget.ts), in memory that all shards share, and who has which of them. */
import assert from "node:assert/strict";
import { monotonicUs } from "io-uring-node";
import type { LimitsRecord } from "../dataplane/messages.js";
import { allocateBudgets, Budget } from "../dataplane/throttle/budget.js";
import type { LimitsConfiguration } from "./config/schema.js";
import { LIMITED_UNITS_MAX, SESSIONS_MAX } from "./limits.js";

/** While limits change, the old ones and the new ones have one each. */
const BUDGETS = 2 * (LIMITED_UNITS_MAX + SESSIONS_MAX);

export class Budgets {
  /** See ShardTask. */
  readonly memory = allocateBudgets(BUDGETS);
  readonly #free: number[] = [];
  #next = 0;

  /** A budget of which nothing is used, for limits that begin; null: there are none. */
  grant(limits: LimitsConfiguration): LimitsRecord;
  grant(limits: LimitsConfiguration | null): LimitsRecord | null;
  grant(limits: LimitsConfiguration | null): LimitsRecord | null {
    if (limits === null) return null;
    const record = { ...limits, budget: this.#free.pop() ?? this.#next++ };
    assert(record.budget < BUDGETS, "there are as many budgets as limits");
    new Budget(this.memory, record).reset(monotonicUs());
    return record;
  }

  /** No shard spends from it any more. */
  release(record: LimitsRecord | null): void {
    if (record !== null) this.#free.push(record.budget);
  }
}
