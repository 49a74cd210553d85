/** Rates and latencies of all that there is, again and again: what the page and `ringlun top` show. */
import { setTimeout } from "node:timers/promises";
import { COUNTER } from "../../dataplane/counters.js";
import { BLOCK_DOUBLES } from "../../dataplane/statistics.js";
import type { Server } from "../server.js";
import { ownTurn } from "../turns.js";
import type { Statistics } from "./documents.js";
import type { Lazily } from "./parts.js";
import { ratesBetween } from "./rates.js";

/** Each look is as long after the one before as was asked for; ends with the signal. What is told is to be used before the next is asked for. */
export async function* liveStatistics(
  server: Server,
  intervalMs: number,
  signal: AbortSignal,
): AsyncGenerator<Lazily<Statistics>> {
  await ownTurn();
  let before = look(server);
  while (!signal.aborted) {
    await setTimeout(intervalMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return;
    await ownTurn();
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
  /** CPU time of each shard, in microseconds, less that in which it was awake for nothing; undefined where there is none at the moment. */
  readonly shards: readonly (number | undefined)[];
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
    shards: Array.from({ length: server.shards.count }, (_, shard) => {
      const counters = server.shards.counters(shard);
      if (counters === undefined) return undefined;
      const counted = new Float64Array(counters);
      return counted[COUNTER.cpu_microseconds]! - counted[COUNTER.busy_poll_microseconds]!;
    }),
  };
}

function difference(server: Server, before: Look, now: Look): Lazily<Statistics> {
  const seconds = (now.atMs - before.atMs) / 1000;
  return {
    at: new Date().toISOString(),
    seconds,
    total: ratesBetween(sum(now.units.keys(), before.units), sum(now.units.keys(), now.units), seconds),
    units: units(server, before, now, seconds),
    sessions: sessions(server, before, now, seconds),
    shards: now.shards.map((us, shard) => ({
      shard,
      cpu: Math.max(0, (us ?? 0) - (before.shards[shard] ?? us ?? 0)) / 1e6 / seconds,
    })),
  };
}

function* units(server: Server, before: Look, now: Look, seconds: number): Iterable<Statistics["units"][number]> {
  for (const { name, unitIndex } of server.units) {
    const counted = now.units.get(unitIndex);
    if (counted === undefined) continue;
    yield { name, ...ratesBetween(before.units.get(unitIndex) ?? NOTHING, counted, seconds) };
  }
}

function* sessions(server: Server, before: Look, now: Look, seconds: number): Iterable<Statistics["sessions"][number]> {
  for (const { sessionId, identity } of server.sessions) {
    const counted = now.sessions.get(sessionId);
    if (counted === undefined) continue;
    const { initiatorName, targetName } = identity;
    const rates = ratesBetween(before.sessions.get(sessionId) ?? NOTHING, counted, seconds);
    yield { sessionId, initiatorName, targetName, ...rates };
  }
}

const NOTHING = new Float64Array();

/** Of the blocks with these keys; without one, a block that has counted nothing. */
function sum(keys: Iterable<number>, blocks: ReadonlyMap<number, Float64Array>): Float64Array {
  const total = new Float64Array(BLOCK_DOUBLES);
  for (const key of keys) {
    const block = blocks.get(key) ?? NOTHING;
    for (let at = 0; at < block.length; at++) total[at]! += block[at]!;
  }
  return total;
}
