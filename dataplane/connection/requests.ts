/**
 * The requests that are no SCSI commands: NOP-Out, Task Management, Text, Logout; and the replies to them, with Reject.
 * None of them is on the path of an I/O, so these may allocate.
 */
import { unreachable } from "../assert.js";
import type { Slice } from "../buffer/slice.js";
import { COUNTER } from "../counters.js";
import {
  LOGOUTS_MAX,
  REJECTED_LINES_PER_SECOND_MAX,
  SLICE_BYTES_MAX,
  TEXT_BYTES_MAX,
  TEXTS_ASKED_MAX,
} from "../limits.js";
import { LineBudget } from "../line-budget.js";
import { LOGGED_OUT } from "../messages.js";
import { statusQualifier } from "../scsi/status-qualifier.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard.js";
import { Barrier } from "../task/barrier.js";
import { manageTasks } from "../task/task-management.js";
import { ASYNC_EVENT_NEGOTIATION_REQUEST, AsyncMessagePdu } from "../wire/async-message.js";
import {
  BHS_LENGTH,
  FLAG_FINAL,
  hex,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_NOP_OUT,
  OPCODE_TASK_MANAGEMENT_REQUEST,
  OPCODE_TEXT_REQUEST,
  Pdu,
  RESERVED_TAG,
} from "../wire/bhs.js";
import {
  LOGOUT_REASON_CLOSE_SESSION,
  LOGOUT_REASON_REMOVE_CONNECTION_FOR_RECOVERY,
  LogoutRequestPdu,
} from "../wire/logout-request.js";
import {
  LOGOUT_RESPONSE_CID_NOT_FOUND,
  LOGOUT_RESPONSE_CLEANUP_FAILED,
  LOGOUT_RESPONSE_CLOSED,
  LOGOUT_RESPONSE_RECOVERY_NOT_SUPPORTED,
  LogoutResponsePdu,
} from "../wire/logout-response.js";
import { NopInPdu } from "../wire/nop-in.js";
import { NopOutPdu } from "../wire/nop-out.js";
import {
  REJECT_REASON_INVALID_PDU_FIELD,
  REJECT_REASON_LONG_OPERATION,
  REJECT_REASON_PROTOCOL_ERROR,
  RejectPdu,
} from "../wire/reject.js";
import { FLAG_UNDERFLOW, ScsiResponsePdu } from "../wire/scsi-response.js";
import { TaskManagementRequestPdu } from "../wire/task-management-request.js";
import { TaskManagementResponsePdu } from "../wire/task-management-response.js";
import { textPartLength } from "../wire/text-keys.js";
import { TextRequestPdu } from "../wire/text-request.js";
import { TextResponsePdu } from "../wire/text-response.js";
import { CONNECTION_OPEN, type Connection } from "./connection.js";
import { OUTGOING_REPLY } from "./outgoing.js";
import { Reply, STAMP_CURRENT, STAMP_STATUS } from "./reply.js";

interface LogoutAnswer {
  readonly session: Session;
  /** Initiator Task Tag of the request. */
  readonly tag: number;
  readonly response: number;
  /** Tasks of the connection wait to be reassigned, or the connection for another logout: not where all is over, or there is none. */
  readonly isRetained: boolean;
  /** The connection that it goes out on is closed behind it. */
  readonly closes: boolean;
}

/** What becomes of a Text Request: it is answered, rejected, or control is asked. */
export const TEXT_TAKEN = 0;
export const TEXT_REJECTED = 1;
export const TEXT_ASKED = 2;

export class Requests {
  /** Of PDUs that were rejected. */
  readonly rejectedLines: LineBudget;
  readonly #shard: Shard;
  readonly #nopOut: NopOutPdu;
  readonly #text: TextRequestPdu;
  readonly #logout: LogoutRequestPdu;
  readonly #management: TaskManagementRequestPdu;
  #nextTag = 1;

