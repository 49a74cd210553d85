/**
 * What copies inside the server cost of the limits of the units that they read and write: each part counts as a command and as its
 * bytes. It is paid for when it is through, and then the copy waits until there is room for the next one.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { monotonicUs } from "io-uring-node";
import type { LimitsRecord, UnitRecord } from "../../../dataplane/messages.js";
import { Budget } from "../../../dataplane/throttle/budget.js";
import { TOLL_POLL_MS } from "../../limits.js";

export class Tolls {
  readonly #budgets: SharedArrayBuffer;
  readonly #limitsOf: (unitIndex: number) => LimitsRecord | null;

  /** @param budgets see ShardTask. @param limitsOf what is in force at this moment. */
  constructor(budgets: SharedArrayBuffer, limitsOf: (unitIndex: number) => LimitsRecord | null) {
    this.#budgets = budgets;
    this.#limitsOf = limitsOf;
  }

  /** Resolves when the units have room for more, or their limits are others, or the signal comes. */
  async pay(units: readonly (UnitRecord | null)[], bytes: number, signal: AbortSignal): Promise<void> {
    const indexes = new Set(units.flatMap((unit) => (unit === null ? [] : [unit.unitIndex])));
    await Promise.all([...indexes].map((unitIndex) => this.#payFor(unitIndex, bytes, signal)));
  }

  async #payFor(unitIndex: number, bytes: number, signal: AbortSignal): Promise<void> {
    const limits = this.#limitsOf(unitIndex);
    if (limits === null) return;
    const startUs = new Budget(this.#budgets, limits).book(bytes, monotonicUs());
    for (;;) {
      const waitMs = (startUs - monotonicUs()) / 1000;
      if (waitMs <= 0 || signal.aborted || this.#limitsOf(unitIndex)?.budget !== limits.budget) return;
      await sleep(Math.min(waitMs, TOLL_POLL_MS), undefined, { signal }).catch(() => {});
    }
  }
}
