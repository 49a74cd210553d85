/**
 * Moves data from one unit to another, or within one, without a shard and without the network, part by part:
 *
 *     a hole of the source              -> the destination is deallocated, or zeroed, there
 *     between files that allow it       -> copy_file_range: the file system shares blocks, or copies in the kernel
 *     else                              -> read and written through a buffer
 *
 * A part is short, so that whoever wants the copy to end, or the destination for itself, waits for little. Few parts are under
 * way at a time, whatever the number of copies: the threads that do them are few, and others need them too.
 *
 * To the kernel a write of ours is one like a shard's (see dataplane/storage/file-store.ts). Where writes are direct, those of
 * copy_file_range and fallocate, which pass through the page cache, are whole pages: of a page that is changed in part, the
 * rest could go back to the device older than what a direct write has put there meanwhile.
 */
import { fstat } from "node:fs";
import { promisify } from "node:util";
import {
  addressOf,
  copyFileRange,
  errno,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  fallocate,
  fdatasync,
  pread,
  pwrite,
  seekDataAsync,
  seekHoleAsync,
  writeBackError,
} from "io-uring-node";
import type { UnitRecord } from "../../../dataplane/messages.js";
import type { FailedFlushes } from "../../../dataplane/storage/failed-flushes.js";
import { type Gate, NOBODY } from "../../../dataplane/storage/gate.js";
import { COPY_PART_BYTES, COPY_PARTS_AT_ONCE } from "../../limits.js";
import type { Tolls } from "./tolls.js";

/** What copy_file_range moves at a time, and what one hole makes of the destination at a time. */
const RANGE_BYTES = 4 * COPY_PART_BYTES;
const HOLE_BYTES = 64 * RANGE_BYTES;
const PAGE_BYTES = 4096;
/** In case that nobody says that a gate has opened. */
const GATE_PATIENCE_MS = 1000;

const stat = promisify(fstat);

const PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
const ZERO_RANGE = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

/** What to copy: bytes, whole blocks of the destination. Without a source: zeroes. */
export interface Extent {
  readonly source: UnitRecord | null;
  readonly sourceOffset: number;
  readonly destination: UnitRecord;
  readonly destinationOffset: number;
  readonly length: number;
}

/** A store has failed. `offset`: of the first byte that is not through, in that store. */
export interface StoreFault {
  readonly side: "source" | "destination";
  readonly errno: number;
  readonly offset: number;
}

/** Control's part in what it shares with the shards. */
export interface SharedWithShards {
  gate(unitIndex: number): Gate;
  failedFlushes(unitIndex: number): FailedFlushes;
}

/** Told of a flush that has failed: what it was to make durable may be anybody's. */
export type OnLoss = (unit: UnitRecord) => void;

/** Something other than a store ends a copy; absent: it may go on. */
export interface Guard<Reason> {
  /** Asked before each part. */
  readonly check: () => Reason | undefined;
  /** Aborted when `check` will say so: what waits need not wait any more. */
  readonly signal: AbortSignal;
}

/** Memory of a part under way, aligned to pages. */
interface Buffer {
  readonly bytes: Uint8Array;
  readonly address: number;
  /** What the part has written: holes are not. */
  written: number;
}

/** The destination refuses its part, as it has become not ready since `check` was asked; asked again, it says why. */
class NotReadyError extends Error {}

/** What a file system, or a pair of files, says that does not do it this way. */
const REFUSALS: readonly number[] = [-errno.EOPNOTSUPP, -errno.EINVAL, -errno.EXDEV, -errno.ENOSYS];

export class DataMover {
  readonly #shards: SharedWithShards;
  readonly #isReady: (unitIndex: number) => boolean;
  readonly #onLoss: OnLoss;
  readonly #tolls: Tolls | null;
  readonly #gates = new Map<number, Gate>();
  readonly #slots = new Slots();
  /** Pairs of units between which copy_file_range does not work. */
  readonly #incompatible = new Set<string>();
  /** Units that fallocate does not zero. */
  readonly #unzeroable = new Set<number>();
  readonly #losses = new Map<number, Losses>();

  /**
   * @param isReady whether its medium can be accessed at this moment.
   * @param tolls what copies cost; null: no unit has limits.
   */
  constructor(
    shards: SharedWithShards,
    isReady: (unitIndex: number) => boolean,
    onLoss: OnLoss,
    tolls: Tolls | null = null,
  ) {
    this.#shards = shards;
    this.#isReady = isReady;
    this.#onLoss = onLoss;
    this.#tolls = tolls;
  }

