/**
 * An initiator whose session has several connections, on which PDUs are lost and damaged and which break, and that recovers from
 * it as far as the session's ErrorRecoveryLevel allows (RFC 7143 chapter 7):
 *
 *     0   everything is closed, the session begins anew, and what was under way is given up
 *     1   what is missing is asked for again; what was under way on a connection that breaks is given up
 *     2   it goes on, on another connection (connection-recovery.ts)
 *
 * What each command may bring, and what may be on the medium, is checked as it is without faults.
 */
import assert from "node:assert/strict";
import { serialAdd, serialLess, serialLessOrEqual } from "../../../dataplane/wire/serial.js";
import {
  OPCODE_ASYNC_MESSAGE,
  OPCODE_DATA_IN,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_NOP_IN,
  OPCODE_R2T,
  OPCODE_REJECT,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  OPCODE_SNACK_REQUEST,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
  OPCODE_TEXT_RESPONSE,
  parseSense,
  type ReceivedPdu,
  TAG_NONE,
} from "../pdu.js";
import { type Command, STATUS_CHECK_CONDITION } from "../simulation/initiator/command.js";
import type { Parameters } from "../simulation/initiator/parameters.js";
import { describe, takesStatSN } from "../simulation/initiator/sequence-numbers.js";
import type { Random } from "../simulation/random.js";
import { FUNCTION_COMPLETE, TASK_DOES_NOT_EXIST } from "../task-management.js";
import { ConnectionRecovery } from "./connection-recovery.js";
import { type ConnectionOwner, RecoveringConnection, SNACK_DATA_R2T, SNACK_R_DATA } from "./recovering-connection.js";
import { RecoveringTask } from "./recovering-task.js";
import type { Resets } from "./resets.js";
import { TaskSetFunctions } from "./task-set-functions.js";
import type { Clock, Portal } from "./wire.js";
import { NO_WIRE_FAULTS, nameOf, type Tallies, type WireFaults } from "./wire-faults.js";

const SENSE_ABORTED_COMMAND = 0xb;
/** "SNACK rejected" is 11h/13h (section 11.4.7.2). */
const ASC_READ_ERROR = 0x11;
const ASYNC_EVENT_TASK_TERMINATION = 5;
const REASON_SNACK_REJECT = 0x03;
const REASON_DATA_DIGEST_ERROR = 0x02;

const THINK_US_MAX = 2000;
/** When it can do nothing but wait. */
const WAIT_US_MAX = 20_000;
const TICK_US = 250_000;
/** What has not moved for so long is asked for again. */
const PATIENCE_US = 1_000_000;
/** More often is not needed, whatever is lost, unless something else goes on meanwhile. */
const NUDGES_MAX = 12;
/** If nothing ends for so long although something is under way, something hangs. */
const PROGRESS_US_MAX = 180_000_000;
const SILENCE_US_MAX = 20_000_000;
const RETRY_LOGIN_US = 100_000;
const LOGINS_MAX = 50;
/** Mostly SIMPLE; also untagged, ORDERED and HEAD OF QUEUE (section 11.3.1). */
const ATTRIBUTES = [1, 1, 1, 1, 1, 1, 1, 1, 0, 2, 3];
export const LOGOUT_CLOSE_SESSION = 0;
export const LOGOUT_CLOSE_CONNECTION = 1;
export const LOGOUT_FOR_RECOVERY = 2;

export interface SessionOptions {
  readonly initiatorName: string;
  readonly luns: readonly number[];
  readonly session: Parameters["session"];
  /** Of a connection that is logged in next. */
  connectionParameters(): Parameters["connection"];
  /** As many as there are when nothing is wrong. */
  readonly connections: number;
  readonly depth: number;
  /** Commands that are immediate. */
  readonly immediate: number;
  readonly ping: number;
  readonly abortTask: number;
  /** ABORT TASK SET and its like. */
  readonly taskSetFunction: number;
  /** Those of all sessions. */
  readonly resets: Resets;
  /** MaxRecvDataSegmentLength is changed now and then; if not, Data-In is acknowledged by DataACK. */
  readonly declare: number;
  readonly faults: WireFaults;
  readonly tallies: Tallies;
  /** Null: the work is done. */
  nextCommand(): Command | null;
}

/** Something with a CmdSN that the target may not have got. */
interface Numbered {
  connection: RecoveringConnection;
  sentUs: number;
  send(connection: RecoveringConnection): void;
}

interface Management {
  readonly task: RecoveringTask;
  readonly connection: RecoveringConnection;
}

interface Reassign extends Management {
  /** It has been asked for on this connection before. */
  readonly isRepeated: boolean;
}

