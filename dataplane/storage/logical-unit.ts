/** A logical unit as a shard knows it: geometry, identity, what of it can change, and the store beneath. */
import type { AtomicWrites, CacheMode, ModeValues, NotReady, UnitRecord, UnitState } from "../messages.js";
import { hasMappingResources } from "../scsi/mapping-resources.js";
import type { LunMapping } from "../session/lun-mapping.js";
import type { Throttle } from "../throttle/throttle.js";
import type { FailedFlushes } from "./failed-flushes.js";
import type { Gate } from "./gate.js";
import type { Store } from "./store.js";

/** What is said of a failure that another shard has heard of. */
const EIO = -5;

/** Who else is told of losses. */
export interface LossListener {
  lost(): void;
  /** This initiator was told of all of them, and has acknowledged that. */
  heard(initiatorName: string): void;
}

export class LogicalUnit {
  readonly unitIndex: number;
  readonly name: string;
  readonly uuid: string;
  readonly blockLengthBytes: number;
  /** What hosts are told to align to. */
  readonly physicalBlockBytes: number;
  /** log2 of `blockLengthBytes`. */
  readonly blockShift: number;
  readonly readOnly: boolean;
  readonly removable: boolean;
  readonly thin: boolean;
  /** See scsi/mapping-resources.ts. */
  readonly hasMappingResources: boolean;
  readonly cache: CacheMode;
  readonly atomicWrites: AtomicWrites | null;
  readonly store: Store;
  readonly gate: Gate;
  readonly statisticsBlock: number;

  /** Where its commands wait for its limit; null: it has none. */
  throttle: Throttle | null = null;
  /** How often this shard was told by the kernel of a failed write-back. */
  #losses = 0;
  /** Of the failure that this shard has heard of last. */
  #lossErrno = EIO;
  readonly #failedFlushes: FailedFlushes;
  readonly #listener: LossListener;

  // -- UnitState
  /** Capacity in logical blocks. */
  blocks = 0;
  writeCacheEnabled = true;
  softwareWriteProtect = false;
  descriptorSense = false;
  thresholdReports = true;
  thresholdEnabled = false;
  thresholdCount = 0;
  notReady: NotReady | null = null;
  savedModes: ModeValues;
  defaultModes: ModeValues;

  constructor(record: UnitRecord, store: Store, gate: Gate, failedFlushes: FailedFlushes, listener: LossListener) {
    this.unitIndex = record.unitIndex;
    this.name = record.name;
    this.uuid = record.uuid;
    this.blockLengthBytes = record.blockLengthBytes;
    this.physicalBlockBytes = record.physicalBlockBytes;
    this.blockShift = 31 - Math.clz32(record.blockLengthBytes);
    this.readOnly = record.readOnly;
    this.removable = record.removable;
    this.thin = record.thin;
    this.hasMappingResources = hasMappingResources(record);
    this.cache = record.cache;
    this.atomicWrites = record.atomicWrites;
    this.store = store;
    this.gate = gate;
    this.#failedFlushes = failedFlushes;
    this.#listener = listener;
    this.statisticsBlock = record.statisticsBlock;
    this.savedModes = record.state.savedModes;
    this.defaultModes = record.state.defaultModes;
    this.apply(record.state);
  }

  /** How often it has been heard that something acknowledged, and not durable yet, is lost. */
  get losses(): number {
    return this.#losses + this.#failedFlushes.count;
  }

  /**
   * Whether all is stored that was acknowledged after the count of losses was `since`: 0, or a negative errno. To be asked
   * when a flush or a durable write has completed. The kernel tells of a failed write-back only once, and it may tell it to
   * another operation than the one whose data is lost; so everybody who has not heard of it is told that it may be theirs.
   */
  lossSince(since: number): number {
    if (this.hearLosses()) this.#listener.lost();
    return this.losses === since ? 0 : this.#lossErrno;
  }

  /** Whether the kernel has told of one. */
  hearLosses(): boolean {
    const errno = this.store.takeLoss();
    if (errno === 0) return false;
    this.#losses++;
    this.#lossErrno = errno;
    return true;
  }

  /** The initiator of a nexus has acknowledged that it was told when there were so many losses. */
  heard(mapping: LunMapping, initiatorName: string, losses: number): void {
    mapping.lossesHeard = Math.max(mapping.lossesHeard, losses);
    // What was lost meanwhile is still to be told.
    if (this.lossSince(mapping.lossesHeard) === 0) this.#listener.heard(initiatorName);
  }

  /** A flush has failed with this errno: what it was to make durable may be anybody's, on any shard. */
  noteFailedFlush(errno: number): void {
    this.#failedFlushes.add();
    this.#lossErrno = errno;
    this.#listener.lost();
  }

  /**
   * A durable write has failed with this errno. A device without FUA is made to empty its cache for it, and that this has failed is told
   * to the write alone: what is lost may be anybody's, as with a flush. Where all writes are durable nobody has anything there, and a
   * file in memory has no device.
   */
  noteFailedDurableWrite(errno: number): void {
    if (errno === EIO && this.cache !== "writethrough" && !this.store.inMemory) this.noteFailedFlush(errno);
  }

  apply(state: UnitState): void {
    this.blocks = Math.floor(state.sizeBytes / this.blockLengthBytes);
    this.writeCacheEnabled = state.writeCacheEnabled;
    this.softwareWriteProtect = state.softwareWriteProtect;
    this.descriptorSense = state.descriptorSense;
    this.thresholdReports = state.thresholdReports;
    this.thresholdEnabled = state.thresholdEnabled;
    this.thresholdCount = state.thresholdCount;
    this.notReady = state.notReady;
    this.savedModes = state.savedModes;
    this.defaultModes = state.defaultModes;
  }
}
