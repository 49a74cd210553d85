/** CRC32C (Castagnoli), the digest of iSCSI, with the processor's own instructions where there are any. */
import { orThrow } from "./errno.js";
import { addon } from "./native.js";

/** Words of a job: offset, length, seed, result. */
export const CRC32C_JOB_WORDS = 4;

/** The CRC32C of `bytes`; `seed` is the CRC32C of what came before. An unsigned number. */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  return addon.crc32c(bytes, seed);
}

/**
 * Many CRC32Cs of ranges of one arena in one native call. `jobs` holds `count` quadruples [offset in `arena`, length,
 * seed, result]; the result words are written, in order: job n may take over the result of an earlier one as its seed
 * only in a later batch.
 * @throws RangeError if `jobs` is too short for `count` or a range leaves the arena; nothing is computed then.
 */
export function crc32cBatch(arena: Uint8Array, jobs: Uint32Array, count: number): void {
  addon.crc32cBatch(arena, jobs, count);
}

/**
 * The implementations that this processor can run, such as "sse4.2+vpclmul", "sse4.2+pclmul", "armv8-crc+pmull",
 * "table". The first is in use.
 */
export function crc32cImplementations(): string[] {
  return addon.crc32cImplementations();
}

/** `crc32c` by one of `crc32cImplementations`, for tests and comparisons. */
export function crc32cBy(implementation: string, bytes: Uint8Array, seed = 0): number {
  return orThrow(addon.crc32cBy(implementation, bytes, seed), "crc32c", implementation);
}
