/**
 * A disk in memory with a volatile cache in front: a crash loses what is only in the cache, sector by sector or not at all.
 *
 *     write -> cache (what reads see)  -- sync, or a durable write -->  stable (what a crash leaves)
 *
 * Without a cache every write is durable.
 */
import type { Random } from "./random.js";

export const SECTOR_BYTES = 512;

/** Dirty, but none of the writes that made it so has completed: no sync has to cover it. */
const INCOMPLETE = Number.POSITIVE_INFINITY;

/** An operation that was made to fail. */
export interface Failure {
  /** Positive errno. */
  readonly error: number;
  readonly offset: number;
  readonly length: number;
  /** A sync, or a durable write, for which the device may have been synced: whatever that was to make durable may be lost. */
  readonly isSync: boolean;
}

export class Disk {
  readonly sizeBytes: number;
  readonly failures: Failure[] = [];
  readonly #hasCache: boolean;
  readonly #cache: Uint8Array;
  readonly #stable: Uint8Array;
  /** Sectors that are only in the cache -> when the first of the writes that made them so completed, as a count of completions. */
  readonly #dirty = new Map<number, number>();
  #completions = 0;

  /** `content`: what a crash has left of another disk. */
  constructor(sizeBytes: number, hasCache: boolean, content: Uint8Array = new Uint8Array(sizeBytes)) {
    this.sizeBytes = sizeBytes;
    this.#hasCache = hasCache;
    this.#cache = content;
    this.#stable = content.slice();
  }

  read(target: Uint8Array, offset: number): number {
    const source = this.#cache.subarray(offset, Math.min(this.sizeBytes, offset + target.length));
    target.set(source);
    return source.length;
  }

  /** `durable`: RWF_DSYNC. Call `completed` for the same range when the write completes. */
  write(source: Uint8Array, offset: number, durable: boolean): number {
    const length = Math.min(source.length, this.sizeBytes - offset);
    this.#cache.set(source.subarray(0, length), offset);
    this.#changed(offset, length, durable);
    return length;
  }

  /** As `write`, of zeroes. */
  zero(offset: number, length: number): void {
    this.#cache.fill(0, offset, offset + length);
    this.#changed(offset, length, false);
  }

  completed(offset: number, length: number): void {
    this.#completions++;
    this.#forSectors(offset, length, (sector) => {
      if (this.#dirty.get(sector) === INCOMPLETE) this.#dirty.set(sector, this.#completions);
    });
  }

  /** Marks what a sync that starts now has to cover. */
  beginSync(): number {
    return this.#completions;
  }

  /** Makes durable what was complete at the mark. */
  sync(mark: number): void {
    for (const [sector, completion] of this.#dirty) {
      if (completion > mark) continue;
      this.#stabilize(sector);
      this.#dirty.delete(sector);
    }
  }

  /** What is left after a crash: of each sector that was not synced, the old or the new. */
  crash(random: Random): Disk {
    for (const sector of this.#dirty.keys()) if (random.chance(0.5)) this.#stabilize(sector);
    return new Disk(this.sizeBytes, this.#hasCache, this.#stable);
  }

  #changed(offset: number, length: number, durable: boolean): void {
    if (durable || !this.#hasCache) {
      this.#stable.set(this.#cache.subarray(offset, offset + length), offset);
      this.#forSectors(offset, length, (sector) => this.#dirty.delete(sector));
    } else {
      this.#forSectors(offset, length, (sector) => {
        if (!this.#dirty.has(sector)) this.#dirty.set(sector, INCOMPLETE);
      });
    }
  }

  #stabilize(sector: number): void {
    const at = sector * SECTOR_BYTES;
    this.#stable.set(this.#cache.subarray(at, at + SECTOR_BYTES), at);
  }

  #forSectors(offset: number, length: number, visit: (sector: number) => void): void {
    const end = Math.ceil((offset + length) / SECTOR_BYTES);
    for (let sector = Math.floor(offset / SECTOR_BYTES); sector < end; sector++) visit(sector);
  }
}
