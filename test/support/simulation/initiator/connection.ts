/**
 * The one connection of a simulated initiator's session, from the hand-off to its end: sends requests, answers what the
 * target asks for, and checks everything that comes back.
 */
import assert from "node:assert/strict";
import { serialAdd } from "../../../../dataplane/wire/serial.js";
import {
  buildHeader,
  FLAG_FINAL,
  FLAG_READ,
  FLAG_WRITE,
  OPCODE_ASYNC_MESSAGE,
  OPCODE_DATA_IN,
  OPCODE_LOGIN_RESPONSE,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_NOP_IN,
  OPCODE_NOP_OUT,
  OPCODE_R2T,
  OPCODE_REJECT,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  OPCODE_TASK_MANAGEMENT_REQUEST,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
  OPCODE_TEXT_REQUEST,
  OPCODE_TEXT_RESPONSE,
  type ReceivedPdu,
  TAG_NONE,
  wirePdu,
} from "../../pdu.js";
import { ABORT_TASK, ABORT_TASK_SET, LOGICAL_UNIT_RESET } from "../../task-management.js";
import type { Machine } from "../machine.js";
import type { PipeOptions } from "../pipe.js";
import type { Random } from "../random.js";
import type { PeerSocket } from "../socket.js";
import type { SimulatedUnit } from "../unit.js";
import type { World } from "../world.js";
import type { Command } from "./command.js";
import { handoffRecord, LOGIN_RESPONSE_TEXT, type LoginOptions } from "./handoff-record.js";
import { checkManagementResponse, type Management } from "./management.js";
import { Outbox, type OutgoingPdu } from "./outbox.js";
import { PduReader } from "./pdu-reader.js";
import { describe, SequenceNumbers } from "./sequence-numbers.js";
import { SessionTask } from "./session-task.js";
import { TextExchange } from "./text-exchange.js";

/** Mostly SIMPLE; also untagged, ORDERED and HEAD OF QUEUE (RFC 7143 section 11.3.1). */
const ATTRIBUTES = [1, 1, 1, 1, 1, 1, 0, 2, 3];
const ASYNC_EVENT_LOGOUT_REQUEST = 1;
const ASYNC_EVENT_SESSION_DROP = 3;
const ASYNC_EVENT_TASK_TERMINATION = 5;
/** Reject: "can't generate Target Transfer Tag - out of resources". */
const REASON_LONG_OPERATION = 0x0a;
const OPCODE_MASK = 0x3f;
/** What a reset takes, if no response tells of its end. */
const RESET_US_MAX = 1_000_000;
/** Of the tags that were used before, some come again soon. */
const TAG_REUSE = 0.3;

export interface ConnectionOptions extends LoginOptions {
  readonly pipe: PipeOptions;
}

export interface ConnectionListener {
  /** Something has ended or the window has moved: there may be more to send. */
  progressed(): void;
  /** A LOGICAL UNIT RESET of ours is under way, or over. */
  resetBegins(unit: SimulatedUnit): void;
  resetEnds(unit: SimulatedUnit): void;
  /** It may outlive its connection: to the next session it is as a reset by others. */
  resetBegan(unit: SimulatedUnit): void;
  resetEnded(unit: SimulatedUnit): void;
  /** The target wants to be left (RFC 7143 section 11.9.1). */
  logoutRequested(): void;
  /** Control knows that the connection is gone. */
  closed(reason: string): void;
}

export class InitiatorConnection {
  readonly tasks = new Map<number, SessionTask>();
  readonly #world: World;
  readonly #random: Random;
  readonly #options: ConnectionOptions;
  readonly #listener: ConnectionListener;
  readonly #connectionId: number;
  readonly #socket: PeerSocket;
  readonly #numbers: SequenceNumbers;
  readonly #reader: PduReader;
  readonly #outbox: Outbox;
  readonly #managements = new Map<number, Management>();
  /** Initiator Task Tag -> ping data. */
  readonly #pings = new Map<number, Uint8Array>();
  #text: TextExchange | null = null;
  #logoutTag = TAG_NONE;
  /** Our end is closed, whatever the target may still say. */
  #isCut = false;
  #isLoggedIn = false;
  #isLoggedOut = false;
  #isAskedToLogOut = false;
  #stalledUntilUs = 0;
  #windowWidth = 0;
  #nextTag: number;
  readonly #usedTags: number[] = [];
  /** LUN -> unit attentions that there may be. */
  readonly #attentions = new Map<number, number>();
  /** Units that other initiators are resetting, as often as there are resets. */
  readonly #resetting: SimulatedUnit[] = [];

