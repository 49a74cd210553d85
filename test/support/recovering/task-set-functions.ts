/**
 * Task management functions of a recovering initiator that end several tasks (RFC 7143 section 4.2.3). The response is the end of all
 * that were sent before; without one, because the request or its connection was lost, nobody knows which have ended.
 */
import assert from "node:assert/strict";
import { serialLess, serialLessOrEqual } from "../../../dataplane/wire/serial.js";
import { type ReceivedPdu, TAG_NONE } from "../pdu.js";
import type { Random } from "../simulation/random.js";
import {
  ABORT_TASK_SET,
  CLEAR_TASK_SET,
  FUNCTION_COMPLETE,
  LOGICAL_UNIT_RESET,
  TARGET_WARM_RESET,
} from "../task-management.js";
import type { RecoveringConnection } from "./recovering-connection.js";
import type { RecoveringSession } from "./recovering-session.js";
import type { RecoveringTask } from "./recovering-task.js";
import type { Reset } from "./resets.js";

interface Kind {
  readonly code: number;
  readonly name: string;
  /** It ends tasks of all sessions, and all are told. */
  readonly resets: boolean;
  /** Of all units, not of one. */
  readonly isOfTarget: boolean;
}

const KINDS: readonly Kind[] = [
  { code: ABORT_TASK_SET, name: "ABORT TASK SET", resets: false, isOfTarget: false },
  { code: CLEAR_TASK_SET, name: "CLEAR TASK SET", resets: false, isOfTarget: false },
  { code: LOGICAL_UNIT_RESET, name: "LOGICAL UNIT RESET", resets: true, isOfTarget: false },
  { code: TARGET_WARM_RESET, name: "TARGET WARM RESET", resets: true, isOfTarget: true },
];
/** A response that has not come in so long may have been lost. */
const PATIENCE_US = 1_000_000;
/** Far fewer than the target takes. */
const FUNCTIONS_MAX = 4;
/** One whose response cannot come any more is over by then. */
const UNANSWERED_US_MAX = 15_000_000;

interface TaskSetFunction {
  readonly kind: Kind;
  readonly luns: readonly number[];
  readonly connection: RecoveringConnection;
  /** Of the request, when that has been sent, and when that was. */
  cmdSN: number;
  sentUs: number;
  reset: Reset | null;
}

export class TaskSetFunctions {
  readonly #session: RecoveringSession;
  readonly #random: Random;
  /** Initiator Task Tag -> the function, until its response. */
  readonly #awaited = new Map<number, TaskSetFunction>();
  /** Those that will not be answered, and may be under way all the same. */
  readonly #unanswered = new Set<TaskSetFunction>();
  /** Initiator Task Tag of a task that a function has ended -> where and with which StatSN that was said. */
  readonly #ended = new Map<number, { readonly connection: RecoveringConnection; readonly statSN: number }>();

  constructor(session: RecoveringSession, random: Random) {
    this.#session = session;
    this.#random = random;
  }

  /** Nothing is awaited. */
  get isIdle(): boolean {
    return this.#awaited.size === 0;
  }

  begin(connection: RecoveringConnection): void {
    if (this.#awaited.size === FUNCTIONS_MAX) return;
    const kind = this.#random.pick(KINDS);
    const { luns } = this.#session.options;
    const lun = this.#random.pick(luns);
    const tag = this.#session.newTag();
    const affected = kind.isOfTarget ? luns : [lun];
    const sentUs = Number.POSITIVE_INFINITY;
    this.#awaited.set(tag, { kind, luns: affected, connection, cmdSN: 0, sentUs, reset: null });
    connection.manage(kind.code, { initiatorTaskTag: tag, referencedTaskTag: TAG_NONE }, lun);
  }

  /** The request is on its way. */
  departed(initiatorTaskTag: number): void {
    const it = this.#awaited.get(initiatorTaskTag);
    if (it === undefined) return;
    const { kind, luns, connection } = it;
    this.#session.tallies.recoveries.count(kind.name);
    it.cmdSN = this.#session.cmdSN;
    it.sentUs = this.#session.clock.nowUs;
    this.#session.endanger(luns);
    if (kind.resets) it.reset = this.#session.options.resets.begin(luns);
    // "MUST NOT send any more Data-Out PDUs for affected tasks on the issuing connection" (section 4.2.3.4).
    if (this.#session.options.session.taskReporting === "FastAbort") connection.stopSolicited(luns);
  }

  /** Asks for responses that may have been lost. */
  nudge(nowUs: number): void {
    if (this.#session.errorRecoveryLevel === 0) return;
    for (const { connection, sentUs } of this.#awaited.values()) {
      if (nowUs - sentUs > PATIENCE_US && connection.isOpen) connection.askForStatus();
    }
  }

  /** The request will not come. */
  lost(initiatorTaskTag: number): void {
    this.#awaited.delete(initiatorTaskTag);
  }

  /** False: it is not the response of one of these. */
  answered(connection: RecoveringConnection, pdu: ReceivedPdu): boolean {
    const it = this.#awaited.get(pdu.initiatorTaskTag);
    if (it === undefined) return false;
    this.#awaited.delete(pdu.initiatorTaskTag);
    assert.equal(pdu.response, FUNCTION_COMPLETE, it.kind.name);
    assert(serialLessOrEqual(it.cmdSN, pdu.expCmdSN), `${it.kind.name} waits for the commands before it`);
    for (const task of [...this.#session.tasks.values()]) {
      if (!isSurelyEnded(task, it)) continue;
      this.#ended.set(task.initiatorTaskTag, { connection, statSN: pdu.statSN });
      this.#session.abandon(task);
    }
    this.#over(it);
    return true;
  }

  /** "Responses are guaranteed to have been sent prior to the TMF Response" (section 4.2.3.3, b). */
  assertNotEnded(connection: RecoveringConnection, { initiatorTaskTag, statSN }: ReceivedPdu): void {
    const ended = this.#ended.get(initiatorTaskTag);
    const isBefore = ended?.connection === connection && serialLess(statSN, ended.statSN);
    assert(ended === undefined || isBefore, "no response follows that of the function that has ended its task");
  }

  /** A task may be ended that begins now. */
  mayEnd(lun: number, isImmediate: boolean): boolean {
    if (this.#session.options.resets.of(lun) > 0) return true;
    return isImmediate && [...this.#awaited.values(), ...this.#unanswered].some(({ luns }) => luns.includes(lun));
  }

  /** The connection is gone; null: all are. */
  forsake(connection: RecoveringConnection | null): void {
    for (const [tag, it] of this.#awaited) {
      if (connection !== null && it.connection !== connection) continue;
      this.#awaited.delete(tag);
      this.#unanswered.add(it);
      this.#session.clock.after(UNANSWERED_US_MAX, () => this.#over(it));
    }
  }

  #over(it: TaskSetFunction): void {
    this.#unanswered.delete(it);
    if (it.reset !== null) this.#session.options.resets.end(it.reset);
  }
}

/** An immediate command has no place in the order: on another connection it may have come later. */
function isSurelyEnded({ command, isImmediate, cmdSN }: RecoveringTask, it: TaskSetFunction): boolean {
  return it.luns.includes(command.lun) && !isImmediate && serialLess(cmdSN, it.cmdSN);
}
