/** Rates and latencies of all that there is, again and again: what the page and `ringlun top` show. */
import { setTimeout } from "node:timers/promises";
import type { Server } from "../server.js";
import { type Rates, ratesBetween } from "./rates.js";

export interface LiveStatistics {
  readonly at: string;
  /** Over how long, in seconds. */
  readonly seconds: number;
  readonly units: readonly ({ readonly name: string } & Rates)[];
  readonly sessions: readonly ({
    readonly sessionId: number;
    readonly initiatorName: string;
    readonly targetName: string;
  } & Rates)[];
}

/** Each look is as long after the one before as was asked for; ends with the signal. */
export async function* liveStatistics(
  server: Server,
  intervalMs: number,
  signal: AbortSignal,
): AsyncGenerator<LiveStatistics> {
  let before = look(server);
  while (!signal.aborted) {
    await setTimeout(intervalMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    const now = look(server);
    yield difference(server, before, now);
    before = now;
  }
}

interface Look {
  readonly atMs: number;
  /** By unitIndex. */
  readonly units: ReadonlyMap<number, Float64Array>;
  /** By sessionId. */
  readonly sessions: ReadonlyMap<number, Float64Array>;
}

function look(server: Server): Look {
  const sessions = new Map<number, Float64Array>();
  for (const { sessionId } of server.sessions) {
    const counted = server.sessionStatistics.session(sessionId);
    if (counted !== undefined) sessions.set(sessionId, counted);
  }
  return {
    atMs: performance.now(),
    units: new Map(server.units.map((unit) => [unit.unitIndex, server.unitStatistics(unit)])),
    sessions,
  };
}

function difference(server: Server, before: Look, now: Look): LiveStatistics {
  const seconds = (now.atMs - before.atMs) / 1000;
  const nothing = new Float64Array();
  return {
    at: new Date().toISOString(),
    seconds,
    units: server.units.flatMap(({ name, unitIndex }) => {
      const counted = now.units.get(unitIndex);
      if (counted === undefined) return [];
      return [{ name, ...ratesBetween(before.units.get(unitIndex) ?? nothing, counted, seconds) }];
    }),
    sessions: server.sessions.flatMap(({ sessionId, identity: { initiatorName, targetName } }) => {
      const counted = now.sessions.get(sessionId);
      if (counted === undefined) return [];
      const rates = ratesBetween(before.sessions.get(sessionId) ?? nothing, counted, seconds);
      return [{ sessionId, initiatorName, targetName, ...rates }];
    }),
  };
}
