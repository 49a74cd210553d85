/** One connection in full feature phase: builds commands, answers R2Ts and pings, puts Data-In in its place, ends tasks. */
import { closeSync, errnoName, type Ring } from "io-uring-node";
import type { Arena } from "../../dataplane/arena.js";
import {
  FLAG_FINAL,
  OPCODE_ASYNC_MESSAGE,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_NOP_IN,
  OPCODE_R2T,
  OPCODE_REJECT,
  OPCODE_SCSI_RESPONSE,
  opcodeName,
  RESERVED_TAG,
} from "../../dataplane/wire/bhs.js";
import { encodeLun } from "../../dataplane/wire/lun.js";
import { FLAG_READ, FLAG_WRITE, TASK_ATTRIBUTE_SIMPLE } from "../../dataplane/wire/scsi-command.js";
import { FLAG_UNDERFLOW, RESPONSE_COMMAND_COMPLETED } from "../../dataplane/wire/scsi-response.js";
import { ConnectionLostError, InitiatorError } from "./errors.js";
import type { Pdus } from "./pdus.js";
import { type PduSink, Receiver } from "./receiver.js";
import type { Session } from "./session.js";
import { OPERATION_CDB, OPERATION_WRITE, Task, tagIndex, type Workload } from "./task.js";
import { Transmitter } from "./transmitter.js";

/** user_data of the ring: what has completed; the index is the connection's. */
export const KIND_RECEIVE = 1;
export const KIND_SEND = 2;

const CDB_READ_10 = 0x28;
const CDB_WRITE_10 = 0x2a;
const CDB_READ_16 = 0x88;
const CDB_WRITE_16 = 0x8a;
const CDB_FUA = 0x08;
/** Offset of the CDB in the BHS. */
const CDB_OFFSET = 32;
const LBA_10_END = 0x1_0000_0000;
const BLOCKS_10_MAX = 0xffff;

const PINGS_MAX = 16;
/** Data-Out sequences to be sent: words task, TTT, offset, bytes left, DataSN. */
const TRANSFER_WORDS = 5;

export interface ConnectionContext {
  readonly ring: Ring;
  readonly arena: Arena;
  readonly pdus: Pdus;
  lunOf(session: Session): number;
  /** Told when a connection can send again. */
  wake(connection: Connection): void;
  readonly workload: Workload;
  /** Commands in flight on all connections: counted here. */
  outstanding: number;
}

export interface ConnectionOptions {
  readonly depth: number;
  readonly receiveBytes: number;
  /** Bytes of each task's own data buffer; 0: none. */
  readonly taskBytes: number;
}

export class Connection implements PduSink {
  readonly index: number;
  readonly cid: number;
  readonly session: Session;
  fd = -1;
  /** In the initiator's list of connections to look after. */
  marked = false;
  /** A task was free, but the workload had nothing for it at the last `flush`. */
  refused = false;
  /** Commands in flight. */
  outstanding = 0;
  expStatSN = 0;
  /** The longest data segment that the target takes. */
  maxSendDataSegmentLength = 8192;
  loggedOut = false;
  readonly #context: ConnectionContext;
  readonly #transmitter: Transmitter;
  readonly #receiver: Receiver;
  readonly #lunHigh: number;
  readonly #free: Task[];
  #freeCount: number;
  #logoutWanted = false;
  /** TTT and LUN of NOP-Ins to be answered. */
  readonly #pings = new Uint32Array(PINGS_MAX * 3);
  #pingCount = 0;
  readonly #transfers: Uint32Array;
  readonly #transferMask: number;
  #transferHead = 0;
  #transferTail = 0;
  /** Of the Data-In whose data is coming. */
  #dataTask: Task | null = null;
  #dataAt = 0;
  #dataEnds = false;

  constructor(index: number, session: Session, context: ConnectionContext, options: ConnectionOptions) {
    this.index = index;
    this.cid = session.connections.length;
    this.session = session;
    this.#context = context;
    this.#lunHigh = encodeLun(context.lunOf(session));
    this.#transmitter = new Transmitter(context.arena);
    this.#receiver = new Receiver(context.arena, options.receiveBytes, this);
    this.#free = [];
    for (let count = 0; count < options.depth; count++) {
      const ownData = options.taskBytes > 0 ? context.arena.take(options.taskBytes, 4096) : -1;
      const task = new Task(this, session.tasks.length, ownData);
      session.tasks.push(task);
      this.#free.push(task);
    }
    this.#freeCount = this.#free.length;
    // A task has its unsolicited data and as many R2Ts as may be outstanding; 16 of them are more than anybody grants.
    let capacity = 1;
    while (capacity < options.depth * 16) capacity *= 2;
    this.#transfers = new Uint32Array(capacity * TRANSFER_WORDS);
    this.#transferMask = capacity - 1;
    session.connections.push(this);
  }