  constructor(shard: Shard) {
    this.#shard = shard;
    this.rejectedLines = new LineBudget(REJECTED_LINES_PER_SECOND_MAX, (pdus) =>
      shard.host.post({ type: "log", level: "debug", message: "more PDUs rejected", fields: { pdus } }),
    );
    const view = shard.arena.view;
    this.#nopOut = new NopOutPdu(view);
    this.#text = new TextRequestPdu(view);
    this.#logout = new LogoutRequestPdu(view);
    this.#management = new TaskManagementRequestPdu(view);
  }

  /**
   * A request whose turn it is. `data` is the caller's, but for that of a NOP-Out, which becomes the request's; null where there is
   * none (or there was no buffer for it).
   */
  execute(connection: Connection, header: number, dataLength: number, data: Slice | null): void {
    const opcode = this.#nopOut.at(header).opcode;
    switch (opcode) {
      case OPCODE_NOP_OUT:
        return this.#answerNop(connection, this.#nopOut.at(header), dataLength, data);
      case OPCODE_TASK_MANAGEMENT_REQUEST:
        return manageTasks(this.#shard, connection, this.#management.at(header));
      case OPCODE_TEXT_REQUEST:
        this.text(connection, header, dataLength, data);
        return;
      case OPCODE_LOGOUT_REQUEST:
        return this.#logoutRequest(connection, this.#logout.at(header));
      default:
        return unreachable("request opcode", opcode);
    }
  }

  /**
   * Reject with the header of the bad PDU as its data (RFC 7143 section 11.17). `dataSN`: of a Data/R2T SNACK (section 11.17.2).
   * `closes`: the connection is closed behind it.
   */
  reject(connection: Connection, header: number, reason: number, dataSN = 0, closes = false): void {
    this.#shard.counters[COUNTER.rejects]!++;
    const pdu = new Pdu(this.#shard.arena.view, header);
    if (this.rejectedLines.take(this.#shard.ring.nowUs)) this.#logRejected(connection, reason, pdu);
    const reply = new Reply(STAMP_STATUS);
    const view = new RejectPdu(reply.header).clear();
    view.reason = reason;
    view.dataSN = dataSN;
    reply.closesConnection = closes;
    // With its additional segments (section 11.17.4), as far as the initiator receives so much.
    const length = Math.min(pdu.headerLength, connection.maxSend);
    reply.slice = this.#shard.slices.acquireReserved(length);
    if (reply.slice !== null) {
      view.dataSegmentLength = length;
      this.#shard.arena.bytes.copyWithin(reply.slice.offset, header, header + length);
    }
    this.#shard.transmitter.queueReply(connection, reply);
  }

  /** A SCSI Response for a command that never became a task. */
  statusOnly(connection: Connection, initiatorTaskTag: number, status: number, expectedLength: number): void {
    this.#shard.counters[COUNTER.task_set_full]!++;
    const reply = new Reply(STAMP_STATUS);
    const pdu = new ScsiResponsePdu(reply.header).clear();
    pdu.initiatorTaskTag = initiatorTaskTag;
    pdu.status = status;
    pdu.statusQualifier = statusQualifier(connection.session!, status);
    pdu.flags = FLAG_FINAL | (expectedLength > 0 ? FLAG_UNDERFLOW : 0);
    pdu.residualCount = expectedLength;
    this.#shard.transmitter.queueReply(connection, reply);
  }

  /** NOP-In that asks for an answer (section 11.19): the keep-alive, or to have something acknowledged. `onStamped`: as in Reply. */
  ping(connection: Connection, onStamped: ((statSN: number) => void) | null = null): void {
    const reply = new Reply(STAMP_CURRENT);
    reply.onStamped = onStamped;
    const pdu = new NopInPdu(reply.header).clear();
    pdu.initiatorTaskTag = RESERVED_TAG;
    pdu.targetTransferTag = this.#tag();
    // "A LUN MUST be set to a correct value when the Target Transfer Tag is valid" (section 11.19.3).
    for (const lun of connection.session!.luns.keys()) {
      pdu.lun = lun;
      break;
    }
    this.#shard.transmitter.queueReply(connection, reply);
  }

  /** "When the MaxCmdSN changes at the target while the target has no pending PDUs ... it MUST generate a NOP-In" (section 11.4.11). */
  announceWindow(connection: Connection): void {
    const reply = new Reply(STAMP_CURRENT);
    const pdu = new NopInPdu(reply.header).clear();
    pdu.initiatorTaskTag = RESERVED_TAG;
    pdu.targetTransferTag = RESERVED_TAG;
    this.#shard.transmitter.queueReply(connection, reply);
  }

  /** `information`: Additional Response Information (RFC 7144). `onGone`: as Reply.onGone. */
  managementResponse(
    connection: Connection,
    initiatorTaskTag: number,
    response: number,
    information = 0,
    onGone: (() => void) | null = null,
  ): void {
    if (connection.state !== CONNECTION_OPEN) {
      if (onGone !== null) onGone();
      return;
    }
    const reply = new Reply(STAMP_STATUS);
    const pdu = new TaskManagementResponsePdu(reply.header).clear();
    pdu.initiatorTaskTag = initiatorTaskTag;
    pdu.response = response;
    pdu.additionalResponseInformation = information;
    reply.onGone = onGone;
    this.#shard.transmitter.queueReply(connection, reply);
  }

  /**
   * Asks for a Text Request (AsyncEvent 4, section 11.9.1): what the target declares has changed. An initiator that cannot negotiate
   * in the full feature phase logs out instead, and in again.
   */
  requestNegotiation(connection: Connection, timeoutMs: number): void {
    const reply = new Reply(STAMP_STATUS);
    const pdu = new AsyncMessagePdu(reply.header).clear();
    pdu.asyncEvent = ASYNC_EVENT_NEGOTIATION_REQUEST;
    pdu.parameter3 = Math.ceil(timeoutMs / 1000);
    this.#shard.transmitter.queueReply(connection, reply);
  }

  /** Control's answer to a text exchange. MaxRecvDataSegmentLength that is new: `maxSend` the peer's, `maxReceive` ours; or 0. */
  textReply(connection: Connection, exchange: number, text: string, maxSend: number, maxReceive: number): void {
    connection.textsAsked--;
    if (connection.state !== CONNECTION_OPEN || connection.textExchange !== exchange) return;
    connection.textHeader = null;
    connection.textContinues = true;
    connection.textToSend = text;
    if (maxSend > 0) connection.textMaxSend = maxSend;
    // A shorter one counts when the initiator has it: what comes before may be as long as it could be.
    connection.maxReceive = Math.max(connection.maxReceive, maxReceive);
    const session = connection.session!;
    this.#sendText(connection);
    if (session.askingText === connection) this.#shard.dispatcher.textDecided(session, false);
  }

  /** Control's other answer: the exchange is over, nothing of the sequence takes effect (RFC 7143 sections 6.4, 7.12). */
  textReject(connection: Connection, exchange: number): void {
    connection.textsAsked--;
    const header = connection.textHeader;
    if (connection.state !== CONNECTION_OPEN || connection.textExchange !== exchange || header === null) return;
    const session = connection.session!;
    if (session.askingText === connection) this.#shard.dispatcher.textDecided(session, true);
    this.#shard.arena.bytes.set(header, this.#shard.heldHeader);
    this.#rejectText(connection, this.#shard.heldHeader, REJECT_REASON_PROTOCOL_ERROR);
  }

  /** `data` becomes the echo's: it needs no other buffer. */
  #answerNop(connection: Connection, pdu: NopOutPdu, dataLength: number, data: Slice | null): void {
    const { slices, terminations, transmitter } = this.#shard;
    // The answer to our ping, of which the keep-alive wants to know only that it came; or an acknowledgment.
    if (pdu.initiatorTaskTag === RESERVED_TAG) {
      if (data !== null) slices.release(data);
      if (connection.terminations.length > 0) terminations.acknowledged(connection, pdu);
      return;
    }
    const reply = new Reply(STAMP_STATUS);
    const nopIn = new NopInPdu(reply.header).clear();
    nopIn.initiatorTaskTag = pdu.initiatorTaskTag;
    nopIn.targetTransferTag = RESERVED_TAG;
    nopIn.lunHigh = pdu.lunHigh;
    nopIn.lunLow = pdu.lunLow;
    // Ping data beyond what the initiator says that it receives is cut off (section 11.19.4 allows fewer bytes to be returned).
    if (data !== null) nopIn.dataSegmentLength = Math.min(dataLength, connection.maxSend);
    reply.slice = data;
    transmitter.queueReply(connection, reply);
  }

  /** A Text Request whose turn it is: a TEXT_. */
  text(connection: Connection, header: number, dataLength: number, data: Slice | null): number {
    const pdu = this.#text.at(header);
    const continues = pdu.targetTransferTag !== RESERVED_TAG;
    if (
      continues &&
      (pdu.targetTransferTag !== connection.textTag ||
        pdu.initiatorTaskTag !== connection.textInitiatorTaskTag ||
        // "The I bit for all requests in a sequence also MUST be the same" (section 11.10.3).
        pdu.immediate !== connection.textImmediate)
    ) {
      return this.#rejectText(connection, pdu.offset, REJECT_REASON_INVALID_PDU_FIELD);
    }
    // A new exchange resets one that was not finished (section 11.10.4).
    if (!continues) this.#resetText(connection);
    connection.textInitiatorTaskTag = pdu.initiatorTaskTag;
    connection.textImmediate = pdu.immediate;
    if (connection.textToSend !== "") {
      // Section 6.2: an initiator receiving C=1 "MUST answer with a Text or Login Request with no data segment".
      if (dataLength > 0 || pdu.continue) {
        return this.#rejectText(connection, pdu.offset, REJECT_REASON_PROTOCOL_ERROR);
      }
      connection.textFinal = pdu.final;
      this.#sendText(connection);
      return TEXT_TAKEN;
    }
    if ((dataLength > 0 && data === null) || connection.textReceived.length + dataLength > TEXT_BYTES_MAX) {
      return this.#rejectText(connection, pdu.offset, REJECT_REASON_LONG_OPERATION);
    }
    if (data !== null) {
      connection.textReceived += latin1(this.#shard.arena.bytes.subarray(data.offset, data.offset + dataLength));
    }
    if (pdu.continue) {
      connection.textTag = this.#tag();
      this.#textResponse(connection, "", false, connection.textTag);
      return TEXT_TAKEN;
    }
    if (connection.textsAsked === TEXTS_ASKED_MAX) {
      return this.#rejectText(connection, pdu.offset, REJECT_REASON_LONG_OPERATION);
    }
    connection.textsAsked++;
    connection.textFinal = pdu.final;
    // "MUST NOT have more than one outstanding Text Request" (section 11.10): none goes on before this one is answered.
    connection.textTag = RESERVED_TAG;
    connection.textExchange = this.#tag();
    connection.textHeader = this.#shard.arena.bytes.slice(pdu.offset, pdu.offset + BHS_LENGTH);
    const text = connection.textReceived;
    connection.textReceived = "";
    this.#shard.host.post({
      type: "text",
      connectionId: connection.connectionId,
      exchange: connection.textExchange,
      text,
      continues: connection.textContinues,
    });
    return TEXT_ASKED;
  }

  /** The Text Request that control looks at is aborted: it has no answer. */
  forgetText(connection: Connection): void {
    resetText(connection);
  }

  /** Nothing is left of an unfinished exchange; if control looks at its request, that counts as received. */
  #resetText(connection: Connection): void {
    const session = connection.session!;
    resetText(connection);
    if (session.askingText === connection) this.#shard.dispatcher.textDecided(session, false);
  }

  /** "A target may reset an operational parameter negotiation by answering a Text Request with a Reject PDU" (section 6.4). */
  #rejectText(connection: Connection, header: number, reason: number): number {
    // The header may be overwritten when commands go on that were held.
    this.reject(connection, header, reason);
    this.#resetText(connection);
    return TEXT_REJECTED;
  }

