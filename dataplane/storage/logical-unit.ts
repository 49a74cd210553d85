/** A logical unit as a shard knows it: geometry, identity, and the store beneath. */
import type { CacheMode, UnitRecord } from "../messages.js";
import type { Store } from "./store.js";

export class LogicalUnit {
  readonly unitIndex: number;
  readonly name: string;
  readonly uuid: string;
  readonly blockLengthBytes: number;
  /** log2 of `blockLengthBytes`. */
  readonly blockShift: number;
  /** Capacity in logical blocks. */
  readonly blocks: number;
  readonly readOnly: boolean;
  readonly removable: boolean;
  readonly thin: boolean;
  readonly cache: CacheMode;
  /** WCE of the Caching mode page: a write may be acknowledged before it is durable. */
  readonly writeCacheEnabled: boolean;
  readonly store: Store;

  constructor(record: UnitRecord, store: Store) {
    this.unitIndex = record.unitIndex;
    this.name = record.name;
    this.uuid = record.uuid;
    this.blockLengthBytes = record.blockLengthBytes;
    this.blockShift = 31 - Math.clz32(record.blockLengthBytes);
    this.blocks = Math.floor(record.sizeBytes / record.blockLengthBytes);
    this.readOnly = record.readOnly;
    this.removable = record.removable;
    this.thin = record.thin;
    this.cache = record.cache;
    this.writeCacheEnabled = record.cache !== "writethrough";
    this.store = store;
  }
}
