/**
 * Copies the PDUs of chosen connections into a ring that control drains. Where the ring is full a PDU is left out and counted:
 * nothing waits for who reads. Without a capture none of this runs: connections say by one field that they are not concerned.
 */
import { Producer } from "sharedarraybuffer-ring";
import { assert } from "../assert.js";
import type { Batch } from "../connection/batch.js";
import { type Connection, TRAILER_OFFSET } from "../connection/connection.js";
import { COUNTER } from "../counters.js";
import { CAPTURE_TAGS_MAX } from "../limits.js";
import type { CapturedBefore, CaptureSelection } from "../messages.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard.js";
import {
  BHS_LENGTH,
  OPCODE_ASYNC_MESSAGE,
  OPCODE_DATA_IN,
  OPCODE_DATA_OUT,
  OPCODE_LOGIN_RESPONSE,
  OPCODE_R2T,
  OPCODE_REJECT,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  OPCODE_SNACK_REQUEST,
  OPCODE_TASK_MANAGEMENT_REQUEST,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
  OPCODE_TEXT_REQUEST,
  OPCODE_TEXT_RESPONSE,
  paddedLength,
} from "../wire/bhs.js";
import { decodeLun } from "../wire/lun.js";
import {
  CAPTURE_AT_US,
  CAPTURE_CONNECTION,
  CAPTURE_DROPPED,
  CAPTURE_HEADER_BYTES,
  CAPTURE_INDEX,
  CAPTURE_NUMBER,
  CAPTURE_POSITION,
  CAPTURE_RECEIVED,
  CAPTURE_SENT,
  CAPTURE_WIRE_LENGTH,
  type CapturedConnection,
} from "./record.js";

const DIGEST_BYTES = 4;
const OPCODE_MASK = 0x3f;
const LUN_OFFSET = 8;
const TASK_TAG_OFFSET = 16;

/** PDUs whose data segment is no data of the initiator's: keys, sense data, the header of what is rejected. */
const SPEAKING: ReadonlySet<number> = new Set([
  OPCODE_LOGIN_RESPONSE,
  OPCODE_TEXT_REQUEST,
  OPCODE_TEXT_RESPONSE,
  OPCODE_SCSI_RESPONSE,
  OPCODE_REJECT,
  OPCODE_ASYNC_MESSAGE,
]);

export class Capture {
  readonly #shard: Shard;
  readonly #producer: Producer;
  #selection: CaptureSelection | null = null;
  #dropped = 0;
  /** Of each session, where a unit is captured: the Initiator Task Tags of its commands and task management functions. */
  #tags = new WeakMap<Session, Set<number>>();

  /** `memory`: a ring, for which this is the producer. */
  constructor(shard: Shard, memory: SharedArrayBuffer) {
    this.#shard = shard;
    this.#producer = new Producer(memory);
  }

  /** From now on these PDUs are captured, and no others; null: none. */
  select(selection: CaptureSelection | null): void {
    this.#selection = selection;
    this.#dropped = 0;
    this.#tags = new WeakMap();
    for (const session of this.#shard.sessions.values()) {
      for (const connection of session.connections) this.attach(connection, null);
    }
  }

  /** The connection has come, or the selection is another one. `before`: what was captured of it until now. */
  attach(connection: Connection, before: CapturedBefore | null): void {
    const selection = this.#selection;
    const { sessionId } = connection.session!;
    connection.isCaptured = selection !== null && (selection.sessionId === null || selection.sessionId === sessionId);
    connection.isIntroduced = false;
    const goesOn = before !== null && before.number === selection?.number;
    connection.capturedIn = goesOn ? before.received : 0;
    connection.capturedOut = goesOn ? before.sent : 0;
  }

