/** A logical unit of a simulation: what control tells the shard of it, its disk, and what initiators may find on it. */
import { initialState } from "../../../control/units/unit-state.js";
import type { UnitRecord } from "../../../dataplane/messages.js";
import { BlockHistory } from "./block-history.js";
import { Disk, SECTOR_BYTES } from "./disk.js";
import type { Random } from "./random.js";

const MEBIBYTE = 1024 * 1024;

export class SimulatedUnit {
  /** Without descriptors, which are made anew for each machine. */
  readonly record: Omit<UnitRecord, "fd" | "bufferedFd" | "errorFds">;
  readonly sizeBytes: number;
  readonly history: BlockHistory;
  /** Null: a unit that keeps nothing. */
  disk: Disk | null;

  constructor(record: Omit<UnitRecord, "fd" | "bufferedFd" | "errorFds">) {
    this.record = record;
    this.sizeBytes = record.state.sizeBytes;
    // Memory outlives the machine, as far as a simulation goes.
    this.disk = record.kind === "null" ? null : new Disk(this.sizeBytes, !record.inMemory);
    this.history = new BlockHistory(this.sizeBytes / SECTOR_BYTES);
  }

  /** The machine that serves it is gone. */
  crash(random: Random): void {
    this.disk = this.disk?.crash(random) ?? null;
    this.history.crashed();
  }

  get blocks(): number {
    return this.sizeBytes / this.record.blockLengthBytes;
  }

  get sectorsPerBlock(): number {
    return this.record.blockLengthBytes / SECTOR_BYTES;
  }
}

export function randomUnit(
  random: Random,
  unitIndex: number,
  overrides: Partial<SimulatedUnit["record"]> = {},
): SimulatedUnit {
  const kind = random.chance(0.08) ? "null" : "file";
  const cache = overrides.cache ?? random.pick(["direct", "writeback", "writethrough"] as const);
  const blockLengthBytes = random.pick([512, 512, 4096] as const);
  const rangeAlignmentBytes = random.pick([1, 1, 512, 4096]);
  return new SimulatedUnit({
    unitIndex,
    name: `unit${unitIndex}`,
    kind,
    alignmentBytes: kind === "file" && cache === "direct" ? random.pick([512, 4096]) : 1,
    rangeAlignmentBytes,
    atomicWrites: kind === "file" && cache === "direct" ? { bytesMin: 4096, bytesMax: 65536 } : null,
    blockLengthBytes,
    physicalBlockBytes: 4096,
    cache,
    readOnly: false,
    removable: false,
    thin: rangeAlignmentBytes <= blockLengthBytes && random.chance(0.7),
    inMemory: kind === "file" && random.chance(0.15),
    state: { ...initialState(random.between(1, 4) * MEBIBYTE, cache), descriptorSense: random.chance(0.3) },
    uuid: `00000000-0000-4000-8000-00000000000${unitIndex}`,
    statisticsBlock: 0,
    limits: null,
    ...overrides,
  });
}
