/**
 * SNACK requests (RFC 7143 section 11.16) on sessions that recover from errors: what was sent and is kept goes out again; what was
 * never sent, or is acknowledged, is a protocol error; what is no longer kept is refused.
 */

import { unreachable } from "../assert.js";
import { NO_TAG, type Slice } from "../buffer/slice.js";
import { endWithSense, SNACK_REJECTED } from "../scsi/sense.js";
import type { Shard } from "../shard.js";
import { acknowledgeTag, isWaiting, TASK_ABORTED, TASK_ACTIVE, type Task } from "../task/task.js";
import {
  REJECT_REASON_INVALID_DATA_ACK,
  REJECT_REASON_PROTOCOL_ERROR,
  REJECT_REASON_SNACK_REJECT,
} from "../wire/reject.js";
import { serialDistance, serialInWindow, serialLess } from "../wire/serial.js";
import {
  SNACK_TYPE_DATA_ACK,
  SNACK_TYPE_DATA_R2T,
  SNACK_TYPE_R_DATA,
  SNACK_TYPE_STATUS,
  SnackRequestPdu,
} from "../wire/snack-request.js";
import type { Connection } from "./connection.js";
import type { Outgoing } from "./outgoing.js";
import { ResendData, ResendR2t, ResendStatus } from "./resend.js";

export class Snacks {
  readonly #shard: Shard;
  readonly #pdu: SnackRequestPdu;

  constructor(shard: Shard) {
    this.#shard = shard;
    this.#pdu = new SnackRequestPdu(shard.arena.view);
  }

  /** A well-formed SNACK on a connection that keeps what it sends. */
  request(connection: Connection, header: number): void {
    const pdu = this.#pdu.at(header);
    switch (pdu.type) {
      case SNACK_TYPE_DATA_R2T:
        return this.#dataOrR2t(connection, pdu);
      case SNACK_TYPE_STATUS:
        return this.#status(connection, pdu);
      case SNACK_TYPE_DATA_ACK:
        return this.#acknowledge(connection, pdu);
      case SNACK_TYPE_R_DATA:
        return this.#resegment(connection, pdu);
      default:
        return unreachable("SNACK type", pdu.type);
    }
  }

