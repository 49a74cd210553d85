/** How much of its file system a unit has, and how much more there is: asked when somebody wants to know it, never by a shard. */
import { fstat, type Stats, statfs } from "node:fs";
import { promisify } from "node:util";
import type { UnitRecord } from "../../dataplane/messages.js";
import { hasMappingResources } from "../../dataplane/scsi/mapping-resources.js";

export interface MappingResources {
  /** What others on the file system may take, too. */
  readonly availableBytes: number;
  readonly usedBytes: number;
}

/** Blocks of stat(2), on every file system. */
const STAT_BLOCK_BYTES = 512;

/** Null: there is nothing to tell of this unit. Rejects with what the system says. */
export async function measureMappingResources(unit: UnitRecord): Promise<MappingResources | null> {
  if (!hasMappingResources(unit)) return null;
  const fd = unit.bufferedFd;
  // The file may be elsewhere by now, or gone: the descriptor is what counts.
  const [{ bavail, bsize }, { blocks }] = await Promise.all([
    promisify(statfs)(`/proc/self/fd/${fd}`),
    promisify<number, Stats>(fstat)(fd),
  ]);
  return { availableBytes: bavail * bsize, usedBytes: blocks * STAT_BLOCK_BYTES };
}