  /** A PDU has come in whole; its data lies in the connection's sink, or nowhere. */
  received(connection: Connection): void {
    const { header, dataLength, sink, sinkOffset } = connection;
    const headerLength = this.headerLength(connection, header);
    const trailerLength = dataLength === 0 ? 0 : this.#trailerLength(dataLength, connection.dataDigest);
    const wireLength = headerLength + dataLength + trailerLength;
    if (!this.#concerns(connection, header)) return;
    const position = connection.capturedIn;
    connection.capturedIn = (position + wireLength) >>> 0;
    const hasData = dataLength > 0 && sink !== null && this.#showsData(header);
    const length = hasData ? wireLength : headerLength;
    const at = this.#begin(connection, CAPTURE_RECEIVED, position, wireLength, length);
    if (at < 0) return;
    this.#copy(at, header, headerLength);
    if (hasData) {
      this.#copy(at + headerLength, sink.offset + sinkOffset, dataLength);
      this.#copy(at + headerLength + dataLength, connection.headerArea + TRAILER_OFFSET, trailerLength);
    }
    this.#producer.commit();
  }

  /** A header whose digest is wrong: what follows it is not known, and nothing follows it. */
  receivedDamaged(connection: Connection, header: number, length: number): void {
    const at = this.#begin(connection, CAPTURE_RECEIVED, connection.capturedIn, length, length);
    if (at < 0) return;
    this.#copy(at, header, length);
    this.#producer.commit();
  }

  /** What the batch holds is finished, and about to be sent. */
  sent(connection: Connection, batch: Batch): void {
    for (let first = 0; first < batch.iovecs; ) {
      const header = batch.iovecOffset(first);
      const wireLength = this.#sentLength(connection, header);
      let end = first;
      let have = 0;
      while (have < wireLength) have += batch.iovecLength(end++);
      assert(have === wireLength, "a PDU ends where an iovec does");
      this.#sentOne(connection, batch, first, wireLength);
      first = end;
    }
  }

  #sentOne(connection: Connection, batch: Batch, first: number, wireLength: number): void {
    const header = batch.iovecOffset(first);
    if (!this.#concerns(connection, header)) return;
    const position = connection.capturedOut;
    connection.capturedOut = (position + wireLength) >>> 0;
    const length = this.#showsData(header) ? wireLength : this.#sentHeaderLength(connection, header);
    let at = this.#begin(connection, CAPTURE_SENT, position, wireLength, length);
    if (at < 0) return;
    const end = at + length;
    for (let iovec = first; at < end; iovec++) {
      const count = Math.min(batch.iovecLength(iovec), end - at);
      this.#copy(at, batch.iovecOffset(iovec), count);
      at += count;
    }
    this.#producer.commit();
  }

  // ---- lengths

  /** BHS, AHS and header digest of what came. */
  headerLength(connection: Connection, header: number): number {
    const digest = connection.headerDigest ? DIGEST_BYTES : 0;
    return BHS_LENGTH + this.#shard.arena.bytes[header + 4]! * 4 + digest;
  }

  /** Digests begin after the final Login Response (RFC 7143 section 13.1). */
  #sentHeaderLength(connection: Connection, header: number): number {
    const hasDigest = connection.headerDigest && this.#opcode(header) !== OPCODE_LOGIN_RESPONSE;
    return BHS_LENGTH + (hasDigest ? DIGEST_BYTES : 0);
  }

