/** Several verified loads at once on LUN 0, a crash in the middle of them, and the check of what must have survived it. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { RunningTarget } from "./target.js";
import type { Undo } from "./undo.js";
import { VerifiedLoad } from "./verified-load.js";

const MIB = 2 ** 20;

/** What the unit needs. */
export const CRASH_UNIT_BYTES = 128 * MIB;

/** Small blocks with a SYNCHRONIZE CACHE now and then, larger ones with FUA, and such as take several slices. */
const LOADS = [
  ["--sessions", "2", "--depth", "8", "--block", "4k", "--offset", "0", "--size", "8m", "--sync", "40"],
  ["--sessions", "2", "--depth", "4", "--block", "16k", "--offset", "16m", "--size", "16m", "--fua"],
  ["--sessions", "1", "--depth", "2", "--block", "512k", "--offset", "64m", "--size", "32m", "--sync", "8"],
];

export interface Crash {
  /** For the files of the loads. */
  readonly directory: string;
  /** From the first write that counts to the crash. */
  readonly loadMs: number;
  /** Ends the target, somehow; then brings it back. */
  readonly crash: () => Promise<void>;
  readonly restart: () => Promise<void>;
  /** All that was acknowledged must have survived, not only what was durable. */
  readonly isClean?: boolean;
}

/** Returns what the loads had to say at the end. */
export async function crashUnderLoad(undo: Undo, target: RunningTarget, options: Crash): Promise<string[]> {
  const loads = LOADS.map((load, index) =>
    VerifiedLoad.start(target.url(), join(options.directory, `load-${index}.state`), load),
  );
  for (const load of loads) undo.add(() => load.kill());
  await Promise.all(loads.map((load) => load.filled));
  await sleep(options.loadMs);
  await options.crash();
  const outputs = await Promise.all(loads.map((load) => load.lost()));
  await options.restart();
  assert.ok(
    loads.some((load) => load.durableSlots > 0),
    "nothing was durable: nothing is tested",
  );
  for (const load of loads) {
    if (options.isClean === true) load.demandAcknowledged();
    await load.check(target.url());
  }
  return outputs;
}
