/**
 * WRITE, COMPARE and parameter lists: data comes from the initiator into slices (with the command, unsolicited, or asked
 * for by R2T) and goes on to the store, or to the command, slice by slice.
 *
 *     transfer: | slice 0: immediate and unsolicited data, then R2T ... | slice 1: R2T ... | not covered yet
 *               0                                                                          covered    transferLength
 *
 * An R2T asks for at most MaxBurstLength and stays within one slice; at most MaxOutstandingR2T are out at a time (RFC 7143
 * sections 11.8 and 13.17).
 */
import { NO_TAG, type Slice } from "../buffer/slice.js";
import { isServing } from "../connection/connection.js";
import { OUTGOING_R2T } from "../connection/outgoing.js";
import { COUNTER } from "../counters.js";
import { SLICE_BYTES_MAX, TASK_SLICES_MAX } from "../limits.js";
import { KIND_SLICE, type Shard } from "../shard.js";
import { PENDING } from "../storage/store.js";
import { SCSI_STATUS_TASK_SET_FULL } from "../wire/scsi-response.js";
import type { TaskEngine } from "./engine.js";
import { dataAwaited, storeBegins } from "./stages.js";
import {
  DATA_INTACT,
  GATED_NOT,
  OPERATION_NONE,
  PARK_NOT,
  PARK_TRANSFER,
  TASK_ACTIVE,
  type Task,
  TRANSFER_COMPARE,
  TRANSFER_PARAMETERS,
  TRANSFER_WRITE,
  TRANSFER_WRITE_AND_COMPARE,
} from "./task.js";

const EIO = -5;
/** No block is named. */
const LBA_UNKNOWN = -1;

/** A Target Transfer Tag: the slice's index below, its generation above, which never reaches the reserved tag. */
const TAG_GENERATIONS = 0x7fff;

export class WriteTransfer {
  readonly #shard: Shard;
  readonly #engine: TaskEngine;

  constructor(shard: Shard, engine: TaskEngine) {
    this.#shard = shard;
    this.#engine = engine;
  }

