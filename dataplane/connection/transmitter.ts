/**
 * Everything that a connection sends. Nodes wait in the connection's queue; once a turn, if no send of it is in flight,
 * they are made into PDUs and leave with one sendmsg. This is the ONE place that stamps StatSN, ExpCmdSN and MaxCmdSN and
 * that computes digests of what is sent.
 */
import { ASYNC_CANCEL_ALL, errno, MSG_DONTWAIT, MSG_NOSIGNAL, MSG_WAITALL, SQE_CQE_SKIP_SUCCESS } from "io-uring-node";
import type { Arena } from "../arena.js";
import { assert, unreachable } from "../assert.js";
import { NO_TAG, type Slice } from "../buffer/slice.js";
import { COUNTER, SENT_PDUS } from "../counters.js";
import {
  ATTEMPT_BYTES_MIN,
  BATCH_BYTES_MAX,
  BATCH_PDUS_MAX,
  CONNECTION_REPLIES_MAX,
  CONNECTION_REPLY_BYTES_MAX,
  RETAINED_MAX,
} from "../limits.js";
import { LOGGED_OUT } from "../messages.js";
import { encodeSense } from "../scsi/sense.js";
import { statusQualifier } from "../scsi/status-qualifier.js";
import type { Session } from "../session/session.js";
import { KIND_IGNORED, KIND_SEND, type Shard } from "../shard.js";
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
import { CONNECTION_OPEN, type Connection } from "./connection.js";
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

/** Waits for room in the socket until all is sent. */
const SEND_FLAGS = MSG_NOSIGNAL | MSG_WAITALL;
/**
 * Sends what the socket has room for, while it is submitted. MSG_WAITALL makes less than all of it a failure, so that with
 * SQE_CQE_SKIP_SUCCESS nothing is told of an attempt that has sent all.
 */
