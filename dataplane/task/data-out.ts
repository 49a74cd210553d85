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
import { TASK_ABORTED, TASK_ACTIVE, TASK_DORMANT, TASK_HELD, type Task } from "./task.js";

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
    const length = pdu.dataSegmentLength;
    const bufferOffset = pdu.bufferOffset;
    if (pdu.targetTransferTag === RESERVED_TAG) {
      if (task.unsolicitedEnd < 0 || pdu.dataSN !== task.unsolicitedDataSN) return;
      const slice = task.firstSlice ?? this.#firstSlice(task);
      if (slice === null || bufferOffset !== slice.filled) return;
      if (bufferOffset + length > task.unsolicitedEnd || bufferOffset + length > slice.capacity) return;
      this.#sink(connection, slice, bufferOffset);
      return;
    }
    const slice = this.#solicited(task, pdu.targetTransferTag);
    if (slice === null || pdu.dataSN !== slice.dataSN) return;
    const at = bufferOffset - slice.transferOffset;
    if (at !== slice.filled || at + length > slice.requestedEnd) return;
    this.#sink(connection, slice, at);
  }

  complete(connection: Connection, pdu: DataOutPdu, digestValid: boolean): void {
    const slice = connection.sink;
    connection.sink = null;
    const task = this.#task(connection, pdu);
    if (task === null) {
      // Data for a task that is gone (aborted, or ended early) is dropped without a word; its buffer may have waited for this.
      if (slice?.task?.state === TASK_ABORTED) this.#engine.settle(slice.task);
      return;
    }
    const length = pdu.dataSegmentLength;
    // A PDU without data has no sink, and none to miss.
    const kept = digestValid && (slice !== null || length === 0);
    if (pdu.targetTransferTag === RESERVED_TAG) {
      if (task.unsolicitedEnd < 0)
        return this.#shard.requests.reject(connection, pdu.offset, REJECT_REASON_INVALID_PDU_FIELD);
      if (kept && slice !== null) slice.filled += length;
      else if (!kept) task.dataLost = true;
      task.unsolicitedDataSN = serialAdd(pdu.dataSN, 1);
      if (pdu.final) task.unsolicitedEnd = -1;
    } else {
      const wanted = this.#solicited(task, pdu.targetTransferTag);
      if (wanted === null) {
        return this.#shard.requests.reject(connection, pdu.offset, REJECT_REASON_INVALID_PDU_FIELD);
      }
      if (kept && slice !== null) {
        slice.filled += length;
        connection.solicitedBytes -= length;
      } else if (!kept) {
        task.dataLost = true;
      }
      wanted.dataSN = serialAdd(pdu.dataSN, 1);
      if (pdu.final || wanted.filled === wanted.requestedEnd) {
        if (wanted.filled < wanted.requestedEnd) task.dataLost = true;
        connection.solicitedBytes -= wanted.requestedEnd - wanted.filled;
        wanted.tag = NO_TAG;
        task.outstandingR2T--;
      }
    }
    this.#engine.dataArrived(task);
  }

  /** The task of this connection that the PDU belongs to. */
  #task(connection: Connection, pdu: DataOutPdu): Task | null {
    const index = connection.session!.tags.get(pdu.initiatorTaskTag);
    if (index < 0) return null;
    const task = this.#shard.tasks.tasks[index]!;
    return task.connection === connection && task.state !== TASK_ABORTED ? task : null;
  }

  /** The slice of the task whose R2T has this tag. A tag that was guessed while the R2T is still queued is none yet. */
  #solicited(task: Task, tag: number): Slice | null {
    const slice = this.#shard.slices.slices[tag & 0xffff];
    return slice !== undefined && slice.tag === tag && slice.task === task && !slice.queued ? slice : null;
  }

  /** A task that waits for its turn, or for a buffer to begin with, has no slice yet when its unsolicited data comes. */
  #firstSlice(task: Task): Slice | null {
    if (task.state !== TASK_HELD && task.state !== TASK_DORMANT && task.state !== TASK_ACTIVE) return null;
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