  /** The next part of the answer; more than fits waits for an empty Text Request with our tag (section 11.11.2). */
  #sendText(connection: Connection): void {
    const length = textPartLength(connection.textToSend, Math.min(connection.maxSend, SLICE_BYTES_MAX));
    const part = connection.textToSend.slice(0, length);
    connection.textToSend = connection.textToSend.slice(length);
    const more = connection.textToSend !== "";
    const open = more || !connection.textFinal;
    connection.textTag = open ? this.#tag() : RESERVED_TAG;
    this.#textResponse(connection, part, more, connection.textTag);
  }

  #textResponse(connection: Connection, text: string, more: boolean, tag: number): void {
    const reply = new Reply(STAMP_STATUS);
    // Section 6.4: parameters "only become effective after the negotiation sequence is completed".
    if (tag === RESERVED_TAG) reply.maxSend = connection.textMaxSend & ~3;
    if (reply.maxSend > 0) connection.nextMaxSend = reply.maxSend;
    const pdu = new TextResponsePdu(reply.header).clear();
    pdu.initiatorTaskTag = connection.textInitiatorTaskTag;
    pdu.targetTransferTag = tag;
    pdu.final = tag === RESERVED_TAG;
    pdu.continue = more;
    if (text.length > 0) {
      reply.slice = this.#shard.slices.acquireReserved(text.length);
      if (reply.slice === null) return this.#shard.lifecycle.close(connection, "no buffer for a text response");
      for (let i = 0; i < text.length; i++) this.#shard.arena.bytes[reply.slice.offset + i] = text.charCodeAt(i);
      pdu.dataSegmentLength = text.length;
    }
    this.#shard.transmitter.queueReply(connection, reply);
  }

  #logoutRequest(connection: Connection, pdu: LogoutRequestPdu): void {
    const session = connection.session!;
    const { cid, reasonCode } = pdu;
    const tag = pdu.initiatorTaskTag;
    const answer: LogoutAnswer = {
      session,
      tag,
      response: LOGOUT_RESPONSE_CLOSED,
      isRetained: reasonCode === LOGOUT_REASON_REMOVE_CONNECTION_FOR_RECOVERY,
      closes: false,
    };
    if (session.logoutTags.size >= LOGOUTS_MAX || session.logoutTags.has(tag)) {
      return this.#logoutResponse(connection, {
        ...answer,
        response: LOGOUT_RESPONSE_CLEANUP_FAILED,
        isRetained: true,
      });
    }
    session.logoutTags.add(tag);
    if (reasonCode === LOGOUT_REASON_CLOSE_SESSION) {
      return this.#closeConnections(connection, [...session.connections, ...session.failed], answer);
    }
    if (answer.isRetained && session.parameters.errorRecoveryLevel < 2) {
      return this.#answerLogout(connection, { ...answer, response: LOGOUT_RESPONSE_RECOVERY_NOT_SUPPORTED });
    }
    const named = session.connectionOf(cid);
    if (named === undefined) {
      return this.#answerLogout(connection, {
        ...answer,
        response: LOGOUT_RESPONSE_CID_NOT_FOUND,
        isRetained: false,
      });
    }
    if (answer.isRetained) this.#logoutForRecovery(connection, named, answer);
    else this.#closeConnections(connection, [named], answer);
  }

  /**
   * Ends connections with their tasks; the answer goes out when nothing of them is in flight any more, and where the session ends
   * with them, nothing of it in force: an initiator may go by that.
   */
  #closeConnections(connection: Connection, closing: readonly Connection[], answer: LogoutAnswer): void {
    const session = connection.session!;
    const endsSession = [...session.connections, ...session.failed].every((other) => closing.includes(other));
    const barrier = new Barrier(() => {
      const ended = new Barrier(() =>
        this.#answerLogout(connection, { ...answer, closes: closing.includes(connection) }),
      );
      // Who was asked to go has not done so because it had finished: it may take up its disks elsewhere.
      const isUnasked = closing.every(({ departure }) => departure === null);
      if (endsSession) this.#shard.resets.ofNexus(session.sessionId, ended, isUnasked);
      ended.leave();
    });
    const { engine, lifecycle } = this.#shard;
    for (const closed of closing) {
      closed.loggedOut = true;
      if (closed !== connection) {
        barrier.join();
        closed.closers.push(barrier);
        lifecycle.close(closed, LOGGED_OUT);
        continue;
      }
      lifecycle.discardHeld(closed);
      engine.abortConnection(closed, barrier);
    }
    barrier.leave();
  }

  /** Removes a connection and keeps its tasks (section 11.14.1, reason code 2). */
  #logoutForRecovery(connection: Connection, other: Connection, answer: LogoutAnswer): void {
    if (other === connection) {
      connection.loggedOut = true;
      connection.isSuspended = true;
      connection.isRecoverable = true;
      this.#shard.lifecycle.discardHeld(connection);
      this.#shard.transmitter.remove(connection, (node) => node.outgoingKind !== OUTGOING_REPLY);
      return this.#answerLogout(connection, { ...answer, closes: true });
    }
    const closed = new Barrier(() => this.#answerLogout(connection, answer));
    this.#shard.lifecycle.recover(other, closed);
    closed.leave();
  }

  #answerLogout(connection: Connection, answer: LogoutAnswer): void {
    answer.session.logoutTags.delete(answer.tag);
    this.#logoutResponse(connection, answer);
  }

  #logoutResponse(connection: Connection, { session, tag, response, isRetained, closes }: LogoutAnswer): void {
    if (connection.state !== CONNECTION_OPEN) return;
    const { defaultTime2Wait, defaultTime2Retain } = session.parameters;
    const reply = new Reply(STAMP_STATUS);
    const pdu = new LogoutResponsePdu(reply.header).clear();
    pdu.initiatorTaskTag = tag;
    pdu.response = response;
    // A Time2Retain of 0 says that "the target has already discarded the connection (and possibly the session) state along with the
    // task states" (section 11.15.4): so it is where the target stops, too.
    const isOver = response === LOGOUT_RESPONSE_CLOSED && this.#shard.lifecycle.stopping;
    if (isRetained && !isOver) {
      pdu.time2Wait = defaultTime2Wait;
      pdu.time2Retain = defaultTime2Retain;
    }
    reply.closesConnection = closes;
    this.#shard.transmitter.queueReply(connection, reply);
  }

  /** Any value but the reserved one, different from the one before. */
  #tag(): number {
    const tag = this.#nextTag;
    this.#nextTag = tag === RESERVED_TAG - 1 ? 1 : tag + 1;
    return tag;
  }

  #logRejected({ session, cid }: Connection, reason: number, pdu: Pdu): void {
    const { sessionId, initiatorName, targetName } = session!;
    const fields = { sessionId, initiator: initiatorName, target: targetName, cid };
    const message = `rejected (reason ${hex(reason, 2)}): ${pdu.describe()}`;
    this.#shard.host.post({ type: "log", level: "debug", message, fields });
  }
}

/** Nothing is left of the text exchange; an answer of control that is still to come finds no exchange of its number. */
function resetText(connection: Connection): void {
  connection.textReceived = "";
  connection.textToSend = "";
  connection.textTag = RESERVED_TAG;
  connection.textExchange = 0;
  connection.textHeader = null;
  connection.textContinues = false;
  connection.textMaxSend = 0;
}

/** In one piece: added up character by character, a text takes thirty times as much. */
function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}