const ATTEMPT_FLAGS = SEND_FLAGS | MSG_DONTWAIT;
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
  /** See `#boundReplies`. */
  readonly #greedy: Connection[] = [];
  readonly #jobs = new Uint32Array(JOBS_MAX * JOB_WORDS);
  readonly #jobStores = new Uint32Array(JOBS_MAX);
  #jobCount = 0;
  /** Connections with an attempt that was queued since the last `settle`. */
  readonly #attempts: Connection[] = [];
  #moreFollows = false;

  constructor(shard: Shard) {
    this.#shard = shard;
    this.#arena = shard.arena;
    const view = shard.arena.view;
    this.#dataIn = new DataInPdu(view);
    this.#r2t = new R2tPdu(view);
    this.#response = new ScsiResponsePdu(view);
    this.#target = new TargetPdu(view);
  }

  /** On a connection that has failed nothing is queued: its tasks go on with what they have when they are reassigned. */
  queue(connection: Connection, node: Outgoing): void {
    if (connection.state !== CONNECTION_OPEN) return;
    if (connection.isSuspended && node.outgoingKind !== OUTGOING_REPLY) return;
    assert(!node.queued, "a node is in one queue at most");
    node.queued = true;
    node.next = null;
    if (connection.queueTail === null) connection.queueHead = node;
    else connection.queueTail.next = node;
    connection.queueTail = node;
    this.#markDirty(connection);
  }

  queueReply(connection: Connection, reply: Reply): void {
    if (connection.isAnsweredLast || connection.state !== CONNECTION_OPEN) {
      if (reply.slice !== null) this.#shard.slices.release(reply.slice);
      if (reply.onGone !== null) reply.onGone();
      return;
    }
    connection.isAnsweredLast = reply.closesConnection;
    connection.replies++;
    if (reply.slice !== null) connection.replyBytes += reply.slice.capacity;
    this.queue(connection, reply);
    this.#boundReplies(connection);
  }

  /** Retransmissions are bounded as replies are: a peer that asks for ever and reads nothing is closed. */
  queueResend(connection: Connection, node: Outgoing): void {
    if (connection.isSuspended || connection.state !== CONNECTION_OPEN) return;
    connection.replies++;
    this.queue(connection, node);
    this.#boundReplies(connection);
  }

  /**
   * A peer that asks for too much is not listened to any more, and closed at the end of the turn: whoever is at work on it, or on
   * its tasks, goes on with what is there.
   */
  #boundReplies(connection: Connection): void {
    const isWithin =
      connection.replies <= CONNECTION_REPLIES_MAX && connection.replyBytes <= CONNECTION_REPLY_BYTES_MAX;
    if (isWithin || connection.loggedOut) return;
    connection.loggedOut = true;
    this.#greedy.push(connection);
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
        if (node.outgoingKind === OUTGOING_RESEND) connection.replies--;
      } else {
        previous = node;
      }
      node = next;
    }
  }

  /** The end of a turn: everything that is ready leaves. */
  flush(): void {
    while (this.#greedy.length > 0) {
      this.#shard.lifecycle.close(this.#greedy.pop()!, "the initiator asks and does not read the answers");
    }
    const dirty = this.#dirty;
    for (let i = 0; i < dirty.length; i++) {
      const connection = dirty[i]!;
      connection.dirty = false;
      if (connection.batch === null && connection.state === CONNECTION_OPEN) this.#send(connection);
    }
    dirty.length = 0;
  }

  /** Somebody waits for what the attempts of the next `enter` free: it must not wait for anything else. */
  takeMoreFollows(): boolean {
    const more = this.#attempts.length > 0 && (this.#moreFollows || this.#waiting.length > 0);
    this.#moreFollows = false;
    return more;
  }

  get hasAttempts(): boolean {
    return this.#attempts.length > 0;
  }

  /**
   * After the completions of an `enter` that submitted everything queued: the attempts of which nothing was told have sent
   * all.
   */
  settle(): void {
    const attempts = this.#attempts;
    // What was not told may wait for room in the completion queue.
    if (attempts.length === 0 || this.#shard.ring.overflowed()) return;
    for (let i = 0; i < attempts.length; i++) {
      const connection = attempts[i]!;
      if (connection.attempting) this.sent(connection, connection.batch!.bytes);
    }
    attempts.length = 0;
  }

  /** A send has ended with `result`: bytes, or a negative errno. */
  sent(connection: Connection, result: number): void {
    const batch = connection.batch!;
    connection.attempting = false;
    if (result > 0) {
      this.#shard.counters[COUNTER.sent_bytes]! += result;
      connection.movedBytes = (connection.movedBytes + result) | 0;
      batch.advance(result);
    }
    // Cancelled by us, and nothing was taken meanwhile.
    const isStalled = result === -errno.ECANCELED && this.#shard.lifecycle.isOverdue(batch.sinceUs);
    const isRetried = result === -errno.EAGAIN || result === -errno.EINTR || result === -errno.ECANCELED;
    const goesOn = result > 0 || (isRetried && !isStalled);
    if (batch.bytes > 0 && goesOn && connection.state === CONNECTION_OPEN) {
      if (result > 0) batch.sinceUs = this.#shard.ring.nowUs;
      this.#submit(connection, batch, SEND_FLAGS);
      return;
    }
    const complete = batch.bytes === 0;
    connection.batch = null;
    for (let slice = batch.slices; slice !== null; ) {
      const next: Slice | null = slice.nextOfBatch;
      slice.nextOfBatch = null;
      slice.inBatch = false;
      if (slice.released) this.#shard.slices.release(slice);
      slice = next;
    }
    const { closesConnection: closes, onGone } = batch;
    this.#shard.batches.release(batch);
    this.#offerBatch();
    if (onGone !== null) onGone();
    if (connection.state !== CONNECTION_OPEN) {
      this.#shard.lifecycle.drain(connection);
    } else if (isStalled) {
      this.#shard.lifecycle.close(connection, "the initiator does not read, and others wait for buffers");
    } else if (!complete) {
      this.#shard.lifecycle.fail(connection, `send failed (errno ${-result})`);
    } else if (closes) {
      if (connection.isRecoverable) this.#shard.lifecycle.fail(connection, "logged out for recovery");
      else if (connection.departure?.isEnding === true) this.#shard.departures.depart(connection);
      else this.#shard.lifecycle.close(connection, LOGGED_OUT);
    } else {
      if (connection.queueHead !== null) this.#markDirty(connection);
    }
  }

  /** Connections wait for a batch. */
  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Ends a send that takes its time, to see whether it has got on. */
  cancel(connection: Connection): void {
    this.#shard.ring.cancel(KIND_SEND, connection.index, ASYNC_CANCEL_ALL, KIND_IGNORED, 0);
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
    if (connection.retained !== null) this.#boundRetained(connection);
    if (batch.pdus === 0) {
      // What was asked for again is acknowledged, or given up, meanwhile.
      this.#shard.batches.release(batch);
      this.#offerBatch();
      return;
    }
    if (this.#jobCount > 0) this.#digest();
    if (connection.isCaptured) this.#shard.capture.sent(connection, batch);
    connection.batch = batch;
    batch.sinceUs = this.#shard.ring.nowUs;
    if (batch.bytes < ATTEMPT_BYTES_MIN) {
      this.#submit(connection, batch, SEND_FLAGS);
      return;
    }
    this.#shard.ring.setSqeFlags(this.#submit(connection, batch, ATTEMPT_FLAGS), SQE_CQE_SKIP_SUCCESS);
    connection.attempting = true;
    this.#attempts.push(connection);
    const isAwaited = batch.closesConnection || batch.onGone !== null;
    if (connection.queueHead !== null || connection.starvedHead !== null || isAwaited) this.#moreFollows = true;
  }

  /** Returns the slot of the SQE. */
  #submit(connection: Connection, batch: Batch, flags: number): number {
    const { ring } = this.#shard;
    return batch.single
      ? ring.send(connection.fd, batch.singleAddress(), batch.bytes, flags, KIND_SEND, connection.index)
      : ring.sendmsg(connection.fd, batch.messageHeader(), flags, KIND_SEND, connection.index);
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
      case OUTGOING_RESEND:
        return this.#emitAgain(connection, batch, node as Resend);
      default:
        return unreachable("outgoing kind", node.outgoingKind);
    }
  }

  /** After a node has left the queue. */
  #emitted(connection: Connection, batch: Batch, node: Outgoing): void {
    switch (node.outgoingKind) {
      case OUTGOING_DATA_IN: {
        const slice = node as Slice;
        this.#shard.engine.sliceSent(slice.task!, slice);
        break;
      }
      case OUTGOING_RESPONSE:
        this.#shard.engine.responded(node as Task);
        break;
      case OUTGOING_REPLY: {
        const reply = node as Reply;
        connection.replies--;
        if (reply.slice !== null) connection.replyBytes -= reply.slice.capacity;
        if (reply.closesConnection) batch.closesConnection = true;
        if (reply.onGone !== null) batch.onGone = reply.onGone;
        if (reply.maxSend > 0) connection.maxSend = reply.maxSend;
        if (!reply.retained) this.#release(reply);
        break;
      }
      case OUTGOING_RESEND:
        connection.replies--;
        break;
      default:
        break;
    }
  }

  /** A peer that acknowledges nothing has no more kept for it than this. */
  #boundRetained(connection: Connection): void {
    const session = connection.session!;
    for (let node = connection.retained!.first; node !== null && session.retainedCount > RETAINED_MAX; ) {
      const next: Outgoing | null = node.nextRetained;
      if (node.outgoingKind !== OUTGOING_RESPONSE) {
        connection.retained!.remove(node);
        this.#release(node as Reply);
      } else if ((node as Task).state === TASK_UNACKNOWLEDGED) {
        this.#shard.engine.forget(node as Task);
      }
      node = next;
    }
  }

  /** ExpStatSN of the initiator has moved on: what it acknowledges need not be kept. */
  acknowledge(connection: Connection): void {
    const { retained, expStatSN } = connection;
    if (retained === null) return;
    for (;;) {
      const node = retained.takeAcknowledged(expStatSN);
      if (node === null) break;
      if (node.outgoingKind === OUTGOING_RESPONSE) this.#shard.engine.forget(node as Task);
      else this.#release(node as Reply);
    }
  }

  /** Replies that were sent and not acknowledged are of no use on another connection. */
  forgetReplies(connection: Connection): void {
    const { retained } = connection;
    if (retained === null) return;
    for (let node = retained.first; node !== null; ) {
      const next: Outgoing | null = node.nextRetained;
      if (node.outgoingKind === OUTGOING_REPLY) {
        retained.remove(node);
        this.#release(node as Reply);
      }
      node = next;
    }
  }

  /** What a reply holds is not needed any more. */
  #release(reply: Reply): void {
    const { slice } = reply;
    reply.slice = null;
    if (slice !== null) this.#shard.slices.release(slice);
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
    if (!task.immediate && !task.isAnswered) session.reopen();
    task.isAnswered = true;
    pdu.snackTag = task.snackTag;
    pdu.statSN = this.#takeStatSN(connection, task);
    stampWindow(pdu, session);
    let length = 0;
    const sense = header + CELL_SENSE;
    if (task.status !== SCSI_STATUS_GOOD) pdu.statusQualifier = statusQualifier(session, task.status);
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

  /** A CRC goes out least significant byte first (RFC 7143 section 13.1 and the examples of its appendix). */
  #digest(): void {
    this.#shard.host.crc32c(this.#jobs, this.#jobCount);
    for (let i = 0; i < this.#jobCount; i++) {
      this.#arena.view.setUint32(this.#jobStores[i]!, this.#jobs[i * JOB_WORDS + 3]!, true);
    }
  }
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
