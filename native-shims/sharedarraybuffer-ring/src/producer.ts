/** The writing end of a ring. */
import {
  ASLEEP_WORD,
  capacityOf,
  HEAD_WORD,
  RECORD_HEADER_BYTES,
  RECORDS_OFFSET,
  RECORDS_WORD,
  recordLengthMax,
  TAIL_WORD,
  WRAP,
} from "./layout.js";

/** No record is reserved. */
const NONE = -1;

/**
 * The writing end. There must be one per ring, used by one thread at a time; a later one goes on where an earlier one
 * stopped. Nothing here blocks, and nothing is allocated per record.
 */
export class Producer {
  /** All of the ring's records; reserve() answers with an offset into it. */
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** The same memory as `bytes`, for numbers. */
  readonly view: DataView<SharedArrayBuffer>;
  readonly capacityBytes: number;
  /** The longest payload that reserve() takes. */
  readonly lengthMaxBytes: number;

  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #mask: number;
  /** Bytes published; equals the shared tail, which only we write. */
  #tail: number;
  /** The consumer's head when we last looked. It only moves on, so what it says is free is free. */
  #headSeen: number;
  /** Offset of the reserved payload, or NONE. */
  #reserved = NONE;
  #reservedLength = 0;

  constructor(sab: SharedArrayBuffer) {
    this.capacityBytes = capacityOf(sab);
    this.lengthMaxBytes = recordLengthMax(this.capacityBytes);
    this.bytes = new Uint8Array(sab, RECORDS_OFFSET, this.capacityBytes);
    this.view = new DataView(sab, RECORDS_OFFSET, this.capacityBytes);
    this.#words = new Int32Array(sab);
    this.#mask = this.capacityBytes - 1;
    this.#tail = Atomics.load(this.#words, TAIL_WORD);
    this.#headSeen = Atomics.load(this.#words, HEAD_WORD);
  }

  /**
   * Claims room for one record, to be filled through `bytes` or `view` and published by commit(). It holds whatever was
   * there before: fill all of it. Reserving again without a commit gives the first claim up.
   *
   * @param length bytes of payload, 0 to lengthMaxBytes.
   * @returns the payload's offset in `bytes` (a multiple of 4), or -1 while the ring is too full.
   * @throws RangeError for a length that no state of this ring could hold.
   */
  reserve(length: number): number {
    // The first half is true of fractions, NaN and negative numbers.
    if (length >>> 0 !== length || length > this.lengthMaxBytes) {
      throw new RangeError(`record of ${length} bytes; this ring takes 0 to ${this.lengthMaxBytes}`);
    }
    const at = this.#tail & this.#mask;
    const toEnd = this.capacityBytes - at;
    const record = RECORD_HEADER_BYTES + ((length + 3) & ~3);
    const wraps = record > toEnd;
    const free = this.capacityBytes - (wraps ? toEnd + record : record);
    // The subtraction is modulo 2^32, as the positions are.
    if (((this.#tail - this.#headSeen) | 0) > free) {
      this.#headSeen = Atomics.load(this.#words, HEAD_WORD);
      if (((this.#tail - this.#headSeen) | 0) > free) {
        this.#reserved = NONE;
        return -1;
      }
    }
    this.#reservedLength = length;
    this.#reserved = (wraps ? 0 : at) + RECORD_HEADER_BYTES;
    return this.#reserved;
  }

  /**
   * Publishes the reserved record, and wakes the consumer if it has announced that it sleeps.
   *
   * @param length the payload's final length, where fewer bytes were written than reserved.
   * @returns whether the consumer had announced it. One that sleeps in its own way (on an eventfd, say) relies on the
   *   caller to wake it then; any other has been notified.
   */
  commit(length: number = this.#reservedLength): boolean {
    if (this.#reserved === NONE) throw new Error("commit without a reserved record");
    if (length >>> 0 !== length || length > this.#reservedLength) {
      throw new RangeError(`commit of ${length} bytes where ${this.#reservedLength} are reserved`);
    }
    const words = this.#words;
    const start = this.#reserved - RECORD_HEADER_BYTES;
    const at = this.#tail & this.#mask;
    let tail = this.#tail;
    if (start !== at) {
      words[RECORDS_WORD + (at >> 2)] = WRAP;
      tail += this.capacityBytes - at;
    }
    words[RECORDS_WORD + (start >> 2)] = length;
    this.#tail = (tail + RECORD_HEADER_BYTES + ((length + 3) & ~3)) | 0;
    this.#reserved = NONE;
    // Everything above is visible to whoever sees this tail.
    Atomics.store(words, TAIL_WORD, this.#tail);
    // Load after store, both sequentially consistent; the consumer does the reverse (see Consumer.announceSleep). So
    // either we see that it sleeps, or it sees the record before it does.
    if (Atomics.load(words, ASLEEP_WORD) === 0) return false;
    if (Atomics.exchange(words, ASLEEP_WORD, 0) === 0) return false;
    Atomics.notify(words, ASLEEP_WORD);
    return true;
  }

  /** Reserves, copies and commits one record. False while the ring is too full for it. */
  write(record: Uint8Array): boolean {
    const offset = this.reserve(record.length);
    if (offset < 0) return false;
    this.bytes.set(record, offset);
    this.commit();
    return true;
  }
}
