/**
 * One connection of a recovering initiator: what it sends and receives, less what is made to go wrong; StatSN with its gaps,
 * and the SNACKs for them (RFC 7143 section 11.16).
 */
import assert from "node:assert/strict";
import { serialAdd, serialDistance, serialLess, serialLessOrEqual } from "../../../dataplane/wire/serial.js";
import {
  buildHeader,
  FLAG_FINAL,
  FLAG_READ,
  FLAG_WRITE,
  OPCODE_DATA_IN,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_NOP_OUT,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  OPCODE_SNACK_REQUEST,
  OPCODE_TASK_MANAGEMENT_REQUEST,
  OPCODE_TEXT_REQUEST,
  type ReceivedPdu,
  TAG_NONE,
  wirePdu,
} from "../pdu.js";
import { Outbox, type OutgoingPdu } from "../simulation/initiator/outbox.js";
import type { Parameters } from "../simulation/initiator/parameters.js";
import { PduReader } from "../simulation/initiator/pdu-reader.js";
import { describe, takesStatSN } from "../simulation/initiator/sequence-numbers.js";
import type { Random } from "../simulation/random.js";
import { ABORT_TASK } from "../task-management.js";
import { Dues } from "./dues.js";
import type { RecoveringTask } from "./recovering-task.js";
import type { Clock, Link, LoggedIn } from "./wire.js";
import { nameOf, type Tallies, type WireFaults } from "./wire-faults.js";

export const SNACK_DATA_R2T = 0;
export const SNACK_STATUS = 1;
const SNACK_DATA_ACK = 2;
export const SNACK_R_DATA = 3;
const SNACK_TYPE_MASK = 0x0f;
const SNACK_NAMES = ["Data/R2T", "Status", "DataACK", "R-Data"];

/** So near to its end a PDU is damaged: whatever has data and a digest is so long behind its header. */
const DAMAGE_BYTES = 8;
const READ_BYTES_MAX = 1 << 18;
/** StatSNs that may come ahead of a gap: far fewer, as a rule. */
const AHEAD_MAX = 10_000;

export interface ConnectionOwner {
  readonly errorRecoveryLevel: number;
  readonly tallies: Tallies;
  readonly clock: Clock;
  /** As they are at the moment. */
  readonly faults: WireFaults;
  /** CmdSN of the next command. */
  readonly cmdSN: number;
  /** ExpCmdSN and MaxCmdSN of a PDU. */
  windowSeen(expCmdSN: number, maxCmdSN: number): void;
  isReading(initiatorTaskTag: number): boolean;
  /** The target may have ended the task without a word. */
  mayHaveEnded(initiatorTaskTag: number): boolean;
  /** A task management function is on its way to the target. */
  departed(initiatorTaskTag: number): void;
  /** A PDU of this task does not reach the target, or not in one piece. */
  damaged(initiatorTaskTag: number): void;
  /** A PDU, each once; but SCSI Responses as often as they come: `isNew` the first time. */
  received(connection: RecoveringConnection, pdu: ReceivedPdu, isNew: boolean): void;
  /** The target will find a header digest that does not match, and close the connection. */
  doomed(connection: RecoveringConnection): void;
  /** Nothing comes or goes on it any more. */
  lost(connection: RecoveringConnection): void;
}

export class RecoveringConnection {
  readonly cid: number;
  isOpen = true;
  isDoomed = false;
  /** It was logged out and ends: nothing is expected of it. */
  isLeaving = false;
  /** MaxRecvDataSegmentLength has changed: what was sent before is asked for by R-Data SNACK. */
  isResegmented = false;
  readonly #owner: ConnectionOwner;
  readonly #random: Random;
  readonly #parameters: Parameters;
  readonly #link: Link;
  readonly #reader: PduReader;
  readonly #outbox: Outbox;
  readonly #dues: Dues;
  /** StatSN up to which nothing is missing, and those that came beyond. */
  #nextStatSN: number;
  readonly #ahead = new Set<number>();
  /** StatSN of responses whose data is not there: they are not acknowledged yet (section 7.9). */
  readonly #unacknowledged = new Map<RecoveringTask, number>();
  #expCmdSN: number;
  #maxCmdSN: number;

