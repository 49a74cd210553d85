/**
 * Everything that a connection sends. Nodes wait in the connection's queue; once a turn, if no send of it is in flight,
 * they are made into PDUs and leave with one sendmsg. This is the ONE place that stamps StatSN, ExpCmdSN and MaxCmdSN and
 * that computes digests of what is sent.
 */
import { errno, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_WAITALL } from "io-uring-node";
import type { Arena } from "../arena.js";
import { assert, unreachable } from "../assert.js";
import { NO_TAG, type Slice } from "../buffer/slice.js";
import { COUNTER } from "../counters.js";
import { BATCH_BYTES_MAX, BATCH_PDUS_MAX, CONNECTION_REPLIES_MAX } from "../limits.js";
import { encodeSense } from "../scsi/sense.js";
import { KIND_SEND, type Shard } from "../shard.js";
import type { Task } from "../task/task.js";
import { BHS_LENGTH, FLAG_FINAL, paddedLength, TargetPdu } from "../wire/bhs.js";
import { DataInPdu, FLAG_STATUS } from "../wire/data-in.js";
import { R2tPdu } from "../wire/r2t.js";
import { FLAG_OVERFLOW, FLAG_UNDERFLOW, SCSI_STATUS_CHECK_CONDITION, ScsiResponsePdu } from "../wire/scsi-response.js";
import { serialAdd } from "../wire/serial.js";
import { type Batch, CELL_SENSE, CELL_TRAILER } from "./batch.js";
import { CONNECTION_OPEN, type Connection } from "./connection.js";
import { OUTGOING_DATA_IN, OUTGOING_R2T, OUTGOING_REPLY, OUTGOING_RESPONSE, type Outgoing } from "./outgoing.js";
import { type Reply, STAMP_STATUS } from "./reply.js";

/** The first attempt takes what the socket has room for and completes while it is submitted; the rest waits for room. */
const SEND_FLAGS_FIRST = MSG_NOSIGNAL | MSG_DONTWAIT;
const SEND_FLAGS_REST = MSG_NOSIGNAL | MSG_WAITALL;
/** Per PDU at most: header digest, data, padding. */
const JOBS_MAX = BATCH_PDUS_MAX * 2;
/** Where the CRC of a job is to be stored. */
const JOB_WORDS = 4;

export class Transmitter {
  readonly #shard: Shard;
  readonly #arena: Arena;
  readonly #dataIn: DataInPdu;
  readonly #r2t: R2tPdu;
  readonly #response: ScsiResponsePdu;
  readonly #target: TargetPdu;
  readonly #dirty: Connection[] = [];
  readonly #waiting: Connection[] = [];
  readonly #jobs = new Uint32Array(JOBS_MAX * JOB_WORDS);
  readonly #jobStores = new Uint32Array(JOBS_MAX);
  #jobCount = 0;
  #immediateSends = 0;

  constructor(shard: Shard) {
    this.#shard = shard;
    this.#arena = shard.arena;
    const view = shard.arena.view;
    this.#dataIn = new DataInPdu(view);
    this.#r2t = new R2tPdu(view);
    this.#response = new ScsiResponsePdu(view);
    this.#target = new TargetPdu(view);
  }

  queue(connection: Connection, node: Outgoing): void {
    assert(!node.queued, "a node is in one queue at most");
    node.queued = true;
    node.next = null;
    if (connection.queueTail === null) connection.queueHead = node;
    else connection.queueTail.next = node;
    connection.queueTail = node;
    this.#markDirty(connection);
  }

  queueReply(connection: Connection, reply: Reply): void {
    connection.replies++;
    this.queue(connection, reply);
    if (connection.replies > CONNECTION_REPLIES_MAX) {
      this.#shard.lifecycle.close(connection, "the initiator asks and does not read the answers");
    }
  }

