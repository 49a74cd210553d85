/**
 * The life of connections and sessions on a shard: taken over from control at the hand-off, watched for silence, shut down,
 * and given up only when the kernel holds nothing of them and their tasks are gone. The initiator hears of an end that is ours
 * when the tasks are gone, and control last, so that no write of a dead connection can land after its initiator has gone on
 * through another path, or has logged in again.
 */
import { PAGE_BYTES } from "../arena.js";
import { NO_TAG } from "../buffer/slice.js";
import { COUNTER } from "../counters.js";
import {
  ABORTED_DATA_PATIENCE_US,
  DATA_OUT_TIMEOUT_US,
  DROP_PATIENCE_US,
  ENDING_PATIENCE_US,
  SEQUENCE_TIMEOUT_US,
  SHORTAGE_BYTES_PER_SECOND_MIN,
  SHORTAGE_PATIENCE_US,
  SLICE_BYTES_MAX,
  SWEEP_INTERVAL_US,
} from "../limits.js";
import type { HandoffRecord } from "../messages.js";
import { mapLun } from "../session/lun-change.js";
import { Session } from "../session/session.js";
import type { Shard } from "../shard.js";
import type { Barrier } from "../task/barrier.js";
import { Task } from "../task/task.js";
import { ASYNC_EVENT_CONNECTION_DROP, AsyncMessagePdu } from "../wire/async-message.js";
import { BHS_LENGTH } from "../wire/bhs.js";
import { serialLess } from "../wire/serial.js";
import {
  CONNECTION_CLOSING,
  CONNECTION_FAILED,
  CONNECTION_FAILING,
  CONNECTION_OPEN,
  type Connection,
} from "./connection.js";
import { OUTGOING_DATA_IN, OUTGOING_R2T, OUTGOING_REPLY, type Outgoing } from "./outgoing.js";
import { Reply, STAMP_STATUS } from "./reply.js";
import { Retained } from "./retained.js";

export class Lifecycle {
  readonly #shard: Shard;
  /** connectionId -> connection. */
  readonly #byId = new Map<number, Connection>();
  #nextSweepUs = 0;
  #shortSinceUs = 0;
  /** When connections that are still there are closed; 0: the shard is not stopping. */
  #stopAtUs = 0;

  constructor(shard: Shard) {
    this.#shard = shard;
    // A thread that died before this one has left its own numbers.
    this.#count();
  }

  connection(connectionId: number): Connection | undefined {
    return this.#byId.get(connectionId);
  }

  /** Takes over a connection; the final Login Response is the first thing that it sends. */
  attach(record: HandoffRecord): void {
    const shard = this.#shard;
    const connection = shard.connections.acquire();
    const response = Uint8Array.from(Buffer.from(record.loginResponse, "hex"));
    const dataLength = response.length - BHS_LENGTH;
    const slice = connection === null || dataLength === 0 ? null : shard.slices.acquireReserved(dataLength);
    if (connection === null || (dataLength > 0 && slice === null) || this.#stopAtUs > 0) {
      if (slice !== null) shard.slices.release(slice);
      if (connection !== null) shard.connections.release(connection);
      shard.host.closeSocket(record.fd);
      this.#report(record.connectionId, record.sessionId, "the shard takes no more connections");
      return;
    }
    let session = shard.sessions.get(record.sessionId);
    if (session === undefined) {
      session = new Session(record);
      shard.sessions.set(record.sessionId, session);
      for (const lun of record.luns) mapLun(shard, session, lun);
      shard.engine.throttles.limitSession(session, record.limits);
    }
    session.connections.push(connection);
    this.purge(session);
    connection.state = CONNECTION_OPEN;
    connection.fd = record.fd;
    connection.connectionId = record.connectionId;
    connection.cid = record.cid;
    connection.initiatorAddress = record.initiatorAddress;
    connection.portalAddress = record.portalAddress;
    connection.session = session;
    shard.capture.attach(connection, record.captured);
    connection.headerDigest = record.connection.headerDigest === "CRC32C";
    connection.dataDigest = record.connection.dataDigest === "CRC32C";
    connection.maxReceive = record.connection.maxRecvDataSegmentLength;
    // A segment that is not the last of its data needs no padding if it is a whole number of words.
    connection.maxSend = record.connection.maxSendDataSegmentLength & ~3;
    connection.nextMaxSend = connection.maxSend;
    connection.writeSliceBytes = wholePages(record.session.maxBurstLength);
    connection.pingIntervalUs = record.pingIntervalMs * 1000;
    connection.reportsScsiEvents = record.reportsScsiEvents;
    connection.statSN = record.statSN;
    connection.expStatSN = record.statSN;
    if (record.session.errorRecoveryLevel > 0) connection.retained = new Retained(session);
    connection.lastReceiveUs = shard.ring.nowUs;
    connection.acknowledgedUs = shard.ring.nowUs;
    this.#byId.set(record.connectionId, connection);
    this.#count();

    const reply = new Reply(STAMP_STATUS);
    reply.plain = true;
    for (let i = 0; i < BHS_LENGTH; i++) reply.header.setUint8(i, response[i]!);
    if (slice !== null) {
      shard.arena.bytes.set(response.subarray(BHS_LENGTH), slice.offset);
      reply.slice = slice;
    }
    shard.transmitter.queueReply(connection, reply);
    shard.receiver.arm(connection, false);
  }

