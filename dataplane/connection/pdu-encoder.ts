/**
 * Makes the PDUs that a connection sends of what waits to be sent. This is the ONE place that stamps StatSN, ExpCmdSN and
 * MaxCmdSN and that computes digests of what is sent.
 */
import type { Arena } from "../arena.js";
import { assert, unreachable } from "../assert.js";
import { NO_TAG, type Slice } from "../buffer/slice.js";
import { COUNTER, SENT_PDUS } from "../counters.js";
import { BATCH_PDUS_MAX } from "../limits.js";
import { encodeSense } from "../scsi/sense.js";
import { statusQualifier } from "../scsi/status-qualifier.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard.js";
import { acknowledgeTag, TASK_UNACKNOWLEDGED, type Task } from "../task/task.js";
import { BHS_LENGTH, FLAG_FINAL, OPCODE_MASK, paddedLength, TargetPdu } from "../wire/bhs.js";
import { DataInPdu, FLAG_ACKNOWLEDGE, FLAG_STATUS } from "../wire/data-in.js";
import { R2tPdu } from "../wire/r2t.js";
import {
  FLAG_OVERFLOW,
  FLAG_UNDERFLOW,
  SCSI_STATUS_CHECK_CONDITION,
  SCSI_STATUS_GOOD,
  ScsiResponsePdu,
} from "../wire/scsi-response.js";
import { serialAdd } from "../wire/serial.js";
import { type Batch, CELL_SENSE, CELL_TRAILER } from "./batch.js";
import type { Connection } from "./connection.js";
import {
  OUTGOING_DATA_IN,
  OUTGOING_R2T,
  OUTGOING_REPLY,
  OUTGOING_RESEND,
  OUTGOING_RESPONSE,
  type Outgoing,
} from "./outgoing.js";
import { type Reply, STAMP_STATUS } from "./reply.js";
import { type Resend, ResendData, ResendR2t, type ResendStatus } from "./resend.js";
import { ToldLosses } from "./told-losses.js";

/** Per PDU at most: header digest, data, padding. */
const JOBS_MAX = BATCH_PDUS_MAX * 2;
/** Where the CRC of a job is to be stored. */
const JOB_WORDS = 4;

export class PduEncoder {
  readonly #shard: Shard;
  readonly #arena: Arena;
  readonly #dataIn: DataInPdu;
  readonly #r2t: R2tPdu;
  readonly #response: ScsiResponsePdu;
  readonly #target: TargetPdu;
  readonly #jobs = new Uint32Array(JOBS_MAX * JOB_WORDS);
  readonly #jobStores = new Uint32Array(JOBS_MAX);
  #jobCount = 0;

  constructor(shard: Shard) {
    this.#shard = shard;
    this.#arena = shard.arena;
    const view = shard.arena.view;
    this.#dataIn = new DataInPdu(view);
    this.#r2t = new R2tPdu(view);
    this.#response = new ScsiResponsePdu(view);
    this.#target = new TargetPdu(view);
  }

  /** Adds the PDUs of a node; false: the batch is full before the node is through. */
  add(connection: Connection, batch: Batch, node: Outgoing): boolean {
    switch (node.outgoingKind) {
      case OUTGOING_DATA_IN:
        return this.#emitDataIn(connection, batch, node as Slice);
      case OUTGOING_R2T:
        return this.#emitR2t(connection, batch, node as Slice);
      case OUTGOING_RESPONSE:
        return this.#emitResponse(connection, batch, node as Task);
      case OUTGOING_REPLY:
        return this.#emitReply(connection, batch, node as Reply);
      case OUTGOING_RESEND:
        return this.#emitAgain(connection, batch, node as Resend);
      default:
        return unreachable("outgoing kind", node.outgoingKind);
    }
  }