  /**
   * Copies the extent. `progress` is told of every part that is through.
   *
   * @returns what has ended it before its end; undefined: nothing.
   */
  async move<Reason>(
    extent: Extent,
    guard: Guard<Reason>,
    progress: (bytes: number) => void,
  ): Promise<Reason | StoreFault | undefined> {
    const copiesUp = overlapsUpwards(extent);
    for (let done = 0; done < extent.length; ) {
      const buffer = await this.#slots.take(guard.signal);
      let written = 0;
      try {
        const reason = guard.check();
        if (reason !== undefined) return reason;
        // A signal without a reason: the next check has one.
        if (buffer === undefined) continue;
        const left = extent.length - done;
        buffer.written = 0;
        const result = await (copiesUp ? this.#lastPart(extent, left, buffer) : this.#nextPart(extent, done, buffer));
        if (typeof result !== "number") return result;
        written = buffer.written;
        done += result;
        progress(result);
      } catch (error) {
        if (!(error instanceof NotReadyError)) throw error;
      } finally {
        if (buffer !== undefined) this.#slots.give(buffer);
      }
      // Others have their turns meanwhile.
      await this.#tolls?.pay([extent.source, extent.destination], written, guard.signal);
    }
    return undefined;
  }

  /** How many losses of the unit's data have been heard of so far: for `makeDurable`. */
  lossesBefore(unit: UnitRecord): number {
    return this.#lossesOf(unit).count();
  }

  /** Makes durable what was written to the unit since `lossesBefore`. 0, or a negative errno. */
  async makeDurable(unit: UnitRecord, lossesBefore: number): Promise<number> {
    if (unit.bufferedFd < 0 || unit.inMemory) return 0;
    const buffer = (await this.#slots.take())!;
    try {
      const result = await fdatasync(unit.bufferedFd);
      if (result >= 0) return this.#lossesOf(unit).since(lossesBefore);
      this.#shards.failedFlushes(unit.unitIndex).add();
      this.#onLoss(unit);
      return result;
    } finally {
      this.#slots.give(buffer);
    }
  }

  /** The unit is about to be closed. */
  forget(unitIndex: number): void {
    this.#gates.delete(unitIndex);
    this.#losses.delete(unitIndex);
    this.#unzeroable.delete(unitIndex);
    for (const pair of this.#incompatible)
      if (pair.split("/").includes(`${unitIndex}`)) this.#incompatible.delete(pair);
  }

  #lossesOf(unit: UnitRecord): Losses {
    let losses = this.#losses.get(unit.unitIndex);
    if (losses === undefined) {
      losses = new Losses(unit.errorFds.at(-1) ?? -1, this.#shards.failedFlushes(unit.unitIndex));
      this.#losses.set(unit.unitIndex, losses);
    }
    return losses;
  }

  /** Where the end must go first. */
  #lastPart(extent: Extent, left: number, buffer: Buffer): Promise<number | StoreFault> {
    const length = Math.min(left, COPY_PART_BYTES);
    return this.#carry(extent, left - length, length, buffer);
  }

  async #nextPart(extent: Extent, done: number, buffer: Buffer): Promise<number | StoreFault> {
    const { source, destination } = extent;
    const left = extent.length - done;
    const hole = source === null ? left : await holeAt(extent, done);
    if (hole > 0) return this.#zero(destination, extent.destinationOffset + done, Math.min(hole, HOLE_BYTES), buffer);
    const data = await dataAt(extent, done);
    if (!this.#mayCopyRange(extent)) return this.#carry(extent, done, Math.min(data, COPY_PART_BYTES), buffer);
    const pages = wholePages(destination, extent.destinationOffset + done, Math.min(data, RANGE_BYTES));
    if (pages.length === 0) return this.#carry(extent, done, Math.min(data, pages.before), buffer);
    const copied = await this.#gated(destination, () => this.#copyRange(extent, done, pages.length));
    buffer.written = Math.max(copied, 0);
    if (copied > 0) return copied;
    // What else is wrong, and with which of the two, shows where it is read and written.
    return this.#carry(extent, done, Math.min(data, COPY_PART_BYTES), buffer);
  }

  #mayCopyRange({ source, sourceOffset, destination, destinationOffset }: Extent): boolean {
    if (source?.kind !== "file" || destination.kind !== "file") return false;
    if (this.#incompatible.has(pairOf(source, destination))) return false;
    // Ranges of one file must not overlap.
    return source.unitIndex !== destination.unitIndex || Math.abs(sourceOffset - destinationOffset) >= RANGE_BYTES;
  }

  async #copyRange(extent: Extent, done: number, length: number): Promise<number> {
    const { source, sourceOffset, destination, destinationOffset } = extent;
    const [from, to] = [source!.bufferedFd, destination.bufferedFd];
    const copied = await copyFileRange(from, sourceOffset + done, to, destinationOffset + done, length);
    if (REFUSALS.includes(copied)) this.#incompatible.add(pairOf(source!, destination));
    // A part that is no whole number of blocks: it is copied again from its last whole block on.
    return copied < 0 ? copied : copied - (copied % destination.blockLengthBytes);
  }

  /** Through memory: `length` is at most COPY_PART_BYTES. */
  async #carry(extent: Extent, done: number, length: number, buffer: Buffer): Promise<number | StoreFault> {
    const { source, sourceOffset, destination, destinationOffset } = extent;
    const fault = await this.#read(source!, sourceOffset + done, length, buffer);
    if (fault !== undefined) return fault;
    return this.#write(destination, destinationOffset + done, length, buffer);
  }