  closeSession(session: Session, reason: string): void {
    for (const connection of [...session.connections, ...session.failed]) this.close(connection, reason);
    this.#endIfEmpty(session);
  }

  /**
   * The transport has failed. Where the session recovers connections, the tasks are kept for the initiator to reassign them
   * (RFC 7143 section 7.1.4.3); elsewhere the connection is closed.
   */
  fail(connection: Connection, reason: string): void {
    const session = connection.session!;
    if (connection.state !== CONNECTION_OPEN) return;
    if (!this.keepsTasks(session) || (connection.loggedOut && !connection.isRecoverable) || this.stopping) {
      return this.close(connection, reason);
    }
    connection.state = CONNECTION_FAILING;
    connection.closeReason = reason;
    const shard = this.#shard;
    this.#shutDown(connection);
    this.discardHeld(connection);
    shard.transmitter.remove(connection, (node) => this.#discard(node));
    shard.transmitter.forgetReplies(connection);
    shard.engine.suspendConnection(connection);
    for (const other of session.connections) if (other !== connection) this.#tellOfDrop(other, connection.cid);
    shard.closing.push(connection);
  }

  /**
   * The connection is logged out for recovery, by a Logout Request or by a login with its CID (section 6.3.4): its tasks may be
   * reassigned from now on. `closed` is left when the kernel holds nothing of it any more.
   */
  recover(connection: Connection, closed: Barrier | null): void {
    connection.isRecoverable = true;
    if (connection.state === CONNECTION_OPEN) this.fail(connection, "logged out for recovery");
    if (connection.state === CONNECTION_FAILED) return this.#recoverable(connection);
    if (closed === null) return;
    closed.join();
    connection.closers.push(closed);
  }

  /** The session recovers connections, and has agreed on time to do so. */
  keepsTasks({ parameters }: Session): boolean {
    return parameters.errorRecoveryLevel === 2 && parameters.defaultTime2Retain > 0;
  }

  /**
   * A login takes over the CID of the connection: reason code 2 at ErrorRecoveryLevel 2, otherwise 1 (section 11.14). Its ExpStatSN is
   * that "for the old connection" (section 11.12.9).
   */
  reinstate(connection: Connection, expStatSN: number, reason: string): void {
    this.#shard.dispatcher.acknowledge(connection, expStatSN);
    if (this.keepsTasks(connection.session!)) this.recover(connection, null);
    else this.close(connection, reason);
  }

  #recoverable(connection: Connection): void {
    const session = connection.session!;
    connection.expiresUs = this.#expiry(session);
    this.#forgetId(connection);
    this.purge(session);
  }

