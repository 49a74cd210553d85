/**
 * What is counted of the commands of each unit and of each session, in shared memory: a block of doubles each, bumped by the
 * shard alone, without locks, and read by control when somebody looks. Control gives the blocks out (UnitRecord,
 * HandoffRecord). Every shard has memory of its own for all of them: what a unit's block says is the sum over the shards.
 *
 *     one block:   | commands, bytes, in flight | errors by reason | time and histogram of reads | ... of writes | medium | limits |
 *
 * A command counts when its response is on its way; its time is the one since it arrived, as the ring's clock has it: that
 * stands still within a turn of the loop.
 */
import { assert } from "./assert.js";
import { SENSE_KEY_MEDIUM_ERROR, WRITE_ERROR } from "./scsi/sense.js";
import type { Task } from "./task/task.js";
import {
  TASK_ABORTED,
  TRANSFER_COMPARE,
  TRANSFER_READ,
  TRANSFER_VERIFY,
  TRANSFER_WRITE,
  TRANSFER_WRITE_AND_COMPARE,
} from "./task/task.js";
import {
  SCSI_STATUS_CHECK_CONDITION,
  SCSI_STATUS_CONDITION_MET,
  SCSI_STATUS_GOOD,
  SCSI_STATUS_RESERVATION_CONFLICT,
  SCSI_STATUS_TASK_SET_FULL,
} from "./wire/scsi-response.js";

// -- a block, as indexes of its doubles

export const READS = 0;
export const WRITES = 1;
/** Commands that neither read nor write blocks. */
export const OTHERS = 2;
/** Bytes of reads and of writes that ended with GOOD. */
export const READ_BYTES = 3;
export const WRITTEN_BYTES = 4;
/** Commands that have begun and not ended. */
export const IN_FLIGHT = 5;

/** Why a command did not end with GOOD: a sense key (SPC-5), or one of the three that follow. */
export const ERRORS = 6;
export const SENSE_KEYS = 16;
export const ERROR_BUSY = SENSE_KEYS;
export const ERROR_RESERVATION_CONFLICT = SENSE_KEYS + 1;
export const ERROR_TASK_SET_FULL = SENSE_KEYS + 2;
/** It had no status: task management, or the end of its session. */
export const ERROR_ABORTED = SENSE_KEYS + 3;
export const ERROR_REASONS = SENSE_KEYS + 4;

/** Sum of the microseconds of all reads, then how many took how long; the same of writes. */
export const READ_TIMES = ERRORS + ERROR_REASONS;
export const TIME_BUCKETS = 17;
export const WRITE_TIMES = READ_TIMES + 1 + TIME_BUCKETS;

/** Commands that ended with MEDIUM ERROR: of blocks that could not be read, written, or read for a comparison. */
export const READ_FAILURES = WRITE_TIMES + 1 + TIME_BUCKETS;
export const WRITE_FAILURES = READ_FAILURES + 1;
export const VERIFY_FAILURES = READ_FAILURES + 2;
/** Bytes of VERIFY commands that ended with GOOD. */
export const VERIFIED_BYTES = READ_FAILURES + 3;

/** Commands that had to wait for a limit, and the microseconds that they did. */
export const THROTTLED = VERIFIED_BYTES + 1;
export const THROTTLED_TIME = THROTTLED + 1;

/** Length of a block. */
export const BLOCK_DOUBLES = THROTTLED_TIME + 1;

/** Bucket i has what took less than 64 us * 2^i; the last has the rest, 2.1 s and more. */
export const FIRST_BUCKET_US_LOG2 = 6;
const LONGEST_US = 2 ** 31 - 1;

/** For units and sessions for which there is no block left: what it counts belongs to nobody. */
export const STATISTICS_BLOCK_SHARED = 0;
export const STATISTICS_BLOCKS = 8192;

export function allocateStatistics(): SharedArrayBuffer {
  return new SharedArrayBuffer(STATISTICS_BLOCKS * BLOCK_DOUBLES * 8);
}

/** The block as an array, for control to read or to clear. */
export function statisticsBlock(memory: SharedArrayBuffer, block: number): Float64Array {
  return new Float64Array(memory, block * BLOCK_DOUBLES * 8, BLOCK_DOUBLES);
}

export class Statistics {
  readonly #doubles: Float64Array;

