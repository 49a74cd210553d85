/** How much of what it could forget to give back the target holds: descriptors, sessions, connections, memory. */
import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { setTimeout } from "node:timers/promises";
import type { RunningTarget } from "../../support/target.js";

const SETTLE_TIMEOUT_MS = 20_000;

export interface Census {
  readonly descriptors: number;
  readonly sessions: number;
  readonly connections: number;
  readonly unauthenticated: number;
}

/** The configuration must have HTTP listen on `httpPort`. */
export const HTTP = (httpPort: number) => `http: { listen: "127.0.0.1:${httpPort}" }`;

/** Sockets, files and the rest, less the connection that this question comes through. */
export async function takeCensus({ pid, places }: RunningTarget): Promise<Census> {
  const response = await fetch(`http://127.0.0.1:${places.httpPort}/metrics`, { headers: { connection: "close" } });
  const text = await response.text();
  const metric = (name: string): number => {
    const value = new RegExp(`^${name} ([0-9]+)$`, "m").exec(text)?.[1];
    assert(value !== undefined, `no metric ${name}`);
    return Number(value);
  };
  return {
    descriptors: (await readdir(`/proc/${pid}/fd`)).length,
    sessions: metric("ringlun_sessions"),
    connections: metric("ringlun_connections"),
    unauthenticated: metric("ringlun_unauthenticated_connections"),
  };
}

/** Waits until the target holds what it held before: for connections to be closed, and what hangs on them given up. */
export async function assertSettles(target: RunningTarget, before: Census): Promise<void> {
  const deadline = performance.now() + SETTLE_TIMEOUT_MS;
  for (;;) {
    const now = await takeCensus(target);
    // A descriptor more or less is one of HTTP's own.
    const isIdle = now.sessions === before.sessions && now.unauthenticated === before.unauthenticated;
    if (now.descriptors <= before.descriptors + 1 && isIdle) {
      assert.deepEqual({ ...now, descriptors: before.descriptors }, before);
      return;
    }
    assert(performance.now() < deadline, `before: ${JSON.stringify(before)}, now: ${JSON.stringify(now)}`);
    await setTimeout(200);
  }
}

/** Resident memory in bytes. */
export async function residentBytes({ pid }: RunningTarget): Promise<number> {
  const kilobytes = /^VmRSS:\s+([0-9]+) kB$/m.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1];
  assert(kilobytes !== undefined);
  return Number(kilobytes) * 1024;
}