  #sentLength(connection: Connection, header: number): number {
    const dataLength = this.#shard.arena.view.getUint32(header + 4) & 0xffffff;
    const headerLength = this.#sentHeaderLength(connection, header);
    if (dataLength === 0) return headerLength;
    const hasDigest = connection.dataDigest && this.#opcode(header) !== OPCODE_LOGIN_RESPONSE;
    return headerLength + dataLength + this.#trailerLength(dataLength, hasDigest);
  }

  #trailerLength(dataLength: number, hasDigest: boolean): number {
    return paddedLength(dataLength) - dataLength + (hasDigest ? DIGEST_BYTES : 0);
  }

  // ---- selection

  #opcode(header: number): number {
    return this.#shard.arena.bytes[header]! & OPCODE_MASK;
  }

  #showsData(header: number): boolean {
    return this.#selection!.isWhole || SPEAKING.has(this.#opcode(header));
  }

  /** Where a unit is captured: whether the PDU belongs to a command or a task management function for it. */
  #concerns(connection: Connection, header: number): boolean {
    const { unitIndex } = this.#selection!;
    if (unitIndex === null) return true;
    const { view } = this.#shard.arena;
    const session = connection.session!;
    const tag = view.getUint32(header + TASK_TAG_OFFSET);
    switch (this.#opcode(header)) {
      case OPCODE_SCSI_COMMAND:
      case OPCODE_TASK_MANAGEMENT_REQUEST: {
        const lun = decodeLun(view.getUint32(header + LUN_OFFSET), view.getUint32(header + LUN_OFFSET + 4));
        return this.#note(session, tag, session.luns.get(lun)?.unit.unitIndex === unitIndex);
      }
      case OPCODE_DATA_OUT:
      case OPCODE_SNACK_REQUEST:
      case OPCODE_DATA_IN:
      case OPCODE_R2T:
      case OPCODE_SCSI_RESPONSE:
      case OPCODE_TASK_MANAGEMENT_RESPONSE:
        return this.#tags.get(session)?.has(tag) === true;
      default:
        return false;
    }
  }

  /** What the tag stands for from now on. A response may be sent again: so it stands until the tag is used for something else. */
  #note(session: Session, tag: number, isOurs: boolean): boolean {
    let tags = this.#tags.get(session);
    if (!isOurs) {
      tags?.delete(tag);
      return false;
    }
    if (tags === undefined) {
      tags = new Set();
      this.#tags.set(session, tags);
    }
    if (tags.size >= CAPTURE_TAGS_MAX) for (const oldest of tags) if (tags.delete(oldest)) break;
    tags.add(tag);
    return true;
  }

  // ---- records

  /** Where the PDU's first `length` bytes go; -1: there is no room, and it is counted. */
  #begin(connection: Connection, kind: number, position: number, wireLength: number, length: number): number {
    if (!connection.isIntroduced) connection.isIntroduced = this.#introduce(connection);
    const at = connection.isIntroduced ? this.#producer.reserve(CAPTURE_HEADER_BYTES + length) : -1;
    if (at < 0) {
      this.#dropped++;
      this.#shard.counters[COUNTER.capture_dropped_pdus]!++;
      return -1;
    }
    this.#putHeader(at, connection, kind);
    this.#producer.view.setUint32(at + CAPTURE_POSITION, position);
    this.#producer.view.setUint32(at + CAPTURE_WIRE_LENGTH, wireLength);
    return at + CAPTURE_HEADER_BYTES;
  }

  #introduce(connection: Connection): boolean {
    const { sessionId, tsih, initiatorName, targetName } = connection.session!;
    const { cid, initiatorAddress, portalAddress, capturedIn, capturedOut } = connection;
    const who: CapturedConnection = {
      initiatorName,
      initiatorAddress,
      targetName,
      portalAddress,
      sessionId,
      tsih,
      cid,
      received: capturedIn,
      sent: capturedOut,
    };
    const text = new TextEncoder().encode(JSON.stringify(who));
    const at = this.#producer.reserve(CAPTURE_HEADER_BYTES + text.length);
    if (at < 0) return false;
    this.#putHeader(at, connection, CAPTURE_CONNECTION);
    this.#producer.bytes.set(text, at + CAPTURE_HEADER_BYTES);
    this.#producer.commit();
    return true;
  }

  #putHeader(at: number, connection: Connection, kind: number): void {
    const { view } = this.#producer;
    view.setUint8(at, kind);
    view.setUint16(at + CAPTURE_INDEX, connection.index);
    view.setUint32(at + CAPTURE_NUMBER, this.#selection!.number);
    view.setFloat64(at + CAPTURE_AT_US, this.#shard.ring.nowUs);
    view.setUint32(at + CAPTURE_DROPPED, this.#dropped);
  }

  #copy(to: number, from: number, length: number): void {
    this.#producer.bytes.set(this.#shard.arena.bytes.subarray(from, from + length), to);
  }
}