  /**
   * Data-In PDUs of a slice, each at most MaxRecvDataSegmentLength of the peer and none across the end of a sequence
   * (MaxBurstLength: RFC 7143 section 13.13). The last one of the task carries the status (section 11.7.3), but where what
   * was sent may be asked for again: there status and data are numbered apart.
   */
  #emitDataIn(connection: Connection, batch: Batch, slice: Slice): boolean {
    const task = slice.task!;
    const session = connection.session!;
    const pdu = this.#dataIn;
    const { retained } = connection;
    const maxBurst = sequenceBytes(session);
    if (!slice.numbered) {
      slice.numbered = true;
      slice.numberedFrom = slice.sent;
      slice.firstDataSN = task.dataSN;
      slice.burstBefore = task.burst;
      slice.segmentBytes = connection.maxSend;
    }
    while (slice.sent < slice.length) {
      if (batch.pdus === BATCH_PDUS_MAX) return false;
      const length = Math.min(slice.segmentBytes, slice.length - slice.sent, maxBurst - task.burst);
      const last = slice.transferOffset + slice.sent + length === task.transferLength;
      const data = slice.offset + slice.sent;
      // The slice's front room makes header and data one iovec; a later PDU of the same slice has its header in a cell.
      const inFront = slice.sent === 0;
      const header = inFront ? data - BHS_LENGTH - (connection.headerDigest ? 4 : 0) : batch.cell();
      task.burst += length;
      const final = last || task.burst === maxBurst;
      if (final) task.burst = 0;
      this.#putDataIn(connection, header, slice, slice.sent, length, task.dataSN, final, last);
      task.dataSN = serialAdd(task.dataSN, 1);
      if (last && retained === null) {
        pdu.flags = FLAG_FINAL | FLAG_STATUS | residualFlags(task);
        pdu.residualCount = residualCount(task);
        pdu.statSN = connection.statSN;
        connection.statSN = serialAdd(connection.statSN, 1);
        if (!task.immediate) session.reopen();
        stampWindow(pdu, session);
      }
      slice.sent += length;
      batch.addSlice(slice);
      this.#add(connection, batch, header, data, length, inFront);
    }
    return true;
  }

  /** The header of one Data-In PDU, as it goes out each time that it does. */
  #putDataIn(
    connection: Connection,
    header: number,
    slice: Slice,
    at: number,
    length: number,
    dataSN: number,
    final: boolean,
    last: boolean,
  ): void {
    const task = slice.task!;
    const session = connection.session!;
    const pdu = this.#dataIn.at(header).clear();
    pdu.dataSegmentLength = length;
    pdu.initiatorTaskTag = task.initiatorTaskTag;
    pdu.dataSN = dataSN;
    pdu.bufferOffset = slice.transferOffset + at;
    pdu.flags = final ? FLAG_FINAL : 0;
    if (final && !last && connection.retained !== null) {
      // An acknowledgment of each sequence bounds what is kept (section 11.7.2).
      pdu.flags = FLAG_FINAL | FLAG_ACKNOWLEDGE;
      pdu.lunHigh = task.lunHigh;
      pdu.lunLow = task.lunLow;
      pdu.targetTransferTag = acknowledgeTag(task);
    }
    stampWindow(pdu, session);
  }

  #emitR2t(connection: Connection, batch: Batch, slice: Slice): boolean {
    const task = slice.task!;
    slice.r2tSN = task.dataSN;
    slice.requestedStart = slice.filled;
    task.dataSN = serialAdd(task.dataSN, 1);
    return this.#putR2t(connection, batch, slice);
  }

  #putR2t(connection: Connection, batch: Batch, slice: Slice): boolean {
    const task = slice.task!;
    const session = connection.session!;
    const header = batch.cell();
    const pdu = this.#r2t.at(header).clear();
    assert(slice.tag !== NO_TAG, "an R2T has a tag");
    pdu.lunHigh = task.lunHigh;
    pdu.lunLow = task.lunLow;
    pdu.initiatorTaskTag = task.initiatorTaskTag;
    pdu.targetTransferTag = slice.tag;
    pdu.statSN = connection.statSN;
    stampWindow(pdu, session);
    pdu.r2tSN = slice.r2tSN;
    pdu.bufferOffset = slice.transferOffset + slice.requestedStart;
    pdu.desiredDataTransferLength = slice.requestedEnd - slice.requestedStart;
    this.#add(connection, batch, header, -1, 0, false);
    return true;
  }

  /** A new status takes the next StatSN and is kept; one that is sent again keeps its own (section 11.16). */
  #takeStatSN(connection: Connection, node: Outgoing): number {
    if (node.retained) return node.statSN;
    const { statSN, retained } = connection;
    connection.statSN = serialAdd(statSN, 1);
    node.statSN = statSN;
    // The Login Response belongs to a phase without SNACK, and without digests: it is not sent again.
    if (retained !== null && (node.outgoingKind !== OUTGOING_REPLY || !(node as Reply).plain)) {
      if (retained.first === null) connection.acknowledgedUs = this.#shard.ring.nowUs;
      retained.add(node);
    }
    return statSN;
  }

  #emitResponse(connection: Connection, batch: Batch, task: Task): boolean {
    const session = connection.session!;
    const header = batch.cell();
    const pdu = this.#response.at(header).clear();
    pdu.initiatorTaskTag = task.initiatorTaskTag;
    pdu.status = task.status;
    pdu.flags = FLAG_FINAL | residualFlags(task);
    pdu.residualCount = residualCount(task);
    // Of Data-In only: R2Ts, which a write counts there, do not count (section 11.4.8).
    pdu.expDataSN = task.expectsDataOut ? 0 : task.dataSN;
    if (!task.immediate && !task.wasAnswered) session.reopen();
    task.wasAnswered = true;
    pdu.snackTag = task.snackTag;
    pdu.statSN = this.#takeStatSN(connection, task);
    stampWindow(pdu, session);
    let length = 0;
    const sense = header + CELL_SENSE;
    if (task.status !== SCSI_STATUS_GOOD) {
      pdu.statusQualifier = statusQualifier(session, task.status);
      // No command of ours moves data both ways: none is GOOD, and all that was to be read is residual (section 11.4.6).
      if (task.bidirectionalReadLength > 0) {
        pdu.bidirectionalReadUnderflow = true;
        pdu.bidirectionalReadResidualCount = task.bidirectionalReadLength;
      }
    }
    if (task.status === SCSI_STATUS_CHECK_CONDITION) {
      const senseLength = encodeSense(this.#arena.bytes, this.#arena.view, sense + 2, task);
      this.#arena.view.setUint16(sense, senseLength);
      length = 2 + senseLength;
      pdu.dataSegmentLength = length;
      if (task.lossesTold >= 0) noteLosses(connection, task, pdu.statSN);
    }
    this.#add(connection, batch, header, sense, length, false);
    return true;
  }

  #emitReply(connection: Connection, batch: Batch, reply: Reply): boolean {
    const session = connection.session!;
    const header = batch.cell();
    for (let i = 0; i < BHS_LENGTH; i += 4) this.#arena.view.setUint32(header + i, reply.header.getUint32(i));
    const pdu = this.#target.at(header);
    pdu.statSN = reply.stamp === STAMP_STATUS ? this.#takeStatSN(connection, reply) : connection.statSN;
    stampWindow(pdu, session);
    if (reply.onStamped !== null) {
      const { onStamped } = reply;
      reply.onStamped = null;
      onStamped(pdu.statSN);
    }
    const length = pdu.dataSegmentLength;
    assert(length === 0 || reply.slice !== null, "a reply with data has a slice");
    if (reply.slice !== null) batch.addSlice(reply.slice);
    this.#add(connection, batch, header, reply.slice === null ? -1 : reply.slice.offset, length, false, !reply.plain);
    return true;
  }

  #emitAgain(connection: Connection, batch: Batch, node: Resend): boolean {
    const before = batch.pdus;
    const isThrough = this.#emitResend(connection, batch, node);
    this.#shard.counters[COUNTER.resent_pdus]! += batch.pdus - before;
    return isThrough;
  }

  #emitResend(connection: Connection, batch: Batch, node: Resend): boolean {
    if (node instanceof ResendData) return this.#emitDataAgain(connection, batch, node);
    if (node instanceof ResendR2t) {
      return node.slice.tag !== node.tag || this.#putR2t(connection, batch, node.slice);
    }
    const { node: status, sentStatSN } = node as ResendStatus;
    // Acknowledged meanwhile.
    if (!status.retained || status.statSN !== sentStatSN) return true;
    if (status.outgoingKind === OUTGOING_REPLY) return this.#emitReply(connection, batch, status as Reply);
    const task = status as Task;
    // Its data is being sent again (R-Data), and its response follows.
    if (task.state !== TASK_UNACKNOWLEDGED) return true;
    return this.#emitResponse(connection, batch, task);
  }

  /** Data-In PDUs as they went out the first time, header digests and all, from the slices that the task keeps. */
  #emitDataAgain(connection: Connection, batch: Batch, node: ResendData): boolean {
    const { task } = node;
    const maxBurst = sequenceBytes(connection.session!);
    for (let slice = task.firstSlice; slice !== null && node.count > 0; slice = slice.nextOfTask) {
      let dataSN = slice.firstDataSN;
      let burst = slice.burstBefore;
      for (let at = slice.numberedFrom; at < slice.sent && node.count > 0; ) {
        const length = Math.min(slice.segmentBytes, slice.length - at, maxBurst - burst);
        const last = slice.transferOffset + at + length === task.transferLength;
        burst += length;
        const final = last || burst === maxBurst;
        if (final) burst = 0;
        if (dataSN === node.dataSN) {
          if (batch.pdus === BATCH_PDUS_MAX) return false;
          const header = batch.cell();
          this.#putDataIn(connection, header, slice, at, length, dataSN, final, last);
          batch.addSlice(slice);
          this.#add(connection, batch, header, slice.offset + at, length, false);
          node.dataSN = serialAdd(node.dataSN, 1);
          node.count--;
        }
        dataSN = serialAdd(dataSN, 1);
        at += length;
      }
    }
    return true;
  }

  /**
   * Adds one finished PDU to the batch: header, header digest, data, padding, data digest. `inFront`: the header (with room
   * for its digest) lies right before the data. `digests` is false for the final Login Response alone.
   */
  #add(
    connection: Connection,
    batch: Batch,
    header: number,
    data: number,
    length: number,
    inFront: boolean,
    digests = true,
  ): void {
    const bytes = this.#arena.bytes;
    const cell = batch.cell();
    const headerDigest = digests && connection.headerDigest;
    const dataDigest = digests && connection.dataDigest && length > 0;
    const headerLength = headerDigest ? BHS_LENGTH + 4 : BHS_LENGTH;
    if (headerDigest) this.#job(header, BHS_LENGTH, header + BHS_LENGTH);
    if (inFront) {
      batch.addIovec(header, headerLength + length);
    } else {
      batch.addIovec(header, headerLength);
      if (length > 0) batch.addIovec(data, length);
    }
    const padding = paddedLength(length) - length;
    if (padding > 0 || dataDigest) {
      const trailer = cell + CELL_TRAILER;
      if (padding > 0) {
        // The digest covers the padding too (RFC 7143 section 11.2.3): it follows the data in memory, where the slice or cell has room.
        bytes.fill(0, data + length, data + length + padding);
        bytes.fill(0, trailer, trailer + padding);
      }
      if (dataDigest) this.#job(data, length + padding, trailer + padding);
      batch.addIovec(trailer, padding + (dataDigest ? 4 : 0));
    }
    this.#shard.counters[SENT_PDUS + (bytes[header]! & OPCODE_MASK)]!++;
    batch.pdus++;
  }

  #job(offset: number, length: number, store: number): void {
    const at = this.#jobCount * JOB_WORDS;
    this.#jobs[at] = offset;
    this.#jobs[at + 1] = length;
    this.#jobs[at + 2] = 0;
    this.#jobStores[this.#jobCount] = store;
    this.#jobCount++;
  }

  /**
   * The digests of all PDUs added since the last call. A CRC goes out least significant byte first (RFC 7143 section 13.1 and
   * the examples of its appendix).
   */
  computeDigests(): void {
    if (this.#jobCount === 0) return;
    this.#shard.host.crc32c(this.#jobs, this.#jobCount);
    for (let i = 0; i < this.#jobCount; i++) {
      this.#arena.view.setUint32(this.#jobStores[i]!, this.#jobs[i * JOB_WORDS + 3]!, true);
    }
    this.#jobCount = 0;
  }
}

function noteLosses(connection: Connection, { mapping, lossesTold: losses }: Task, statSN: number): void {
  connection.toldLosses ??= new ToldLosses();
  connection.toldLosses.add(mapping!, { statSN, losses });
}

function stampWindow(pdu: TargetPdu, session: Session): void {
  pdu.expCmdSN = session.expCmdSN;
  pdu.maxCmdSN = session.maxCmdSN;
  session.announcedMaxCmdSN = session.maxCmdSN;
}

/** MaxBurstLength in whole words, so that no padding falls between data of a slice. */
function sequenceBytes(session: Session): number {
  return session.parameters.maxBurstLength & ~3;
}

/** O and U of a response (RFC 7143 section 11.4.5.1): what the command would move against what the initiator expects. */
function residualFlags(task: Task): number {
  if (task.transferTotal > task.expectedDataTransferLength) return FLAG_OVERFLOW;
  return task.transferTotal < task.expectedDataTransferLength ? FLAG_UNDERFLOW : 0;
}

function residualCount(task: Task): number {
  return Math.min(0xffffffff, Math.abs(task.transferTotal - task.expectedDataTransferLength));
}
