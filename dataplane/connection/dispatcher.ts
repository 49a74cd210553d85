/**
 * What a PDU is and who deals with it. `prepare` is called when a header with a data segment is there and decides where
 * the data goes; `complete` is called when all of the PDU is there. Commands pass the session's window here.
 */
import { assert } from "../assert.js";
import type { Slice } from "../buffer/slice.js";
import { COUNTER } from "../counters.js";
import {
  HELD_BYTES_MAX,
  HELD_BYTES_OF_SHARD_MAX,
  IMMEDIATE_TASKS_MAX,
  REFUSALS_MAX,
  SLICE_BYTES_MAX,
} from "../limits.js";
import { isHeadOfQueue } from "../scsi/dispatch.js";
import { type HeldPdu, type Session, WINDOW_AHEAD, WINDOW_NEXT, WINDOW_OUTSIDE } from "../session/session.js";
import type { Shard } from "../shard.js";
import { CDB_BYTES_MAX, DATA_AMOUNT, DATA_UNEXPECTED, TASK_HELD, TASK_UNACKNOWLEDGED, Task } from "../task/task.js";
import {
  BHS_LENGTH,
  CommandPdu,
  InitiatorPdu,
  OPCODE_DATA_OUT,
  OPCODE_LOGIN_REQUEST,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_NOP_OUT,
  OPCODE_SCSI_COMMAND,
  OPCODE_SNACK_REQUEST,
  OPCODE_TASK_MANAGEMENT_REQUEST,
  OPCODE_TEXT_REQUEST,
} from "../wire/bhs.js";
import { DataOutPdu } from "../wire/data-out.js";
import { describeInvalid, isReservedCode, VALID } from "../wire/invalid.js";
import { LOGOUT_REASON_CLOSE_SESSION, LogoutRequestPdu } from "../wire/logout-request.js";
import { NopOutPdu } from "../wire/nop-out.js";
import {
  REJECT_REASON_COMMAND_NOT_SUPPORTED,
  REJECT_REASON_DATA_DIGEST_ERROR,
  REJECT_REASON_PROTOCOL_ERROR,
  REJECT_REASON_SNACK_REJECT,
  REJECT_REASON_TASK_IN_PROGRESS,
  REJECT_REASON_TOO_MANY_IMMEDIATE_COMMANDS,
} from "../wire/reject.js";
import { CDB_LENGTH, ScsiCommandPdu, TASK_ATTRIBUTE_ACA, TASK_ATTRIBUTE_HEAD_OF_QUEUE } from "../wire/scsi-command.js";
import { serialLess, serialLessOrEqual } from "../wire/serial.js";
import { SnackRequestPdu } from "../wire/snack-request.js";
import { TaskManagementRequestPdu } from "../wire/task-management-request.js";
import { TextRequestPdu } from "../wire/text-request.js";
import { CONNECTION_OPEN, type Connection } from "./connection.js";
import { TEXT_ASKED, TEXT_TAKEN } from "./requests.js";
import type { ToldLosses } from "./told-losses.js";

export class Dispatcher {
  readonly #shard: Shard;
  readonly #any: InitiatorPdu;
  readonly #sequencedPdu: CommandPdu;
  readonly #command: ScsiCommandPdu;
  readonly #dataOut: DataOutPdu;
  readonly #snackPdu: SnackRequestPdu;
  readonly #logoutPdu: LogoutRequestPdu;
  /** Views that judge the slower requests. */
  readonly #requestViews: ReadonlyMap<number, InitiatorPdu>;
  /** Header of a held PDU while it is executed. */
  readonly #heldHeader: number;