  #dataOrR2t(connection: Connection, pdu: SnackRequestPdu): void {
    const task = this.#task(connection, pdu);
    if (task === null) return this.#reject(connection, pdu, REJECT_REASON_PROTOCOL_ERROR);
    if (task.expectsDataOut) return this.#r2t(connection, task, pdu);
    const all = pdu.runLength === 0;
    const first = pdu.begRun === 0 && all ? task.acknowledgedDataSN : pdu.begRun;
    const sent = serialDistance(first, task.dataSN);
    const count = all ? sent : pdu.runLength;
    // Numbers count from 0 and a task has fewer than 2^31 PDUs, so plain comparison tells what was never sent.
    if (first < task.acknowledgedDataSN || first > task.dataSN || count > sent || (count === 0 && pdu.begRun !== 0)) {
      return this.#reject(connection, pdu, REJECT_REASON_PROTOCOL_ERROR, task.dataSN);
    }
    if (count === 0) return;
    // Cut for a MaxRecvDataSegmentLength that the initiator has made shorter since: only an R-Data SNACK brings that again.
    const isTooLong = longestSegment(task) > connection.nextMaxSend;
    if (first < task.keptDataSN || isTooLong) return this.#refuse(connection, task, pdu);
    this.#send(connection, new ResendData(task, first, count));
  }

  /** Those that are out and not answered in full. */
  #r2t(connection: Connection, task: Task, pdu: SnackRequestPdu): void {
    const end = pdu.runLength === 0 ? task.dataSN : pdu.begRun + pdu.runLength;
    const found: Slice[] = [];
    for (let slice = task.firstSlice; slice !== null; slice = slice.nextOfTask) {
      if (slice.tag === NO_TAG || slice.queued || slice.r2tSN < pdu.begRun || slice.r2tSN >= end) continue;
      found.push(slice);
    }
    const all = pdu.begRun === 0 && pdu.runLength === 0;
    // An R2T is acknowledged by its data; one of those that are asked for is enough to have the SNACK rejected (section 11.16).
    if (end > task.dataSN || (!all && (found.length === 0 || found.length < end - pdu.begRun))) {
      return this.#reject(connection, pdu, REJECT_REASON_PROTOCOL_ERROR, task.dataSN);
    }
    for (const slice of found) this.#send(connection, new ResendR2t(slice));
  }

  #status(connection: Connection, pdu: SnackRequestPdu): void {
    const retained = connection.retained!;
    const all = pdu.runLength === 0;
    const first = pdu.begRun === 0 && all ? connection.expStatSN : pdu.begRun;
    const count = all ? serialDistance(first, connection.statSN) : pdu.runLength;
    // All that is not acknowledged, and that is nothing. Where a number is named, it is one that was not sent.
    if (count === 0 && pdu.begRun === 0) return;
    const last = (first + count - 1) >>> 0;
    const wasSent =
      serialInWindow(first, connection.expStatSN, connection.statSN) &&
      serialInWindow(last, first, connection.statSN) &&
      serialLess(last, connection.statSN);
    if (!wasSent) return this.#reject(connection, pdu, REJECT_REASON_PROTOCOL_ERROR);
    let found = 0;
    for (let node = retained.first; node !== null; node = node.nextRetained) {
      if (!serialInWindow(node.statSN, first, last)) continue;
      this.#send(connection, new ResendStatus(node));
      found++;
    }
    // Too many were not acknowledged (RETAINED_MAX), or a function has ended the task.
    if (found < count) this.#reject(connection, pdu, REJECT_REASON_SNACK_REJECT);
  }

  /** DataACK: what was sent below BegRun need not be kept. */
  #acknowledge(connection: Connection, pdu: SnackRequestPdu): void {
    const task = this.#shard.tasks.tasks[pdu.targetTransferTag & 0xffff];
    const isOurs =
      task !== undefined &&
      task.connection === connection &&
      task.state !== TASK_ABORTED &&
      acknowledgeTag(task) === pdu.targetTransferTag;
    // Its status may have been acknowledged since, and with it the data.
    if (!isOurs) return;
    if (pdu.begRun < task.acknowledgedDataSN || pdu.begRun > task.dataSN) {
      return this.#reject(connection, pdu, REJECT_REASON_INVALID_DATA_ACK);
    }
    this.#shard.engine.retransmission.acknowledgeData(task, pdu.begRun);
  }

  #resegment(connection: Connection, pdu: SnackRequestPdu): void {
    const task = this.#task(connection, pdu);
    if (task === null || task.expectsDataOut) return this.#reject(connection, pdu, REJECT_REASON_PROTOCOL_ERROR);
    if (task.acknowledgedDataSN < task.keptDataSN) return this.#refuse(connection, task, pdu);
    task.snackTag = pdu.snackTag;
    // Nothing has been sent of a command that has not begun: its response will have the tag.
    if (!isWaiting(task)) this.#shard.engine.retransmission.rewind(task, task.acknowledgedDataSN);
  }

  /** The data is gone: the command fails, unless its status was sent already (section 7.8, a.1 and a.2). */
  #refuse(connection: Connection, task: Task, pdu: SnackRequestPdu): void {
    this.#reject(connection, pdu, REJECT_REASON_SNACK_REJECT);
    if (task.state === TASK_ACTIVE) endWithSense(task, this.#shard.engine, SNACK_REJECTED);
  }

  #task(connection: Connection, pdu: SnackRequestPdu): Task | null {
    const index = connection.session!.tags.get(pdu.initiatorTaskTag);
    const task = index < 0 ? null : this.#shard.tasks.tasks[index]!;
    return task !== null && task.connection === connection && task.state !== TASK_ABORTED ? task : null;
  }

  #send(connection: Connection, node: Outgoing): void {
    this.#shard.transmitter.queueResend(connection, node);
  }

  /** `dataSN`: the next one of the task, where a Data/R2T SNACK is a protocol error (section 11.17.2). */
  #reject(connection: Connection, pdu: SnackRequestPdu, reason: number, dataSN = 0): void {
    this.#shard.requests.reject(connection, pdu.offset, reason, dataSN);
  }
}

/** Of the Data-In PDUs that were sent for the task and are kept. */
function longestSegment(task: Task): number {
  let longest = 0;
  for (let slice = task.firstSlice; slice?.numbered; slice = slice.nextOfTask) {
    longest = Math.max(longest, Math.min(slice.segmentBytes, slice.length));
  }
  return longest;
}
