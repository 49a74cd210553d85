/**
 * The life of connections and sessions on a shard: taken over from control at the hand-off, watched for silence, shut down,
 * and given up only when the kernel holds nothing of them and their tasks are gone. Control hears of the end last, so that
 * no write of a dead connection can land after its initiator has logged in again.
 */
import { PAGE_BYTES } from "../arena.js";
import { COUNTER } from "../counters.js";
import { READ_SLICE_PDUS_MAX, SLICE_BYTES_MAX, SWEEP_INTERVAL_US } from "../limits.js";
import type { HandoffRecord } from "../messages.js";
import { LunMapping } from "../session/lun-mapping.js";
import { Session } from "../session/session.js";
import type { Shard } from "../shard.js";
import { ASYNC_EVENT_LOGOUT_REQUEST, AsyncMessagePdu } from "../wire/async-message.js";
import { BHS_LENGTH } from "../wire/bhs.js";
import { CONNECTION_CLOSING, CONNECTION_OPEN, type Connection } from "./connection.js";
import { OUTGOING_DATA_IN, OUTGOING_R2T, OUTGOING_REPLY, type Outgoing } from "./outgoing.js";
import { Reply, STAMP_STATUS } from "./reply.js";

export class Lifecycle {
  readonly #shard: Shard;
  /** connectionId -> connection. */
  readonly #byId = new Map<number, Connection>();
  #nextSweepUs = 0;
  /** When connections that did not log out are closed; 0: the shard is not stopping. */
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
    const slice = connection === null || dataLength === 0 ? null : shard.slices.acquire(dataLength, null);
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
      for (const { lun, unitIndex, readOnly, blocked } of record.luns) {
        const unit = shard.units.get(unitIndex);
        if (unit !== undefined) session.luns.set(lun, new LunMapping(lun, unit, readOnly || unit.readOnly, blocked));
      }
    }
    session.connections.push(connection);
    connection.state = CONNECTION_OPEN;
    connection.fd = record.fd;
    connection.connectionId = record.connectionId;
    connection.cid = record.cid;
    connection.session = session;
    connection.headerDigest = record.connection.headerDigest === "CRC32C";
    connection.dataDigest = record.connection.dataDigest === "CRC32C";
    connection.maxReceive = record.connection.maxRecvDataSegmentLength;
    // A segment that is not the last of its data needs no padding if it is a whole number of words.
    connection.maxSend = record.connection.maxSendDataSegmentLength & ~3;
    connection.readSliceBytes = readSliceBytes(connection.maxSend, record.session.maxBurstLength);
    connection.writeSliceBytes = wholePages(record.session.maxBurstLength);
    connection.pingIntervalUs = record.pingIntervalMs * 1000;
    connection.statSN = record.statSN;
    connection.lastReceiveUs = shard.ring.nowUs;
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
    for (const connection of [...session.connections]) this.close(connection, reason);
  }

  /** Shuts the connection down and aborts its tasks; the rest follows as the kernel lets go. */
  close(connection: Connection, reason: string): void {
    if (connection.state !== CONNECTION_OPEN) return;
    connection.state = CONNECTION_CLOSING;
    connection.closeReason = reason;
    const shard = this.#shard;
    shard.host.shutdownSocket(connection.fd);
    const session = connection.session!;
    for (const [cmdSN, held] of session.held) {
      if (held === null || held.connection === connection) session.held.delete(cmdSN);
    }
    shard.transmitter.remove(connection, (node) => this.#discard(node));
    shard.engine.abortConnection(connection, null);
    shard.closing.push(connection);
  }

  /** Looks whether a closing connection is free of everything; called whenever something of it has ended. */
  drain(connection: Connection): void {
    if (connection.state !== CONNECTION_CLOSING) return;
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
      if (connection.state !== CONNECTION_CLOSING) return;
    }
    if (connection.receiveBusy || connection.batch !== null || connection.taskCount > 0) return;
    const session = connection.session!;
    shard.host.closeSocket(connection.fd);
    session.connections.splice(session.connections.indexOf(connection), 1);
    if (session.connections.length === 0) shard.sessions.delete(session.sessionId);
    this.#byId.delete(connection.connectionId);
    shard.connections.release(connection);
    this.#count();
    this.#report(connection.connectionId, session.sessionId, connection.closeReason);
  }

  /** Once a second: connections that are silent are pinged, those that stay silent are closed (RFC 7143 section 7.5). */
  sweep(): void {
    const nowUs = this.#shard.ring.nowUs;
    if (nowUs < this.#nextSweepUs) return;
    this.#nextSweepUs = nowUs + SWEEP_INTERVAL_US;
    for (const connection of this.#byId.values()) {
      if (connection.state !== CONNECTION_OPEN) continue;
      if (this.#stopAtUs > 0 && nowUs >= this.#stopAtUs) {
        this.close(connection, "the target stops");
        continue;
      }
      if (connection.pingIntervalUs === 0) continue;
      const silentUs = nowUs - connection.lastReceiveUs;
      if (silentUs < connection.pingIntervalUs) continue;
      if (connection.receiveDirect && connection.receiveBusy && !connection.receiveCancelled) {
        // A receive of much data says nothing until it is complete: end it to see whether bytes have come.
        this.#shard.receiver.cancel(connection);
      } else if (connection.pingSentUs === 0) {
        connection.pingSentUs = nowUs;
        this.#shard.requests.ping(connection);
      } else if (nowUs - connection.pingSentUs >= connection.pingIntervalUs) {
        this.close(connection, `no answer to a NOP-In for ${connection.pingIntervalUs / 1e6} s`);
      }
    }
  }

  /** Asks all initiators to log out; those that have not done so after `graceMs` are closed. */
  stop(graceMs: number): void {
    this.#stopAtUs = this.#shard.ring.nowUs + graceMs * 1000;
    this.#nextSweepUs = 0;
    for (const connection of this.#byId.values()) {
      if (connection.state !== CONNECTION_OPEN) continue;
      const reply = new Reply(STAMP_STATUS);
      const pdu = new AsyncMessagePdu(reply.header).clear();
      pdu.asyncEvent = ASYNC_EVENT_LOGOUT_REQUEST;
      pdu.parameter3 = Math.ceil(graceMs / 1000);
      this.#shard.transmitter.queueReply(connection, reply);
    }
  }

  /** Stopping, and nothing is left. */
  get stopped(): boolean {
    return this.#stopAtUs > 0 && this.#byId.size === 0;
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
    }
    return true;
  }

  #count(): void {
    this.#shard.counters[COUNTER.sessions] = this.#shard.sessions.size;
    this.#shard.counters[COUNTER.connections] = this.#byId.size;
  }

  #report(connectionId: number, sessionId: number, reason: string): void {
    this.#shard.host.post({ type: "connectionClosed", connectionId, sessionId, reason });
  }
}

/** Both lengths are 512 at least (RFC 7143 sections 13.12 and 13.13). */
function readSliceBytes(maxSend: number, maxBurstLength: number): number {
  return wholePages(Math.min(maxSend, maxBurstLength) * READ_SLICE_PDUS_MAX);
}

/** At least one, so that slices start where blocks do. */
function wholePages(bytes: number): number {
  return Math.min(SLICE_BYTES_MAX, Math.max(PAGE_BYTES, bytes - (bytes % PAGE_BYTES)));
}
