/**
 * What is kept of a task so that it can be sent again: Data-In that SNACK may ask for (RFC 7143 section 11.16), until it is
 * acknowledged or its buffers are needed; and the task itself, which goes on where another connection takes it (section 7.2.2).
 */
import { isSent, type Slice } from "../buffer/slice.js";
import type { Connection } from "../connection/connection.js";
import { OUTGOING_RESPONSE } from "../connection/outgoing.js";
import { ResendData } from "../connection/resend.js";
import { endWithSense, SNACK_REJECTED } from "../scsi/sense.js";
import type { Shard } from "../shard.js";
import type { TaskEngine } from "./engine.js";
import {
  TASK_ACTIVE,
  TASK_ENDING,
  TASK_RESPONDING,
  TASK_UNACKNOWLEDGED,
  type Task,
  TRANSFER_READ,
  TRANSFER_REPLY,
} from "./task.js";

export class Retransmission {
  readonly #shard: Shard;
  readonly #engine: TaskEngine;

  constructor(shard: Shard, engine: TaskEngine) {
    this.#shard = shard;
    this.#engine = engine;
  }

  /** The Data-In PDUs below `dataSN` are acknowledged: slices that were sent in full and end there go. */
  acknowledgeData(task: Task, dataSN: number): void {
    task.acknowledgedDataSN = dataSN;
    while (task.firstSlice !== null && isSent(task.firstSlice) && this.#endDataSN(task, task.firstSlice) <= dataSN) {
      this.#dropFirst(task);
    }
  }

  /** Gives up the oldest data that the task keeps for retransmission. False: it keeps none. */
  dropSent(task: Task): boolean {
    if (task.firstSlice === null || !isSent(task.firstSlice)) return false;
    this.#dropFirst(task);
    return true;
  }

  /** Gives up data of ended tasks, oldest first, then of running ones, until the connection may go on. False: it may not. */
  dropRetained(connection: Connection, length: number): boolean {
    if (connection.retained === null) return false;
    for (let node = connection.retained.first; node !== null; node = node.nextRetained) {
      if (node.outgoingKind !== OUTGOING_RESPONSE) continue;
      const task = node as Task;
      while (task.firstSlice !== null) this.#dropFirst(task);
      if (this.#engine.waiting.isWithinCredit(connection, length)) return true;
    }
    for (let task = connection.session!.firstTask; task !== null; task = task.nextOfSession) {
      if (task.connection !== connection || task.transfer !== TRANSFER_READ || task.state !== TASK_ACTIVE) continue;
      while (this.dropSent(task)) if (this.#engine.waiting.isWithinCredit(connection, length)) return true;
    }
    return false;
  }

  #dropFirst(task: Task): void {
    task.keptDataSN = this.#endDataSN(task, task.firstSlice!);
    this.#shard.slices.release(this.#engine.unlinkFirst(task));
  }

  /** DataSN of the PDU behind those of a slice that was sent in full. */
  #endDataSN(task: Task, slice: Slice): number {
    const next = slice.nextOfTask;
    return next?.numbered ? next.firstDataSN : task.dataSN;
  }

  /**
   * Sends the task's read data again, from the PDU `dataSN` on, cut anew, and then its status: after an R-Data SNACK, or on
   * another connection. All of that data is kept.
   */
  rewind(task: Task, dataSN: number): void {
    this.dropResends(task);
    this.#engine.dequeue(task);
    const from = this.#offsetOf(task, dataSN);
    while (task.firstSlice !== null && isSent(task.firstSlice) && sliceEnd(task.firstSlice) <= from)
      this.#dropFirst(task);
    for (let slice = task.firstSlice; slice !== null; slice = slice.nextOfTask) {
      slice.sent = Math.max(0, from - slice.transferOffset);
      slice.numbered = false;
    }
    task.dataSN = dataSN;
    task.burst = from % Math.max(1, task.session!.parameters.maxBurstLength & ~3);
    task.nextToQueue = task.firstSlice;
    if (task.state === TASK_ACTIVE) {
      this.#engine.queueRead(task);
      this.#engine.readOn(task);
      return;
    }
    if (task.state === TASK_ENDING) return this.#engine.settle(task);
    task.state = TASK_RESPONDING;
    if (task.firstSlice === null) this.#engine.respond(task);
    else this.#engine.queueRead(task);
  }

  /** Gives the task, whose connection has been logged out for recovery, to another one, on which it goes on (section 7.2.2). */
  reassign(task: Task, connection: Connection, expDataSN: number): void {
    const old = task.connection!;
    if (task.retained) old.retained!.remove(task);
    old.taskCount--;
    connection.taskCount++;
    task.connection = connection;
    task.snackTag = 0;
    for (let slice = task.firstSlice; slice !== null; slice = slice.nextOfTask) {
      if (slice.credit === null) continue;
      old.creditBytes -= slice.capacity;
      connection.creditBytes += slice.capacity;
      slice.credit = connection;
    }
    if (task.transfer === TRANSFER_READ || task.transfer === TRANSFER_REPLY) return this.#resumeRead(task, expDataSN);
    task.dataSN = resumeAt(task, expDataSN);
    if (task.state === TASK_ACTIVE) return this.#engine.pump(task);
    if (task.state !== TASK_RESPONDING && task.state !== TASK_UNACKNOWLEDGED) return;
    task.state = TASK_RESPONDING;
    this.#engine.respond(task);
  }

  #resumeRead(task: Task, expDataSN: number): void {
    const dataSN = resumeAt(task, expDataSN);
    if (dataSN >= task.keptDataSN) {
      task.acknowledgedDataSN = dataSN;
      return this.rewind(task, dataSN);
    }
    // What is asked for is no longer kept.
    if (task.state === TASK_UNACKNOWLEDGED || task.state === TASK_RESPONDING) task.state = TASK_ACTIVE;
    if (task.state === TASK_ACTIVE) endWithSense(task, this.#engine, SNACK_REJECTED);
  }

  /** Where in the transfer the PDU with this DataSN began, as it was sent before. */
  #offsetOf(task: Task, dataSN: number): number {
    const maxBurst = task.session!.parameters.maxBurstLength & ~3;
    let end = 0;
    for (let slice = task.firstSlice; slice !== null; slice = slice.nextOfTask) {
      let at = slice.numberedFrom;
      let burst = slice.burstBefore;
      for (let sn = slice.firstDataSN; at < slice.sent; sn++) {
        if (sn === dataSN) return slice.transferOffset + at;
        const length = Math.min(slice.segmentBytes, slice.length - at, maxBurst - burst);
        at += length;
        burst = burst + length === maxBurst ? 0 : burst + length;
      }
      if (slice.sent < slice.length) return slice.transferOffset + slice.sent;
      end = sliceEnd(slice);
    }
    return end;
  }

  /** Retransmissions that were asked for and have not been sent. */
  dropResends(task: Task): void {
    const connection = task.connection!;
    if (connection.retained === null || connection.queueHead === null) return;
    this.#shard.transmitter.remove(connection, (node) => node instanceof ResendData && node.task === task);
  }
}

/** ExpDataSN of a TASK REASSIGN, or what was acknowledged before: "Any other value MUST be ignored" (section 11.5.6). */
function resumeAt({ acknowledgedDataSN, dataSN }: Task, expDataSN: number): number {
  return expDataSN > acknowledgedDataSN && expDataSN <= dataSN ? expDataSN : acknowledgedDataSN;
}

function sliceEnd(slice: Slice): number {
  return slice.transferOffset + slice.length;
}
