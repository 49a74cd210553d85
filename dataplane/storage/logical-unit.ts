/** A logical unit as a shard knows it: geometry, identity, what of it can change, and the store beneath. */
import type { CacheMode, NotReady, UnitRecord, UnitState } from "../messages.js";
import type { Gate } from "./gate.js";
import type { Store } from "./store.js";

export class LogicalUnit {
  readonly unitIndex: number;
  readonly name: string;
  readonly uuid: string;
  readonly blockLengthBytes: number;
  /** log2 of `blockLengthBytes`. */
  readonly blockShift: number;
  readonly readOnly: boolean;
  readonly removable: boolean;
  readonly thin: boolean;
  readonly cache: CacheMode;
  readonly store: Store;
  readonly gate: Gate;

  // -- UnitState
  /** Capacity in logical blocks. */
  blocks = 0;
  writeCacheEnabled = true;
  softwareWriteProtect = false;
  descriptorSense = false;
  notReady: NotReady | null = null;

  constructor(record: UnitRecord, store: Store, gate: Gate) {
    this.unitIndex = record.unitIndex;
    this.name = record.name;
    this.uuid = record.uuid;
    this.blockLengthBytes = record.blockLengthBytes;
    this.blockShift = 31 - Math.clz32(record.blockLengthBytes);
    this.readOnly = record.readOnly;
    this.removable = record.removable;
    this.thin = record.thin;
    this.cache = record.cache;
    this.store = store;
    this.gate = gate;
    this.apply(record.state);
  }

  apply(state: UnitState): void {
    this.blocks = Math.floor(state.sizeBytes / this.blockLengthBytes);
    this.writeCacheEnabled = state.writeCacheEnabled;
    this.softwareWriteProtect = state.softwareWriteProtect;
    this.descriptorSense = state.descriptorSense;
    this.notReady = state.notReady;
  }
}
