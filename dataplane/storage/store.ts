/**
 * What a logical unit keeps its blocks in. A store only queues operations on the ring; the completion comes back to the
 * loop as (kind, index) with a result: bytes or 0, or a negative errno. A store that need not wait (memory) completes at once
 * and returns the result instead of PENDING. Offsets and lengths are bytes; memory is named by
 * its offset in the shard's arena. Who asks owns the memory and must keep it until the completion.
 */
/** The result comes through the ring. */
export const PENDING = 0x7fffffff;

/** What does not wait for a device, as plain system calls. Results: bytes or 0, or a negative errno. */
export interface SynchronousFiles {
  read(fd: number, address: number, length: number, fileOffset: number): number;
  write(fd: number, address: number, length: number, fileOffset: number): number;
  /** See `writeBackError` of io-uring-node. */
  writeBackError(fd: number): number;
}

export interface Store {
  /** Its blocks are in memory, all of them: nothing is gained by reading them before they are asked for. */
  readonly inMemory: boolean;
  /** Reads `length` bytes at `fileOffset` into the arena. Short reads come back short: the caller continues them. */
  read(arenaOffset: number, length: number, fileOffset: number, kind: number, index: number): number;
  /** Writes; with `durable` the completion means that data and the metadata needed to read it are on stable storage (FUA). */
  write(arenaOffset: number, length: number, fileOffset: number, durable: boolean, kind: number, index: number): number;
  /** Writes all of it, or nothing if the machine fails meanwhile. What UnitRecord.atomicWrites allows, and aligned memory. */
  writeAtomic(
    arenaOffset: number,
    length: number,
    fileOffset: number,
    durable: boolean,
    kind: number,
    index: number,
  ): number;
  /** Makes all writes that completed before durable (SYNCHRONIZE CACHE). */
  flush(kind: number, index: number): number;
  /**
   * 0, or the negative errno with which something that was acknowledged, and was not durable yet, could not be stored later.
   * Each failure is told once, and before the completion of any flush or durable write that came after it. Does not wait.
   */
  takeLoss(): number;
  /** Deallocates the range; it then reads as zeroes. Only where the unit is thin. */
  discard(fileOffset: number, length: number, kind: number, index: number): number;
  /** Writes zeroes without moving them: deallocating or not, as is cheapest, unless `keepAllocated`. -EOPNOTSUPP where the store cannot. */
  zero(fileOffset: number, length: number, keepAllocated: boolean, kind: number, index: number): number;
}
