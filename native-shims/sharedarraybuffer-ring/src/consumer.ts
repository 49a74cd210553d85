/** The reading end of a ring. */
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

/**
 * The reading end. There must be one per ring, used by one thread at a time; a later one goes on with the first record
 * that an earlier one had not released. next() and release() never block and allocate nothing.
 */
export class Consumer {
  /** All of the ring's records. Read-only by agreement: what is not released is the producer's word. */
  readonly bytes: Uint8Array<SharedArrayBuffer>;
  /** The same memory as `bytes`, for numbers. */
  readonly view: DataView<SharedArrayBuffer>;
  readonly capacityBytes: number;
  /** The longest payload that a record of this ring can have. */
  readonly lengthMaxBytes: number;
  /** Offset in `bytes` of the payload that next() found, a multiple of 4. */
  offset = 0;
  /** That payload's length in bytes. */
  length = 0;

  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #mask: number;
  /** Position behind the last record that next() found; runs ahead of the shared head until release(). */
  #position: number;
  /** The producer's tail when we last looked. It only moves on. */
  #tailSeen: number;
  /** A waitAsync() has not been answered yet: `asleep` is its to set and clear. */
  #waiting = false;
  #interrupted = false;

  constructor(sab: SharedArrayBuffer) {
    this.capacityBytes = capacityOf(sab);
    this.lengthMaxBytes = recordLengthMax(this.capacityBytes);
    this.bytes = new Uint8Array(sab, RECORDS_OFFSET, this.capacityBytes);
    this.view = new DataView(sab, RECORDS_OFFSET, this.capacityBytes);
    this.#words = new Int32Array(sab);
    this.#mask = this.capacityBytes - 1;
    this.#position = Atomics.load(this.#words, HEAD_WORD);
    this.#tailSeen = Atomics.load(this.#words, TAIL_WORD);
  }

  /**
   * Finds the next record and sets `offset` and `length` to its payload, which stays in place until release(). Several
   * records may be held at a time.
   *
   * @returns false, with offset and length unchanged, if there is none.
   */
  next(): boolean {
    if (!this.#ready()) return false;
    const words = this.#words;
    let position = this.#position;
    let at = position & this.#mask;
    let length = words[RECORDS_WORD + (at >> 2)]!;
    if (length === WRAP) {
      // Published together with the record behind it, so there is no tail to check in between.
      position += this.capacityBytes - at;
      at = 0;
      length = words[RECORDS_WORD]!;
    }
    if (length < 0 || length > this.lengthMaxBytes) {
      throw new Error(`ring corrupt: record length ${length} at offset ${at}`);
    }
    this.#position = (position + RECORD_HEADER_BYTES + ((length + 3) & ~3)) | 0;
    this.offset = at + RECORD_HEADER_BYTES;
    this.length = length;
    return true;
  }

  /** Gives the room of all records that next() has found back to the producer. */
  release(): void {
    // Our reads of the payloads come before this store; the producer overwrites them only after it has seen it.
    Atomics.store(this.#words, HEAD_WORD, this.#position);
  }

  /**
   * For a consumer with its own way of sleeping, such as an eventfd in an io_uring: announces that it is going to sleep,
   * so that the next commit() returns true and its caller knows to wake us.
   *
   * @returns false if a record is there already: then nothing is announced, and the caller must not sleep.
   */
  announceSleep(): boolean {
    if (this.#waiting) throw new Error("a waitAsync() of this consumer is pending");
    return this.#announce();
  }

  /** Takes announceSleep() back, after a wake-up that did not come from the producer. */
  cancelSleep(): void {
    if (this.#waiting) throw new Error("a waitAsync() of this consumer is pending");
    Atomics.store(this.#words, ASLEEP_WORD, 0);
  }

  /**
   * Blocks the thread until there is a record.
   *
   * @returns true if there is one, false after timeoutMs.
   */
  wait(timeoutMs = Number.POSITIVE_INFINITY): boolean {
    if (!this.announceSleep()) return true;
    const deadlineMs = performance.now() + timeoutMs;
    // More than one turn only if the notification of an earlier sleep, which had timed out, comes in late.
    do {
      const outcome = Atomics.wait(this.#words, ASLEEP_WORD, 1, deadlineMs - performance.now());
      if (outcome === "timed-out") {
        this.cancelSleep();
        return this.#ready();
      }
    } while (this.#announce());
    return true;
  }

  /**
   * wait() for a thread that must not block. A pending one does not keep the process alive. next() and release() may be
   * called meanwhile; another wait may not.
   *
   * @returns true at once if there is a record; otherwise a promise of true when there is one, or of false after
   *   timeoutMs or interrupt().
   */
  waitAsync(timeoutMs = Number.POSITIVE_INFINITY): true | Promise<boolean> {
    return this.announceSleep() ? this.#sleepAsync(timeoutMs) : true;
  }

  /** Ends a pending waitAsync(), which answers with whether there is a record. To be called by the consumer's thread. */
  interrupt(): void {
    if (!this.#waiting) return;
    this.#interrupted = true;
    Atomics.store(this.#words, ASLEEP_WORD, 0);
    Atomics.notify(this.#words, ASLEEP_WORD);
  }

  async #sleepAsync(timeoutMs: number): Promise<boolean> {
    this.#waiting = true;
    const deadlineMs = performance.now() + timeoutMs;
    let outcome: "ok" | "not-equal" | "timed-out";
    do {
      const answer = Atomics.waitAsync(this.#words, ASLEEP_WORD, 1, deadlineMs - performance.now());
      outcome = answer.async ? await answer.value : answer.value;
      // Woken for a record that a next() has taken meanwhile: sleep on.
    } while (outcome !== "timed-out" && !this.#interrupted && this.#announce());
    this.#waiting = false;
    this.#interrupted = false;
    this.cancelSleep();
    return this.#ready();
  }

  #announce(): boolean {
    // Store before load, both sequentially consistent; the producer does the reverse (see Producer.commit).
    Atomics.store(this.#words, ASLEEP_WORD, 1);
    if (!this.#ready()) return true;
    Atomics.store(this.#words, ASLEEP_WORD, 0);
    return false;
  }

  #ready(): boolean {
    if (this.#position !== this.#tailSeen) return true;
    this.#tailSeen = Atomics.load(this.#words, TAIL_WORD);
    return this.#position !== this.#tailSeen;
  }
}
