/**
 * Task management functions that end several tasks: ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET, TARGET WARM RESET, TARGET COLD
 * RESET (RFC 7143 sections 4.2.3.2 to 4.2.3.5) and I_T NEXUS RESET (RFC 7144).
 *
 *     commands before it have come --> the sender's own tasks are gone --> others' tasks are gone --> response, fenced
 *                                      standard: when their data has come
 *                                      FastAbort: at once
 */
import { CONNECTION_OPEN, type Connection } from "../connection/connection.js";
import { reportScsiEvent } from "../connection/scsi-events.js";
import { endNotReady, isRefused } from "../scsi/readiness.js";
import { BUS_DEVICE_RESET_FUNCTION_OCCURRED, I_T_NEXUS_LOSS_OCCURRED } from "../scsi/sense.js";
import type { LunMapping } from "../session/lun-mapping.js";
import type { Refusal } from "../session/refusals.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard.js";
import type { LogicalUnit } from "../storage/logical-unit.js";
import { serialAdd, serialInWindow, serialLess } from "../wire/serial.js";
import { Barrier } from "./barrier.js";
import { isAnswered, TASK_ACTIVE, TASK_THROTTLED, type Task, TRANSFER_READ } from "./task.js";

/** A function that was received: in this session, on this connection, with this tag and CmdSN. */
export interface TaskSetFunction {
  readonly session: Session;
  readonly connection: Connection;
  readonly initiatorTaskTag: number;
  readonly cmdSN: number;
  /** The function has been executed. */
  readonly respond: () => void;
}

/** ABORT TASK SET, and CLEAR TASK SET, which is the same where every I_T nexus has a task set of its own. */
export function abortTaskSet(shard: Shard, request: TaskSetFunction, mapping: LunMapping): void {
  afterCommands(request, () => endOwnTasks(shard, request, (its) => its === mapping, answer(shard, request)));
}

/** LOGICAL UNIT RESET. */
export function resetLogicalUnit(shard: Shard, request: TaskSetFunction, unit: LogicalUnit): void {
  afterCommands(request, () => {
    endOwnTasks(
      shard,
      request,
      (its) => its?.unit === unit,
      () => resetUnits(shard, request, [unit]),
    );
  });
}

/**
 * TARGET WARM RESET and TARGET COLD RESET: "the target cancels all pending operations on all LUs known by the issuing initiator".
 * Of commands that have not come "the entire CmdSN space up to the CmdSN of the task management function can be plugged".
 */
export function resetTarget(shard: Shard, request: TaskSetFunction): void {
  const { session } = request;
  if (isAheadOfSome(request)) {
    for (let cmdSN = session.expCmdSN; serialLess(cmdSN, request.cmdSN); cmdSN = serialAdd(cmdSN, 1)) {
      if (!session.held.has(cmdSN)) shard.dispatcher.plug(session, cmdSN);
    }
  }
  const units = new Set<LogicalUnit>();
  for (const { unit } of session.luns.values()) units.add(unit);
  endOwnTasks(
    shard,
    request,
    (its) => its !== null,
    () => resetUnits(shard, request, units),
  );
  shard.dispatcher.releaseHeld(session);
}

/** I_T NEXUS RESET: all tasks of the session, whose nexus is lost (SAM-5). */
export function resetNexus(shard: Shard, request: TaskSetFunction): void {
  const { session } = request;
  const lose = (): void => {
    const { asc, ascq } = I_T_NEXUS_LOSS_OCCURRED;
    for (const lun of session.luns.keys()) session.attentions.add(lun, asc, ascq);
    const barrier = new Barrier(answer(shard, request));
    shard.resets.ofNexus(session.sessionId, barrier, false);
    barrier.leave();
  };
  afterCommands(request, () => endOwnTasks(shard, request, () => true, lose));
}

/** Some of the commands before the function have not come: so only an immediate one can be. */
function isAheadOfSome({ session, cmdSN }: TaskSetFunction): boolean {
  const { expCmdSN, maxCmdSN } = session;
  return serialInWindow(cmdSN, serialAdd(expCmdSN, 1), serialAdd(maxCmdSN, 1));
}

/** Runs `run` when all commands before the function have come. */
export function afterCommands(request: TaskSetFunction, run: () => void): void {
  if (!isAheadOfSome(request)) return run();
  const { session, connection, initiatorTaskTag, cmdSN } = request;
  const { waitingFunctions } = session;
  const at = waitingFunctions.findIndex((waiting) => serialLess(cmdSN, waiting.cmdSN));
  waitingFunctions.splice(at < 0 ? waitingFunctions.length : at, 0, { connection, initiatorTaskTag, cmdSN, run });
}

/**
 * Ends those tasks of the session that were sent before the function; those that were sent later are none of its business, even
 * of a reset: their initiator waits for them. `then` runs when they are gone.
 */