  async #read(unit: UnitRecord, offset: number, length: number, buffer: Buffer): Promise<StoreFault | undefined> {
    if (unit.kind === "null") {
      buffer.bytes.fill(0, 0, length);
      return undefined;
    }
    for (let done = 0; done < length; ) {
      const fd = descriptorFor(unit, offset + done, length - done, done);
      const result = await pread(fd, buffer.address + done, length - done, offset + done);
      // Nothing where blocks should be: the file was cut behind our back.
      if (result <= 0) return { side: "source", errno: result === 0 ? -errno.EIO : result, offset: offset + done };
      done += result;
    }
    return undefined;
  }

  #write(unit: UnitRecord, offset: number, length: number, buffer: Buffer): Promise<number | StoreFault> {
    buffer.written = length;
    if (unit.kind === "null") return Promise.resolve(length);
    return this.#gated(unit, async () => {
      for (let done = 0; done < length; ) {
        const direct = writesDirect(unit) ? descriptorFor(unit, offset + done, length - done, done) : unit.bufferedFd;
        const result = await pwrite(direct, buffer.address + done, length - done, offset + done, 0);
        if (result <= 0)
          return { side: "destination", errno: result === 0 ? -errno.EIO : result, offset: offset + done };
        done += result;
      }
      return length;
    });
  }

  async #zero(unit: UnitRecord, offset: number, length: number, buffer: Buffer): Promise<number | StoreFault> {
    if (unit.kind === "null") return length;
    const pages = wholePages(unit, offset, length);
    const isAligned = offset % unit.rangeAlignmentBytes === 0 && pages.length % unit.rangeAlignmentBytes === 0;
    if (pages.length > 0 && isAligned && !this.#unzeroable.has(unit.unitIndex)) {
      const mode = unit.thin ? PUNCH_HOLE : ZERO_RANGE;
      const result = await this.#gated(unit, () => fallocate(unit.bufferedFd, mode, offset, pages.length));
      if (result >= 0) return pages.length;
      if (!REFUSALS.includes(result)) return { side: "destination", errno: result, offset };
      this.#unzeroable.add(unit.unitIndex);
    }
    const part = Math.min(pages.length > 0 ? pages.length : pages.before, length, COPY_PART_BYTES);
    buffer.bytes.fill(0, 0, part);
    return this.#write(unit, offset, part, buffer);
  }

  /** Keeps atomic commands of all shards off the unit meanwhile. */
  async #gated<T>(unit: UnitRecord, write: () => Promise<T>): Promise<T> {
    let gate = this.#gates.get(unit.unitIndex);
    if (gate === undefined) {
      gate = this.#shards.gate(unit.unitIndex);
      this.#gates.set(unit.unitIndex, gate);
    }
    while (!gate.enter()) await ownerGone(gate);
    try {
      // SANITIZE waits for what is in the gate, and no more must come.
      if (!this.#isReady(unit.unitIndex)) throw new NotReadyError();
      return await write();
    } finally {
      gate.leave();
    }
  }
}

function pairOf(source: UnitRecord, destination: UnitRecord): string {
  return `${source.unitIndex}/${destination.unitIndex}`;
}

function overlapsUpwards({ source, sourceOffset, destination, destinationOffset, length }: Extent): boolean {
  return endGoesFirst(source?.unitIndex === destination.unitIndex, sourceOffset, destinationOffset, length);
}

/** Within one unit the end must be copied first where source and destination overlap and the destination is the higher one. */
export function endGoesFirst(isOneUnit: boolean, from: number, to: number, length: number): boolean {
  return isOneUnit && to > from && to < from + length;
}

