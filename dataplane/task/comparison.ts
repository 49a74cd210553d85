/**
 * VERIFY: the medium is read, and compared with what the initiator sends, or with nothing. WRITE AND VERIFY with BYTCHK=1: the
 * same, slice by slice, after each has been written.
 */
import type { Slice } from "../buffer/slice.js";
import { COUNTER } from "../counters.js";
import { SLICE_BYTES_MAX } from "../limits.js";
import { endWithInformation, MISCOMPARE_DURING_VERIFY_OPERATION } from "../scsi/sense.js";
import type { Shard } from "../shard.js";
import type { TaskEngine } from "./engine.js";
import {
  OPERATION_READ,
  OPERATION_WRITE,
  PARK_TRANSFER,
  type Task,
  TRANSFER_VERIFY,
  TRANSFER_WRITE_AND_COMPARE,
} from "./task.js";

/** A store in memory answers each read within it: with the smallest buffers there would be too many within each other. */
const VERIFY_CLASS_MIN = 1;

// Steps of a slice that is written and compared.
const STEP_WRITE = 0;
const STEP_READ = 1;

export class Comparison {
  readonly #shard: Shard;
  readonly #engine: TaskEngine;

  constructor(shard: Shard, engine: TaskEngine) {
    this.#shard = shard;
    this.#engine = engine;
  }

  /** VERIFY without data: reads on, one buffer full after the other. */
  verifyNext(task: Task): void {
    if (task.done === task.transferLength) return this.#engine.verified(task);
    if (!this.#takeBuffer(task)) return;
    const length = Math.min(task.parameters!.capacity, task.transferLength - task.done);
    this.#read(task, task.done, length);
  }

  /** The data of a slice is there: it is written, if that is asked for, and the medium's is read beside it. */
  compareSlice(task: Task, slice: Slice): void {
    // Before anything is written: who waits for it can still be given up (TaskEngine.relieve).
    if (!this.#takeBuffer(task)) return;
    if (writesNext(task)) this.#start(task, OPERATION_WRITE, slice.offset, slice.transferOffset, slice.length);
    else this.#read(task, slice.transferOffset, slice.length);
  }

  /** The medium has been written or read, or a negative errno says why not. */
  operated(task: Task, result: number): void {
    if (result < 0) return this.#engine.fail(task, result, task.lba, task.done, writesNext(task));
    if (writesNext(task)) {
      task.step = STEP_READ;
      this.#shard.counters[COUNTER.written_bytes]! += task.operationLength;
      return this.compareSlice(task, task.firstSlice!);
    }
    if (task.transfer === TRANSFER_VERIFY) {
      task.done += task.operationLength;
      return this.verifyNext(task);
    }
    const slice = task.firstSlice!;
    const { bytes } = this.#engine;
    for (let i = 0; i < slice.length; i++) {
      if (bytes[slice.offset + i] === bytes[task.parameterOffset + i]) continue;
      return endWithInformation(task, this.#engine, MISCOMPARE_DURING_VERIFY_OPERATION, slice.transferOffset + i);
    }
    task.step = STEP_WRITE;
    this.#engine.unlinkFirst(task);
    task.nextToQueue = null;
    this.#shard.slices.release(slice);
    task.done += slice.length;
    if (task.done === task.transferLength) this.#engine.good(task);
    else this.#engine.pump(task);
  }

  /** False: the task is parked. */
  #takeBuffer(task: Task): boolean {
    if (task.parameters !== null) return true;
    const { slices } = this.#shard;
    const length = Math.min(SLICE_BYTES_MAX, task.transferLength);
    // What is compared with a slice has to be as long; what is only read is read in whatever pieces.
    task.parameters =
      task.transfer === TRANSFER_VERIFY
        ? slices.acquireUpTo(length, task, VERIFY_CLASS_MIN)
        : slices.acquire(length, task);
    if (task.parameters === null) {
      this.#engine.waiting.park(task, PARK_TRANSFER);
      return false;
    }
    task.parameterOffset = task.parameters.offset;
    return true;
  }

  #read(task: Task, transferOffset: number, length: number): void {
    this.#start(task, OPERATION_READ, task.parameterOffset, transferOffset, length);
  }

  #start(task: Task, operation: number, memory: number, transferOffset: number, length: number): void {
    const { blockLengthBytes } = task.unit!;
    const lba = task.lba + transferOffset / blockLengthBytes;
    this.#engine.operations.start(task, operation, memory, lba, length / blockLengthBytes);
  }
}

/** The first slice is still to be written, or being written. */
function writesNext({ transfer, step }: Task): boolean {
  return transfer === TRANSFER_WRITE_AND_COMPARE && step === STEP_WRITE;
}