  /** Takes out all nodes for which `matches` holds. */
  remove(connection: Connection, matches: (node: Outgoing) => boolean): void {
    let previous: Outgoing | null = null;
    let node = connection.queueHead;
    while (node !== null) {
      const next: Outgoing | null = node.next;
      if (matches(node)) {
        if (previous === null) connection.queueHead = next;
        else previous.next = next;
        if (connection.queueTail === node) connection.queueTail = previous;
        node.next = null;
        node.queued = false;
      } else {
        previous = node;
      }
      node = next;
    }
  }

  /** The end of a turn: everything that is ready leaves. */
  flush(): void {
    const dirty = this.#dirty;
    for (let i = 0; i < dirty.length; i++) {
      const connection = dirty[i]!;
      connection.dirty = false;
      if (connection.batch === null && connection.state === CONNECTION_OPEN) this.#send(connection);
    }
    dirty.length = 0;
  }

  /**
   * How many of the sends that were queued since the last call complete while they are submitted, and need not wake the
   * loop: what they free is looked at with the next event. None, if somebody waits for that.
   */
  takeImmediateSends(): number {
    const count = this.#immediateSends;
    this.#immediateSends = 0;
    return this.#waiting.length > 0 ? 0 : count;
  }

  /** A send has ended with `result`: bytes, or a negative errno. */
  sent(connection: Connection, result: number): void {
    const batch = connection.batch!;
    if (result > 0) {
      this.#shard.counters[COUNTER.sent_bytes]! += result;
      batch.advance(result);
    }
    const goesOn = result > 0 || result === -errno.EAGAIN || result === -errno.EINTR;
    if (batch.bytes > 0 && goesOn && connection.state === CONNECTION_OPEN) {
      batch.isShort = true;
      return this.#submit(connection, batch, SEND_FLAGS_REST);
    }
    const complete = batch.bytes === 0;
    connection.sendsComeShort = batch.isShort;
    connection.batch = null;
    for (let slice = batch.slices; slice !== null; ) {
      const next: Slice | null = slice.nextOfBatch;
      slice.nextOfBatch = null;
      this.#shard.slices.release(slice);
      slice = next;
    }
    connection.readBytes -= batch.readBytes;
    const closes = batch.closesConnection;
    this.#shard.batches.release(batch);
    this.#offerBatch();
    if (connection.state !== CONNECTION_OPEN) {
      this.#shard.lifecycle.drain(connection);
    } else if (!complete) {
      this.#shard.lifecycle.close(connection, `send failed (errno ${-result})`);
    } else if (closes) {
      this.#shard.lifecycle.close(connection, "logout");
    } else {
      if (connection.queueHead !== null) this.#markDirty(connection);
      if (connection.starvedHead !== null) this.#shard.engine.feed(connection);
    }
  }