export class RecoveringSession implements ConnectionOwner {
  readonly options: SessionOptions;
  readonly errorRecoveryLevel: number;
  readonly tallies: Tallies;
  faults: WireFaults;
  isFinished = false;
  readonly tasks = new Map<number, RecoveringTask>();
  cmdSN = 0;
  readonly clock: Clock;
  readonly #portal: Portal;
  readonly #random: Random;
  #session: number | null = null;
  #connections: RecoveringConnection[] = [];
  readonly #numbered = new Map<number, Numbered>();
  #expCmdSN = 0;
  #maxCmdSN = 0;
  #windowWidth = 0;
  /** Counts sessions: what was begun in an earlier one is of no interest. */
  epoch = 0;
  #recoveries = new Set<ConnectionRecovery>();
  #isLoggingIn = false;
  #lastTag = 0;
  #lastCid = 0;
  readonly #managements = new Map<number, Management>();
  readonly #reassigns = new Map<number, Reassign>();
  readonly #logouts = new Map<
    number,
    { readonly connection: RecoveringConnection; readonly done: (response: number) => void }
  >();
  readonly #pings = new Set<number>();
  /** Initiator Task Tag -> connection and the MaxRecvDataSegmentLength that was declared. */
  readonly #declarations = new Map<number, { readonly connection: RecoveringConnection; readonly length: number }>();
  readonly #attentions = new Map<number, number>();
  readonly #functions: TaskSetFunctions;
  /** Something that was sent has not come, since the session began. */
  #hasLost = false;
  #isDone = false;
  #loggingOut: RecoveringConnection | null = null;
  #progressUs = 0;
  #logins = 0;

  constructor(clock: Clock, portal: Portal, random: Random, options: SessionOptions) {
    this.clock = clock;
    this.#portal = portal;
    this.#random = random;
    this.options = options;
    this.errorRecoveryLevel = options.session.errorRecoveryLevel;
    this.tallies = options.tallies;
    this.faults = options.faults;
    this.#progressUs = clock.nowUs;
    this.#functions = new TaskSetFunctions(this, random);
    options.resets.listen((luns) => this.#resetBegan(luns));
    this.#begin();
    this.#tick();
    this.#work();
  }

  /** What it waits for. */
  describe(): string {
    const tasks = [...this.tasks.values()].map(
      (task) =>
        `${task.command.name} of ${task.command.expectedLength}, CmdSN ${task.cmdSN}, CID ${task.connection.cid}` +
        ` (DataSN ${task.nextDataSN}, response: ${task.hasResponse}, R2Ts: ${task.outstandingR2T}, nudges: ${task.nudges})`,
    );
    return [
      ...tasks,
      `connections: ${this.#connections.map(({ cid }) => cid).join(", ")}`,
      `recoveries: ${this.#recoveries.size}`,
      `unacknowledged: ${[...this.#numbered.keys()].join(", ")}`,
      `CmdSN ${this.cmdSN}, ExpCmdSN ${this.#expCmdSN}, MaxCmdSN ${this.#maxCmdSN}`,
    ].join("\n");
  }

  // ---- connections

  get connections(): readonly RecoveringConnection[] {
    return this.#connections.filter(({ isOpen, isLeaving }) => isOpen && !isLeaving);
  }

  newTag(): number {
    return ++this.#lastTag;
  }

  newCid(): number {
    return ++this.#lastCid;
  }

  /** Another connection of this session, maybe in place of one; null: it is not to be had. */
  join(
    cid: number,
    replaced: RecoveringConnection | null,
    done: (connection: RecoveringConnection | null) => void,
  ): void {
    const { epoch } = this;
    const parameters = { session: this.options.session, connection: this.options.connectionParameters() };
    const { initiatorName } = this.options;
    const expStatSN = replaced?.expStatSN ?? null;
    const request = { initiatorName, session: this.#session, cid, cmdSN: this.cmdSN, expStatSN, parameters };
    this.#portal.logIn(request, (login) => {
      if (epoch !== this.epoch) {
        login?.link.reset();
        return;
      }
      if (login === null) return done(null);
      this.windowSeen(login.expCmdSN, login.maxCmdSN);
      const connection = new RecoveringConnection(this, this.#random, cid, parameters, login);
      this.#connections.push(connection);
      done(connection);
      connection.begin();
    });
  }

  /** A session, the first or in place of one that cannot be recovered. */
  #begin(): void {
    assert(this.#logins++ < LOGINS_MAX || this.#connections.length > 0, "a login succeeds now and then");
    this.#isLoggingIn = true;
    const { epoch } = this;
    const parameters = { session: this.options.session, connection: this.options.connectionParameters() };
    const { initiatorName } = this.options;
    this.cmdSN = this.#random.chance(0.3) ? serialAdd(0, -this.#random.between(1, 40)) : this.#random.word();
    const cid = this.newCid() & 0xffff;
    const request = { initiatorName, session: null, cid, cmdSN: this.cmdSN, expStatSN: null, parameters };
    this.#portal.logIn(request, (login) => {
      if (epoch !== this.epoch) return login?.link.reset();
      if (login === null) {
        this.clock.after(RETRY_LOGIN_US, () => this.#begin());
        return;
      }
      this.#logins = 0;
      this.#isLoggingIn = false;
      this.#session = login.session;
      this.#expCmdSN = login.expCmdSN;
      this.#maxCmdSN = login.maxCmdSN;
      this.#windowWidth = (login.maxCmdSN - login.expCmdSN + 1) >>> 0;
      // The old session has ended before this one began.
      for (const task of [...this.tasks.values()]) this.abandon(task);
      this.#attentions.clear();
      for (const lun of this.options.luns) this.#attentions.set(lun, this.options.resets.of(lun));
      this.#hasLost = false;
      const connection = new RecoveringConnection(this, this.#random, cid, parameters, login);
      this.#connections = [connection];
      for (let i = 1; i < this.options.connections; i++) this.#joinMore();
      connection.begin();
    });
  }

  #joinMore(): void {
    this.join(this.newCid() & 0xffff, null, () => {});
  }

