/**
 * What may be on a unit, sector by sector, as far as anybody outside can tell: the oracle for everything that is read.
 *
 * A sector's candidates are the writes whose content it may hold. A write is a candidate from its start on; if it ends
 * well, it was the content at some moment between its start and its end, so that whatever ended before its start is not
 * the content any more. A read that sees a write tells the same. Of overlapping writes either may win:
 *
 *     write 1 |-----------|
 *     write 2       |-----------|
 *     read                         |---|   1 or 2, but nothing older; and if it sees 1, no later read sees 2
 *
 * A second list says the same of stable storage, for what a crash may leave.
 */
import assert from "node:assert/strict";
import { SECTOR_BYTES } from "./disk.js";
import { GARBAGE, readStamp, type Stamp, stampSector } from "./stamps.js";

const NEVER = Number.POSITIVE_INFINITY;
/** Shorter lists are not worth tidying. */
const CANDIDATES_TIDY = 8;

export interface Write {
  readonly id: number;
  readonly name: string;
  readonly first: number;
  readonly count: number;
  /** All zeroes; otherwise stamped with `id`, the position counted modulo `period`. */
  readonly isZero: boolean;
  readonly period: number;
  readonly start: number;
  end: number;
}

interface Candidate {
  readonly write: Write;
  /** From when on it cannot be the content any more. */
  removed: number;
  /** The same, told by a write that had ended: one that is still on its way may be seen before a flush and yet escape it. */
  settled: number;
}

export class BlockHistory {
  readonly sectors: number;
  readonly #cached: Candidate[][] = [];
  readonly #stable: Candidate[][] = [];
  readonly #initial: Write;
  readonly #running = new Set<Write>();
  /** Starts of reads and flushes that are on their way. */
  readonly #readers = new Set<number>();
  /** Write and sector, where an atomic command has replaced it. */
  readonly #replaced = new Set<string>();
  #clock = 0;
  #lastId = 0;