  constructor(
    world: World,
    machine: Machine,
    random: Random,
    options: ConnectionOptions,
    listener: ConnectionListener,
  ) {
    this.#world = world;
    this.#random = random;
    this.#options = options;
    this.#listener = listener;
    // Now and then numbers wrap.
    const cmdSN = random.chance(0.3) ? serialAdd(0, -random.between(1, 40)) : random.word();
    const statSN = random.chance(0.3) ? serialAdd(0, -random.between(1, 40)) : random.word();
    this.#nextTag = random.word();
    this.#numbers = new SequenceNumbers(cmdSN, statSN);
    const { connection } = options.parameters;
    this.#reader = new PduReader(connection.maxSendDataSegmentLength);
    this.#outbox = new Outbox(random, (pdu) => this.#encode(pdu), connection.maxRecvDataSegmentLength);
    const record = handoffRecord(options, cmdSN, statSN);
    const { connectionId, peer } = machine.connect(record, options.pipe, (reason) => this.#closed(reason));
    this.#connectionId = connectionId;
    this.#socket = peer;
    peer.onReadable = () => this.#receiveSoon();
    peer.onWritable = () => this.#send();
  }

  get connectionId(): number {
    return this.#connectionId;
  }

  get expStatSN(): number {
    return this.#numbers.expStatSN;
  }

  get sessionId(): number {
    return this.#options.sessionId;
  }

  /** Nothing that was sent waits for an answer. */
  get isIdle(): boolean {
    return (
      this.tasks.size === 0 &&
      this.#managements.size === 0 &&
      this.#pings.size === 0 &&
      this.#text === null &&
      this.#outbox.isEmpty
    );
  }

  /** What it waits for. */
  describe(): string {
    const tasks = [...this.tasks.values()].map(
      ({ command, outstandingR2T, isManaged }) =>
        `${command.name} of ${command.expectedLength} (R2Ts: ${outstandingR2T}${isManaged ? ", managed" : ""})`,
    );
    const managements = [...this.#managements.values()].map((management) => `function ${management.function}`);
    return [
      ...tasks,
      ...managements,
      `pings: ${this.#pings.size}`,
      `text: ${this.#text !== null}`,
      `all sent: ${this.#outbox.isEmpty}`,
      `logged in: ${this.#isLoggedIn}`,
      `window: ${this.#numbers.isOpen}`,
    ].join("; ");
  }

  /** The target takes another command that is not immediate. */
  get isOpen(): boolean {
    return this.#isLoggedIn && this.#logoutTag === TAG_NONE && !this.#isCut && this.#numbers.isOpen;
  }

  get immediateTasks(): number {
    let count = 0;
    for (const task of this.tasks.values()) if (task.immediate) count++;
    return count;
  }

  // ---- requests

  command(command: Command, immediate: boolean): void {
    const tag = this.#takeTag();
    const cmdSN = this.#takeCmdSN(immediate);
    const unsolicited = this.#chooseUnsolicited(command);
    const task = new SessionTask(
      command,
      tag,
      cmdSN,
      immediate,
      unsolicited.end,
      this.#world.timeline.nowUs,
      this.#options.parameters.session,
    );
    this.tasks.set(tag, task);
    const attribute = this.#random.pick(ATTRIBUTES);
    command.begin();
    const unit = this.#options.luns.get(command.lun);
    task.mayVanish = unit !== undefined && this.#resetting.includes(unit);
    const isFinal = unsolicited.end === unsolicited.immediate;
    task.isSendingUnsolicited = !isFinal;
    this.#outbox.request(() => {
      if (!isFinal) {
        const { immediate: offset, end } = unsolicited;
        this.#outbox.unsolicited({ task, targetTransferTag: TAG_NONE, offset, end, dataSN: 0 });
      }
      const flags =
        (isFinal ? FLAG_FINAL : 0) | (command.reads ? FLAG_READ : 0) | (command.writes ? FLAG_WRITE : 0) | attribute;
      return {
        fields: {
          opcode: OPCODE_SCSI_COMMAND,
          flags,
          initiatorTaskTag: tag,
          expectedDataTransferLength: command.expectedLength,
          cmdSN,
        },
        lun: command.lun,
        cdb: command.cdb,
        immediate,
        data: unsolicited.immediate > 0 ? command.data(0, unsolicited.immediate) : new Uint8Array(),
      };
    });
    this.#send();
  }