  start(task: Task): void {
    if (task.expectsDataIn && this.#engine.refuseDirection(task)) return;
    const expected = task.expectsDataOut ? task.expectedDataTransferLength : 0;
    let length = Math.min(task.transferTotal, expected);
    if (task.transfer !== TRANSFER_PARAMETERS && length < task.transferTotal) {
      // No block is written in part.
      length -= length % task.unit!.blockLengthBytes;
    }
    task.transferLength = length;
    if (length === 0) {
      // Data that came although none is wanted is dropped with the task.
      if (task.transfer === TRANSFER_PARAMETERS) task.command!.resume!(task, this.#engine, 0);
      else this.#engine.good(task);
      return;
    }
    const first = task.firstSlice;
    if (first !== null) {
      first.transferOffset = 0;
      first.length = Math.min(length, first.capacity);
      task.covered = first.length;
      task.nextToQueue = null;
    }
    this.pump(task);
  }

  /** Does what can be done now: waits for unsolicited data, passes full slices on, asks for more. */
  pump(task: Task): void {
    if (task.state !== TASK_ACTIVE || task.gated !== GATED_NOT || task.isAbortedAfterData) return;
    // Data came with a command that has no use for it: it is dropped with the task.
    if (!takesData(task)) return;
    // Who waits for another buffer still gives back those that are full: others may wait for them.
    const waits = task.parked !== PARK_NOT;
    const compares = task.transfer === TRANSFER_COMPARE || task.transfer === TRANSFER_WRITE_AND_COMPARE;
    if (waits && (task.parked !== PARK_TRANSFER || compares)) return;
    if (task.failure !== 0) return this.#failIfIdle(task);
    if (task.unsolicitedEnd >= 0) {
      if (task.firstSlice === null) this.#expectUnsolicited(task);
      return;
    }
    if (task.dataFault !== DATA_INTACT) {
      if (task.outstandingR2T === 0) this.#engine.failData(task);
      return;
    }
    // Where the connection has failed, the rest is asked for on another one.
    const canAsk = isServing(task.connection!);
    const maxOutstandingR2T = task.session!.parameters.maxOutstandingR2T;
    for (let slice = task.firstSlice; slice !== null; ) {
      const next: Slice | null = slice.nextOfTask;
      if (slice.filled >= slice.length && slice.tag === NO_TAG) {
        if (!this.#pass(task, slice)) return;
      } else {
        if (slice.tag === NO_TAG && task.outstandingR2T < maxOutstandingR2T && canAsk) this.#ask(task, slice);
        // R2Ts go out in order (RFC 7143 section 13.19): nothing is asked for beyond a slice that is asked for in part.
        if (slice.tag === NO_TAG || slice.requestedEnd < slice.length) return;
      }
      slice = next;
    }
    while (
      canAsk &&
      !waits &&
      !task.starved &&
      task.covered < task.transferLength &&
      task.sliceCount < TASK_SLICES_MAX &&
      task.outstandingR2T < maxOutstandingR2T
    ) {
      const slice = this.#cover(task);
      if (slice === null) return;
      this.#ask(task, slice);
      if (slice.requestedEnd < slice.length) return;
    }
  }

  /** A store write has ended. */
  completed(task: Task, slice: Slice, result: number): void {
    if (result <= 0) {
      this.#engine.gates.leaveSlice(task, slice);
      task.failure = result === 0 ? EIO : result;
      this.#failIfIdle(task);
      return;
    }
    slice.storeDone += result;
    if (slice.storeDone < slice.storeLength) {
      this.#write(task, slice);
      return;
    }
    this.#written(task, slice);
    if (task.done === task.transferLength) this.#end(task);
    else this.pump(task);
  }

  /** All is written; what was to be durable may have failed in the page cache without its writes having been told. */
  #end(task: Task): void {
    // The write cache has been switched off since the command began: nobody will flush what is still in it.
    if (!task.durable && !task.unit!.writeCacheEnabled) return this.#engine.flush(task);
    const loss = task.durable ? task.unit!.lossSince(task.lossesBefore) : 0;
    if (loss === 0) this.#engine.good(task);
    else this.#engine.fail(task, loss, LBA_UNKNOWN, 0);
  }

  /** What was written has been flushed, or a negative errno says why not. */
  flushed(task: Task, result: number): void {
    if (result < 0) this.#engine.fail(task, result, LBA_UNKNOWN, 0);
    else this.#engine.good(task);
  }

  /**
   * The initiator takes all blocks before the one that we name as written. So what is in flight is waited for, and the first
   * slice that is not through counts, even if another has failed.
   */
  #failIfIdle(task: Task): void {
    if (task.storeBusy > 0) return;
    const slice = task.firstSlice!;
    const blockLength = task.unit!.blockLengthBytes;
    const through = slice.transferOffset + slice.storeDone;
    const moved = through - (through % blockLength);
    this.#engine.fail(task, task.failure, (task.storeStart + moved) / blockLength, moved);
  }

  #written(task: Task, slice: Slice): void {
    this.#engine.gates.leaveSlice(task, slice);
    task.done += slice.length;
    this.#shard.counters[COUNTER.written_bytes]! += slice.length;
    this.#unlink(task, slice);
    this.#shard.slices.release(slice);
  }