  /** When tasks whose connection has failed or was logged out for recovery are given up (sections 13.15 and 13.16). */
  #expiry(session: Session): number {
    const { defaultTime2Wait, defaultTime2Retain } = session.parameters;
    return this.#shard.ring.nowUs + (defaultTime2Wait + defaultTime2Retain) * 1_000_000;
  }

  /** Control may give the CID to another connection. */
  #forgetId(connection: Connection): void {
    if (!this.#byId.delete(connection.connectionId)) return;
    this.#count();
    const { connectionId, session, closeReason, isRecoverable } = connection;
    this.#report(connectionId, session!.sessionId, closeReason, isRecoverable);
  }

  /** Connections that were logged out for recovery and have no tasks any more go. One that is alone stands for the session. */
  purge(session: Session): void {
    if (session.connections.length === 0) return;
    for (const connection of [...session.failed]) {
      if (connection.isRecoverable && connection.taskCount === 0) this.#remove(connection);
    }
  }

  /** The connection's requests that wait for others before them: their numbers are free again (section 11.14). */
  discardHeld(connection: Connection): void {
    const session = connection.session!;
    // "a target MUST terminate and/or discard all of the active immediate commands" (section 7.14): those that wait, too.
    session.discardFunctions(connection);
    if (session.askingText === connection) session.askingText = null;
    this.#shard.refusals.dropAll(session, (refusal) => refusal.connection === connection);
    for (const [cmdSN, held] of session.held.entries(session.expCmdSN)) {
      if (held === null || held.connection !== connection) continue;
      // The initiator has not been told that it came, so its place in the window is still its own.
      if (held instanceof Task) this.#shard.engine.abort(held, null);
      else session.heldBytes -= held.data.length;
      session.held.delete(cmdSN);
    }
  }

  /** Asynchronous Message 2 on another connection of the session (section 11.9.1). */
  #tellOfDrop(connection: Connection, cid: number): void {
    const { defaultTime2Wait, defaultTime2Retain } = connection.session!.parameters;
    const reply = new Reply(STAMP_STATUS);
    const pdu = new AsyncMessagePdu(reply.header).clear();
    pdu.asyncEvent = ASYNC_EVENT_CONNECTION_DROP;
    pdu.parameter1 = cid;
    pdu.parameter2 = defaultTime2Wait;
    pdu.parameter3 = defaultTime2Retain;
    this.#shard.transmitter.queueReply(connection, reply);
  }

  /**
   * Aborts the connection's tasks and shuts it down when they are gone, or have taken too long; the rest follows as the kernel lets
   * go. Until then the initiator only waits: what it would do elsewhere, if it knew, could be overtaken by a write of these.
   */
  close(connection: Connection, reason: string): void {
    const shard = this.#shard;
    if (connection.state === CONNECTION_OPEN) {
      this.discardHeld(connection);
      shard.transmitter.remove(connection, (node) => this.#discard(node));
      shard.transmitter.forgetReplies(connection);
      shard.closing.push(connection);
    } else if (connection.state !== CONNECTION_FAILING && connection.state !== CONNECTION_FAILED) {
      return;
    }
    connection.state = CONNECTION_CLOSING;
    connection.closeReason = reason;
    connection.expiresUs = shard.ring.nowUs + ENDING_PATIENCE_US;
    // A task that data is being received for is not gone before that has ended.
    if (connection.sink !== null && !connection.sinkOwned) shard.receiver.end(connection);
    shard.engine.abortConnection(connection, null);
    this.drain(connection);
  }

  /** Receives and sends in flight end soon after, and the initiator knows. */
  #shutDown(connection: Connection): void {
    if (connection.isShutDown) return;
    connection.isShutDown = true;
    this.#shard.host.shutdownSocket(connection.fd);
  }

  /** `barrier` is left when connections of this initiator that have ended have nothing in flight any more on these units. */
  awaitEnding(initiatorName: string, unitIndexes: readonly number[], barrier: Barrier): void {
    for (const session of this.#shard.sessions.values()) {
      if (session.initiatorName !== initiatorName || !reaches(session, unitIndexes)) continue;
      for (const connection of [...session.connections, ...session.failed]) {
        if (connection.state !== CONNECTION_CLOSING || connection.taskCount === 0) continue;
        barrier.join();
        connection.closers.push(barrier);
      }
    }
  }

  /** Looks whether a connection that ends is free of everything; called whenever something of it has ended. */
  drain(connection: Connection): void {
    if (connection.state === CONNECTION_FAILED) return this.purge(connection.session!);
    if (connection.state !== CONNECTION_CLOSING && connection.state !== CONNECTION_FAILING) return;
    const shard = this.#shard;
    if (!connection.receiveBusy && connection.sink !== null) {
      const slice = connection.sink;
      const task = slice.task;
      const owned = connection.sinkOwned;
      connection.sink = null;
      connection.sinkOwned = false;
      if (owned) shard.slices.release(slice);
      else if (task !== null) shard.engine.settle(task);
      // The end of its last task has drained the connection.
      if (connection.state !== CONNECTION_CLOSING && connection.state !== CONNECTION_FAILING) return;
    }
    if (connection.taskCount === 0) this.#shutDown(connection);
    if (connection.receiveBusy || connection.batch !== null) return;
    if (connection.state === CONNECTION_FAILING) {
      // An initiator whose login or logout is answered takes immediate commands as over (section 7.14).
      if (!shard.engine.hasAborted(connection)) this.#failed(connection);
      return;
    }
    if (connection.taskCount === 0) this.#remove(connection);
  }

  /** The kernel holds nothing of a failed connection any more; its tasks wait. */
  #failed(connection: Connection): void {
    const session = connection.session!;
    connection.state = CONNECTION_FAILED;
    this.#closeSocket(connection);
    session.connections.splice(session.connections.indexOf(connection), 1);
    session.failed.push(connection);
    connection.expiresUs = this.#expiry(session);
    this.#shard.fences.gone(connection);
    const { connectionId, closeReason, closers } = connection;
    if (connection.isRecoverable) this.#recoverable(connection);
    else this.#shard.host.post({ type: "connectionFailed", connectionId, reason: closeReason });
    // Last: a TASK REASSIGN that has waited takes its task away, and the connection may go with that.
    for (const closer of closers.splice(0)) closer.leave();
  }

  /** Nothing is left of the connection. */
  #remove(connection: Connection): void {
    const session = connection.session!;
    if (connection.fd >= 0) this.#closeSocket(connection);
    const list = session.failed.includes(connection) ? session.failed : session.connections;
    list.splice(list.indexOf(connection), 1);
    this.#shard.fences.gone(connection);
    for (const closer of connection.closers.splice(0)) closer.leave();
    this.#forgetId(connection);
    this.#endIfEmpty(session);
    this.#shard.connections.release(connection);
  }

  #endIfEmpty(session: Session): void {
    if (session.connections.length > 0 || session.failed.length > 0) return;
    const { sessionId } = session;
    if (!this.#shard.sessions.delete(sessionId)) return;
    this.#count();
    this.#shard.host.post({ type: "sessionEnded", sessionId });
  }

  #closeSocket(connection: Connection): void {
    this.#shard.host.closeSocket(connection.fd);
    connection.fd = -1;
  }

  /** Once a second: connections that are silent are pinged, those that stay silent are closed (RFC 7143 section 7.5). */
  sweep(): void {
    const nowUs = this.#shard.ring.nowUs;
    if (nowUs < this.#nextSweepUs) return;
    this.#nextSweepUs = nowUs + SWEEP_INTERVAL_US;
    this.#noteShortage(nowUs);
    this.#shard.engine.waiting.relieve();
    this.#shard.engine.throttles.settle();
    this.#shard.slowCommands.sweep(nowUs);
    this.#shard.requests.rejectedLines.sweep(nowUs);
    for (const session of this.#shard.sessions.values()) this.#sweepSession(session, nowUs);
    if (this.isShort) this.#giveUpOneFailed();
    this.#shard.fences.sweep(nowUs);
    for (const connection of this.#byId.values()) {
      if (connection.state === CONNECTION_CLOSING && nowUs >= connection.expiresUs) this.#shutDown(connection);
      if (connection.state !== CONNECTION_OPEN) continue;
      if (this.#stopAtUs > 0 && nowUs >= this.#stopAtUs) {
        this.close(connection, "the target stops");
        continue;
      }
      if (connection.departure !== null && this.#shard.departures.sweep(connection, nowUs)) continue;
      if (this.#shortSinceUs > 0) this.#noteProgress(connection);
      if (this.isShort && this.#endIfStalled(connection)) continue;
      if (this.#shortSinceUs > 0) {
        // Much data says nothing until it is received, or sent, as a whole: end that to see whether bytes have moved.
        this.#shard.receiver.cancel(connection);
        if (connection.batch !== null) this.#shard.transmitter.cancel(connection);
        // One that has nothing else to say has no occasion to acknowledge what is kept for it.
        if (connection.retained !== null && connection.retained.first !== null) this.#shard.requests.ping(connection);
      }
      const session = connection.session!;
      if (serialLess(session.announcedMaxCmdSN, session.maxCmdSN) && connection.queueHead === null) {
        this.#shard.requests.announceWindow(connection);
      }
      if (connection.pingIntervalUs === 0) continue;
      const silentUs = nowUs - connection.lastReceiveUs;
      if (silentUs < connection.pingIntervalUs) continue;
      if (connection.pingSentUs > 0 && nowUs - connection.pingSentUs >= connection.pingIntervalUs) {
        this.fail(connection, `no answer to a NOP-In for ${connection.pingIntervalUs / 1e6} s`);
        continue;
      }
      this.#shard.receiver.cancel(connection);
      if (connection.pingSentUs === 0) {
        connection.pingSentUs = nowUs;
        this.#shard.requests.ping(connection);
      }
    }
  }

  /** What a session waits for and does not get: reassignment of tasks, data PDUs. */
  #sweepSession(session: Session, nowUs: number): void {
    for (const connection of [...session.failed]) {
      if (nowUs < connection.expiresUs && this.#stopAtUs === 0) continue;
      this.close(connection, "its tasks were not reassigned in time");
    }
    this.#shard.refusals.sweep(session, nowUs);
    const isRecovering = session.parameters.errorRecoveryLevel > 0;
    const timeoutUs = isRecovering ? SEQUENCE_TIMEOUT_US : DATA_OUT_TIMEOUT_US;
    for (let task = session.firstTask; task !== null; ) {
      const next: Task | null = task.nextOfSession;
      if (task.isAbortedAfterData && nowUs - task.dataUs > ABORTED_DATA_PATIENCE_US) {
        this.#shard.engine.abort(task, null);
      } else if (owesData(task) && nowUs - task.dataUs > timeoutUs) {
        if (isRecovering) this.#shard.engine.dataOut.timeOut(task);
        else this.close(task.connection!, `no data for ${timeoutUs / 1e6} s where some was asked for`);
      }
      task = next;
    }
  }

  /** Buffers, tasks or batches have been short for as long as we are patient: who holds some and does nothing must go. */
  get isShort(): boolean {
    return this.#shortSinceUs > 0 && this.#shard.ring.nowUs - this.#shortSinceUs >= SHORTAGE_PATIENCE_US;
  }

  #noteShortage(nowUs: number): void {
    const { slices, tasks, engine, transmitter } = this.#shard;
    const isNews = slices.wasEmpty || tasks.wasFull || engine.waiting.hasParked || transmitter.hasWaiting;
    // Who has been told that there is none may take a while to ask again.
    const isShort = isNews || (this.#shortSinceUs > 0 && slices.isLacking);
    slices.wasEmpty = false;
    tasks.wasFull = false;
    if (!isShort) this.#shortSinceUs = 0;
    else if (this.#shortSinceUs === 0) this.#shortSinceUs = nowUs;
  }

  /** Of all that have failed, the one that would be given up first. */
  #giveUpOneFailed(): void {
    let first: Connection | null = null;
    for (const { failed } of this.#shard.sessions.values()) {
      for (const connection of failed) {
        if (connection.taskCount > 0 && (first === null || connection.expiresUs < first.expiresUs)) first = connection;
      }
    }
    if (first !== null) this.close(first, "its tasks were not reassigned yet, and others wait for buffers");
  }

  /** Buffers have been short for as long as we are patient, and this has lasted as long. */
  isOverdue(sinceUs: number): boolean {
    return this.isShort && this.#shard.ring.nowUs - sinceUs >= SHORTAGE_PATIENCE_US;
  }

  /** Once a second while buffers are short. */
  #noteProgress(connection: Connection): void {
    const moved = (connection.movedBytes - connection.movedBytesBefore) | 0;
    connection.movedBytesBefore = connection.movedBytes;
    const isSlow = moved >= 0 && moved < SHORTAGE_BYTES_PER_SECOND_MIN && keepsWaiting(connection);
    connection.slowLooks = isSlow ? connection.slowLooks + 1 : 0;
  }

  /** True: the connection is closed. One that does not read is found out when its send is cancelled. */
  #endIfStalled(connection: Connection): boolean {
    const reason = this.#stall(connection);
    if (reason !== null) this.close(connection, `${reason}, and others wait for buffers`);
    else if (connection.session!.held.size > 0 && this.isOverdue(connection.session!.heldSinceUs)) {
      this.closeSession(connection.session!, "a gap in CmdSN is not filled, and others wait for buffers");
    }
    return connection.state !== CONNECTION_OPEN;
  }

  /** What the connection fails to do; null: nothing. */
  #stall(connection: Connection): string | null {
    const { sink, retained } = connection;
    if (sink !== null && this.isOverdue(connection.lastReceiveUs)) return "the initiator stopped inside a PDU";
    if (retained !== null && retained.first !== null && this.isOverdue(connection.acknowledgedUs)) {
      return "the initiator acknowledges nothing of what it was sent";
    }
    for (let task = connection.session!.firstTask; task !== null; task = task.nextOfSession) {
      if (task.connection === connection && owesData(task) && this.isOverdue(task.dataUs)) {
        return "the initiator does not send what it was asked for";
      }
    }
    const isSlow = connection.slowLooks * SWEEP_INTERVAL_US >= SHORTAGE_PATIENCE_US;
    return isSlow ? "the initiator sends, or reads, next to nothing" : null;
  }

  /** Asks all initiators to log out; those that have not done so after `graceMs` are closed. */
  stop(graceMs: number): void {
    // Beyond their time they have some for hearing that it is over.
    this.#stopAtUs = this.#shard.ring.nowUs + graceMs * 1000 + (graceMs > 0 ? DROP_PATIENCE_US : 0);
    this.#nextSweepUs = 0;
    for (const connection of this.#byId.values()) {
      if (connection.state === CONNECTION_OPEN) this.#shard.departures.request(connection, graceMs * 1000, true);
    }
  }

  /** Stopping, and nothing is left. */
  get stopped(): boolean {
    return this.#stopAtUs > 0 && this.#byId.size === 0 && this.#shard.sessions.size === 0;
  }

  get stopping(): boolean {
    return this.#stopAtUs > 0;
  }

  /** A node of a closing connection leaves the queue: what it holds is freed. Slices of tasks are freed with their tasks. */
  #discard(node: Outgoing): boolean {
    if (node.outgoingKind === OUTGOING_DATA_IN || node.outgoingKind === OUTGOING_R2T) return true;
    if (node.outgoingKind === OUTGOING_REPLY) {
      const reply = node as Reply;
      if (reply.slice !== null) this.#shard.slices.release(reply.slice);
      reply.slice = null;
      if (reply.onGone !== null) reply.onGone();
    }
    return true;
  }

  #count(): void {
    this.#shard.counters[COUNTER.sessions] = this.#shard.sessions.size;
    this.#shard.counters[COUNTER.connections] = this.#byId.size;
  }

  #report(connectionId: number, sessionId: number, reason: string, isRecoverable = false): void {
    this.#shard.host.post({ type: "connectionClosed", connectionId, sessionId, reason, isRecoverable });
  }
}

/** At least one, so that slices start where blocks do. */
function wholePages(bytes: number): number {
  return Math.min(SLICE_BYTES_MAX, Math.max(PAGE_BYTES, bytes - (bytes % PAGE_BYTES)));
}

function reaches({ luns }: Session, unitIndexes: readonly number[]): boolean {
  for (const { unit } of luns.values()) if (unitIndexes.includes(unit.unitIndex)) return true;
  return false;
}

/** The initiator is inside a PDU, has not read what is sent, or owes data. */
function keepsWaiting(connection: Connection): boolean {
  if (connection.sink !== null || connection.batch !== null) return true;
  for (let task = connection.session!.firstTask; task !== null; task = task.nextOfSession) {
    if (task.connection === connection && owesData(task)) return true;
  }
  return false;
}

/** The initiator has been asked for data, or has announced some, and it has not all come. */
function owesData(task: Task): boolean {
  if (task.unsolicitedEnd >= 0) return true;
  for (let slice = task.firstSlice; slice !== null; slice = slice.nextOfTask) {
    if (slice.tag !== NO_TAG && !slice.queued) return true;
  }
  return false;
}