  /** Session recovery (section 7.1.4.4). */
  recoverSession(): void {
    if (this.#isLoggingIn) return;
    this.tallies.recoveries.count("session recovery");
    this.epoch++;
    this.#numbered.clear();
    this.#managements.clear();
    this.#functions.forsake(null);
    this.#reassigns.clear();
    this.#logouts.clear();
    this.#pings.clear();
    this.#declarations.clear();
    this.#recoveries.clear();
    const connections = this.#connections;
    this.#connections = [];
    this.#isLoggingIn = true;
    for (const connection of connections) connection.drop();
    this.clock.after(this.#random.spread(1, 100_000), () => this.#begin());
  }

  doomed(): void {
    if (!this.keepsTasks) this.#mayAttend();
  }

  lost(connection: RecoveringConnection): void {
    const at = this.#connections.indexOf(connection);
    if (at < 0) return;
    this.#connections.splice(at, 1);
    if (this.isFinished) return;
    // The target closes the other connections of a session before it answers its logout.
    if (this.#loggingOut !== null && connection !== this.#loggingOut) return;
    this.#loggingOut = null;
    for (const [tag, declaration] of this.#declarations) {
      if (declaration.connection === connection) this.#declarations.delete(tag);
    }
    for (const [tag, logout] of this.#logouts) if (logout.connection === connection) this.#logouts.delete(tag);
    for (const [tag, management] of this.#managements) {
      if (management.connection !== connection) continue;
      this.#managements.delete(tag);
      management.task.isBeingAborted = false;
      // Nobody knows whether it was.
      management.task.mayVanish = true;
    }
    this.#functions.forsake(connection);
    if (this.errorRecoveryLevel === 0) return this.recoverSession();
    const recovery = new ConnectionRecovery(this, this.#random, connection, () => this.#recoveries.delete(recovery));
    this.#recoveries.add(recovery);
    recovery.begin();
  }

  /** What the target has not got is sent on another connection; what it has got and still has is returned. */
  resend(lost: RecoveringConnection, connection: RecoveringConnection): RecoveringTask[] {
    for (const numbered of this.#numbered.values()) {
      if (numbered.connection !== lost) continue;
      this.tallies.recoveries.count("command retried on another connection");
      this.#transmit(numbered, connection);
    }
    return [...this.tasks.values()].filter((task) => task.connection === lost);
  }

  reassign(task: RecoveringTask, connection: RecoveringConnection): void {
    const tag = this.newTag();
    // 0 leaves the reference number as it is (section 11.5.6).
    const expDataSN = task.acknowledged === 0 && this.#random.chance(0.5) ? 0 : task.nextDataSN;
    this.tallies.recoveries.count(expDataSN > 0 ? "TASK REASSIGN with ExpDataSN" : "TASK REASSIGN");
    if (task.command.reads) task.acknowledged = Math.max(task.acknowledged, expDataSN);
    const isRepeated = task.connection === connection;
    task.connection.forget(task);
    task.connection = connection;
    task.snackTag = 0;
    task.reassigns++;
    task.progressUs = this.clock.nowUs;
    task.restart(task.command.reads ? expDataSN : 0);
    this.#reassigns.set(tag, { task, connection, isRepeated });
    const fields = { initiatorTaskTag: tag, referencedTaskTag: task.initiatorTaskTag, expDataSN };
    connection.manage(8, fields, task.command.lun);
  }

  logout(
    connection: RecoveringConnection,
    reason: number,
    closed: RecoveringConnection,
    done: (response: number) => void,
  ): void {
    const tag = this.newTag();
    this.#logouts.set(tag, { connection, done });
    connection.logout(tag, reason, closed);
  }

  /** It will not end, and nothing of it is under way any more. */
  abandon(task: RecoveringTask): void {
    this.#forget(task);
    task.command.abandoned();
    this.#progressUs = this.clock.nowUs;
    this.tallies.recoveries.count("command given up");
  }

  /** At the target tasks outlive their connection. */
  get keepsTasks(): boolean {
    return this.errorRecoveryLevel === 2 && this.options.session.defaultTime2Retain > 0;
  }

  /** The target has given up, or will, what was under way on a connection: it tells of it on the others. */
  mayAttend(lost: RecoveringConnection): void {
    if (!lost.isDoomed || this.keepsTasks) this.#mayAttend();
  }

  #mayAttend(luns = this.options.luns): void {
    for (const lun of luns) this.#attentions.set(lun, (this.#attentions.get(lun) ?? 0) + 1);
  }

  /** Somebody resets these units. */
  #resetBegan(luns: readonly number[]): void {
    this.#mayAttend(luns);
    this.endanger(luns);
  }

  /** A task management function ends the tasks of these LUNs that there are, if it comes. */
  endanger(luns: readonly number[]): void {
    for (const task of this.tasks.values()) {
      if (!luns.includes(task.command.lun)) continue;
      task.mayVanish = true;
      task.connection.forgive(task);
    }
  }

  // ---- work

  #work(): void {
    const delayUs = this.#canAct
      ? this.#random.spread(1, THINK_US_MAX)
      : this.#random.between(THINK_US_MAX, WAIT_US_MAX);
    this.clock.after(delayUs, () => {
      if (this.isFinished) return;
      const burst = this.#random.spread(1, 8);
      for (let i = 0; i < burst && !this.#isDone; i++) this.#act();
      if (this.#isDone) this.#finish();
      this.#work();
    });
  }

  get #canAct(): boolean {
    if (this.connections.length === 0 || this.#isLoggingIn || this.tasks.size >= this.options.depth) return false;
    return !this.#isDone && serialLessOrEqual(this.cmdSN, this.#maxCmdSN);
  }

  #act(): void {
    if (!this.#canAct) return;
    const random = this.#random;
    const connection = random.pick(this.connections);
    if (this.errorRecoveryLevel === 2 && random.chance(this.faults.retire)) return this.#retire(connection);
    if (random.chance(this.options.ping)) return this.#ping(connection);
    if (this.errorRecoveryLevel > 0 && random.chance(this.options.declare)) return this.#declare(connection);
    if (random.chance(this.options.abortTask)) return this.#abortTask();
    if (random.chance(this.options.taskSetFunction)) return this.#functions.begin(connection);
    const command = this.options.nextCommand();
    if (command === null) {
      this.#isDone = true;
      return;
    }
    this.#command(command, connection);
  }

  #command(command: Command, connection: RecoveringConnection): void {
    const isImmediate = this.#random.chance(this.options.immediate);
    const numbers = {
      initiatorTaskTag: this.newTag(),
      cmdSN: isImmediate ? this.cmdSN : this.#takeCmdSN(),
      attribute: this.#random.pick(ATTRIBUTES),
      isImmediate,
    };
    const unsolicited = this.#chooseUnsolicited(command, connection);
    const { session } = this.options;
    const task = new RecoveringTask(command, numbers, unsolicited, connection, session, this.clock.nowUs);
    task.mayVanish = this.#functions.mayEnd(command.lun, isImmediate);
    this.tasks.set(task.initiatorTaskTag, task);
    command.begin();
    if (isImmediate) return connection.command(task);
    this.#number(task.cmdSN, connection, (at) => {
      task.connection.forget(task);
      if (task.connection !== at) task.progressUs = this.clock.nowUs;
      task.connection = at;
      at.command(task);
    });
  }

  #ping(connection: RecoveringConnection): void {
    const tag = this.newTag();
    const length = this.#random.pick([0, 4, 100]);
    this.#pings.add(tag);
    if (this.#random.chance(0.3)) return connection.ping(tag, null, length);
    const cmdSN = this.#takeCmdSN();
    this.#number(cmdSN, connection, (at) => at.ping(tag, cmdSN, length));
  }

  #declare(connection: RecoveringConnection): void {
    for (const declaration of this.#declarations.values()) if (declaration.connection === connection) return;
    const tag = this.newTag();
    const length = this.#random.spread(512, 1 << 18);
    this.#declarations.set(tag, { connection, length });
    connection.declare(tag, length);
  }

  #abortTask(): void {
    const tasks = [...this.tasks.values()].filter((task) => !task.isBeingAborted && task.connection.isOpen);
    if (tasks.length > 0) this.#abort(this.#random.pick(tasks));
  }