  /** The Login Phase on `fd` is over. */
  start(headerDigest: boolean, dataDigest: boolean): void {
    this.#transmitter.headerDigest = this.#receiver.headerDigest = headerDigest;
    this.#transmitter.dataDigest = this.#receiver.dataDigest = dataDigest;
    this.#queueReceive();
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
  }

  // -- sending

  /** Closes the session once all commands have ended. */
  requestLogout(): void {
    this.#logoutWanted = true;
    this.#context.wake(this);
  }

  /** Bytes gathered and queued in this turn; 0: there was nothing to send, or a send is still under way. */
  flush(): number {
    const transmitter = this.#transmitter;
    this.refused = false;
    if (transmitter.busy || this.loggedOut) return 0;
    while (this.#pingCount > 0 && transmitter.room) this.#answerPing();
    while (this.#transferHead !== this.#transferTail && transmitter.room) this.#sendData();
    const { session } = this;
    const { workload, ring } = this.#context;
    while (this.#freeCount > 0 && session.windowOpen && transmitter.room) {
      const task = this.#free[this.#freeCount - 1]!;
      if (!workload.next(task, ring.nowUs)) {
        this.refused = true;
        break;
      }
      this.#freeCount--;
      this.#startTask(task, ring.nowUs);
      while (this.#transferHead !== this.#transferTail && transmitter.room) this.#sendData();
    }
    if (this.#logoutWanted && this.outstanding === 0) this.#sendLogout();
    return transmitter.queue(ring, this.fd, KIND_SEND, this.index) ? transmitter.bytes : 0;
  }

  #startTask(task: Task, nowUs: number): void {
    const { session } = this;
    const transmitter = this.#transmitter;
    task.begin(nowUs);
    this.outstanding++;
    this.#context.outstanding++;
    const header = transmitter.header;
    const pdu = this.#context.pdus.scsiCommand.at(header).clear();
    pdu.lunHigh = this.#lunHigh;
    pdu.initiatorTaskTag = task.initiatorTaskTag;
    pdu.expectedDataTransferLength = task.length;
    pdu.cmdSN = session.takeCmdSN();
    pdu.expStatSN = this.expStatSN;
    this.#writeCdb(task, header + CDB_OFFSET);
    if (task.operation !== OPERATION_WRITE) {
      pdu.flags = FLAG_FINAL | TASK_ATTRIBUTE_SIMPLE | (task.length > 0 ? FLAG_READ : 0);
      transmitter.add(0, 0);
      return;
    }
    // Section 11.3.4: "the initiator MUST send the maximum amount of unsolicited data OR ONLY the immediate data, if any".
    const burst = Math.min(task.length, session.firstBurstLength);
    const immediate = session.immediateData ? Math.min(burst, this.maxSendDataSegmentLength) : 0;
    const unsolicited = session.initialR2T ? immediate : burst;
    pdu.flags = FLAG_WRITE | TASK_ATTRIBUTE_SIMPLE | (unsolicited === immediate ? FLAG_FINAL : 0);
    pdu.dataSegmentLength = immediate;
    transmitter.add(task.data, immediate);
    if (unsolicited > immediate) this.#pushTransfer(task, RESERVED_TAG, immediate, unsolicited - immediate);
  }

  #writeCdb(task: Task, offset: number): void {
    const { view, bytes } = this.#context.arena;
    if (task.operation === OPERATION_CDB) {
      bytes.set(task.cdb, offset);
      return;
    }
    const write = task.operation === OPERATION_WRITE;
    const flags = task.fua ? CDB_FUA : 0;
    if (task.lba + task.blocks < LBA_10_END && task.blocks <= BLOCKS_10_MAX) {
      view.setUint16(offset, ((write ? CDB_WRITE_10 : CDB_READ_10) << 8) | flags);
      view.setUint32(offset + 2, task.lba);
      view.setUint16(offset + 7, task.blocks);
    } else {
      view.setUint16(offset, ((write ? CDB_WRITE_16 : CDB_READ_16) << 8) | flags);
      view.setUint32(offset + 2, Math.floor(task.lba / 4294967296));
      view.setUint32(offset + 6, task.lba >>> 0);
      view.setUint32(offset + 10, task.blocks);
    }
  }

  #pushTransfer(task: Task, targetTransferTag: number, offset: number, length: number): void {
    if (this.#transferTail - this.#transferHead > this.#transferMask) throw new InitiatorError("too many R2Ts at once");
    const at = (this.#transferTail++ & this.#transferMask) * TRANSFER_WORDS;
    const transfers = this.#transfers;
    transfers[at] = task.index;
    transfers[at + 1] = targetTransferTag;
    transfers[at + 2] = offset;
    transfers[at + 3] = length;
    transfers[at + 4] = 0;
  }

  /** The next Data-Out of the sequence at the head. */
  #sendData(): void {
    const at = (this.#transferHead & this.#transferMask) * TRANSFER_WORDS;
    const transfers = this.#transfers;
    const task = this.session.tasks[transfers[at]!]!;
    const targetTransferTag = transfers[at + 1]!;
    const offset = transfers[at + 2]!;
    const left = transfers[at + 3]!;
    const length = Math.min(left, this.maxSendDataSegmentLength);
    const pdu = this.#context.pdus.dataOut.at(this.#transmitter.header).clear();
    pdu.flags = length === left ? FLAG_FINAL : 0;
    pdu.dataSegmentLength = length;
    pdu.initiatorTaskTag = task.initiatorTaskTag;
    pdu.targetTransferTag = targetTransferTag;
    if (targetTransferTag !== RESERVED_TAG) pdu.lunHigh = this.#lunHigh;
    pdu.expStatSN = this.expStatSN;
    pdu.dataSN = transfers[at + 4]!;
    pdu.bufferOffset = offset;
    this.#transmitter.add(task.data + offset, length);
    if (length === left) {
      this.#transferHead++;
    } else {
      transfers[at + 2] = offset + length;
      transfers[at + 3] = left - length;
      transfers[at + 4]!++;
    }
  }

  #answerPing(): void {
    const at = --this.#pingCount * 3;
    const pdu = this.#context.pdus.nopOut.at(this.#transmitter.header).clear();
    pdu.immediate = true;
    pdu.initiatorTaskTag = RESERVED_TAG;
    pdu.targetTransferTag = this.#pings[at]!;
    pdu.lunHigh = this.#pings[at + 1]!;
    pdu.lunLow = this.#pings[at + 2]!;
    pdu.cmdSN = this.session.cmdSN;
    pdu.expStatSN = this.expStatSN;
    this.#transmitter.add(0, 0);
  }

  #sendLogout(): void {
    this.#logoutWanted = false;
    const pdu = this.#context.pdus.logoutRequest.at(this.#transmitter.header).clear();
    pdu.immediate = true;
    pdu.initiatorTaskTag = this.session.tasks.length;
    pdu.cmdSN = this.session.cmdSN;
    pdu.expStatSN = this.expStatSN;
    this.#transmitter.add(0, 0);
  }

  /** KIND_SEND has completed. */
  sent(result: number): void {
    if (result < 0) throw this.lost(`send: ${errnoName(-result)}`);
    const { ring } = this.#context;
    if (!this.#transmitter.sent(result, ring, this.fd, KIND_SEND, this.index)) this.#context.wake(this);
  }

  // -- receiving

  #queueReceive(): void {
    const receiver = this.#receiver;
    const address = this.#context.arena.address(receiver.freeOffset);
    this.#context.ring.recv(this.fd, address, receiver.freeLength, 0, KIND_RECEIVE, this.index);
  }

  /** KIND_RECEIVE has completed. */
  received(result: number): void {
    if (result <= 0) {
      if (this.session.closing) return;
      throw this.lost(result === 0 ? "closed by the target" : `receive: ${errnoName(-result)}`);
    }
    this.#receiver.received(result);
    if (!this.loggedOut) this.#queueReceive();
    this.#context.wake(this);
  }

  lost(why: string): ConnectionLostError {
    return new ConnectionLostError(`connection ${this.cid} of session ${this.session.index}: ${why}`);
  }

  #broken(why: string): InitiatorError {
    return new InitiatorError(`connection ${this.cid} of session ${this.session.index}: ${why}`);
  }

