/**
 * Self-describing blocks: each says where it belongs, which write it came from, and whether it is whole.
 *
 *      0 | magic        | seed         | LBA (8 bytes)
 *     16 | generation   | filler ...
 *     64 | mark         | filler ...          a mark at the head of every 64 bytes: a hash of LBA, generation and position
 *    ... | mark         | filler ...
 *     -4 | CRC32C of all bytes before it
 *
 * Filler is whatever the buffer held. Numbers are big-endian.
 */
import { crc32cBatch } from "io-uring-node";
import type { Arena } from "../../dataplane/arena.js";

const MAGIC = 0x524c5642;
const LINE_BYTES = 64;
const CRC_BYTES = 4;
const JOB_WORDS = 4;

/** What `check` finds in place of a generation. */
export const STAMP_NONE = -1;
/** Of another run. */
export const STAMP_FOREIGN = -2;
/** Whole, but of another LBA. */
export const STAMP_MISPLACED = -3;
/** The CRC is wrong: torn or damaged. */
export const STAMP_CORRUPT = -4;

export function describeStamp(found: number): string {
  switch (found) {
    case STAMP_NONE:
      return "no stamp";
    case STAMP_FOREIGN:
      return "the stamp of another run";
    case STAMP_MISPLACED:
      return "another block";
    case STAMP_CORRUPT:
      return "a damaged block";
    default:
      return `generation ${found}`;
  }
}

export class BlockStamps {
  /** After `check`: generation, or STAMP_*, of each block. */
  readonly found: Float64Array;
  readonly #arena: Arena;
  readonly #blockLength: number;
  readonly #seed: number;
  readonly #jobs: Uint32Array;

  /** `seed` tells the blocks of this run from those of others; `blocksMax` go in one call. */
  constructor(arena: Arena, blockLength: number, blocksMax: number, seed: number) {
    this.#arena = arena;
    this.#blockLength = blockLength;
    this.#seed = seed >>> 0;
    this.found = new Float64Array(blocksMax);
    this.#jobs = new Uint32Array(blocksMax * JOB_WORDS);
  }

  /** Stamps `blocks` blocks at arena offset `offset`. */
  stamp(offset: number, lba: number, blocks: number, generation: number): void {
    const { view } = this.#arena;
    const length = this.#blockLength;
    for (let block = 0; block < blocks; block++) {
      const at = offset + block * length;
      const lbaLow = (lba + block) >>> 0;
      view.setUint32(at, MAGIC);
      view.setUint32(at + 4, this.#seed);
      view.setUint32(at + 8, Math.floor((lba + block) / 4294967296));
      view.setUint32(at + 12, lbaLow);
      view.setUint32(at + 16, generation);
      for (let line = LINE_BYTES; line < length; line += LINE_BYTES) {
        view.setUint32(at + line, Math.imul(lbaLow ^ Math.imul(generation, 0x9e3779b1) ^ line, 0x85ebca6b));
      }
    }
    this.#computeCrcs(offset, blocks);
    for (let block = 0; block < blocks; block++) {
      view.setUint32(offset + (block + 1) * length - CRC_BYTES, this.#jobs[block * JOB_WORDS + 3]!);
    }
  }

  /** Looks at `blocks` blocks that should be those from `lba` on: see `found`. */
  check(offset: number, lba: number, blocks: number): void {
    const { view } = this.#arena;
    const length = this.#blockLength;
    this.#computeCrcs(offset, blocks);
    for (let block = 0; block < blocks; block++) {
      const at = offset + block * length;
      const crc = this.#jobs[block * JOB_WORDS + 3]!;
      const stampedLba = view.getUint32(at + 8) * 4294967296 + view.getUint32(at + 12);
      let found = view.getUint32(at + 16);
      if (view.getUint32(at) !== MAGIC) found = STAMP_NONE;
      else if (view.getUint32(at + length - CRC_BYTES) !== crc) found = STAMP_CORRUPT;
      else if (view.getUint32(at + 4) !== this.#seed) found = STAMP_FOREIGN;
      else if (stampedLba !== lba + block) found = STAMP_MISPLACED;
      this.found[block] = found;
    }
  }

  #computeCrcs(offset: number, blocks: number): void {
    const jobs = this.#jobs;
    const length = this.#blockLength;
    for (let block = 0; block < blocks; block++) {
      jobs[block * JOB_WORDS] = offset + block * length;
      jobs[block * JOB_WORDS + 1] = length - CRC_BYTES;
      jobs[block * JOB_WORDS + 2] = 0;
    }
    crc32cBatch(this.#arena.bytes, jobs, blocks);
  }
}
