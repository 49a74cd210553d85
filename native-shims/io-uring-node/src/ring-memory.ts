/**
 * The memory that a ring and its user share: the two queues' positions, the SQEs, the CQEs, and a small control block
 * of our own.
 *
 *              head                          tail
 *     SQ   ...taken | queued ................... | free ...      head: the kernel moves it;  tail: we do
 *     CQ   ....read | completions .............. | free ...      head: we move it;  tail: the kernel does
 *
 * Positions are u32 counters that run free and wrap; a slot is position & (entries - 1). The kernel's side is whoever
 * implements `SubmissionCompletionRing.enter`: Linux, or a simulation.
 */
export interface RingMemory {
  /** Powers of two. */
  readonly sqEntries: number;
  readonly cqEntries: number;
  /** Holds the positions; the five `...At` are indices in it. */
  readonly positions: Int32Array;
  readonly sqHeadAt: number;
  readonly sqTailAt: number;
  readonly sqFlagsAt: number;
  readonly cqHeadAt: number;
  readonly cqTailAt: number;
  /** sqEntries * SQE_WORDS words. */
  readonly sqes: Uint32Array;
  /** cqEntries * CQE_WORDS words: user_data low, user_data high, result, flags. */
  readonly cqes: Uint32Array;
  /** CONTROL_WORDS words. */
  readonly control: Int32Array;
}

export const SQE_WORDS = 16;
export const CQE_WORDS = 4;

// The control block. Words 0 to 3 are two doubles: the time-out of the enter in ms, and the clock in microseconds.
export const CONTROL_TIMEOUT_MS_DOUBLE = 0;
export const CONTROL_NOW_US_DOUBLE = 1;
/** minComplete of the enter; -1: submit only, without a look at completions. */
export const CONTROL_MIN_COMPLETE = 4;
/** Outcome of the enter: 0 or -errno. */
export const CONTROL_RESULT = 5;
/**
 * How many SQEs are finished, as a position in the SQ: their last CQE was read and released, or will not come
 * (SQE_CQE_SKIP_SUCCESS: whoever implements `enter` adds those when it takes them). It equals the SQ's head when the
 * kernel holds nothing.
 */
export const CONTROL_FINISHED = 6;
/** Not 0: among the queued SQEs are some with SQE_CQE_SKIP_SUCCESS. */
export const CONTROL_SKIPS_QUEUED = 7;
export const CONTROL_WORDS = 16;

/** Bit of the word at `sqFlagsAt`: completions wait in the kernel because the CQ was full; an enter fetches them. */
export const SQ_CQ_OVERFLOW = 1 << 1;

/** Ordinary memory of the same shape, for a simulated ring. Both counts are powers of two. */
export function createRingMemory(sqEntries: number, cqEntries: number): RingMemory {
  for (const entries of [sqEntries, cqEntries]) {
    if (!Number.isInteger(entries) || entries < 1 || (entries & (entries - 1)) !== 0) {
      throw new RangeError(`a queue has a power of two of entries, not ${entries}`);
    }
  }
  return {
    sqEntries,
    cqEntries,
    positions: new Int32Array(new ArrayBuffer(5 * 4)),
    sqHeadAt: 0,
    sqTailAt: 1,
    sqFlagsAt: 2,
    cqHeadAt: 3,
    cqTailAt: 4,
    sqes: new Uint32Array(new ArrayBuffer(sqEntries * SQE_WORDS * 4)),
    cqes: new Uint32Array(new ArrayBuffer(cqEntries * CQE_WORDS * 4)),
    control: new Int32Array(new ArrayBuffer(CONTROL_WORDS * 4)),
  };
}