  /** A batch is free: the longest waiting connection may have it. */
  #offerBatch(): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (next.state !== CONNECTION_OPEN) continue;
      this.#markDirty(next);
      return;
    }
  }

  #markDirty(connection: Connection): void {
    if (connection.dirty) return;
    connection.dirty = true;
    this.#dirty.push(connection);
  }

  #send(connection: Connection): void {
    if (connection.queueHead === null) return;
    const batch = this.#shard.batches.acquire(connection);
    if (batch === null) {
      if (!this.#waiting.includes(connection)) this.#waiting.push(connection);
      return;
    }
    this.#jobCount = 0;
    while (connection.queueHead !== null && this.#room(batch)) {
      const node: Outgoing = connection.queueHead;
      if (!this.#emit(connection, batch, node)) break;
      connection.queueHead = node.next;
      if (node.next === null) connection.queueTail = null;
      node.next = null;
      node.queued = false;
      this.#emitted(connection, batch, node);
    }
    if (this.#jobCount > 0) this.#digest();
    this.#shard.counters[COUNTER.sent_pdus]! += batch.pdus;
    connection.batch = batch;
    this.#submit(connection, batch, SEND_FLAGS_FIRST);
    // Not where the socket is likely to be full, nor where something is to follow as soon as it is sent.
    const isLast = connection.queueHead === null && connection.starvedHead === null && !batch.closesConnection;
    if (isLast && !connection.sendsComeShort) {
      this.#immediateSends++;
    }
  }

  #submit(connection: Connection, batch: Batch, flags: number): void {
    const ring = this.#shard.ring;
    if (batch.single) {
      ring.send(connection.fd, batch.singleAddress(), batch.bytes, flags, KIND_SEND, connection.index);
    } else {
      ring.sendmsg(connection.fd, batch.messageHeader(), flags, KIND_SEND, connection.index);
    }
  }

  #room(batch: Batch): boolean {
    return batch.pdus < BATCH_PDUS_MAX && batch.bytes < BATCH_BYTES_MAX;
  }

  /** Adds the PDUs of a node; false: the batch is full before the node is through. */
  #emit(connection: Connection, batch: Batch, node: Outgoing): boolean {
    switch (node.outgoingKind) {
      case OUTGOING_DATA_IN:
        return this.#emitDataIn(connection, batch, node as Slice);
      case OUTGOING_R2T:
        return this.#emitR2t(connection, batch, node as Slice);
      case OUTGOING_RESPONSE:
        return this.#emitResponse(connection, batch, node as Task);
      case OUTGOING_REPLY:
        return this.#emitReply(connection, batch, node as Reply);
      default:
        return unreachable("outgoing kind", node.outgoingKind);
    }
  }

  /** After a node has left the queue. */
  #emitted(connection: Connection, batch: Batch, node: Outgoing): void {
    switch (node.outgoingKind) {
      case OUTGOING_DATA_IN: {
        const slice = node as Slice;
        const task = slice.task!;
        batch.addSlice(slice);
        batch.readBytes += slice.capacity;
        this.#shard.engine.sliceSent(task, slice);
        break;
      }
      case OUTGOING_RESPONSE:
        this.#shard.engine.responded(node as Task);
        break;
      case OUTGOING_REPLY: {
        const reply = node as Reply;
        connection.replies--;
        if (reply.slice !== null) batch.addSlice(reply.slice);
        if (reply.closesConnection) batch.closesConnection = true;
        if (reply.maxSend > 0) connection.maxSend = reply.maxSend;
        break;
      }
      default:
        break;
    }
  }

  /**
   * Data-In PDUs of a slice, each at most MaxRecvDataSegmentLength of the peer and none across the end of a sequence
   * (MaxBurstLength: RFC 7143 section 13.13). The last one of the task carries the status (section 11.7.3).
   */
  #emitDataIn(connection: Connection, batch: Batch, slice: Slice): boolean {
    const task = slice.task!;
    const session = connection.session!;
    const pdu = this.#dataIn;
    // Whole words, so that no padding falls between data of the slice.
    const maxBurst = session.parameters.maxBurstLength & ~3;
    if (batch.pdus > 0 && slice.sent === 0 && !fits(batch, slice.length, Math.min(connection.maxSend, maxBurst)))
      return false;
    while (slice.sent < slice.length) {
      if (batch.pdus === BATCH_PDUS_MAX) return false;
      const length = Math.min(connection.maxSend, slice.length - slice.sent, maxBurst - task.burst);
      const bufferOffset = slice.transferOffset + slice.sent;
      const last = bufferOffset + length === task.transferLength;
      const data = slice.offset + slice.sent;
      // The slice's front room makes header and data one iovec; a later PDU of the same slice has its header in a cell.
      const inFront = slice.sent === 0;
      const header = inFront ? data - BHS_LENGTH - (connection.headerDigest ? 4 : 0) : batch.cell();
      let flags = 0;
      task.burst += length;
      if (last || task.burst === maxBurst) {
        flags = FLAG_FINAL;
        task.burst = 0;
      }
      pdu.at(header).clear();
      pdu.dataSegmentLength = length;
      pdu.initiatorTaskTag = task.initiatorTaskTag;
      pdu.dataSN = task.dataSN;
      pdu.bufferOffset = bufferOffset;
      task.dataSN = serialAdd(task.dataSN, 1);
      if (last) {
        flags |= FLAG_STATUS | residualFlags(task);
        pdu.residualCount = residualCount(task);
        pdu.statSN = connection.statSN;
        connection.statSN = serialAdd(connection.statSN, 1);
        if (!task.immediate) session.reopen();
      }
      pdu.flags = flags;
      pdu.expCmdSN = session.expCmdSN;
      pdu.maxCmdSN = session.maxCmdSN;
      slice.sent += length;
      this.#add(connection, batch, header, data, length, inFront);
    }
    return true;
  }

  #emitR2t(connection: Connection, batch: Batch, slice: Slice): boolean {
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
    pdu.expCmdSN = session.expCmdSN;
    pdu.maxCmdSN = session.maxCmdSN;
    pdu.r2tSN = task.dataSN;
    task.dataSN = serialAdd(task.dataSN, 1);
    pdu.bufferOffset = slice.transferOffset + slice.filled;
    pdu.desiredDataTransferLength = slice.requestedEnd - slice.filled;
    this.#add(connection, batch, header, -1, 0, false);
    return true;
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
    pdu.statSN = connection.statSN;
    connection.statSN = serialAdd(connection.statSN, 1);
    if (!task.immediate) session.reopen();
    pdu.expCmdSN = session.expCmdSN;
    pdu.maxCmdSN = session.maxCmdSN;
    let length = 0;
    const sense = header + CELL_SENSE;
    if (task.status === SCSI_STATUS_CHECK_CONDITION) {
      const senseLength = encodeSense(this.#arena.bytes, this.#arena.view, sense + 2, task);
      this.#arena.view.setUint16(sense, senseLength);
      length = 2 + senseLength;
      pdu.dataSegmentLength = length;
    }
    this.#add(connection, batch, header, sense, length, false);
    return true;
  }

  #emitReply(connection: Connection, batch: Batch, reply: Reply): boolean {
    const session = connection.session!;
    const header = batch.cell();
    for (let i = 0; i < BHS_LENGTH; i += 4) this.#arena.view.setUint32(header + i, reply.header.getUint32(i));
    const pdu = this.#target.at(header);
    pdu.statSN = connection.statSN;
    if (reply.stamp === STAMP_STATUS) connection.statSN = serialAdd(connection.statSN, 1);
    pdu.expCmdSN = session.expCmdSN;
    pdu.maxCmdSN = session.maxCmdSN;
    const length = pdu.dataSegmentLength;
    assert(length === 0 || reply.slice !== null, "a reply with data has a slice");
    this.#add(connection, batch, header, reply.slice === null ? -1 : reply.slice.offset, length, false, !reply.plain);
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

  /** A CRC goes out least significant byte first (RFC 7143 section 13.1 and the examples of its appendix). */
  #digest(): void {
    this.#shard.host.crc32c(this.#jobs, this.#jobCount);
    for (let i = 0; i < this.#jobCount; i++) {
      this.#arena.view.setUint32(this.#jobStores[i]!, this.#jobs[i * JOB_WORDS + 3]!, true);
    }
  }
}

/** Whether all PDUs of a slice have room: one for each full segment, one more for each end of a sequence among them. */
function fits(batch: Batch, length: number, segment: number): boolean {
  const pdus = length <= segment ? 2 : 3 * Math.ceil(length / segment);
  return batch.pdus + pdus <= BATCH_PDUS_MAX;
}

/** O and U of a response (RFC 7143 section 11.4.5.1): what the command would move against what the initiator expects. */
function residualFlags(task: Task): number {
  if (task.transferTotal > task.expectedDataTransferLength) return FLAG_OVERFLOW;
  return task.transferTotal < task.expectedDataTransferLength ? FLAG_UNDERFLOW : 0;
}

function residualCount(task: Task): number {
  return Math.min(0xffffffff, Math.abs(task.transferTotal - task.expectedDataTransferLength));
}