  constructor(shard: Shard) {
    this.#shard = shard;
    const view = shard.arena.view;
    this.#any = new InitiatorPdu(view);
    this.#sequencedPdu = new CommandPdu(view);
    this.#command = new ScsiCommandPdu(view);
    this.#dataOut = new DataOutPdu(view);
    this.#snackPdu = new SnackRequestPdu(view);
    this.#logoutPdu = new LogoutRequestPdu(view);
    this.#requestViews = new Map<number, InitiatorPdu>([
      [OPCODE_NOP_OUT, new NopOutPdu(view)],
      [OPCODE_TASK_MANAGEMENT_REQUEST, new TaskManagementRequestPdu(view)],
      [OPCODE_TEXT_REQUEST, new TextRequestPdu(view)],
      [OPCODE_LOGOUT_REQUEST, this.#logoutPdu],
    ]);
    this.#heldHeader = shard.heldHeader;
  }

  /** A header is there and its data segment comes next: sets the connection's sink, or leaves it null to drop the data. */
  prepare(connection: Connection): void {
    if (connection.loggedOut) return;
    const pdu = this.#any.at(connection.header);
    const length = connection.dataLength;
    switch (pdu.opcode) {
      case OPCODE_SCSI_COMMAND: {
        const command = this.#command.at(connection.header);
        // Room for all of the command's data, as far as one slice goes: what is still to come joins the immediate data.
        // Unsolicited data cannot be put off, so then nothing less will do.
        const wanted = Math.max(length, Math.min(command.expectedDataTransferLength, SLICE_BYTES_MAX));
        const slice = this.#shard.slices.acquire(wanted, null);
        this.#own(connection, slice ?? (command.final ? this.#shard.slices.acquire(length, null) : null));
        return;
      }
      case OPCODE_DATA_OUT:
        this.#shard.engine.dataOut.prepare(connection, this.#dataOut.at(connection.header));
        return;
      case OPCODE_NOP_OUT:
      case OPCODE_TEXT_REQUEST:
        this.#own(connection, this.#shard.slices.acquireReserved(length));
        return;
      default:
        return;
    }
  }

  /** A PDU is there as a whole. `digestValid` is false where its data digest does not match. */
  complete(connection: Connection, digestValid: boolean): void {
    const header = connection.header;
    const pdu = this.#any.at(header);
    const opcode = pdu.opcode;
    if (connection.loggedOut) return this.#drop(connection);
    if (opcode !== OPCODE_LOGOUT_REQUEST) this.acknowledge(connection, pdu.expStatSN);
    else this.#acknowledgeByLogout(connection, header);
    if (!digestValid) {
      this.#shard.requests.reject(connection, header, REJECT_REASON_DATA_DIGEST_ERROR);
      // One Reject too many has closed it. Where a command or its data is missing there is more to do.
      const isOver = opcode !== OPCODE_SCSI_COMMAND && opcode !== OPCODE_DATA_OUT;
      if (isOver || connection.state !== CONNECTION_OPEN) return this.#drop(connection);
    }
    switch (opcode) {
      case OPCODE_SCSI_COMMAND:
        if (!digestValid || !this.#scsiCommand(connection, header)) this.#abandon(connection, header);
        break;
      case OPCODE_DATA_OUT: {
        const dataOut = this.#dataOut.at(header);
        const reason = dataOut.invalid();
        if (reason !== VALID) this.#formatError(connection, header, reason);
        else this.#shard.engine.dataOut.complete(connection, dataOut, digestValid);
        return;
      }
      case OPCODE_NOP_OUT:
      case OPCODE_TASK_MANAGEMENT_REQUEST:
      case OPCODE_TEXT_REQUEST:
      case OPCODE_LOGOUT_REQUEST: {
        const reason = this.#requestViews.get(opcode)!.at(header).invalid();
        if (reason !== VALID) this.#formatError(connection, header, reason);
        else this.#sequenced(connection, header);
        break;
      }
      case OPCODE_SNACK_REQUEST:
        this.#snack(connection, header);
        break;
      case OPCODE_LOGIN_REQUEST:
        this.#shard.requests.reject(connection, header, REJECT_REASON_PROTOCOL_ERROR);
        break;
      default:
        this.#shard.requests.reject(connection, header, REJECT_REASON_COMMAND_NOT_SUPPORTED);
    }
    this.#drop(connection);
  }

  /** ExpStatSN of a PDU that has come, of this connection or about it. Nothing that was not sent is acknowledged. */
  acknowledge(connection: Connection, expStatSN: number): void {
    if (!serialLess(connection.expStatSN, expStatSN) || serialLess(connection.statSN, expStatSN)) return;
    connection.expStatSN = expStatSN;
    if (connection.retained !== null) {
      connection.acknowledgedUs = this.#shard.ring.nowUs;
      this.#shard.transmitter.acknowledge(connection);
    }
    if (connection.toldLosses !== null) this.#hearLosses(connection, connection.toldLosses);
    this.#shard.fences.acknowledged(connection);
  }

  #hearLosses(connection: Connection, told: ToldLosses): void {
    told.acknowledged(connection.session!.initiatorName, connection.expStatSN);
    if (told.isEmpty) connection.toldLosses = null;
  }

  /** "This is the last ExpStatSN value for the connection to be closed" (section 11.14.4), which may be another one. */
  #acknowledgeByLogout(connection: Connection, header: number): void {
    const pdu = this.#logoutPdu.at(header);
    if (pdu.reasonCode === LOGOUT_REASON_CLOSE_SESSION) return this.acknowledge(connection, pdu.expStatSN);
    const closed = connection.session!.connectionOf(pdu.cid);
    if (closed !== undefined) this.acknowledge(closed, pdu.expStatSN);
  }

  #snack(connection: Connection, header: number): void {
    // Nothing is kept for retransmission at ErrorRecoveryLevel 0 (RFC 7143 section 11.16).
    if (connection.retained === null) {
      return this.#shard.requests.reject(connection, header, REJECT_REASON_SNACK_REJECT);
    }
    const reason = this.#snackPdu.at(header).invalid();
    if (reason !== VALID) this.#formatError(connection, header, reason);
    else this.#shard.snacks.request(connection, header);
  }

  #own(connection: Connection, slice: Slice | null): void {
    connection.sink = slice;
    connection.sinkOwned = slice !== null;
  }

  /** Releases the data segment if nobody has taken it. That of a task which has ended meanwhile has waited for this. */
  #drop(connection: Connection): void {
    const { sink: slice, sinkOwned } = connection;
    connection.sink = null;
    connection.sinkOwned = false;
    if (slice === null) return;
    if (sinkOwned) this.#shard.slices.release(slice);
    else if (slice.task !== null) this.#shard.engine.settle(slice.task);
  }

  /** "MUST immediately terminate all transport connections in the session" (RFC 7143 section 7.7). */
  #formatError(connection: Connection, header: number, reason: number): void {
    this.#drop(connection);
    const why = `format error: ${describeInvalid(reason)}`;
    if (isReservedCode(reason)) this.#shard.departures.dismiss(connection, header, why);
    else this.#shard.lifecycle.closeSession(connection.session!, why);
  }

  /** The command will not be executed: the unsolicited data that follows it is dropped. */
  #abandon(connection: Connection, header: number): void {
    // After a format error nothing follows, and the session may be gone already.
    if (connection.state !== CONNECTION_OPEN) return;
    const pdu = this.#command.at(header);
    const session = connection.session!;
    if (!pdu.final && session.tags.get(pdu.initiatorTaskTag) < 0) session.abandon(pdu.initiatorTaskTag);
  }

  /** A tag may be used again as soon as its task's response has come, acknowledged or not. */
  #isInUse(session: Session, initiatorTaskTag: number): boolean {
    const index = session.tags.get(initiatorTaskTag);
    if (index < 0) return false;
    const task = this.#shard.tasks.tasks[index]!;
    if (task.state !== TASK_UNACKNOWLEDGED) return true;
    this.#shard.engine.forget(task);
    return false;
  }

  /** False: the command is discarded. */
  #scsiCommand(connection: Connection, header: number): boolean {
    const pdu = this.#command.at(header);
    const session = connection.session!;
    const reason = pdu.invalid();
    if (reason !== VALID) {
      this.#formatError(connection, header, reason);
      return false;
    }
    const immediate = pdu.immediate;
    const place = immediate ? WINDOW_NEXT : session.place(pdu.cmdSN);
    if (place === WINDOW_OUTSIDE) return false;
    if (immediate && (session.immediateTasks >= IMMEDIATE_TASKS_MAX || session.refusals.size >= REFUSALS_MAX)) {
      this.#shard.requests.reject(connection, header, REJECT_REASON_TOO_MANY_IMMEDIATE_COMMANDS);
      return false;
    }
    const tag = pdu.initiatorTaskTag;
    if (session.refusals.size > 0 && session.refusals.has(tag)) {
      this.#shard.requests.reject(connection, header, REJECT_REASON_TASK_IN_PROGRESS);
      return false;
    }
    if (this.#isInUse(session, tag)) {
      this.#shard.requests.reject(connection, header, REJECT_REASON_TASK_IN_PROGRESS);
      return false;
    }
    const task = this.#shard.tasks.acquire(session, connection, tag);
    if (task === null) {
      const isDue = place !== WINDOW_AHEAD;
      this.#shard.refusals.add(connection, pdu, isDue);
      if (!isDue) {
        const copy = this.#shard.arena.bytes.slice(header, header + BHS_LENGTH);
        session.hold(pdu.cmdSN, { connection, header: copy, data: new Uint8Array() }, this.#shard.ring.nowUs);
      } else if (!immediate) {
        session.advance();
        if (session.hasWaiting) this.releaseHeld(session);
      }
      return true;
    }
    this.#fillTask(task, pdu, connection);
    if (immediate) session.immediateTasks++;
    if (place === WINDOW_AHEAD) {
      task.state = TASK_HELD;
      session.hold(task.cmdSN, task, this.#shard.ring.nowUs);
      return true;
    }
    if (!immediate) session.advance();
    this.#shard.engine.start(task);
    if (session.hasWaiting) this.releaseHeld(session);
    return true;
  }

  #fillTask(task: Task, pdu: ScsiCommandPdu, connection: Connection): void {
    const { bytes, view } = this.#shard.arena;
    const session = connection.session!;
    task.lunHigh = pdu.lunHigh;
    task.lunLow = pdu.lunLow;
    task.lun = pdu.lun;
    const mapping = session.luns.get(task.lun);
    task.mapping = mapping ?? null;
    task.unit = mapping === undefined ? null : mapping.unit;
    task.readOnly = mapping?.readOnly === true;
    task.cmdSN = pdu.cmdSN;
    task.attribute = attributeOf(pdu.taskAttributes, bytes[pdu.cdbOffset]!);
    task.immediate = pdu.immediate;
    task.expectsDataIn = pdu.read;
    task.expectsDataOut = pdu.write;
    task.expectedDataTransferLength = pdu.expectedDataTransferLength;
    task.bidirectionalReadLength =
      task.expectsDataIn && task.expectsDataOut ? pdu.bidirectionalReadExpectedDataTransferLength : 0;
    task.startedUs = this.#shard.ring.nowUs;
    task.dataUs = task.startedUs;
    copyCdb(view, task.cdb, pdu.cdbOffset);
    task.cdbLength = Math.min(pdu.cdbLength, CDB_BYTES_MAX);
    if (task.cdbLength > CDB_LENGTH) {
      const rest = pdu.extendedCdbOffset;
      bytes.copyWithin(task.cdb + CDB_LENGTH, rest, rest + task.cdbLength - CDB_LENGTH);
    }
    const slice = connection.sink;
    task.unwantedData = task.expectsDataOut ? task.expectsDataIn : connection.dataLength > 0;
    if (slice !== null && connection.sinkOwned && !task.unwantedData) {
      slice.task = task;
      slice.filled = connection.dataLength;
      task.firstSlice = slice;
      task.lastSlice = slice;
      task.sliceCount = 1;
      connection.sink = null;
      connection.sinkOwned = false;
    }
    task.overrun = connection.dataLength > 0 && slice === null;
    const { initialR2T, immediateData, firstBurstLength } = session.parameters;
    const unsolicitedMax = Math.min(firstBurstLength, task.expectedDataTransferLength);
    if (connection.dataLength > 0 && !immediateData) task.dataFault = DATA_UNEXPECTED;
    else if (connection.dataLength > unsolicitedMax) task.dataFault = DATA_AMOUNT;
    if (!pdu.final) {
      task.unsolicitedEnd = unsolicitedMax;
      if (initialR2T) task.dataFault = DATA_UNEXPECTED;
    }
    this.#shard.counters[COUNTER.scsi_commands]!++;
  }

  /** NOP-Out, Text, Logout and task management: in CmdSN order, or at once where immediate. */
  #sequenced(connection: Connection, header: number): void {
    const pdu = this.#sequencedPdu.at(header);
    const session = connection.session!;
    if (pdu.immediate) {
      this.#shard.requests.execute(connection, header, connection.dataLength, this.#handOver(connection, pdu.opcode));
      return;
    }
    switch (session.place(pdu.cmdSN)) {
      case WINDOW_NEXT:
        if (!this.#take(connection, header, connection.dataLength, this.#handOver(connection, pdu.opcode))) return;
        if (session.hasWaiting) this.releaseHeld(session);
        return;
      case WINDOW_AHEAD: {
        const bytes = this.#shard.arena.bytes;
        const sink = connection.sink;
        const data = sink === null ? new Uint8Array() : bytes.slice(sink.offset, sink.offset + connection.dataLength);
        session.heldBytes += data.length;
        if (session.heldBytes > HELD_BYTES_MAX || this.#heldBytes() > HELD_BYTES_OF_SHARD_MAX) {
          return this.#shard.lifecycle.closeSession(session, "too many bytes ahead of their turn");
        }
        const held = { connection, header: bytes.slice(header, header + BHS_LENGTH), data };
        session.hold(pdu.cmdSN, held, this.#shard.ring.nowUs);
        return;
      }
      default:
        return;
    }
  }

  /** Of all sessions. Few PDUs are held, and fewer with data. */
  #heldBytes(): number {
    let bytes = 0;
    for (const session of this.#shard.sessions.values()) bytes += session.heldBytes;
    return bytes;
  }

  /** The data segment of a request that is executed: a ping keeps it for its echo. */
  #handOver(connection: Connection, opcode: number): Slice | null {
    const data = connection.sink;
    if (opcode === OPCODE_NOP_OUT) {
      connection.sink = null;
      connection.sinkOwned = false;
    }
    return data;
  }

  /** Executes the request at ExpCmdSN. False: its CmdSN is not taken as received, or not yet. */
  #take(connection: Connection, header: number, dataLength: number, data: Slice | null): boolean {
    const session = connection.session!;
    const { requests } = this.#shard;
    if (this.#any.at(header).opcode === OPCODE_TEXT_REQUEST) {
      const verdict = requests.text(connection, header, dataLength, data);
      if (verdict === TEXT_ASKED) session.askingText = connection;
      if (verdict !== TEXT_TAKEN) return false;
      session.advance();
      session.reopen();
      return true;
    }
    session.advance();
    session.reopen();
    requests.execute(connection, header, dataLength, data);
    return true;
  }

  /** Control has decided about the Text Request at ExpCmdSN. Rejected, it leaves a gap (RFC 7143 section 7.3). */
  textDecided(session: Session, isRejected: boolean): void {
    session.askingText = null;
    if (isRejected) return;
    session.advance();
    session.reopen();
    if (session.hasWaiting) this.releaseHeld(session);
  }

  /** A CmdSN whose command has not come, or is not to be executed, counts as received (section 7.11). */
  plug(session: Session, cmdSN: number): void {
    const { askingText } = session;
    if (cmdSN === session.expCmdSN && askingText !== null) {
      session.askingText = null;
      this.#shard.requests.forgetText(askingText);
    }
    const held = session.held.get(cmdSN);
    if (held && !(held instanceof Task)) session.heldBytes -= held.data.length;
    session.held.set(cmdSN, null);
  }

  /** Executes what was held for as long as there is no gap, and the functions that wait for what was missing. */
  releaseHeld(session: Session): void {
    for (;;) {
      this.#runFunctions(session);
      const next = session.held.get(session.expCmdSN);
      if (next === undefined) return;
      session.held.delete(session.expCmdSN);
      session.heldSinceUs = this.#shard.ring.nowUs;
      if (next === null) {
        session.advance();
        session.reopen();
      } else if (next instanceof Task) {
        session.advance();
        this.#shard.engine.start(next);
      } else {
        session.heldBytes -= next.data.length;
        if (!this.#takeHeld(next)) return;
      }
    }
  }

  #runFunctions(session: Session): void {
    const waiting = session.waitingFunctions;
    while (waiting.length > 0 && serialLessOrEqual(waiting[0]!.cmdSN, session.expCmdSN)) waiting.shift()!.run();
  }

  /** As `#take`. */
  #takeHeld({ connection, header, data }: HeldPdu): boolean {
    const { arena, slices, refusals } = this.#shard;
    arena.bytes.set(header, this.#heldHeader);
    const pdu = this.#any.at(this.#heldHeader);
    const { opcode } = pdu;
    if (opcode === OPCODE_SCSI_COMMAND) {
      const session = connection.session!;
      session.advance();
      if (!refusals.due(session, pdu.initiatorTaskTag)) session.reopen();
      return true;
    }
    const { length } = data;
    const slice = length > 0 ? slices.acquireReserved(length) : null;
    assert(slice === null || slice.capacity >= length, "the slice holds the data");
    if (slice !== null) arena.bytes.set(data, slice.offset);
    const isTaken = this.#take(connection, this.#heldHeader, length, slice);
    if (slice !== null && opcode !== OPCODE_NOP_OUT) slices.release(slice);
    return isTaken;
  }
}

/** So few bytes are copied before copyWithin, which is no part of compiled code, is called. */
function copyCdb(view: DataView, to: number, from: number): void {
  for (let at = 0; at < CDB_LENGTH; at += 4) view.setInt32(to + at, view.getInt32(from + at, true), true);
}

/** ACA is refused, whatever has it. */
function attributeOf(told: number, opcode: number): number {
  return isHeadOfQueue(opcode) && told !== TASK_ATTRIBUTE_ACA ? TASK_ATTRIBUTE_HEAD_OF_QUEUE : told;
}