  #abort(task: RecoveringTask): void {
    // It may have broken a moment ago, by another request.
    if (!task.connection.isOpen) return;
    const tag = this.newTag();
    task.isBeingAborted = true;
    task.mayBeAborted = true;
    task.connection.forgive(task);
    this.#managements.set(tag, { task, connection: task.connection });
    task.connection.abortTask(tag, task);
  }

  /** Logs out a connection that works, over another one or itself. */
  #retire(connection: RecoveringConnection): void {
    if (this.options.session.defaultTime2Retain === 0) return;
    this.tallies.faults.count("retired connection");
    connection.isLeaving = true;
    const others = this.connections;
    if (others.length === 0 || this.#random.chance(0.5)) {
      this.logout(connection, LOGOUT_FOR_RECOVERY, connection, () => connection.drop());
      // Where the response is lost the target ends the connection all the same.
      this.clock.after(PATIENCE_US, () => connection.drop());
    } else {
      connection.drop();
    }
  }

  #takeCmdSN(): number {
    const { cmdSN } = this;
    this.cmdSN = serialAdd(cmdSN, 1);
    return cmdSN;
  }

  /** Sends something with a CmdSN, which is kept until the target has acknowledged it. */
  #number(cmdSN: number, connection: RecoveringConnection, send: (connection: RecoveringConnection) => void): void {
    const numbered = { connection, sentUs: 0, send };
    this.#numbered.set(cmdSN, numbered);
    this.#transmit(numbered, connection);
  }

  #transmit(numbered: Numbered, connection: RecoveringConnection): void {
    numbered.connection = connection;
    numbered.sentUs = this.clock.nowUs;
    numbered.send(connection);
  }

  /** How much goes with the command and after it unasked (sections 4.2.5.2, 11.3.4, 13.10 and 13.11). */
  #chooseUnsolicited(command: Command, connection: RecoveringConnection): { immediate: number; end: number } {
    const { session } = this.options;
    if (!command.writes) return { immediate: 0, end: 0 };
    const most = Math.min(session.firstBurstLength, command.expectedLength);
    const immediateMost = session.immediateData ? Math.min(most, connection.dataMax, IMMEDIATE_MAX) : 0;
    const immediate = this.#random.chance(0.6) ? immediateMost : this.#random.below(immediateMost + 1);
    if (session.initialR2T || this.#random.chance(0.4)) return { immediate, end: immediate };
    return { immediate, end: most };
  }

  // ---- what comes

  windowSeen(expCmdSN: number, maxCmdSN: number): void {
    assert(serialLessOrEqual(expCmdSN, this.cmdSN), "ExpCmdSN is no more than was sent");
    if (serialLess(this.#maxCmdSN, maxCmdSN)) this.#maxCmdSN = maxCmdSN;
    if (!serialLess(this.#expCmdSN, expCmdSN)) return;
    this.#expCmdSN = expCmdSN;
    for (const cmdSN of [...this.#numbered.keys()]) if (serialLess(cmdSN, expCmdSN)) this.#numbered.delete(cmdSN);
  }

  isReading(initiatorTaskTag: number): boolean {
    return this.tasks.get(initiatorTaskTag)?.command.reads === true;
  }

  mayHaveEnded(initiatorTaskTag: number): boolean {
    const task = this.tasks.get(initiatorTaskTag);
    return task !== undefined && (task.mayVanish || task.mayBeAborted);
  }

  departed(initiatorTaskTag: number): void {
    this.#functions.departed(initiatorTaskTag);
  }

  damaged(initiatorTaskTag: number): void {
    this.#hasLost = true;
    const task = this.tasks.get(initiatorTaskTag);
    if (task !== undefined) task.wasDamaged = true;
    this.#functions.lost(initiatorTaskTag);
    const management = this.#managements.get(initiatorTaskTag);
    if (management === undefined) return;
    this.#managements.delete(initiatorTaskTag);
    management.task.isBeingAborted = false;
  }

  received(connection: RecoveringConnection, pdu: ReceivedPdu, isNew: boolean): void {
    switch (pdu.opcode) {
      case OPCODE_DATA_IN:
      case OPCODE_R2T:
      case OPCODE_SCSI_RESPONSE:
        return this.#taskPdu(connection, pdu, isNew);
      case OPCODE_NOP_IN:
        if (pdu.initiatorTaskTag !== TAG_NONE) {
          assert(this.#pings.has(pdu.initiatorTaskTag), "a NOP-In answers a NOP-Out");
          assert(
            pdu.data.every((byte) => byte === (pdu.initiatorTaskTag & 0xff)),
            "the ping comes back as it was",
          );
        } else if (pdu.targetTransferTag !== TAG_NONE) {
          connection.answerPing(pdu.targetTransferTag, Buffer.from(pdu.lun));
        }
        return;
      case OPCODE_TEXT_RESPONSE: {
        const declaration = this.#declarations.get(pdu.initiatorTaskTag);
        this.#declarations.delete(pdu.initiatorTaskTag);
        if (declaration !== undefined) connection.resegmented(declaration.length);
        return;
      }
      case OPCODE_TASK_MANAGEMENT_RESPONSE:
        return this.#managed(connection, pdu);
      case OPCODE_LOGOUT_RESPONSE: {
        const logout = this.#logouts.get(pdu.initiatorTaskTag);
        this.#logouts.delete(pdu.initiatorTaskTag);
        return logout?.done(pdu.response);
      }
      case OPCODE_REJECT:
        return this.#rejected(connection, pdu);
      case OPCODE_ASYNC_MESSAGE:
        if (pdu.field("asyncEvent") === ASYNC_EVENT_TASK_TERMINATION)
          this.#terminated(connection, Buffer.from(pdu.lun));
        return;
      default:
        assert.fail(`not expected: ${describe(pdu)}, ${pdu.bhs.toString("hex")}`);
    }
  }

  /** Others have ended tasks of the LUN: they are told that we know (section 11.9.1). */
  #terminated(connection: RecoveringConnection, lun: Buffer): void {
    assert.equal(this.options.session.taskReporting, "FastAbort");
    connection.stopSolicited([lun[1]!]);
    connection.answerPing(TAG_NONE, lun);
  }

  #taskPdu(connection: RecoveringConnection, pdu: ReceivedPdu, isNew: boolean): void {
    const task = this.tasks.get(pdu.initiatorTaskTag);
    if (task === undefined) {
      assert(pdu.initiatorTaskTag <= this.#lastTag, `${describe(pdu)}: no such task was ever sent`);
      if (isNew && takesStatSN(pdu)) this.#functions.assertNotEnded(connection, pdu);
      return;
    }
    // On the connection that it came from it is of no interest any more.
    if (task.connection !== connection) return;
    task.progressUs = this.clock.nowUs;
    this.#progressUs = task.progressUs;
    task.nudges = 0;
    switch (pdu.opcode) {
      case OPCODE_DATA_IN: {
        // Of what comes twice there would be ever more.
        const mayAsk = task.dataIn(pdu) && !task.hasResponse;
        this.#acknowledgeData(task);
        if (mayAsk && task.missingData !== null && this.#random.chance(0.3)) this.#askForData(task);
        break;
      }
      case OPCODE_R2T: {
        const range = task.r2t(pdu);
        if (range !== null) connection.answerR2T(task, range);
        const { missingR2T } = task;
        if (missingR2T !== null && this.#random.chance(0.5)) {
          connection.snack(SNACK_DATA_R2T, {
            initiatorTaskTag: task.initiatorTaskTag,
            targetTransferTag: TAG_NONE,
            begRun: missingR2T,
            runLength: 1,
          });
          task.wasAskedAgain = true;
        }
        return;
      }
      default:
        task.response(pdu);
        if (!task.hasResponse) return;
        connection.delay(task, pdu.statSN);
        if (!task.isComplete) this.#askForData(task);
        else if (connection.isResegmented && task.command.reads && this.#random.chance(0.1)) this.#resegment(task);
    }
    if (task.isComplete) this.#ended(task);
    else if (task.hasResponse && task.isRefused) this.abandon(task);
  }

  #acknowledgeData(task: RecoveringTask): void {
    const { acknowledgmentRequest } = task;
    if (acknowledgmentRequest === null || task.missingData !== null || this.options.declare > 0) return;
    task.acknowledgmentRequest = null;
    if (this.#random.chance(0.3)) return;
    task.acknowledged = task.nextDataSN;
    const { targetTransferTag, lun } = acknowledgmentRequest;
    task.connection.acknowledgeData(task, targetTransferTag, lun);
  }

  /** Data-In that is missing. */
  #askForData(task: RecoveringTask): void {
    const { connection, missingData } = task;
    if (connection.isResegmented) {
      if (!task.hasResponse) return;
      // What was cut for another length comes anew; of that, what is missing comes again.
      if (task.snackTag === 0) return this.#resegment(task);
    }
    if (missingData === null) return;
    task.wasAskedAgain = true;
    connection.snack(SNACK_DATA_R2T, {
      initiatorTaskTag: task.initiatorTaskTag,
      targetTransferTag: TAG_NONE,
      begRun: missingData.begRun,
      runLength: this.#random.chance(0.8) ? missingData.runLength : 0,
    });
  }

  /** All of the data anew. */
  #resegment(task: RecoveringTask): void {
    task.restart(0);
    task.connection.forgive(task);
    task.snackTag = this.newTag();
    const fields = { initiatorTaskTag: task.initiatorTaskTag, targetTransferTag: task.snackTag };
    task.connection.snack(SNACK_R_DATA, { ...fields, begRun: 0, runLength: 0 });
  }

  #ended(task: RecoveringTask): void {
    const { command, outcome } = task;
    this.#forget(task);
    this.#progressUs = this.clock.nowUs;
    if (outcome.status === STATUS_CHECK_CONDITION) {
      const { key, asc, ascq } = parseSense(outcome.sense);
      if (key === SENSE_ABORTED_COMMAND) {
        const isNotKept = task.wasAskedAgain && asc === ASC_READ_ERROR;
        const mayFail = isNotKept || (this.errorRecoveryLevel === 0 && task.wasDamaged);
        assert(mayFail, `ABORTED COMMAND, ${asc}/${ascq}, although nothing was wrong`);
        this.tallies.recoveries.count(`command failed with sense ${key}/${asc}/${ascq}`);
        command.abandoned();
        return;
      }
    }
    const attentions = this.#attentions.get(command.lun) ?? 0;
    this.#attentions.set(command.lun, command.end(outcome, attentions));
  }

  #forget(task: RecoveringTask): void {
    this.tasks.delete(task.initiatorTaskTag);
    task.connection.forget(task);
  }

  #managed(connection: RecoveringConnection, pdu: ReceivedPdu): void {
    const reassign = this.#reassigns.get(pdu.initiatorTaskTag);
    if (reassign !== undefined) return this.#reassigned(connection, reassign, pdu);
    if (this.#functions.answered(connection, pdu)) return;
    const management = this.#managements.get(pdu.initiatorTaskTag);
    if (management === undefined) return;
    this.#managements.delete(pdu.initiatorTaskTag);
    const { task } = management;
    task.isBeingAborted = false;
    if (this.tasks.get(task.initiatorTaskTag) !== task || task.connection !== connection) return;
    if (pdu.response === FUNCTION_COMPLETE) {
      this.tallies.recoveries.count("ABORT TASK");
      if (!task.isImmediate) this.#numbered.delete(task.cmdSN);
      return this.abandon(task);
    }
    assert.equal(pdu.response, TASK_DOES_NOT_EXIST, "ABORT TASK has no other failure");
    // It was lost on its way, or its status was, or another function has ended it: nobody has it any more.
    if (task.isImmediate || task.mayVanish) this.abandon(task);
  }

  #reassigned(
    connection: RecoveringConnection,
    { task, isRepeated }: Reassign,
    { initiatorTaskTag, response }: ReceivedPdu,
  ): void {
    this.#reassigns.delete(initiatorTaskTag);
    if (this.tasks.get(task.initiatorTaskTag) !== task || task.connection !== connection) return;
    switch (response) {
      case FUNCTION_COMPLETE:
        task.reassigns = 0;
        task.expiresUs = Number.POSITIVE_INFINITY;
        return;
      case TASK_DOES_NOT_EXIST:
        if (task.mayBeAborted || task.mayVanish) return this.abandon(task);
        assert(this.clock.nowUs >= task.expiresUs, `the target has lost ${task.command.name}`);
        this.tallies.recoveries.count("TASK REASSIGN that came too late");
        return this.abandon(task);
      default:
        // It was asked for twice, and the first time was enough.
        assert(response === 3 && (isRepeated || task.reassigns > 1), `TASK REASSIGN: response ${response}`);
    }
  }

  #rejected(connection: RecoveringConnection, pdu: ReceivedPdu): void {
    const reason = pdu.field("reason");
    const opcode = pdu.data[0]! & 0x3f;
    const tag = pdu.data.readUInt32BE(16);
    this.tallies.recoveries.count(`Reject ${reason} of ${nameOf(opcode)}`);
    const task = this.tasks.get(tag);
    if (opcode === OPCODE_SCSI_COMMAND && reason === REASON_DATA_DIGEST_ERROR && task !== undefined) {
      // Sent again it would come after the function that is to end it.
      if (task.isImmediate && task.isBeingAborted) return this.abandon(task);
      if (task.isImmediate) return this.#sendAgain(task, connection);
      const numbered = this.#numbered.get(task.cmdSN);
      if (numbered?.connection === connection && connection.isOpen) this.#transmit(numbered, connection);
    }
    if (opcode === OPCODE_SNACK_REQUEST && reason === REASON_SNACK_REJECT && task?.connection === connection) {
      task.isRefused = true;
      if (task.hasResponse && !task.isComplete) this.abandon(task);
    }
  }

  /** An immediate command, which the target has not taken. */
  #sendAgain(task: RecoveringTask, connection: RecoveringConnection): void {
    if (task.connection !== connection || !connection.isOpen) return;
    connection.forget(task);
    connection.command(task);
  }

  // ---- patience

  #tick(): void {
    this.clock.after(TICK_US, () => {
      if (this.isFinished) return;
      const { nowUs } = this.clock;
      const isIdle = this.tasks.size === 0 && !this.#isDone;
      if (isIdle) this.#progressUs = nowUs;
      assert(nowUs - this.#progressUs < PROGRESS_US_MAX, `${this.options.initiatorName} hangs:\n${this.describe()}`);
      this.#retryCommands(nowUs);
      for (const task of [...this.tasks.values()]) {
        if (nowUs - task.progressUs > PATIENCE_US && task.connection.isOpen) this.#nudge(task, nowUs);
      }
      this.#functions.nudge(nowUs);
      // Nobody waits for what these bring, but for their numbers.
      for (const connection of this.connections) if (connection.hasGap) connection.askForStatus();
      this.#replenish();
      this.#tick();
    });
  }

  /** "plug" the gap in CmdSN (section 7.2.1); sometimes also what is not missing. */
  #retryCommands(nowUs: number): void {
    for (const [cmdSN, numbered] of [...this.#numbered]) {
      const { connection, sentUs } = numbered;
      if (nowUs - sentUs < PATIENCE_US || !connection.isOpen || connection.isLeaving) continue;
      if (cmdSN !== this.#expCmdSN && !this.#random.chance(0.1)) continue;
      if (this.errorRecoveryLevel === 0) return connection.drop();
      this.tallies.recoveries.count("command retried");
      this.#transmit(numbered, connection);
      // It may have come, and its answer been lost.
      connection.askForStatus();
    }
  }

  /** Asks for whatever may be missing of a task. */
  #nudge(task: RecoveringTask, nowUs: number): void {
    const { connection } = task;
    task.progressUs = nowUs;
    task.nudges++;
    if (task.mayVanish && task.nudges % 2 === 0 && !task.isBeingAborted) return this.#abort(task);
    if (this.errorRecoveryLevel === 0) {
      if (task.nudges <= 4) return;
      assert(
        this.#hasLost || task.mayVanish,
        `the target says nothing more of ${task.command.name}:\n${this.describe()}`,
      );
      this.tallies.recoveries.count("connection given up");
      return connection.drop();
    }
    // Other tasks may be in its way, or commands of a connection that is lost.
    const isAllSilent = this.#recoveries.size === 0 && nowUs - this.#progressUs > SILENCE_US_MAX;
    assert(
      !isAllSilent || task.nudges <= NUDGES_MAX,
      `the target says nothing more of ${task.command.name}:\n${this.describe()}`,
    );
    if (task.reassigns > 0 && task.nudges % 3 === 0) return this.reassign(task, connection);
    if (task.hasResponse) return this.#askForData(task);
    // The R-Data SNACK itself may have been lost.
    if (task.snackTag > 0) return this.#resegment(task);
    connection.askForStatus();
    // Nobody knows whether it has come, and it must not be sent twice.
    if (task.isImmediate && task.nudges % 4 === 0) return this.#abort(task);
    if (!task.isImmediate && this.#numbered.has(task.cmdSN)) return;
    if (task.missingData !== null) return this.#askForData(task);
    if (task.nudges % 2 === 0 || connection.isResegmented) return;
    const begRun = task.command.writes ? task.nextR2TSN : task.nextDataSN;
    const isMoving = task.command.reads || (task.command.writes && task.outstandingR2T === 0);
    if (!isMoving) return;
    task.wasAskedAgain = true;
    connection.snack(SNACK_DATA_R2T, {
      initiatorTaskTag: task.initiatorTaskTag,
      targetTransferTag: TAG_NONE,
      begRun,
      runLength: 0,
    });
  }

  /** As many connections as there are to be. */
  #replenish(): void {
    if (this.#isLoggingIn || this.#isDone || this.#recoveries.size > 0) return;
    if (this.#connections.length < this.options.connections && this.#random.chance(0.5)) this.#joinMore();
  }

  // ---- the end

  /** All is sent: when all has ended, faults stop, a last ping shows the window, and the session is logged out. */
  #finish(): void {
    if (this.tasks.size > 0 || this.#recoveries.size > 0 || this.#isLoggingIn) return;
    const [connection] = this.connections;
    if (connection === undefined) return this.recoverSession();
    this.faults = NO_WIRE_FAULTS;
    if (this.#numbered.size > 0 || this.#loggingOut !== null) return;
    const awaitsNothing = this.#managements.size === 0 && this.#functions.isIdle;
    if (
      !awaitsNothing ||
      this.#expCmdSN !== this.cmdSN ||
      (this.#maxCmdSN - this.#expCmdSN + 1) >>> 0 !== this.#windowWidth
    ) {
      // Announced with the next PDU, whatever that is; and of what was lost there is a gap.
      for (const each of this.connections) {
        const tag = this.newTag();
        this.#pings.add(tag);
        each.ping(tag, null, 0);
      }
      return;
    }
    this.#loggingOut = connection;
    this.logout(connection, LOGOUT_CLOSE_SESSION, connection, (response) => {
      assert.equal(response, 0, "the session is closed");
      this.isFinished = true;
      this.epoch++;
      for (const each of [...this.#connections]) each.drop();
    });
  }
}

/** An immediate data segment; that of a target may be longer. */
const IMMEDIATE_MAX = 65536;