function endOwnTasks(
  shard: Shard,
  { session, connection, cmdSN }: TaskSetFunction,
  isAddressed: (mapping: LunMapping | null) => boolean,
  then: () => void,
): void {
  const isAffected = (command: Task | Refusal): boolean =>
    isAddressed(command.mapping) && (command.immediate || serialLess(command.cmdSN, cmdSN));
  shard.refusals.dropAll(session, isAffected);
  const tasks = tasksOf(session).filter((task) => isAffected(task) && !conclude(task));
  const barrier = new Barrier(then);
  const isFast = session.parameters.taskReporting === "FastAbort";
  shard.terminations.announce(session, tasks, connection);
  for (const task of tasks) {
    if (isFast) shard.engine.abort(task, barrier);
    else shard.engine.abortAfterData(task, barrier);
  }
  barrier.leave();
}

/** The units' tasks in all other sessions, on all shards; then the response. */
function resetUnits(shard: Shard, request: TaskSetFunction, units: Iterable<LogicalUnit>): void {
  const barrier = new Barrier(answer(shard, request));
  for (const unit of units) {
    resetUnit(shard, unit, barrier, request.session);
    shard.resets.ofUnit(unit.unitIndex, barrier);
  }
  barrier.leave();
}

function answer(shard: Shard, { connection, respond }: TaskSetFunction): () => void {
  return () => shard.fences.respond(connection, respond);
}

/**
 * Aborts all tasks of a unit in all sessions of this shard but the one that asks for it; `barrier` waits for them. Every I_T
 * nexus is told, the one that has asked for the reset too (SAM-5 section 6.3.3, e): other paths of its host need not have heard
 * of it. Initiators count on it: Linux expects a unit attention after each of its own resets. The next response of the others is
 * fenced (RFC 7143 sections 4.2.3.3, e, and 4.2.3.4, f).
 */
export function resetUnit(shard: Shard, unit: LogicalUnit, barrier: Barrier, asking: Session | null = null): void {
  const { asc, ascq } = BUS_DEVICE_RESET_FUNCTION_OCCURRED;
  for (const session of shard.sessions.values()) {
    if (session !== asking) abortUnitTasks(shard, session, unit, barrier);
    for (const mapping of session.luns.values()) {
      if (mapping.unit !== unit) continue;
      const isNew = session.attentions.add(mapping.lun, asc, ascq);
      if (session === asking) continue;
      shard.fences.mark(session, mapping);
      if (isNew) reportScsiEvent(shard, session, mapping.lun, asc, ascq);
    }
  }
}

/** Aborts the tasks of one session on a unit, but for the one that is spared. */
export function abortUnitTasks(
  shard: Shard,
  session: Session,
  unit: LogicalUnit,
  barrier: Barrier,
  spared?: Task,
): void {
  const tasks = tasksOf(session).filter((task) => task.unit === unit && task !== spared && !conclude(task));
  shard.terminations.announce(session, tasks, spared?.connection ?? null);
  for (const task of tasks) shard.engine.abort(task, barrier);
}

/** Ends the tasks of one session on a unit that has become not ready, as far as it refuses their commands. */
export function refuseUnitTasks(shard: Shard, session: Session, unit: LogicalUnit): void {
  const { engine } = shard;
  const { notReady } = unit;
  for (const task of tasksOf(session)) {
    if (notReady === null || task.unit !== unit || !isBegun(task) || task.isHeldBack) continue;
    // Those that are being aborted do nothing any more, and control answers those that are with it.
    if (task.isAbortedAfterData || engine.control.isAsking(task)) continue;
    if (!isRefused(notReady, task.command!, task, engine)) continue;
    if (task.state === TASK_THROTTLED) engine.throttles.remove(task);
    // Nothing that was written counts; of what was read, it is what has been sent.
    if (task.transfer !== TRANSFER_READ) task.transferTotal = 0;
    endNotReady(task, engine, notReady);
  }
}

/** It is executed, or waits only for a limit. */
function isBegun({ state }: Task): boolean {
  return state === TASK_ACTIVE || state === TASK_THROTTLED;
}

/**
 * A task whose response is queued is complete: that goes out before ours. If its connection fails it would come after ours, when the
 * task is reassigned: so that is not done any more. False: the task is still to be ended, perhaps as its connection has failed already.
 */
export function conclude(task: Task): boolean {
  task.endsWithConnection = isAnswered(task) && task.connection!.state === CONNECTION_OPEN;
  return task.endsWithConnection;
}

function tasksOf({ firstTask }: Session): Task[] {
  const tasks: Task[] = [];
  for (let task = firstTask; task !== null; task = task.nextOfSession) tasks.push(task);
  return tasks;
}