  /** A new slice for the next part of the transfer. Null: the task is parked, or waits for its connection's credit. */
  #cover(task: Task): Slice | null {
    const connection = task.connection!;
    const length = Math.min(connection.writeSliceBytes, task.transferLength - task.covered);
    if (!this.#engine.waiting.hasCredit(connection, length)) {
      this.#engine.waiting.starve(task);
      return null;
    }
    const slice = this.#shard.slices.acquireUpTo(length, task);
    if (slice === null) {
      this.#engine.waiting.park(task, PARK_TRANSFER);
      return null;
    }
    this.#engine.waiting.charge(connection, slice);
    this.#append(task, slice, slice.length);
    return slice;
  }

  /** The first slice, with room for all unsolicited data: it is on its way and cannot be put off. */
  #expectUnsolicited(task: Task): void {
    const length = Math.min(SLICE_BYTES_MAX, task.transferLength);
    const slice = this.#shard.slices.acquire(Math.min(SLICE_BYTES_MAX, Math.max(length, task.unsolicitedEnd)), task);
    if (slice === null) this.#engine.status(task, SCSI_STATUS_TASK_SET_FULL);
    else this.#append(task, slice, length);
  }

  #append(task: Task, slice: Slice, length: number): void {
    slice.transferOffset = task.covered;
    slice.length = length;
    task.covered += length;
    this.#engine.append(task, slice);
  }

  #ask(task: Task, slice: Slice): void {
    const maxBurst = task.session!.parameters.maxBurstLength;
    slice.generation = slice.generation === TAG_GENERATIONS - 1 ? 0 : slice.generation + 1;
    slice.tag = slice.generation * 0x10000 + slice.index;
    slice.requestedEnd = Math.min(slice.length, slice.filled + maxBurst);
    slice.dataSN = 0;
    slice.gap = false;
    slice.r2tSN = -1;
    task.dataUs = this.#shard.ring.nowUs;
    dataAwaited(task, task.dataUs);
    task.connection!.solicitedBytes += slice.requestedEnd - slice.filled;
    slice.outgoingKind = OUTGOING_R2T;
    this.#shard.transmitter.queue(task.connection!, slice);
  }

  /** A full slice goes on. False: the task may be gone, or must not go on now. */
  #pass(task: Task, slice: Slice): boolean {
    if (slice.storeBusy) return true;
    switch (task.transfer) {
      case TRANSFER_PARAMETERS:
        this.#keep(task, slice);
        return false;
      case TRANSFER_COMPARE:
      case TRANSFER_WRITE_AND_COMPARE:
        if (slice === task.firstSlice && task.operation === OPERATION_NONE) {
          this.#engine.comparison.compareSlice(task, slice);
          return false;
        }
        return true;
      default:
        slice.storeLength = slice.length;
        slice.storeOffset = task.storeStart + slice.transferOffset;
        slice.storeDone = 0;
        return this.#write(task, slice);
    }
  }

  /** A part of the parameters goes into the task's buffer. */
  #keep(task: Task, slice: Slice): void {
    const to = task.parameterOffset + slice.transferOffset;
    this.#engine.bytes.copyWithin(to, slice.offset, slice.offset + slice.length);
    task.done += slice.length;
    this.#unlink(task, slice);
    this.#shard.slices.release(slice);
    if (task.done === task.transferLength) this.#engine.parametersReceived(task);
    else this.pump(task);
  }

  /** True: the write is on its way, or done with more to come. */
  #write(task: Task, slice: Slice): boolean {
    if (!this.#engine.gates.enterSlice(task, slice)) return false;
    const at = slice.storeDone;
    const result = task.unit!.store.write(
      slice.offset + at,
      slice.storeLength - at,
      slice.storeOffset + at,
      task.durable,
      KIND_SLICE,
      slice.index,
    );
    if (result === PENDING) {
      slice.storeBusy = true;
      storeBegins(task, this.#shard.ring.nowUs);
      return true;
    }
    this.completed(task, slice, result);
    return false;
  }

  #unlink(task: Task, slice: Slice): void {
    if (task.firstSlice === slice) {
      this.#engine.unlinkFirst(task);
    } else {
      let previous = task.firstSlice!;
      while (previous.nextOfTask !== slice) previous = previous.nextOfTask!;
      previous.nextOfTask = slice.nextOfTask;
      if (task.lastSlice === slice) task.lastSlice = previous;
      slice.nextOfTask = null;
      task.sliceCount--;
    }
    task.nextToQueue = null;
  }
}

function takesData({ transfer }: Task): boolean {
  switch (transfer) {
    case TRANSFER_WRITE:
    case TRANSFER_COMPARE:
    case TRANSFER_WRITE_AND_COMPARE:
    case TRANSFER_PARAMETERS:
      return true;
    default:
      return false;
  }
}