  #taskOf(initiatorTaskTag: number): Task {
    const task = this.session.tasks[tagIndex(initiatorTaskTag)];
    if (task === undefined || !task.active || task.initiatorTaskTag !== initiatorTaskTag || task.connection !== this) {
      throw this.#broken(`answer to a command that is not in flight: ${initiatorTaskTag.toString(16)}`);
    }
    return task;
  }

  #acceptStatSN(statSN: number): void {
    if (statSN !== this.expStatSN) throw this.#broken(`StatSN ${statSN}, expected ${this.expStatSN}`);
    this.expStatSN = (statSN + 1) >>> 0;
  }

  dataInBegin(header: number, length: number): void {
    const pdu = this.#context.pdus.dataIn.at(header);
    const task = this.#taskOf(pdu.initiatorTaskTag);
    const offset = pdu.bufferOffset;
    // In order and without gaps: DataPDUInOrder and DataSequenceInOrder are Yes, ErrorRecoveryLevel is 0.
    if (pdu.dataSN !== task.dataSN) throw this.#broken(`DataSN ${pdu.dataSN}, expected ${task.dataSN}`);
    if (offset !== task.received) throw this.#broken(`Buffer Offset ${offset}, expected ${task.received}`);
    if (task.writes || offset + length > task.length) throw this.#broken(`Data-In beyond ${task.length} bytes`);
    this.session.acceptMaxCmdSN(pdu.maxCmdSN);
    task.dataSN++;
    this.#dataTask = task;
    this.#dataAt = offset;
    task.received = offset + length;
    this.#dataEnds = pdu.hasStatus;
    if (this.#dataEnds) {
      task.status = pdu.status;
      this.#acceptStatSN(pdu.statSN);
    }
  }

  dataIn(offset: number, length: number): void {
    const task = this.#dataTask!;
    if (task.data >= 0) this.#context.arena.bytes.copyWithin(task.data + this.#dataAt, offset, offset + length);
    this.#dataAt += length;
  }

  dataInEnd(): void {
    const task = this.#dataTask!;
    this.#dataTask = null;
    if (this.#dataEnds) this.#end(task);
  }

  pdu(opcode: number, header: number, data: number, length: number): void {
    const { pdus } = this.#context;
    const { session } = this;
    const any = pdus.any.at(header);
    session.acceptMaxCmdSN(any.maxCmdSN);
    switch (opcode) {
      case OPCODE_SCSI_RESPONSE: {
        this.#acceptStatSN(any.statSN);
        this.#scsiResponse(header, data, length);
        return;
      }
      case OPCODE_R2T: {
        const r2t = pdus.r2t.at(header);
        const task = this.#taskOf(r2t.initiatorTaskTag);
        const offset = r2t.bufferOffset;
        const desired = r2t.desiredDataTransferLength;
        if (!task.writes || offset + desired > task.length || desired > session.maxBurstLength) {
          throw this.#broken(`bad R2T: ${r2t.describe()}`);
        }
        if (r2t.r2tSN !== task.dataSN++) throw this.#broken(`R2TSN ${r2t.r2tSN}, expected ${task.dataSN - 1}`);
        this.#pushTransfer(task, r2t.targetTransferTag, offset, desired);
        return;
      }
      case OPCODE_NOP_IN: {
        const nopIn = pdus.nopIn.at(header);
        if (nopIn.targetTransferTag === RESERVED_TAG) return;
        if (this.#pingCount === PINGS_MAX) throw this.#broken("pinged faster than can be answered");
        const at = this.#pingCount++ * 3;
        this.#pings[at] = nopIn.targetTransferTag;
        this.#pings[at + 1] = nopIn.lunHigh;
        this.#pings[at + 2] = nopIn.lunLow;
        return;
      }
      case OPCODE_LOGOUT_RESPONSE:
        this.#acceptStatSN(any.statSN);
        this.loggedOut = true;
        return;
      case OPCODE_ASYNC_MESSAGE:
        throw this.lost(`the target says: ${pdus.asyncMessage.at(header).describe()}`);
      case OPCODE_REJECT:
        throw this.#broken(`the target says: ${pdus.reject.at(header).describe()}`);
      default:
        throw this.#broken(`unexpected ${opcodeName(opcode)}`);
    }
  }

  #scsiResponse(header: number, data: number, length: number): void {
    const pdu = this.#context.pdus.scsiResponse.at(header);
    const task = this.#taskOf(pdu.initiatorTaskTag);
    if (pdu.response !== RESPONSE_COMMAND_COMPLETED) throw this.#broken(`target failure: ${pdu.describe()}`);
    task.status = pdu.status;
    const sense = this.#context.pdus.sense.at(data, length);
    if (sense.senseLength >= 14) {
      const { view } = this.#context.arena;
      const at = sense.senseOffset;
      // Fixed format; nobody asked for the other.
      task.sense = ((view.getUint8(at + 2) & 0x0f) << 16) | view.getUint16(at + 12);
    }
    if (task.operation !== OPERATION_CDB && task.status === 0 && (pdu.flags & FLAG_UNDERFLOW) !== 0) {
      throw this.#broken(`${pdu.residualCount} bytes short: ${pdu.describe()}`);
    }
    this.#end(task);
  }

  #end(task: Task): void {
    if (task.status === 0 && task.received !== task.length && !task.writes && task.operation !== OPERATION_CDB) {
      throw this.#broken(`read ended with ${task.received} of ${task.length} bytes`);
    }
    task.active = false;
    this.outstanding--;
    this.#context.outstanding--;
    const { workload, ring } = this.#context;
    workload.done(task, ring.nowUs);
    this.#free[this.#freeCount++] = task;
  }
}
