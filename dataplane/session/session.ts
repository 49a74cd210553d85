/**
 * A session as its shard keeps it: the command window, the tasks, what its initiator may see. All connections of a session
 * live on one shard, so nothing here is locked.
 *
 *     command window (RFC 7143 section 4.2.2.1):
 *
 *        executed or executing | next |   held (arrived early)   | not sent yet
 *       -----------------------+------+--------------------------+-------------
 *                           ExpCmdSN                         MaxCmdSN
 *
 *     MaxCmdSN = ExpCmdSN - 1 + (COMMAND_WINDOW - tasks outstanding): it moves up when a task ends, and never back.
 */
import type { Connection } from "../connection/connection.js";
import { ABANDONED_TAGS_MAX, COMMAND_WINDOW } from "../limits.js";
import type { HandoffRecord, SessionParametersRecord } from "../messages.js";
import { UnitAttentions } from "../scsi/unit-attention.js";
import type { Fence } from "../task/fences.js";
import type { Task } from "../task/task.js";
import type { Throttle } from "../throttle/throttle.js";
import { serialAdd, serialLess } from "../wire/serial.js";
import { HeldCommands } from "./held-commands.js";
import type { LunMapping } from "./lun-mapping.js";
import { NexusBuffers } from "./nexus-buffers.js";
import type { Refusal } from "./refusals.js";
import { TagIndex } from "./tag-index.js";

/** A PDU other than a SCSI command that arrived before its turn: a copy of its header and data. */
export interface HeldPdu {
  readonly connection: Connection;
  readonly header: Uint8Array;
  readonly data: Uint8Array;
}

/** A task management function that came for immediate execution, but must act on commands that have not come yet. */
export interface WaitingFunction {
  readonly connection: Connection;
  readonly initiatorTaskTag: number;
  readonly cmdSN: number;
  readonly run: () => void;
}

export const WINDOW_NEXT = 0;
export const WINDOW_AHEAD = 1;
/** Outside the window, or a duplicate: ignored silently. */
export const WINDOW_OUTSIDE = 2;

export class Session {
  readonly sessionId: number;
  readonly initiatorName: string;
  readonly targetName: string;
  readonly isid: string;
  readonly tsih: number;
  readonly targetPortalGroupTag: number;
  readonly parameters: SessionParametersRecord;
  readonly statisticsBlock: number;
  /** LUN -> unit, as this initiator sees it. */
  readonly luns: Map<number, LunMapping> = new Map();
  readonly attentions = new UnitAttentions();
  readonly buffers = new NexusBuffers();
  readonly connections: Connection[] = [];
  /** Connections that have failed, or were logged out for recovery, and whose tasks wait (ErrorRecoveryLevel 2). */
  readonly failed: Connection[] = [];

  expCmdSN: number;
  maxCmdSN: number;
  /** The MaxCmdSN that was sent last. */
  announcedMaxCmdSN: number;
  readonly held = new HeldCommands<Task | HeldPdu>();
  /** Data segments of the held PDUs that are no commands. */
  heldBytes = 0;
  /** Since when something is held for want of the command at ExpCmdSN. */
  heldSinceUs = 0;

  readonly tags = new TagIndex();
  /** Initiator Task Tags of commands that ended, or never began, while Data-Out PDUs for them were on their way; oldest first. */
  readonly #abandonedTags = new Set<number>();
  firstTask: Task | null = null;
  taskCount = 0;
  /** What its connections have sent and keep until it is acknowledged: tasks and replies. */
  retainedCount = 0;
  immediateTasks = 0;
  /** Where its commands wait for its initiator's limit; null: it has none. */
  throttle: Throttle | null = null;
  /** Tasks that wait for a limit. */
  throttledCount = 0;

  /** Initiator Task Tag -> a command that is not executed (session/refusals.ts). */
  readonly refusals: Map<number, Refusal> = new Map();
  /**
   * The connection whose Text Request has the CmdSN at ExpCmdSN, while control looks at it: if it is rejected, the CmdSN "MUST NOT be
   * considered received" (RFC 7143 section 7.3). What comes behind it is held.
   */
  askingText: Connection | null = null;
  /** Responses wait for each other across connections (task/fences.ts). */
  fence: Fence | null = null;
  /** Initiator Task Tags of task management functions under way. */
  readonly functionTags = new Set<number>();
  /** Likewise of Logout Requests. */
  readonly logoutTags = new Set<number>();
  /** Functions that wait until all commands before them have come, in CmdSN order. */
  readonly waitingFunctions: WaitingFunction[] = [];