  /** A thread begins: nothing of the one before it is in flight any more. */
  constructor(memory: SharedArrayBuffer) {
    this.#doubles = new Float64Array(memory);
    for (let at = IN_FLIGHT; at < this.#doubles.length; at += BLOCK_DOUBLES) {
      // What was never used stays untouched, and costs no memory.
      if (this.#doubles[at] !== 0) this.#doubles[at] = 0;
    }
  }

  began(task: Task): void {
    this.#doubles[task.unit!.statisticsBlock * BLOCK_DOUBLES + IN_FLIGHT]!++;
    this.#doubles[task.session!.statisticsBlock * BLOCK_DOUBLES + IN_FLIGHT]!++;
  }

  /** The task has waited for a limit. */
  throttled(task: Task, us: number): void {
    this.#countWait(task.unit!.statisticsBlock * BLOCK_DOUBLES, us);
    this.#countWait(task.session!.statisticsBlock * BLOCK_DOUBLES, us);
  }

  #countWait(block: number, us: number): void {
    this.#doubles[block + THROTTLED]!++;
    this.#doubles[block + THROTTLED_TIME]! += us;
  }

  /** The task that began has ended: aborted, or with its status. `nowUs`: the ring's clock. */
  ended(task: Task, nowUs: number): void {
    const us = Math.min(nowUs - task.startedUs, LONGEST_US);
    this.#count(task.unit!.statisticsBlock * BLOCK_DOUBLES, task, us);
    this.#count(task.session!.statisticsBlock * BLOCK_DOUBLES, task, us);
  }

  #count(block: number, task: Task, us: number): void {
    const doubles = this.#doubles;
    doubles[block + IN_FLIGHT]!--;
    const { transfer, status } = task;
    if (task.state === TASK_ABORTED) doubles[block + ERRORS + ERROR_ABORTED]!++;
    else if (status !== SCSI_STATUS_GOOD && status !== SCSI_STATUS_CONDITION_MET) this.#countError(block, task);
    if (transfer === TRANSFER_READ) {
      doubles[block + READS]!++;
      this.#countTime(block + READ_TIMES, us);
      if (status === SCSI_STATUS_GOOD) doubles[block + READ_BYTES]! += task.transferLength;
    } else if (transfer === TRANSFER_WRITE || transfer === TRANSFER_WRITE_AND_COMPARE) {
      doubles[block + WRITES]!++;
      this.#countTime(block + WRITE_TIMES, us);
      if (status === SCSI_STATUS_GOOD) doubles[block + WRITTEN_BYTES]! += task.transferLength;
    } else if (task.command?.writesWhatItReceives === true) {
      doubles[block + WRITES]!++;
      this.#countTime(block + WRITE_TIMES, us);
      if (status === SCSI_STATUS_GOOD) doubles[block + WRITTEN_BYTES]! += task.blocks * task.unit!.blockLengthBytes;
    } else {
      doubles[block + OTHERS]!++;
      const verifies = transfer === TRANSFER_VERIFY || transfer === TRANSFER_COMPARE;
      if (verifies && status === SCSI_STATUS_GOOD) doubles[block + VERIFIED_BYTES]! += task.transferLength;
    }
  }

  #countError(block: number, task: Task): void {
    const doubles = this.#doubles;
    const reason = reasonOf(task);
    doubles[block + ERRORS + reason]!++;
    if (reason !== SENSE_KEY_MEDIUM_ERROR) return;
    if (task.asc === WRITE_ERROR.asc) doubles[block + WRITE_FAILURES]!++;
    else doubles[block + (task.transfer === TRANSFER_READ ? READ_FAILURES : VERIFY_FAILURES)]!++;
  }

  #countTime(times: number, us: number): void {
    this.#doubles[times]! += us;
    this.#doubles[times + 1 + timeBucket(us)]!++;
  }
}

/** `us`: 0 to 2^31 - 1. */
export function timeBucket(us: number): number {
  assert(us >= 0, "the clock does not go back");
  return Math.min(32 - Math.clz32(us >>> FIRST_BUCKET_US_LOG2), TIME_BUCKETS - 1);
}

function reasonOf({ status, senseKey }: Task): number {
  switch (status) {
    case SCSI_STATUS_CHECK_CONDITION:
      // Of a deferred error, too: SENSE_DEFERRED stands above it.
      return senseKey & (SENSE_KEYS - 1);
    case SCSI_STATUS_RESERVATION_CONFLICT:
      return ERROR_RESERVATION_CONFLICT;
    case SCSI_STATUS_TASK_SET_FULL:
      return ERROR_TASK_SET_FULL;
    default:
      return ERROR_BUSY;
  }
}
