/**
 * Content that tells where it comes from: each sector names the write that it belongs to and its place within it, and is
 * filled with words that follow from both, so that no byte of it can be another's.
 *
 *     | write (u32) | position (u32) | words ... |          write 0 is all zeroes
 *
 * The highest byte of each of these words, which comes last in memory, is MARK: so stamped content is recognized by whom it
 * does not belong to.
 */
import { SECTOR_BYTES } from "./disk.js";

const SECTOR_WORDS = SECTOR_BYTES / 4;
const MARK = 0x5a;
/** So many marks in a row are no accident. */
const MARKS_MIN = 8;
/** What no write has written. */
export const GARBAGE = -1;

/** The content of `count` sectors of a write. */
export function stamp(write: number, count: number): Uint8Array {
  const words = new Uint32Array(count * SECTOR_WORDS);
  for (let position = 0; position < count; position++) {
    fill(words.subarray(position * SECTOR_WORDS, (position + 1) * SECTOR_WORDS), write, position);
  }
  return new Uint8Array(words.buffer);
}

/** One sector of it. */
export function stampSector(write: number, position: number): Uint8Array {
  const words = new Uint32Array(SECTOR_WORDS);
  fill(words, write, position);
  return new Uint8Array(words.buffer);
}

function fill(words: Uint32Array, write: number, position: number): void {
  words[0] = write;
  words[1] = position;
  for (let i = 2; i < SECTOR_WORDS; i++) words[i] = word(write, position, i);
}

export interface Stamp {
  /** 0: zeroes; GARBAGE: no stamp at all. */
  readonly write: number;
  readonly position: number;
}

/** What a sector (or the beginning of one, of at least two words) says. `words` are those of the sector. */
export function readStamp(words: Uint32Array): Stamp {
  const write = words[0]!;
  const position = words[1]!;
  for (let i = 2; i < words.length; i++) {
    if (words[i] !== (write === 0 ? 0 : word(write, position, i))) return { write: GARBAGE, position: i };
  }
  return write === 0 && position !== 0 ? { write: GARBAGE, position } : { write, position };
}

/** Whether part of a stamped sector is among the bytes, wherever it begins. */
export function holdsStamp(bytes: Uint8Array): boolean {
  for (let start = 0; start < 4; start++) {
    let marks = 0;
    for (let at = start; at < bytes.length; at += 4) {
      marks = bytes[at] === MARK ? marks + 1 : 0;
      if (marks === MARKS_MIN) return true;
    }
  }
  return false;
}

function word(write: number, position: number, index: number): number {
  const mixed = Math.imul(write, 0x9e3779b1) + Math.imul(position, 0x85ebca6b) + Math.imul(index, 0xc2b2ae35);
  return MARK * 0x100_0000 + ((mixed ^ (mixed >>> 15)) & 0xff_ffff);
}
