/** READ: blocks go from the store into slices, a few at a time, and from there to the initiator in order. */
import { isSent, type Slice } from "../buffer/slice.js";
import { isServing } from "../connection/connection.js";
import { COUNTER } from "../counters.js";
import { SLICE_BYTES_MAX, TASK_SLICES_MAX } from "../limits.js";
import { KIND_SLICE, type Shard } from "../shard.js";
import { PENDING } from "../storage/store.js";
import type { TaskEngine } from "./engine.js";
import { storeBegins } from "./stages.js";
import { PARK_TRANSFER, TASK_ACTIVE, type Task } from "./task.js";

const EIO = -5;

export class ReadTransfer {
  readonly #shard: Shard;
  readonly #engine: TaskEngine;

  constructor(shard: Shard, engine: TaskEngine) {
    this.#shard = shard;
    this.#engine = engine;
  }

  start(task: Task): void {
    if (task.expectsDataOut) return this.#engine.endWithoutDataIn(task);
    const expected = task.expectsDataIn ? task.expectedDataTransferLength : 0;
    task.transferLength = Math.min(task.transferTotal, expected);
    if (task.transferLength === 0) this.#engine.good(task);
    else this.pump(task);
  }

  /** Starts as many reads as buffers, the task's share and the connection's credit allow. */
  pump(task: Task): void {
    const connection = task.connection!;
    const mask = task.unit!.blockLengthBytes - 1;
    // Where the connection has failed, the rest is read for another one, and what is kept of others is not given up for it.
    if (task.failure !== 0 || !isServing(connection)) return;
    while (task.state === TASK_ACTIVE && task.covered < task.transferLength) {
      if (task.starved || task.parked !== 0) return;
      if (task.sliceCount >= TASK_SLICES_MAX && !this.#engine.retransmission.dropSent(task)) return;
      // Whole blocks are read, also where the initiator wants only a part of the last one.
      const left = task.transferLength - task.covered;
      const wanted = Math.min(SLICE_BYTES_MAX, (left + mask) & ~mask);
      if (!this.#engine.waiting.hasCredit(connection, wanted)) return this.#engine.waiting.starve(task);
      const slice = this.#shard.slices.acquireUpTo(wanted, task);
      if (slice === null) return this.#engine.waiting.park(task, PARK_TRANSFER);
      this.#engine.waiting.charge(connection, slice);
      const storeLength = slice.length;
      const length = Math.min(storeLength, left);
      slice.transferOffset = task.covered;
      slice.length = length;
      slice.filled = 0;
      slice.storeLength = storeLength;
      slice.storeOffset = task.storeStart + task.covered;
      task.covered += length;
      this.#engine.append(task, slice);
      this.#read(task, slice);
    }
  }

  completed(task: Task, slice: Slice, result: number): void {
    if (result <= 0) {
      // Nothing where blocks should be: the file was cut behind our back.
      slice.failure = result === 0 ? EIO : result;
      task.failure = slice.failure;
      this.#failIfReached(task);
      return;
    }
    slice.storeDone += result;
    if (slice.storeDone < slice.storeLength) return this.#read(task, slice);
    slice.filled = slice.length;
    task.done += slice.length;
    this.#shard.counters[COUNTER.read_bytes]! += slice.length;
    this.#engine.queueRead(task);
  }

  /** A slice of the task was sent, or is no longer kept: it is not the last. */
  sent(task: Task): void {
    if (task.state !== TASK_ACTIVE) return;
    if (task.failure === 0) this.pump(task);
    else this.#failIfReached(task);
  }

  /** The initiator takes all blocks before the one that we name as good: they are sent first, or fail themselves. */
  #failIfReached(task: Task): void {
    let slice = task.firstSlice;
    while (slice !== null && isSent(slice)) slice = slice.nextOfTask;
    if (slice === null || slice.failure === 0) return;
    const lba = Math.floor((slice.storeOffset + slice.storeDone) / task.unit!.blockLengthBytes);
    this.#engine.fail(task, slice.failure, lba, slice.transferOffset);
  }

  #read(task: Task, slice: Slice): void {
    const at = slice.storeDone;
    const result = task.unit!.store.read(
      slice.offset + at,
      slice.storeLength - at,
      slice.storeOffset + at,
      KIND_SLICE,
      slice.index,
    );
    if (result === PENDING) {
      slice.storeBusy = true;
      storeBegins(task, this.#shard.ring.nowUs);
    } else {
      this.completed(task, slice, result);
    }
  }
}