  constructor(record: HandoffRecord) {
    this.sessionId = record.sessionId;
    this.initiatorName = record.initiatorName;
    this.targetName = record.targetName;
    this.isid = record.isid;
    this.tsih = record.tsih;
    this.targetPortalGroupTag = record.targetPortalGroupTag;
    this.parameters = record.session;
    this.statisticsBlock = record.statisticsBlock;
    this.expCmdSN = record.expCmdSN;
    this.maxCmdSN = serialAdd(record.expCmdSN, COMMAND_WINDOW - 1);
    this.announcedMaxCmdSN = this.maxCmdSN;
  }

  /** The connection with this CID; one that was logged out for recovery has it until the kernel holds nothing of it any more. */
  connectionOf(cid: number): Connection | undefined {
    const current = this.connections.find((connection) => connection.cid === cid);
    return current ?? this.failed.find((connection) => connection.cid === cid && !connection.isRecoverable);
  }

  /** Where a non-immediate CmdSN stands. */
  place(cmdSN: number): number {
    if (cmdSN === this.expCmdSN) {
      return this.askingText !== null || serialLess(this.maxCmdSN, cmdSN) ? WINDOW_OUTSIDE : WINDOW_NEXT;
    }
    if (serialLess(cmdSN, this.expCmdSN) || serialLess(this.maxCmdSN, cmdSN) || this.held.has(cmdSN)) {
      return WINDOW_OUTSIDE;
    }
    return WINDOW_AHEAD;
  }

  /** Whether the command at ExpCmdSN lets something else go on. */
  get hasWaiting(): boolean {
    return this.held.size > 0 || this.waitingFunctions.length > 0;
  }

  /** Keeps what arrived early. */
  hold(cmdSN: number, early: Task | HeldPdu, nowUs: number): void {
    if (this.held.size === 0) this.heldSinceUs = nowUs;
    this.held.set(cmdSN, early);
  }

  /** The command at ExpCmdSN is taken. */
  advance(): void {
    this.expCmdSN = serialAdd(this.expCmdSN, 1);
  }

  /** A command that was taken is finished: the window opens by one. */
  reopen(): void {
    this.maxCmdSN = serialAdd(this.maxCmdSN, 1);
  }

  /** Functions that wait and came on this connection, which is gone, are not executed any more. */
  discardFunctions(connection: Connection): void {
    const { waitingFunctions } = this;
    for (let at = waitingFunctions.length - 1; at >= 0; at--) {
      if (waitingFunctions[at]!.connection !== connection) continue;
      const [discarded] = waitingFunctions.splice(at, 1);
      this.functionTags.delete(discarded!.initiatorTaskTag);
    }
  }

  /** Data-Out PDUs with this tag may still come. */
  abandon(initiatorTaskTag: number): void {
    if (this.#abandonedTags.size === ABANDONED_TAGS_MAX) {
      for (const oldest of this.#abandonedTags) {
        this.#abandonedTags.delete(oldest);
        break;
      }
    }
    this.#abandonedTags.add(initiatorTaskTag);
  }

  isAbandoned(initiatorTaskTag: number): boolean {
    return this.#abandonedTags.has(initiatorTaskTag);
  }

  addTask(task: Task): void {
    if (this.#abandonedTags.size > 0) this.#abandonedTags.delete(task.initiatorTaskTag);
    task.previousOfSession = null;
    task.nextOfSession = this.firstTask;
    if (this.firstTask !== null) this.firstTask.previousOfSession = task;
    this.firstTask = task;
    this.tags.add(task.initiatorTaskTag, task.index);
    this.taskCount++;
  }

  removeTask(task: Task): void {
    if (task.previousOfSession !== null) task.previousOfSession.nextOfSession = task.nextOfSession;
    else this.firstTask = task.nextOfSession;
    if (task.nextOfSession !== null) task.nextOfSession.previousOfSession = task.previousOfSession;
    task.previousOfSession = null;
    task.nextOfSession = null;
    this.tags.remove(task.initiatorTaskTag);
    this.taskCount--;
    if (task.immediate) this.immediateTasks--;
  }
}