  constructor(sectors: number) {
    this.sectors = sectors;
    this.#initial = {
      id: 0,
      name: "nothing",
      first: 0,
      count: sectors,
      isZero: true,
      period: 1,
      start: 0,
      end: 0,
    };
  }

  /** For the stamp of a write that is made next. */
  nextId(): number {
    return ++this.#lastId;
  }

  // ---- writes

  /** A write that is sent now. */
  begin(options: Pick<Write, "id" | "name" | "first" | "count" | "isZero" | "period">): Write {
    const write: Write = { ...options, start: ++this.#clock, end: NEVER };
    this.#running.add(write);
    for (let sector = write.first; sector < write.first + write.count; sector++) {
      this.#candidates(this.#cached, sector).push({ write, removed: NEVER, settled: NEVER });
      this.#candidates(this.#stable, sector).push({ write, removed: NEVER, settled: NEVER });
      this.#tidy(sector);
    }
    return write;
  }

  /** It ended well; `durable`: its end says that it is on stable storage. */
  written(write: Write, durable: boolean): void {
    this.abandoned(write);
    for (let sector = write.first; sector < write.first + write.count; sector++) {
      this.#wasContent(this.#cached, sector, write, write.start);
      if (durable) this.#wasContent(this.#stable, sector, write, write.start);
    }
  }

  /** It ended otherwise: each of its sectors may be written or not, but none will be from now on. */
  abandoned(write: Write): void {
    assert(this.#running.delete(write), "a write ends once");
    write.end = ++this.#clock;
  }

  /** It was refused: none of its sectors is written. */
  refused(write: Write): void {
    this.abandoned(write);
    for (let sector = write.first; sector < write.first + write.count; sector++) {
      for (const list of [this.#cached, this.#stable]) {
        list[sector] = list[sector]!.filter((candidate) => candidate.write !== write);
      }
    }
  }

  // ---- reads

  /** A read or a flush that is sent now; `endReading` has to follow. */
  beginReading(): number {
    const start = ++this.#clock;
    this.#readers.add(start);
    return start;
  }

  endReading(start: number): void {
    this.#readers.delete(start);
  }

  /** What a read that began at `start` has found from sector `first` on. The last sector may be read in part. */
  check(first: number, data: Uint8Array, start: number): void {
    this.#clock++;
    for (let at = 0, sector = first; at < data.length; at += SECTOR_BYTES, sector++) {
      const bytes = Math.min(SECTOR_BYTES, data.length - at) & ~3;
      // Less than a stamp says nothing.
      if (bytes < 8) return;
      this.#checkSector(sector, wordsOf(data, at, bytes), start);
    }
  }

  /** What `count` sectors may hold at the moment, the newest of each first in line. Never written: zeroes. */
  guess(first: number, count: number): Uint8Array {
    const guessed = new Uint8Array(count * SECTOR_BYTES);
    for (let index = 0; index < count; index++) {
      const sector = first + index;
      const possible = this.#candidates(this.#cached, sector).filter(({ removed }) => removed === NEVER);
      const { write } = possible[possible.length - 1]!;
      if (!write.isZero) guessed.set(stampSector(write.id, positionOf(write, sector)), index * SECTOR_BYTES);
    }
    return guessed;
  }

  /** Whether the sector may have held something else than `data` since `start`. */
  mayDiffer(sector: number, data: Uint8Array, start: number): boolean {
    const found = readStamp(wordsOf(data, 0, SECTOR_BYTES));
    return this.#candidates(this.#cached, sector).some(
      ({ write, removed }) => removed >= start && !isContent(found, write, sector),
    );
  }

  /**
   * An atomic command that began at `start` has found `data` and has put something else in its place, with nothing in
   * between. What is replaced does not come back: nothing is replaced twice.
   */
  replaced(first: number, data: Uint8Array, start: number): void {
    this.check(first, data, start);
    for (let at = 0, sector = first; at < data.length; at += SECTOR_BYTES, sector++) {
      const found = readStamp(wordsOf(data, at, SECTOR_BYTES));
      // Zeroes come from many.
      if (found.write === 0) continue;
      const { write } = this.#candidates(this.#cached, sector).find(({ write }) => isContent(found, write, sector))!;
      const place = `${write.id}/${sector}`;
      assert(!this.#replaced.has(place), `write ${write.id} was replaced twice on sector ${sector}`);
      this.#replaced.add(place);
    }
  }

  /** A flush that began at `start` ended well: what was complete before is on stable storage. */
  flushed(start: number): void {
    this.#clock++;
    for (const [sector, stable] of this.#stable.entries()) {
      if (stable === undefined || stable.length < 2) continue;
      const cached = this.#cached[sector]!;
      this.#stable[sector] = stable.filter(({ write }) =>
        cached.some((candidate) => candidate.write === write && candidate.settled >= start),
      );
    }
  }

  /** The machine is gone: all that was on its way has ended, and only stable storage is left. */
  crashed(): void {
    for (const write of this.#running) write.end = ++this.#clock;
    this.#running.clear();
    this.#readers.clear();
    for (const [sector, stable] of this.#stable.entries()) {
      if (stable !== undefined) this.#cached[sector] = stable.map((candidate) => ({ ...candidate }));
    }
  }

  // ----

  #checkSector(sector: number, words: Uint32Array, start: number): void {
    const found = readStamp(words);
    const candidates = this.#candidates(this.#cached, sector).filter(({ removed }) => removed >= start);
    const matching = candidates.filter(({ write }) => isContent(found, write, sector));
    if (matching.length === 0) {
      const beginning = Buffer.from(words.buffer, words.byteOffset, 16).toString("hex");
      const what =
        found.write === GARBAGE
          ? `${beginning} ..., wrong from word ${found.position} on`
          : `write ${found.write}, its sector ${found.position}`;
      const may = candidates.map(({ write }) => `${write.name} (${write.id}, from sector ${write.first})`);
      assert.fail(`sector ${sector} holds ${what}; it may hold: ${may.join(", ")}`);
    }
    if (matching.length === 1) this.#wasContent(this.#cached, sector, matching[0]!.write, start);
  }

  /** `write` was the content at some moment from `start` on. */
  #wasContent(list: Candidate[][], sector: number, write: Write, start: number): void {
    for (const candidate of this.#candidates(list, sector)) {
      if (candidate.write !== write && candidate.write.end < start) {
        candidate.removed = Math.min(candidate.removed, this.#clock);
        if (write.end !== NEVER) candidate.settled = Math.min(candidate.settled, this.#clock);
      }
    }
  }

  #candidates(list: Candidate[][], sector: number): Candidate[] {
    return (list[sector] ??= [{ write: this.#initial, removed: NEVER, settled: NEVER }]);
  }

  /** Forgets what no read that is on its way can have seen. */
  #tidy(sector: number): void {
    if (this.#cached[sector]!.length < CANDIDATES_TIDY && this.#stable[sector]!.length < CANDIDATES_TIDY) return;
    let oldest = this.#clock;
    for (const start of this.#readers) oldest = Math.min(oldest, start);
    for (const list of [this.#cached, this.#stable]) {
      list[sector] = list[sector]!.filter(({ settled }) => settled >= oldest);
    }
  }
}

function wordsOf(data: Uint8Array, at: number, bytes: number): Uint32Array {
  return new Uint32Array(data.buffer, data.byteOffset + at, bytes / 4);
}

function positionOf(write: Write, sector: number): number {
  return (sector - write.first) % write.period;
}

function isContent(found: Stamp, write: Write, sector: number): boolean {
  return write.isZero ? found.write === 0 : found.write === write.id && found.position === positionOf(write, sector);
}