  constructor(owner: ConnectionOwner, random: Random, cid: number, parameters: Parameters, login: LoggedIn) {
    this.#owner = owner;
    this.#random = random;
    this.cid = cid;
    this.#parameters = parameters;
    this.#link = login.link;
    this.#nextStatSN = login.statSN;
    this.#dues = new Dues(login.statSN, owner.clock.answerUs);
    this.#expCmdSN = login.expCmdSN;
    this.#maxCmdSN = login.maxCmdSN;
    const { headerDigest, dataDigest, maxSendDataSegmentLength, maxRecvDataSegmentLength } = parameters.connection;
    this.#reader = new PduReader(maxSendDataSegmentLength);
    this.#reader.headerDigest = headerDigest === "CRC32C";
    this.#reader.dataDigest = dataDigest === "CRC32C";
    this.#outbox = new Outbox(random, (pdu) => this.#encode(pdu), maxRecvDataSegmentLength);
    this.#link.onReadable = () => this.#receive();
    this.#link.onWritable = () => this.#send();
  }

  /** What came before it was listened to. */
  begin(): void {
    this.#receive();
  }

  /** Statuses are missing. */
  get hasGap(): boolean {
    return this.#ahead.size > 0;
  }

  /** Longest data segment that the target takes. */
  get dataMax(): number {
    return this.#parameters.connection.maxRecvDataSegmentLength;
  }

  // ---- requests

