/**
 * Where things lie in a ring's SharedArrayBuffer. All numbers are native-endian Int32 words, because Atomics.wait takes
 * an Int32Array and because an int32 never becomes a heap number.
 *
 *     byte 0        tail    written by the producer: bytes published since the ring was made, modulo 2^32
 *     byte 128      head    written by the consumer: bytes released, modulo 2^32
 *     byte 256      asleep  1 while the consumer sleeps or is about to; whoever wakes it sets it to 0
 *     byte 384      capacity bytes of records
 *
 * A SharedArrayBuffer's base is not aligned to a cache line, so what keeps two words apart is their distance. It is 128
 * bytes: two 64-byte lines, since x86 prefetchers fetch lines in pairs and some Arm cores have lines of 128.
 *
 * A record is one word with its length in bytes, then the payload, padded to a multiple of 4. A record is never split:
 * where the bytes up to the end do not hold it, a word of WRAP stands there and the record starts again at offset 0.
 * Offsets are multiples of 4, so there is always room for that word.
 *
 *     offset 0                          head & mask                tail & mask            capacity
 *     | len | payload ... | len | pay.. |  free              free  | ...
 *     | free  free  | len | payload . . . . . | len | payload | WRAP | (skipped)          |
 */

export const TAIL_WORD = 0;
export const HEAD_WORD = 32;
export const ASLEEP_WORD = 64;
export const RECORDS_WORD = 96;
export const RECORDS_OFFSET = RECORDS_WORD * 4;

/** Bytes that precede each record's payload. */
export const RECORD_HEADER_BYTES = 4;

/** In place of a length: the next record starts at offset 0. */
export const WRAP = -1;

export const CAPACITY_BYTES_MIN = 64;
/** 2^30: differences of two positions stay positive int32 numbers. */
export const CAPACITY_BYTES_MAX = 2 ** 30;

const isCapacity = (bytes: number): boolean =>
  Number.isInteger(bytes) && bytes >= CAPACITY_BYTES_MIN && bytes <= CAPACITY_BYTES_MAX && (bytes & (bytes - 1)) === 0;

/**
 * Makes an empty ring, to be given to one Producer and one Consumer (postMessage shares it).
 *
 * @param capacityBytes a power of two, 64 to 2^30. It is what the records and their 4-byte headers share; one record may
 *   take half of it.
 * @throws RangeError for any other capacity.
 */
export function allocateRing(capacityBytes: number): SharedArrayBuffer {
  if (!isCapacity(capacityBytes)) {
    throw new RangeError(`ring capacity must be a power of two from 64 to 2^30 bytes, not ${capacityBytes}`);
  }
  return new SharedArrayBuffer(RECORDS_OFFSET + capacityBytes);
}

/** The capacity of a buffer that allocateRing() made. Throws TypeError for a buffer that it can't have made. */
export function capacityOf(sab: SharedArrayBuffer): number {
  const capacityBytes = sab.byteLength - RECORDS_OFFSET;
  if (!isCapacity(capacityBytes)) {
    throw new TypeError(`not a ring: a SharedArrayBuffer of ${sab.byteLength} bytes`);
  }
  return capacityBytes;
}

/**
 * The longest payload. Header and payload take at most half of the capacity: then an empty ring has room for the record
 * wherever its position stands, however many bytes the wrap skips.
 */
export const recordLengthMax = (capacityBytes: number): number => capacityBytes / 2 - RECORD_HEADER_BYTES;
