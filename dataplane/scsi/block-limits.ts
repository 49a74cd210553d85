/** The bounds of the block commands: VPD page B0 (Block Limits) tells them, and the commands refuse what lies beyond. */
import { SLICE_BYTES_MAX } from "../limits.js";

/**
 * Longest READ, WRITE or VERIFY: all that a 10-byte CDB can ask for in blocks of 512 bytes. It only bounds how long one
 * command may go on: a transfer moves in slices anyway.
 */
export const TRANSFER_BYTES_MAX = 32 * 1024 * 1024;

/** What we recommend: one slice, so that a command is one store operation. */
export const TRANSFER_BYTES_OPTIMAL = SLICE_BYTES_MAX;

/** What file systems allocate and the page cache moves: whole multiples of it are cheap. */
export const ALLOCATION_BYTES = 4096;

/**
 * Longest WRITE SAME. A pattern that is not zero goes through the store, which may be memory and never let go of the thread:
 * this is what one command may keep it busy with.
 */
export const WRITE_SAME_BYTES_MAX = 64 * 1024 * 1024;

/** COMPARE AND WRITE: what its field in VPD B0 can tell, and what one buffer holds three times. */
const COMPARE_AND_WRITE_BLOCKS_MAX = 255;
const COMPARED_BYTES_MAX = 65536;
/** ORWRITE: what one buffer holds twice. */
export const ORWRITE_BYTES_MAX = SLICE_BYTES_MAX / 2;
/** WRITE ATOMIC: what goes to control in one record; the longest that iscsi-test-cu tries with blocks of 512 bytes. */
export const WRITE_ATOMIC_BYTES_MAX = 128 * 1024;

/** Buffer that WRITE SAME fills with the pattern. */
export const PATTERN_BYTES_MAX = SLICE_BYTES_MAX;

/** Descriptors of one UNMAP. How many blocks each of them covers is not limited: a hole costs the same at any size. */
export const UNMAP_DESCRIPTORS_MAX = 256;

/** MAXIMUM UNMAP LBA COUNT that says: no limit. */
export const UNMAP_BLOCKS_UNLIMITED = 0xffff_ffff;

/** MAXIMUM COMPARE AND WRITE LENGTH of a unit, in blocks. */
export function compareAndWriteBlocksMax({ blockShift }: { readonly blockShift: number }): number {
  return Math.min(COMPARE_AND_WRITE_BLOCKS_MAX, COMPARED_BYTES_MAX >>> blockShift);
}

/** Of WRITE ATOMIC, in blocks: ATOMIC ALIGNMENT, which is ATOMIC TRANSFER LENGTH GRANULARITY, too, and MAXIMUM ATOMIC TRANSFER LENGTH. */
export function atomicLimits({ blockShift }: { readonly blockShift: number }): {
  readonly granularity: number;
  readonly blocksMax: number;
} {
  return { granularity: ALLOCATION_BYTES >>> blockShift, blocksMax: WRITE_ATOMIC_BYTES_MAX >>> blockShift };
}