/** Bytes of a hole of the source from here on that are whole blocks of the destination; 0: none. */
async function holeAt({ source, sourceOffset, destination, length }: Extent, done: number): Promise<number> {
  const left = length - done;
  if (source!.kind === "null") return left;
  if (source!.kind !== "file") return 0;
  const data = await seekDataAsync(source!.bufferedFd, sourceOffset + done);
  // No data up to the end of the file, which is the unit's, unless it was cut behind our back: then reading fails.
  const end = data === -errno.ENXIO ? (await stat(source!.bufferedFd)).size : data;
  const hole = Math.min(left, end - sourceOffset - done);
  return hole <= 0 ? 0 : hole - (hole % destination.blockLengthBytes);
}

/** Bytes up to the next hole, in whole blocks of the destination. */
async function dataAt({ source, sourceOffset, destination, length }: Extent, done: number): Promise<number> {
  const left = length - done;
  if (source!.kind !== "file") return left;
  const hole = await seekHoleAsync(source!.bufferedFd, sourceOffset + done);
  const block = destination.blockLengthBytes;
  // A hole right here is less than a block.
  const blocks = Math.max(1, Math.ceil((hole - sourceOffset - done) / block));
  return hole < 0 ? left : Math.min(left, blocks * block);
}

/** As FileStore says it. */
function writesDirect({ fd, bufferedFd, blockLengthBytes, alignmentBytes }: UnitRecord): boolean {
  return fd !== bufferedFd && blockLengthBytes >= alignmentBytes;
}

/** `memory`: where in the buffer, which is aligned. */
function descriptorFor({ fd, bufferedFd, alignmentBytes }: UnitRecord, offset: number, length: number, memory: number) {
  return [offset, length, memory].every((value) => value % alignmentBytes === 0) ? fd : bufferedFd;
}

/**
 * How much of a range, from its start on, may pass through the page cache; where that is nothing, how much is `before` the next
 * page that may.
 */
function wholePages(
  unit: UnitRecord,
  offset: number,
  length: number,
): { readonly length: number; readonly before: number } {
  if (!writesDirect(unit)) return { length, before: 0 };
  if (offset % PAGE_BYTES !== 0) return { length: 0, before: PAGE_BYTES - (offset % PAGE_BYTES) };
  return { length: length - (length % PAGE_BYTES), before: PAGE_BYTES };
}

async function ownerGone({ words, owner }: Gate): Promise<void> {
  const value = Atomics.load(words, owner);
  if (value === NOBODY) return;
  const wait = Atomics.waitAsync(words, owner, value, GATE_PATIENCE_MS);
  if (wait.async) await wait.value;
}

/** What was lost of one unit: write-backs, as the kernel tells control's own descriptor of them, and flushes that have failed anywhere. */
class Losses {
  readonly #errorFd: number;
  readonly #failedFlushes: FailedFlushes;
  #count = 0;
  #errno = -errno.EIO;

  constructor(errorFd: number, failedFlushes: FailedFlushes) {
    this.#errorFd = errorFd;
    this.#failedFlushes = failedFlushes;
  }

  count(): number {
    const result = this.#errorFd < 0 ? 0 : writeBackError(this.#errorFd);
    if (result < 0) {
      this.#count++;
      this.#errno = result;
    }
    return this.#count + this.#failedFlushes.count;
  }

  /** 0, or the negative errno of what is lost since then. */
  since(before: number): number {
    return this.count() === before ? 0 : this.#errno;
  }
}

/** Turns for parts: whoever has waited longest is next. A turn comes with memory. */
class Slots {
  readonly #free: Buffer[] = [];
  readonly #waiting: ((buffer: Buffer) => void)[] = [];
  #made = 0;

  /** Undefined: the signal came before the turn did. Without one the turn is waited for in any case. */
  async take(signal?: AbortSignal): Promise<Buffer | undefined> {
    if (signal?.aborted) return undefined;
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#made < COPY_PARTS_AT_ONCE) {
      this.#made++;
      return pageAlignedBuffer();
    }
    return new Promise((resolve) => {
      const settle = (buffer: Buffer | undefined) => {
        signal?.removeEventListener("abort", giveUp);
        resolve(buffer);
      };
      const giveUp = () => {
        this.#waiting.splice(this.#waiting.indexOf(settle), 1);
        settle(undefined);
      };
      this.#waiting.push(settle);
      signal?.addEventListener("abort", giveUp);
    });
  }

  give(buffer: Buffer): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free.push(buffer);
    else next(buffer);
  }
}

function pageAlignedBuffer(): Buffer {
  const memory = new Uint8Array(COPY_PART_BYTES + PAGE_BYTES);
  const skipped = -addressOf(memory) & (PAGE_BYTES - 1);
  const bytes = memory.subarray(skipped, skipped + COPY_PART_BYTES);
  return { bytes, address: addressOf(bytes), written: 0 };
}