  command(task: RecoveringTask): void {
    const { command, immediateEnd, unsolicitedEnd } = task;
    const isFinal = immediateEnd === unsolicitedEnd;
    const flags =
      (isFinal ? FLAG_FINAL : 0) | (command.reads ? FLAG_READ : 0) | (command.writes ? FLAG_WRITE : 0) | task.attribute;
    task.isSendingUnsolicited = !isFinal;
    this.#request(() => {
      if (!isFinal) {
        const sequence = { task, targetTransferTag: TAG_NONE, offset: immediateEnd, end: unsolicitedEnd, dataSN: 0 };
        this.#outbox.unsolicited(sequence);
      }
      return {
        fields: {
          opcode: OPCODE_SCSI_COMMAND,
          flags,
          initiatorTaskTag: task.initiatorTaskTag,
          expectedDataTransferLength: command.expectedLength,
          cmdSN: task.cmdSN,
        },
        immediate: task.isImmediate,
        lun: command.lun,
        cdb: command.cdb,
        data: immediateEnd > 0 ? command.data(0, immediateEnd) : new Uint8Array(),
      };
    });
  }

  answerR2T(
    task: RecoveringTask,
    range: { readonly offset: number; readonly end: number; readonly tag: number },
  ): void {
    const { offset, end, tag } = range;
    this.#outbox.solicited({ task, targetTransferTag: tag, offset, end, dataSN: 0 });
    this.#send();
  }

  /** In its turn, or at once. */
  ping(initiatorTaskTag: number, cmdSN: number | null, length: number): void {
    this.#request(() => ({
      fields: {
        opcode: OPCODE_NOP_OUT,
        flags: FLAG_FINAL,
        initiatorTaskTag,
        targetTransferTag: TAG_NONE,
        cmdSN: cmdSN ?? this.#owner.cmdSN,
      },
      immediate: cmdSN === null,
      data: new Uint8Array(length).fill(initiatorTaskTag),
    }));
  }

  answerPing(targetTransferTag: number, lun: Uint8Array): void {
    this.#immediate({ opcode: OPCODE_NOP_OUT, flags: FLAG_FINAL, initiatorTaskTag: TAG_NONE, targetTransferTag }, lun);
  }

  manage(code: number, fields: Omit<OutgoingPdu["fields"], "opcode">, lun: number): void {
    this.#immediate({ opcode: OPCODE_TASK_MANAGEMENT_REQUEST, flags: FLAG_FINAL | code, ...fields }, lun);
  }

  /** ABORT TASK. Of an immediate command "RefCmdSN MUST be set to that of the Task Management request itself" (section 11.5.5). */
  abortTask(
    initiatorTaskTag: number,
    { initiatorTaskTag: referencedTaskTag, cmdSN, isImmediate, command }: RecoveringTask,
  ): void {
    const flags = FLAG_FINAL | ABORT_TASK;
    this.#request(() => ({
      fields: {
        opcode: OPCODE_TASK_MANAGEMENT_REQUEST,
        flags,
        initiatorTaskTag,
        referencedTaskTag,
        cmdSN: this.#owner.cmdSN,
        refCmdSN: isImmediate ? this.#owner.cmdSN : cmdSN,
      },
      immediate: true,
      lun: command.lun,
    }));
  }

  /** ExpStatSN is that of "the connection to be closed" (section 11.14.4). */
  logout(initiatorTaskTag: number, reason: number, closed: RecoveringConnection): void {
    const fields = { opcode: OPCODE_LOGOUT_REQUEST, flags: FLAG_FINAL | reason, initiatorTaskTag, cid: closed.cid };
    this.#immediate(closed === this ? fields : { ...fields, expStatSN: closed.expStatSN });
  }

  /** Declares another MaxRecvDataSegmentLength; when that is answered, `resegmented` is called. */
  declare(initiatorTaskTag: number, maxRecvDataSegmentLength: number): void {
    // The target may take it over before its answer is here.
    this.#reader.dataMax = Math.max(this.#reader.dataMax, maxRecvDataSegmentLength);
    const data = Buffer.from(`MaxRecvDataSegmentLength=${maxRecvDataSegmentLength}\0`);
    const fields = { opcode: OPCODE_TEXT_REQUEST, flags: FLAG_FINAL, initiatorTaskTag, targetTransferTag: TAG_NONE };
    this.#request(() => ({ fields: { ...fields, cmdSN: this.#owner.cmdSN }, immediate: true, data }));
  }

  resegmented(maxRecvDataSegmentLength: number): void {
    this.#reader.dataMax = maxRecvDataSegmentLength;
    this.isResegmented = true;
  }

  snack(type: number, fields: Omit<OutgoingPdu["fields"], "opcode">, lun?: Uint8Array): void {
    this.#request(() => this.#snack(type, fields, lun));
  }

  #snack(type: number, fields: Omit<OutgoingPdu["fields"], "opcode">, lun?: Uint8Array): OutgoingPdu {
    this.#owner.tallies.recoveries.count(`${SNACK_NAMES[type]} SNACK`);
    return {
      fields: { initiatorTaskTag: TAG_NONE, ...fields, opcode: OPCODE_SNACK_REQUEST, flags: FLAG_FINAL | type },
      ...(lun === undefined ? {} : { lun }),
    };
  }

  /** DataACK: all Data-In before the first that is missing. */
  acknowledgeData(task: RecoveringTask, targetTransferTag: number, lun: Uint8Array): void {
    const { initiatorTaskTag, nextDataSN } = task;
    this.#request(() => {
      this.#dues.dataAcknowledged(initiatorTaskTag, nextDataSN);
      return this.#snack(SNACK_DATA_ACK, { targetTransferTag, begRun: nextDataSN, runLength: 0 }, lun);
    });
  }

  /** All statuses that are missing, or may be. */
  askForStatus(): void {
    const missing = this.#missing();
    if (missing > 0) {
      this.snack(SNACK_STATUS, { targetTransferTag: TAG_NONE, begRun: this.#nextStatSN, runLength: missing });
    } else {
      this.snack(SNACK_STATUS, { targetTransferTag: TAG_NONE, begRun: 0, runLength: 0 });
    }
  }

  /** The task has ended, or goes on elsewhere. */
  forget(task: RecoveringTask): void {
    this.#dues.forget(task.initiatorTaskTag);
    this.#outbox.forget(task);
    this.#unacknowledged.delete(task);
  }

  /** What was asked for of the task may not come: its Data-In comes anew, or the target may have ended it. */
  forgive(task: RecoveringTask): void {
    this.#dues.forget(task.initiatorTaskTag);
  }

  /** Nothing more is sent that was asked for of tasks that may have ended. */
  stopSolicited(luns: readonly number[]): void {
    this.#outbox.stopSolicited(
      ({ command, initiatorTaskTag }) => luns.includes(command.lun) && this.#owner.mayHaveEnded(initiatorTaskTag),
    );
  }

  /** Gone, with whatever is on its way, by a reset or an orderly close. */
  drop(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    if (this.#random.chance(0.5)) this.#link.close();
    else this.#link.reset();
    this.#owner.lost(this);
  }

  // ---- sending

  #request(make: () => OutgoingPdu): void {
    this.#outbox.request(make);
    this.#send();
  }

  #immediate(fields: OutgoingPdu["fields"], lun?: number | Uint8Array): void {
    this.#request(() => ({
      fields: { ...fields, cmdSN: this.#owner.cmdSN },
      immediate: true,
      ...(lun === undefined ? {} : { lun }),
    }));
  }

  #send(): void {
    if (this.isOpen) this.#outbox.pump(this.#link);
  }

  get expStatSN(): number {
    let expStatSN = this.#nextStatSN;
    for (const statSN of this.#unacknowledged.values()) if (serialLess(statSN, expStatSN)) expStatSN = statSN;
    return expStatSN;
  }

  #encode({ fields, lun, cdb, immediate, data }: OutgoingPdu): Buffer {
    const { expStatSN } = this;
    const header = buildHeader({
      expStatSN,
      ...fields,
      dataSegmentLength: data?.length ?? 0,
      ...(lun === undefined ? {} : { lun }),
      ...(cdb === undefined ? {} : { cdb }),
      ...(immediate === undefined ? {} : { immediate }),
    });
    const { headerDigest, dataDigest } = this.#parameters.connection;
    const payload = data === undefined ? Buffer.alloc(0) : Buffer.from(data.buffer, data.byteOffset, data.length);
    const digests = { header: headerDigest === "CRC32C", data: dataDigest === "CRC32C" };
    const bytes = wirePdu(header, payload, digests);
    const sent = this.#damage(fields.opcode, fields.initiatorTaskTag!, bytes, payload.length > 0 && digests.data);
    if (sent.length > 0) {
      if (fields.expStatSN === undefined) this.#dues.acknowledged(expStatSN);
      if (fields.opcode === OPCODE_SNACK_REQUEST) this.#asked(fields);
      if (fields.opcode === OPCODE_TASK_MANAGEMENT_REQUEST) this.#owner.departed(fields.initiatorTaskTag!);
    }
    return sent;
  }

  /** A SNACK is on its way to the target, which gets it unless the connection breaks. */
  #asked({ flags, initiatorTaskTag, begRun, runLength }: OutgoingPdu["fields"]): void {
    const { clock } = this.#owner;
    const { nowUs, answerUs } = clock;
    if (answerUs !== null) clock.after(answerUs, () => this.#check());
    const type = flags! & SNACK_TYPE_MASK;
    // All that was sent and is not acknowledged, if there is any: nobody here knows.
    if (runLength === 0 || this.#owner.mayHaveEnded(initiatorTaskTag!)) return;
    for (let sn = begRun!; sn !== serialAdd(begRun!, runLength!); sn = serialAdd(sn, 1)) {
      if (type === SNACK_STATUS) this.#dues.status(sn, nowUs);
      else if (type === SNACK_DATA_R2T && this.#owner.isReading(initiatorTaskTag!)) {
        this.#dues.dataIn(initiatorTaskTag!, sn, nowUs);
      } else if (type === SNACK_DATA_R2T) this.#dues.r2t(initiatorTaskTag!, nowUs);
    }
  }

  /** What the target owes it has come in time. */
  #check(): void {
    if (this.isOpen && !this.isLeaving && !this.isDoomed) this.#dues.check(this.#owner.clock.nowUs);
  }

  /** What becomes of a PDU on its way to the target. Its last four bytes are its data digest if `hasDataDigest`. */
  #damage(opcode: number, initiatorTaskTag: number, bytes: Buffer, hasDataDigest: boolean): Buffer {
    const { faults } = this.#owner;
    const random = this.#random;
    if (random.chance(faults.lost)) {
      this.#count("lost", opcode);
      this.#owner.damaged(initiatorTaskTag);
      return Buffer.alloc(0);
    }
    if (hasDataDigest && random.chance(faults.dataDigest)) {
      this.#count("data digest of", opcode);
      // In the data, or in the digest behind it.
      bytes[bytes.length - 1 - random.below(DAMAGE_BYTES)]! ^= 1 << random.below(8);
      this.#owner.damaged(initiatorTaskTag);
    }
    if (this.#parameters.connection.headerDigest === "CRC32C" && random.chance(faults.headerDigest)) {
      this.#count("header digest of", opcode);
      bytes[random.below(48)]! ^= 1 << random.below(8);
      if (!this.isDoomed) this.#owner.doomed(this);
      this.isDoomed = true;
    }
    if (random.chance(faults.cut)) {
      this.#count("cut in", opcode);
      this.#outbox.limit = random.below(bytes.length);
      this.#outbox.exhausted = () => this.drop();
    }
    return bytes;
  }

  #count(what: string, opcode: number): void {
    this.#owner.tallies.faults.count(`${what} ${nameOf(opcode)}`);
  }

  // ---- receiving

  #receive(): void {
    while (this.isOpen && this.#link.available > 0) {
      this.#reader.fill(this.#link, this.#random.spread(1, READ_BYTES_MAX));
      for (let pdu = this.#reader.next(); pdu !== null && this.isOpen; pdu = this.#reader.next()) this.#arrived(pdu);
    }
    if (this.isOpen && this.#link.ended) this.drop();
    this.#send();
  }

  #arrived(pdu: ReceivedPdu): void {
    this.#dues.came(pdu);
    const { faults, errorRecoveryLevel } = this.#owner;
    const random = this.#random;
    const isLost = random.chance(faults.lost);
    const isDamaged = pdu.data.length > 0 && random.chance(faults.dataDigest);
    if (isLost || isDamaged) {
      this.#count(isLost ? "lost" : "data digest of", pdu.opcode);
      // Nothing is recovered within a connection.
      if (errorRecoveryLevel === 0) this.drop();
      return;
    }
    if (random.chance(faults.cut)) {
      this.#count("cut before", pdu.opcode);
      return this.drop();
    }
    this.#window(pdu);
    const isNew = this.#isNew(pdu);
    // It may have broken when it was asked for what is missing before.
    if (!this.isOpen) return;
    if (isNew || pdu.opcode === OPCODE_SCSI_RESPONSE) this.#owner.received(this, pdu, isNew);
  }

  #window(pdu: ReceivedPdu): void {
    const { expCmdSN, maxCmdSN } = pdu;
    assert(serialLessOrEqual(this.#expCmdSN, expCmdSN), "ExpCmdSN does not go back");
    assert(serialLessOrEqual(this.#maxCmdSN, maxCmdSN), "MaxCmdSN does not go back");
    assert(!serialLess(maxCmdSN, serialAdd(expCmdSN, -1)), "MaxCmdSN is at least ExpCmdSN - 1");
    this.#expCmdSN = expCmdSN;
    this.#maxCmdSN = maxCmdSN;
    this.#owner.windowSeen(expCmdSN, maxCmdSN);
  }

  /** StatSN of a PDU: false if it came before. */
  #isNew(pdu: ReceivedPdu): boolean {
    if (pdu.opcode === OPCODE_DATA_IN && !pdu.hasStatus) return true;
    const { statSN } = pdu;
    const distance = serialDistance(this.#nextStatSN, statSN);
    const isAhead = serialLess(this.#nextStatSN, statSN);
    assert(!isAhead || distance < AHEAD_MAX, `StatSN ${statSN} is far from ${this.#nextStatSN}: ${describe(pdu)}`);
    if (this.#owner.errorRecoveryLevel === 0) {
      assert.equal(statSN, this.#nextStatSN, `StatSN: ${describe(pdu)}`);
    }
    if (!takesStatSN(pdu)) {
      if (isAhead && this.#missingBefore(statSN) > 0) this.askForStatus();
      return true;
    }
    if (serialLess(statSN, this.#nextStatSN) || this.#ahead.has(statSN)) return false;
    this.#ahead.add(statSN);
    const isGap = isAhead && this.#missing() > 0;
    while (this.#ahead.delete(this.#nextStatSN)) this.#nextStatSN = serialAdd(this.#nextStatSN, 1);
    if (isGap && this.#random.chance(0.8)) this.askForStatus();
    return true;
  }

  /** How many are missing in a row. */
  #missing(): number {
    if (this.#ahead.size === 0) return 0;
    let missing = 0;
    while (!this.#ahead.has(serialAdd(this.#nextStatSN, missing))) missing++;
    return missing;
  }

  #missingBefore(statSN: number): number {
    return this.#ahead.has(this.#nextStatSN) ? 0 : serialDistance(this.#nextStatSN, statSN);
  }

  /** The response of the task has come before all of its data. */
  delay(task: RecoveringTask, statSN: number): void {
    this.#unacknowledged.set(task, statSN);
  }
}
