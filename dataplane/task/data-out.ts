/** Data-Out PDUs on their way to the slice that waits for them (RFC 7143 sections 11.7 and 4.2.5). */
import { NO_TAG, type Slice } from "../buffer/slice.js";
import type { Connection } from "../connection/connection.js";
import { SLICE_BYTES_MAX } from "../limits.js";
import type { Shard } from "../shard.js";
import { RESERVED_TAG } from "../wire/bhs.js";
import type { DataOutPdu } from "../wire/data-out.js";
import { REJECT_REASON_INVALID_PDU_FIELD } from "../wire/reject.js";
import { serialAdd } from "../wire/serial.js";
import type { TaskEngine } from "./engine.js";
import { dataCame } from "./stages.js";
import { DATA_AMOUNT, DATA_INTACT, DATA_LOST, isWaiting, TASK_ABORTED, TASK_ACTIVE, type Task } from "./task.js";

export class DataOut {
  readonly #shard: Shard;
  readonly #engine: TaskEngine;

  constructor(shard: Shard, engine: TaskEngine) {
    this.#shard = shard;
    this.#engine = engine;
  }

  /** Sets the connection's sink for the data that follows; it stays null where the data is to be dropped. */
  prepare(connection: Connection, pdu: DataOutPdu): void {
    const task = this.#task(connection, pdu);
    if (task === null) return;
    if (pdu.targetTransferTag === RESERVED_TAG) {
      if (unsolicitedFault(task, pdu) !== DATA_INTACT) return;
      const slice = task.firstSlice ?? this.#firstSlice(task);
      if (slice !== null && !slice.gap && pdu.bufferOffset + pdu.dataSegmentLength <= slice.capacity) {
        this.#sink(connection, slice, pdu.bufferOffset);
      }
      return;
    }
    const slice = this.#solicited(task, pdu);
    if (slice !== null && !slice.gap && solicitedFault(slice, pdu) === DATA_INTACT) {
      this.#sink(connection, slice, pdu.bufferOffset - slice.transferOffset);
    }
  }

  complete(connection: Connection, pdu: DataOutPdu, digestValid: boolean): void {
    const sink = connection.sink;
    connection.sink = null;
    const task = this.#task(connection, pdu);
    if (task === null) {
      const isForAborted = sink?.task?.state === TASK_ABORTED;
      if (!isForAborted && !this.#isForEndedTask(connection, pdu)) this.#reject(connection, pdu, digestValid);
    } else if (pdu.targetTransferTag === RESERVED_TAG) {
      if (task.unsolicitedEnd < 0) this.#reject(connection, pdu, digestValid);
      else this.#unsolicitedComplete(task, pdu, sink, digestValid);
    } else {
      const slice = this.#solicited(task, pdu);
      if (slice !== null) this.#solicitedComplete(task, pdu, slice, sink !== null, digestValid);
      else if (!this.#shard.terminations.includes(connection, pdu.targetTransferTag))
        this.#reject(connection, pdu, digestValid);
    }
    // It was not waited for any more, and its task has ended but for its buffer.
    if (sink !== null && sink.task !== null) this.#engine.settle(sink.task);
  }

  #unsolicitedComplete(task: Task, pdu: DataOutPdu, slice: Slice | null, digestValid: boolean): void {
    const length = pdu.dataSegmentLength;
    task.dataUs = this.#shard.ring.nowUs;
    const problem = digestValid ? unsolicitedFault(task, pdu) : DATA_LOST;
    // Where nothing has come before it, there is no buffer yet to ask for again.
    if (problem !== DATA_INTACT) this.#lose(task, task.firstSlice ?? this.#firstSlice(task), problem);
    // Kept nowhere: there was no buffer, or the task has ended already.
    else if (length > 0 && slice === null) this.#lose(task, task.firstSlice, DATA_LOST);
    else if (slice !== null) slice.filled += length;
    task.unsolicitedDataSN = serialAdd(pdu.dataSN, 1);
    if (pdu.final) this.#endUnsolicited(task);
    this.#engine.dataArrived(task);
  }

  #solicitedComplete(task: Task, pdu: DataOutPdu, slice: Slice, isKept: boolean, digestValid: boolean): void {
    const length = pdu.dataSegmentLength;
    task.dataUs = this.#shard.ring.nowUs;
    const problem = digestValid ? solicitedFault(slice, pdu) : DATA_LOST;
    if (problem !== DATA_INTACT) {
      this.#lose(task, slice, problem);
    } else if (isKept) {
      slice.filled += length;
      task.connection!.solicitedBytes -= length;
    }
    slice.dataSN = serialAdd(pdu.dataSN, 1);
    if (pdu.final) this.#endSolicited(task, slice);
    this.#engine.dataArrived(task);
  }

  /**
   * The initiator has been silent for too long about data that it owes: its last PDU may have been lost, so the sequences count as
   * ended, and what is missing is asked for again (an implicit sequence error: section 7.1.4.1).
   */
  timeOut(task: Task): void {
    if (task.unsolicitedEnd >= 0) {
      const slice = task.firstSlice ?? this.#firstSlice(task);
      if (slice !== null) slice.gap = true;
      this.#endUnsolicited(task);
    }
    for (let slice = task.firstSlice; slice !== null; slice = slice.nextOfTask) {
      if (slice.tag === NO_TAG || slice.queued) continue;
      slice.gap = true;
      this.#endSolicited(task, slice);
    }
    this.#engine.dataArrived(task);
  }

