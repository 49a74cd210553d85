/** The ways of serving a disk between which no client may see a difference: cache modes, and one shard or several. */
import assert from "node:assert/strict";
import { type Places, RunningTarget, type TargetOptions } from "./target.js";

export interface Variant {
  readonly cache: "direct" | "writeback";
  readonly workers: number;
}

export interface NamedVariant extends Variant {
  readonly name: string;
}

export const VARIANTS: readonly NamedVariant[] = (["direct", "writeback"] as const).flatMap((cache) =>
  [1, 2].map((workers) => ({ cache, workers, name: `cache ${cache}, ${workers} shard${workers > 1 ? "s" : ""}` })),
);

/** On a disk, as a rule, where /tmp is often in memory and knows no O_DIRECT. */
export const TEMPORARY_FOLDER = process.env.TMPDIR ?? "/var/tmp";

/**
 * Starts the target with the variant's cache mode and shards, or with a configuration that has them.
 *
 * @throws where the file system has no O_DIRECT: cache direct would quietly be tested as writeback.
 */
export async function startVariant(
  { cache, workers }: Variant,
  options: Omit<TargetOptions, "cache" | "workers" | "config" | "temporaryFolder"> & {
    readonly config?: (places: Places, variant: Variant) => string;
  } = {},
): Promise<RunningTarget> {
  const { config, ...others } = options;
  const target = await RunningTarget.start({
    ...others,
    temporaryFolder: TEMPORARY_FOLDER,
    cache,
    workers,
    ...(config === undefined ? {} : { config: (places: Places) => config(places, { cache, workers }) }),
  });
  if (cache === "direct" && target.log.some((line) => line.includes('"cache":"writeback"'))) {
    await target.stop();
    assert.fail(`no O_DIRECT in ${target.places.directory}: set TMPDIR to a folder of a file system that has it`);
  }
  return target;
}

/** The shards on which sessions have been so far. */
export function shardsUsed(target: RunningTarget): number[] {
  const shards = new Set<number>();
  for (const line of target.log) {
    const record = line.startsWith("{") ? JSON.parse(line) : {};
    if (record.msg === "logged in" && record.type !== "discovery") shards.add(record.shard);
  }
  return [...shards].sort();
}
