/** Limits of initiators: all sessions that one initiator has with one target, on whatever shards, spend from one budget. */
import { isDeepStrictEqual } from "node:util";
import type { LimitsRecord } from "../dataplane/messages.js";
import type { Broadcasts } from "./broadcasts.js";
import type { Budgets } from "./budgets.js";
import type { LimitsConfiguration } from "./config/schema.js";
import type { Session } from "./session-registry.js";

/** One initiator with one target, and how many sessions it has under these limits. */
interface Holder {
  readonly key: string;
  readonly limits: LimitsConfiguration;
  readonly record: LimitsRecord;
  sessions: number;
}

export class InitiatorLimits {
  readonly #budgets: Budgets;
  /** With the limits that are in force now. */
  readonly #byKey = new Map<string, Holder>();
  readonly #bySession = new Map<number, Holder>();

  constructor(budgets: Budgets) {
    this.#budgets = budgets;
  }

  /** For the hand-off of the session's connections: what its first one says counts. */
  of(session: Session, limits: LimitsConfiguration | null): LimitsRecord | null {
    return (this.#bySession.get(session.sessionId) ?? this.#join(session, limits))?.record ?? null;
  }

  /** The session is to have these limits from now on, or none. Resolves when it has. */
  async change(session: Session, limits: LimitsConfiguration | null, broadcasts: Broadcasts): Promise<void> {
    const { sessionId, shard } = session;
    const had = this.#bySession.get(sessionId);
    if (isDeepStrictEqual(had?.limits ?? null, limits)) return;
    this.#bySession.delete(sessionId);
    const record = this.#join(session, limits)?.record ?? null;
    await broadcasts.sendTo(shard, (exchange) => ({ type: "sessionLimits", exchange, sessionId, limits: record }));
    if (had !== undefined) this.#leave(had);
  }

  /** The session is gone. */
  sessionClosed({ sessionId }: Session): void {
    const holder = this.#bySession.get(sessionId);
    if (holder === undefined) return;
    this.#bySession.delete(sessionId);
    this.#leave(holder);
  }

  #join({ sessionId, identity }: Session, limits: LimitsConfiguration | null): Holder | undefined {
    if (limits === null) return undefined;
    const key = JSON.stringify([identity.targetName, identity.initiatorName]);
    let holder = this.#byKey.get(key);
    if (holder === undefined || !isDeepStrictEqual(holder.limits, limits)) {
      holder = { key, limits, record: this.#budgets.grant(limits), sessions: 0 };
      this.#byKey.set(key, holder);
    }
    holder.sessions++;
    this.#bySession.set(sessionId, holder);
    return holder;
  }

  #leave(holder: Holder): void {
    if (--holder.sessions > 0) return;
    if (this.#byKey.get(holder.key) === holder) this.#byKey.delete(holder.key);
    this.#budgets.release(holder.record);
  }
}