  #endUnsolicited(task: Task): void {
    const slice = task.firstSlice;
    // "the total unsolicited data MUST be either FirstBurstLength or all of the data" (section 4.2.5.2).
    if (unsolicitedLength(task) < task.unsolicitedEnd && slice?.gap !== true) fault(task, DATA_AMOUNT);
    task.unsolicitedEnd = -1;
    task.dataWaitUs += this.#shard.ring.nowUs - task.startedUs;
    if (slice !== null) slice.gap = false;
  }

  /** What is missing because a PDU was lost is asked for by the next R2T (a recovery R2T: section 7.8, option a). */
  #endSolicited(task: Task, slice: Slice): void {
    if (slice.filled < slice.requestedEnd && !slice.gap) fault(task, DATA_AMOUNT);
    task.connection!.solicitedBytes -= slice.requestedEnd - slice.filled;
    slice.tag = NO_TAG;
    slice.gap = false;
    dataCame(task, this.#shard.ring.nowUs);
  }

  /** A data PDU is not as it should be. Where the session recovers, one that is missing will be asked for again. */
  #lose(task: Task, slice: Slice | null, problem: number): void {
    const recovers = task.session!.parameters.errorRecoveryLevel > 0;
    if (problem === DATA_LOST && recovers && slice !== null) slice.gap = true;
    else fault(task, problem);
  }

  /** Its task has ended, or was refused, before all of its data had come. */
  #isForEndedTask(connection: Connection, pdu: DataOutPdu): boolean {
    const session = connection.session!;
    if (pdu.targetTransferTag === RESERVED_TAG && this.#shard.refusals.dataArrived(connection, pdu)) return true;
    if (session.isAbandoned(pdu.initiatorTaskTag)) return true;
    return this.#shard.terminations.includes(connection, pdu.targetTransferTag);
  }

  /** Section 11.17.1, note 2: "invalid TTT/ITT, buffer offset, LUN qualifying a TTT". For its digest it was rejected already. */
  #reject(connection: Connection, pdu: DataOutPdu, digestValid: boolean): void {
    if (digestValid) this.#shard.requests.reject(connection, pdu.offset, REJECT_REASON_INVALID_PDU_FIELD);
  }

  /** The task of this connection that the PDU belongs to. */
  #task(connection: Connection, pdu: DataOutPdu): Task | null {
    const index = connection.session!.tags.get(pdu.initiatorTaskTag);
    if (index < 0) return null;
    const task = this.#shard.tasks.tasks[index]!;
    return task.connection === connection && task.state !== TASK_ABORTED ? task : null;
  }

  /** The slice of the task whose R2T the PDU answers. A tag that was guessed while the R2T is still queued is none yet. */
  #solicited(task: Task, pdu: DataOutPdu): Slice | null {
    const tag = pdu.targetTransferTag;
    const slice = this.#shard.slices.slices[tag & 0xffff];
    if (slice === undefined || slice.tag !== tag || slice.task !== task || slice.queued) return null;
    return pdu.lunHigh === task.lunHigh && pdu.lunLow === task.lunLow ? slice : null;
  }

  /** A task that waits for its turn, or for a buffer to begin with, has no slice yet when its unsolicited data comes. */
  #firstSlice(task: Task): Slice | null {
    if (!isWaiting(task) && task.state !== TASK_ACTIVE) return null;
    if (task.overrun) return null;
    const slice = this.#shard.slices.acquire(Math.min(SLICE_BYTES_MAX, task.expectedDataTransferLength), task);
    if (slice === null) task.overrun = true;
    else this.#engine.append(task, slice);
    return slice;
  }

  #sink(connection: Connection, slice: Slice, at: number): void {
    connection.sink = slice;
    connection.sinkOwned = false;
    connection.sinkOffset = at;
  }
}

/** The first fault counts. */
function fault(task: Task, dataFault: number): void {
  if (task.dataFault === DATA_INTACT) task.dataFault = dataFault;
}

/** Unsolicited data that has come so far, immediate data included. */
function unsolicitedLength(task: Task): number {
  return task.firstSlice === null ? 0 : task.firstSlice.filled;
}

/** Data PDUs come in order, without gaps: a jump says that one is missing (section 7.9). */
function unsolicitedFault(task: Task, pdu: DataOutPdu): number {
  if (task.firstSlice?.gap) return DATA_LOST;
  if (pdu.dataSN !== task.unsolicitedDataSN) return DATA_LOST;
  if (pdu.bufferOffset + pdu.dataSegmentLength > task.unsolicitedEnd) return DATA_AMOUNT;
  return pdu.bufferOffset === unsolicitedLength(task) ? DATA_INTACT : DATA_LOST;
}

function solicitedFault(slice: Slice, pdu: DataOutPdu): number {
  if (slice.gap) return DATA_LOST;
  if (pdu.dataSN !== slice.dataSN) return DATA_LOST;
  const at = pdu.bufferOffset - slice.transferOffset;
  if (at + pdu.dataSegmentLength > slice.requestedEnd) return DATA_AMOUNT;
  return at === slice.filled ? DATA_INTACT : DATA_LOST;
}