  ping(length: number, immediate: boolean): void {
    const tag = this.#takeTag();
    const cmdSN = this.#takeCmdSN(immediate);
    const data = new Uint8Array(length);
    for (let i = 0; i < length; i++) data[i] = this.#random.word();
    this.#pings.set(tag, data);
    this.#outbox.request(() => ({
      fields: {
        opcode: OPCODE_NOP_OUT,
        flags: FLAG_FINAL,
        initiatorTaskTag: tag,
        targetTransferTag: TAG_NONE,
        cmdSN,
      },
      immediate,
      data,
    }));
    this.#send();
  }

  /** One at a time; `expected` is what control answers. */
  text(text: string, expected: string): void {
    if (this.#text !== null) return;
    this.#text = new TextExchange(this.#random, this.#takeTag(), text, expected);
    this.#sendText(this.#text);
  }

  abortTask(task: SessionTask): void {
    task.isManaged = true;
    this.#manage(ABORT_TASK, task.command.lun, [task], null, task);
  }

  abortTaskSet(lun: number): void {
    this.#manage(ABORT_TASK_SET, lun, this.#tasksOf(lun), null, null);
  }

  resetUnit(lun: number): void {
    const unit = this.#options.luns.get(lun)!;
    this.#listener.resetBegins(unit);
    this.#willBeTold(unit);
    this.#manage(LOGICAL_UNIT_RESET, lun, this.#tasksOf(lun), unit, null);
  }

  logout(): void {
    const cmdSN = this.#takeCmdSN(true);
    const tag = this.#takeTag();
    this.#logoutTag = tag;
    this.#outbox.request(() => ({
      fields: { opcode: OPCODE_LOGOUT_REQUEST, flags: FLAG_FINAL, initiatorTaskTag: tag, cmdSN },
      immediate: true,
    }));
    this.#send();
  }

  /** When nothing is outstanding: the window is as wide as it was at the start. */
  assertWindowIsWhole(): void {
    assert(this.isIdle, "nothing is outstanding");
    assert.equal(this.#numbers.windowWidth, this.#windowWidth, "every command has given its place in the window back");
  }

  // ---- misfortunes

  /** Reads nothing for a while. */
  stall(us: number): void {
    const { timeline } = this.#world;
    this.#stalledUntilUs = Math.max(this.#stalledUntilUs, timeline.nowUs + us);
    timeline.after(us, () => this.#receive());
  }

  /** Sends `bytes` more at most, then is gone, by a reset or an orderly close. */
  cut(bytes: number): void {
    this.#outbox.limit = bytes;
    this.#outbox.exhausted = () => this.#cut();
    if (bytes === 0 || this.#outbox.isEmpty) this.#cut();
    else this.#send();
  }

  // ---- what other initiators do

  resetBegan(unit: SimulatedUnit): void {
    this.#resetting.push(unit);
    this.#willBeTold(unit);
    for (const task of this.tasks.values()) {
      if (this.#options.luns.get(task.command.lun) === unit) task.mayVanish = true;
    }
  }

  resetEnded(unit: SimulatedUnit): void {
    this.#resetting.splice(this.#resetting.indexOf(unit), 1);
  }

  /** Of a reset, whoever has asked for it. */
  #willBeTold(unit: SimulatedUnit): void {
    for (const [lun, own] of this.#options.luns) {
      if (own === unit) this.#attentions.set(lun, (this.#attentions.get(lun) ?? 0) + 1);
    }
  }

  /** The machine has crashed: control says nothing any more. */
  crashed(): void {
    this.#isCut = true;
  }

  // ---- sending

  #manage(
    code: number,
    lun: number,
    affected: readonly SessionTask[],
    unit: SimulatedUnit | null,
    task: SessionTask | null,
  ): void {
    const cmdSN = this.#takeCmdSN(true);
    const tag = this.#takeTag();
    this.#managements.set(tag, { initiatorTaskTag: tag, function: code, lun, affected, unit });
    this.#outbox.request(() => ({
      fields: {
        opcode: OPCODE_TASK_MANAGEMENT_REQUEST,
        flags: FLAG_FINAL | code,
        initiatorTaskTag: tag,
        referencedTaskTag: task === null ? TAG_NONE : task.initiatorTaskTag,
        // "If an ABORT TASK is issued for a task created by an immediate command, then the RefCmdSN MUST be that of the
        // task management request itself" (RFC 7143 section 11.5.1).
        refCmdSN: task === null ? 0 : task.immediate ? cmdSN : task.cmdSN,
        cmdSN,
      },
      lun,
      immediate: true,
    }));
    if (task === null) for (const each of affected) each.mayVanish = true;
    // "MUST NOT send any more Data-Out PDUs for affected tasks" (section 4.2.3.4).
    const isFast = this.#options.parameters.session.taskReporting === "FastAbort";
    if (task === null && isFast) this.#outbox.stopSolicited((each) => affected.some((other) => other === each));
    this.#send();
  }

  #sendText(exchange: TextExchange): void {
    const { flags, targetTransferTag, text } = exchange.next();
    const cmdSN = this.#takeCmdSN(true);
    this.#outbox.request(() => ({
      fields: {
        opcode: OPCODE_TEXT_REQUEST,
        flags,
        initiatorTaskTag: exchange.initiatorTaskTag,
        targetTransferTag,
        cmdSN,
      },
      immediate: true,
      data: Buffer.from(text, "latin1"),
    }));
    this.#send();
  }

  /** How much goes with the command and after it unasked (RFC 7143 sections 4.2.5.2, 11.3.4, 13.10 and 13.11). */
  #chooseUnsolicited(command: Command): { readonly immediate: number; readonly end: number } {
    const { session, connection } = this.#options.parameters;
    if (!command.writes) return { immediate: 0, end: 0 };
    const most = Math.min(session.firstBurstLength, command.expectedLength);
    const immediateMost = session.immediateData ? Math.min(most, connection.maxRecvDataSegmentLength) : 0;
    const wantsAll = this.#random.chance(0.6);
    const immediate = wantsAll ? immediateMost : this.#random.below(immediateMost + 1);
    // "the initiator MUST send the maximum amount of unsolicited data OR ONLY the immediate data, if any"
    if (session.initialR2T || this.#random.chance(0.4)) return { immediate, end: immediate };
    return { immediate, end: most };
  }

  #encode({ fields, lun, cdb, immediate, data }: OutgoingPdu): Buffer {
    const header = buildHeader({
      ...fields,
      expStatSN: this.#numbers.expStatSN,
      dataSegmentLength: data?.length ?? 0,
      ...(lun === undefined ? {} : { lun }),
      ...(cdb === undefined ? {} : { cdb }),
      ...(immediate === undefined ? {} : { immediate }),
    });
    const { headerDigest, dataDigest } = this.#options.parameters.connection;
    const payload = data === undefined ? Buffer.alloc(0) : Buffer.from(data.buffer, data.byteOffset, data.length);
    return wirePdu(header, payload, { header: headerDigest === "CRC32C", data: dataDigest === "CRC32C" });
  }

  #send(): void {
    if (this.#isLoggedIn && !this.#isCut) this.#outbox.pump(this.#socket);
  }

  #takeTag(): number {
    if (this.#usedTags.length > 0 && this.#random.chance(TAG_REUSE)) return this.#usedTags.pop()!;
    this.#nextTag = serialAdd(this.#nextTag, this.#nextTag === TAG_NONE - 1 ? 2 : 1);
    return this.#nextTag === TAG_NONE ? (this.#nextTag = 0) : this.#nextTag;
  }

  #takeCmdSN(immediate: boolean): number {
    const { cmdSN } = this.#numbers;
    if (!immediate) this.#numbers.cmdSN = serialAdd(cmdSN, 1);
    return cmdSN;
  }

  // ---- receiving

  #receiveSoon(): void {
    const { timeline, faults } = this.#world;
    timeline.after(this.#random.below(faults.networkDelayUsMax + 1), () => this.#receive());
  }

  #receive(): void {
    if (this.#isCut || this.#world.timeline.nowUs < this.#stalledUntilUs) return;
    while (this.#socket.available > 0) {
      this.#reader.fill(this.#socket, this.#random.spread(1, 1 << 18));
      for (let pdu = this.#reader.next(); pdu !== null; pdu = this.#reader.next()) this.#received(pdu);
      if (this.#isCut) return;
    }
    if (this.#socket.ended) return this.#cut();
    this.#listener.progressed();
    this.#send();
  }

  #received(pdu: ReceivedPdu): void {
    assert(!this.#isLoggedOut, "nothing comes after the Logout Response");
    assert(this.#isLoggedIn || pdu.opcode === OPCODE_LOGIN_RESPONSE, "the Login Response comes first");
    this.#numbers.received(pdu);
    switch (pdu.opcode) {
      case OPCODE_LOGIN_RESPONSE:
        return this.#loggedIn(pdu);
      case OPCODE_SCSI_RESPONSE:
        return this.#ended(pdu, true);
      case OPCODE_DATA_IN:
        this.#task(pdu).dataIn(pdu);
        if (pdu.hasStatus) this.#ended(pdu, false);
        return;
      case OPCODE_R2T: {
        const task = this.#task(pdu);
        const { offset, end, tag } = task.r2t(pdu);
        this.#outbox.solicited({ task, targetTransferTag: tag, offset, end, dataSN: 0 });
        return;
      }
      case OPCODE_NOP_IN:
        return this.#nopIn(pdu);
      case OPCODE_TEXT_RESPONSE:
        return this.#textResponse(pdu);
      case OPCODE_TASK_MANAGEMENT_RESPONSE:
        return this.#managed(pdu);
      case OPCODE_ASYNC_MESSAGE:
        if (pdu.field("asyncEvent") === ASYNC_EVENT_TASK_TERMINATION) return this.#tasksTerminated(pdu);
        // Who has not logged out in time is told that it is over.
        if (this.#isAskedToLogOut && pdu.field("asyncEvent") === ASYNC_EVENT_SESSION_DROP) return;
        assert.equal(pdu.field("asyncEvent"), ASYNC_EVENT_LOGOUT_REQUEST, "the target asks for nothing but a logout");
        this.#isAskedToLogOut = true;
        return this.#listener.logoutRequested();
      case OPCODE_LOGOUT_RESPONSE:
        assert.equal(pdu.initiatorTaskTag, this.#logoutTag, "a Logout Response answers a Logout Request");
        assert.equal(pdu.response, 0, "the session is closed");
        this.#isLoggedOut = true;
        return;
      case OPCODE_REJECT:
        return this.#rejected(pdu);
      default:
        assert.fail(`not expected: ${describe(pdu)}, ${pdu.bhs.toString("hex")}`);
    }
  }

  /** Nothing that it sends is to be rejected; but for long text there may be no buffer (RFC 7143 section 11.17.1). */
  #rejected(pdu: ReceivedPdu): void {
    const opcode = pdu.data[0]! & OPCODE_MASK;
    const isText = opcode === OPCODE_TEXT_REQUEST && pdu.field("reason") === REASON_LONG_OPERATION;
    assert(isText && this.#text !== null, `rejected, reason ${pdu.field("reason")}: ${pdu.data.toString("hex")}`);
    this.#usedTags.push(this.#text.initiatorTaskTag);
    this.#text = null;
  }

  #loggedIn(pdu: ReceivedPdu): void {
    assert(!this.#isLoggedIn, "there is one Login Response");
    assert.equal(pdu.data.toString("latin1"), LOGIN_RESPONSE_TEXT);
    this.#isLoggedIn = true;
    this.#windowWidth = this.#numbers.windowWidth;
    const { headerDigest, dataDigest } = this.#options.parameters.connection;
    this.#reader.headerDigest = headerDigest === "CRC32C";
    this.#reader.dataDigest = dataDigest === "CRC32C";
  }

  #task(pdu: ReceivedPdu): SessionTask {
    const task = this.tasks.get(pdu.initiatorTaskTag);
    return task ?? assert.fail(`${describe(pdu)}: it belongs to no task that is under way`);
  }

  #ended(pdu: ReceivedPdu, isResponse: boolean): void {
    const task = this.#task(pdu);
    const { command } = task;
    this.#forget(task);
    const attentions = this.#attentions.get(command.lun) ?? 0;
    this.#attentions.set(command.lun, command.end(task.end(pdu, isResponse), attentions));
  }

  #nopIn(pdu: ReceivedPdu): void {
    const { initiatorTaskTag, targetTransferTag } = pdu;
    if (initiatorTaskTag === TAG_NONE) {
      assert.equal(pdu.data.length, 0, "a NOP-In of the target has no data");
      // One that only tells the window.
      if (targetTransferTag === TAG_NONE) return;
      const cmdSN = this.#takeCmdSN(true);
      const lun = Buffer.from(pdu.lun);
      this.#outbox.request(() => ({
        fields: { opcode: OPCODE_NOP_OUT, flags: FLAG_FINAL, initiatorTaskTag: TAG_NONE, targetTransferTag, cmdSN },
        lun,
        immediate: true,
      }));
      return;
    }
    const data = this.#pings.get(initiatorTaskTag);
    assert(data !== undefined, "a NOP-In answers a NOP-Out");
    this.#pings.delete(initiatorTaskTag);
    this.#usedTags.push(initiatorTaskTag);
    assert.equal(targetTransferTag, TAG_NONE, "an answer asks for nothing");
    const most = this.#options.parameters.connection.maxSendDataSegmentLength;
    assert(
      pdu.data.length <= data.length && pdu.data.length >= Math.min(data.length, most & ~3),
      "the ping comes back",
    );
    assert(pdu.data.equals(data.subarray(0, pdu.data.length)), "the ping comes back as it was");
  }

  /** Others have ended our tasks on a LUN (RFC 7143 section 11.9.1). */
  #tasksTerminated(pdu: ReceivedPdu): void {
    assert.equal(this.#options.parameters.session.taskReporting, "FastAbort");
    const lun = Buffer.from(pdu.lun);
    this.#outbox.stopSolicited((task) => task.command.lun === lun[1]);
    const cmdSN = this.#takeCmdSN(true);
    this.#outbox.request(() => ({
      fields: {
        opcode: OPCODE_NOP_OUT,
        flags: FLAG_FINAL,
        initiatorTaskTag: TAG_NONE,
        targetTransferTag: TAG_NONE,
        cmdSN,
      },
      lun,
      immediate: true,
    }));
  }

  #textResponse(pdu: ReceivedPdu): void {
    const exchange = this.#text;
    assert(
      exchange !== null && pdu.initiatorTaskTag === exchange.initiatorTaskTag,
      "a Text Response answers a request",
    );
    if (!exchange.received(pdu)) return this.#sendText(exchange);
    this.#text = null;
    this.#usedTags.push(exchange.initiatorTaskTag);
  }

  #managed(pdu: ReceivedPdu): void {
    const management = this.#managements.get(pdu.initiatorTaskTag);
    assert(management !== undefined, "a task management response answers a request");
    this.#managements.delete(management.initiatorTaskTag);
    this.#usedTags.push(management.initiatorTaskTag);
    const alive = management.affected.filter((task) => this.tasks.get(task.initiatorTaskTag) === task);
    checkManagementResponse(management, pdu.response, alive);
    for (const task of alive) {
      this.#forget(task);
      task.command.abandoned();
    }
    if (management.unit !== null) this.#listener.resetEnds(management.unit);
  }

  #forget(task: SessionTask): void {
    this.tasks.delete(task.initiatorTaskTag);
    this.#outbox.forget(task);
    this.#usedTags.push(task.initiatorTaskTag);
  }

  #tasksOf(lun: number): SessionTask[] {
    return [...this.tasks.values()].filter(({ command }) => command.lun === lun);
  }

  // ---- the end

  #cut(): void {
    if (this.#isCut) return;
    this.#isCut = true;
    if (this.#random.chance(0.5)) this.#socket.close();
    else this.#socket.reset();
  }

  #closed(reason: string): void {
    this.#cut();
    for (const task of this.tasks.values()) task.command.abandoned();
    this.tasks.clear();
    // Nobody says when: other shards may still have to be told.
    for (const { unit } of this.#managements.values()) {
      if (unit === null) continue;
      this.#listener.resetBegan(unit);
      this.#world.timeline.after(RESET_US_MAX, () => {
        this.#listener.resetEnds(unit);
        this.#listener.resetEnded(unit);
      });
    }
    this.#managements.clear();
    this.#listener.closed(reason);
  }
}
