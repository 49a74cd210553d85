/** Task management functions (RFC 7143 sections 11.5 and 11.6): a response goes out when every task that it affects is gone. */
import { CONNECTION_FAILED, type Connection } from "../connection/connection.js";
import { TASK_FUNCTIONS_MAX } from "../limits.js";
import { endNotReady, isRefused } from "../scsi/readiness.js";
import { BUS_DEVICE_RESET_FUNCTION_OCCURRED } from "../scsi/sense.js";
import type { HeldPdu, Session } from "../session/session.js";
import type { Shard } from "../shard.js";
import type { LogicalUnit } from "../storage/logical-unit.js";
import { serialAdd, serialInWindow, serialLess } from "../wire/serial.js";
import {
  FUNCTION_ABORT_TASK,
  FUNCTION_ABORT_TASK_SET,
  FUNCTION_CLEAR_TASK_SET,
  FUNCTION_LOGICAL_UNIT_RESET,
  FUNCTION_TARGET_COLD_RESET,
  FUNCTION_TARGET_WARM_RESET,
  FUNCTION_TASK_REASSIGN,
  type TaskManagementRequestPdu,
} from "../wire/task-management-request.js";
import {
  FUNCTION_RESPONSE_COMPLETE,
  FUNCTION_RESPONSE_LUN_DOES_NOT_EXIST,
  FUNCTION_RESPONSE_NOT_SUPPORTED,
  FUNCTION_RESPONSE_REASSIGNMENT_NOT_SUPPORTED,
  FUNCTION_RESPONSE_REJECTED,
  FUNCTION_RESPONSE_TASK_DOES_NOT_EXIST,
  FUNCTION_RESPONSE_TASK_STILL_ALLEGIANT,
} from "../wire/task-management-response.js";
import { Barrier } from "./barrier.js";
import { TASK_ACTIVE, TASK_FREE, TASK_RESPONDING, TASK_UNACKNOWLEDGED, Task, TRANSFER_READ } from "./task.js";

export function manageTasks(shard: Shard, connection: Connection, pdu: TaskManagementRequestPdu): void {
  const session = connection.session!;
  const tag = pdu.initiatorTaskTag;
  if (session.functionTags.size >= TASK_FUNCTIONS_MAX || session.functionTags.has(tag)) {
    return shard.requests.managementResponse(connection, tag, FUNCTION_RESPONSE_REJECTED);
  }
  session.functionTags.add(tag);
  const respond = (response: number, onGone: (() => void) | null = null): void => {
    session.functionTags.delete(tag);
    shard.requests.managementResponse(connection, tag, response, onGone);
  };
  switch (pdu.function) {
    case FUNCTION_ABORT_TASK:
      return abortTask(shard, connection, pdu, respond);
    case FUNCTION_TASK_REASSIGN:
      return reassignTask(shard, connection, pdu, respond);
    case FUNCTION_TARGET_WARM_RESET:
    case FUNCTION_TARGET_COLD_RESET:
      return resetTarget(shard, connection, pdu.function === FUNCTION_TARGET_COLD_RESET, respond);
    case FUNCTION_ABORT_TASK_SET:
    case FUNCTION_CLEAR_TASK_SET:
    case FUNCTION_LOGICAL_UNIT_RESET:
      break;
    default:
      return respond(FUNCTION_RESPONSE_NOT_SUPPORTED);
  }
  const mapping = session.luns.get(pdu.lun);
  if (mapping === undefined) return respond(FUNCTION_RESPONSE_LUN_DOES_NOT_EXIST);
  const barrier = new Barrier(() => respond(FUNCTION_RESPONSE_COMPLETE));
  // What was answered before goes to the SCSI layer of the initiator first, whatever its connection (section 4.2.3.3, d).
  if (pdu.function === FUNCTION_LOGICAL_UNIT_RESET) {
    shard.fences.raise(connection, barrier);
    resetUnitEverywhere(shard, mapping.unit, barrier);
    barrier.leave();
  } else {
    abortTaskSet(shard, connection, pdu, barrier);
  }
}

/**
 * ABORT TASK SET, and CLEAR TASK SET, which is the same where every I_T nexus has a task set of its own: the tasks of this
 * session on the unit that were sent before the function. It "MUST wait for all commands of the affected tasks to be received"
 * and "for responses on currently valid Target Transfer Tags" (RFC 7143 section 4.2.3.3).
 */
function abortTaskSet(shard: Shard, connection: Connection, pdu: TaskManagementRequestPdu, barrier: Barrier): void {
  const session = connection.session!;
  const { cmdSN, lun } = pdu;
  const run = (): void => {
    shard.fences.raise(connection, barrier);
    for (const task of [...tasksOf(session.firstTask)]) {
      if (task.lun !== lun || isAnswered(task)) continue;
      if (task.immediate || serialLess(task.cmdSN, cmdSN)) shard.engine.abortAfterData(task, barrier);
    }
    barrier.leave();
  };
  // Only of an immediate function can there be any that are not here.
  if (serialInWindow(cmdSN, serialAdd(session.expCmdSN, 1), serialAdd(session.maxCmdSN, 1))) {
    const at = session.waitingFunctions.findIndex((waiting) => serialLess(cmdSN, waiting.cmdSN));
    session.waitingFunctions.splice(at < 0 ? session.waitingFunctions.length : at, 0, { cmdSN, run });
  } else {
    run();
  }
}

/**
 * TARGET WARM RESET and TARGET COLD RESET: "the target cancels all pending operations on all LUs known by the issuing
 * initiator"; after a cold one, when the response has left, all sessions of the target end (RFC 7143 section 11.5.1).
 */
function resetTarget(
  shard: Shard,
  connection: Connection,
  isCold: boolean,
  respond: (response: number, onGone: (() => void) | null) => void,
): void {
  const session = connection.session!;
  const { targetName } = session;
  const endSessions = () => shard.host.post({ type: "targetColdReset", targetName });
  const barrier = new Barrier(() => respond(FUNCTION_RESPONSE_COMPLETE, isCold ? endSessions : null));
  shard.fences.raise(connection, barrier);
  const units = new Set<LogicalUnit>();
  for (const { unit } of session.luns.values()) units.add(unit);
  for (const unit of units) resetUnitEverywhere(shard, unit, barrier);
  barrier.leave();
}

/** On all shards, of which this one has been asked. */
function resetUnitEverywhere(shard: Shard, unit: LogicalUnit, barrier: Barrier): void {
  resetUnit(shard, unit, barrier);
  shard.resets.begin(unit.unitIndex, barrier);
}

/**
 * Aborts all tasks of a unit in all sessions of this shard; `barrier` waits for them. Every I_T nexus is told, the one that
 * has asked for the reset too (SAM-5 section 6.3.3, e): other paths of its host need not have heard of it. Initiators count
 * on it: Linux expects a unit attention after each of its own resets.
 */
export function resetUnit(shard: Shard, unit: LogicalUnit, barrier: Barrier): void {
  for (const session of shard.sessions.values()) {
    abortUnitTasks(shard, session, unit, barrier);
    const { asc, ascq } = BUS_DEVICE_RESET_FUNCTION_OCCURRED;
    for (const mapping of session.luns.values()) {
      if (mapping.unit === unit) session.attentions.add(mapping.lun, asc, ascq);
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
  for (const task of [...tasksOf(session.firstTask)]) {
    if (task.unit === unit && task !== spared) abortIfUnanswered(shard, task, barrier);
  }
}

/** Ends the tasks of one session on a unit that has become not ready, as far as it refuses their commands. */
export function refuseUnitTasks(shard: Shard, session: Session, unit: LogicalUnit): void {
  const { engine } = shard;
  const { notReady } = unit;
  for (const task of [...tasksOf(session.firstTask)]) {
    if (notReady === null || task.unit !== unit || task.state !== TASK_ACTIVE) continue;
    // Those that are being aborted do nothing any more, and control answers those that are with it.
    if (task.isAbortedAfterData || engine.isWithControl(task)) continue;
    if (!isRefused(notReady, task.command!, task, engine)) continue;
    // Nothing that was written counts; of what was read, it is what has been sent.
    if (task.transfer !== TRANSFER_READ) task.transferTotal = 0;
    endNotReady(task, engine, notReady);
  }
}

/** ABORT TASK by the Referenced Task Tag, with the cases of RFC 7143 section 11.6.1. */
function abortTask(
  shard: Shard,
  connection: Connection,
  pdu: TaskManagementRequestPdu,
  respond: (response: number) => void,
): void {
  const session = connection.session!;
  // "an ABORT TASK function MUST NOT be executed on a task management request" (section 11.5.1).
  if (session.functionTags.has(pdu.referencedTaskTag)) return respond(FUNCTION_RESPONSE_REJECTED);
  const index = session.tags.get(pdu.referencedTaskTag);
  const task = index < 0 ? null : shard.tasks.tasks[index]!;
  if (task !== null && task.lunHigh === pdu.lunHigh && task.lunLow === pdu.lunLow) {
    const barrier = new Barrier(() => respond(FUNCTION_RESPONSE_COMPLETE));
    abortIfUnanswered(shard, task, barrier);
    barrier.leave();
    return;
  }
  const { refCmdSN } = pdu;
  // Not here yet but within the window, or no SCSI command and still ahead of its turn: it is taken as received and aborted.
  const held = session.held.get(refCmdSN);
  const isReferenced =
    held === undefined || (held !== null && !(held instanceof Task) && tagOf(held) === pdu.referencedTaskTag);
  const isInWindow = serialInWindow(refCmdSN, session.expCmdSN, session.maxCmdSN) && serialLess(refCmdSN, pdu.cmdSN);
  if (isReferenced && isInWindow) {
    if (held !== undefined) session.heldBytes -= held.data.length;
    session.held.set(refCmdSN, null);
    shard.dispatcher.releaseHeld(session);
    session.reopen();
    return respond(FUNCTION_RESPONSE_COMPLETE);
  }
  respond(FUNCTION_RESPONSE_TASK_DOES_NOT_EXIST);
}

/** TASK REASSIGN (section 7.2.2): the response goes out before anything of the task does. */
function reassignTask(
  shard: Shard,
  connection: Connection,
  pdu: TaskManagementRequestPdu,
  respond: (response: number) => void,
): void {
  const session = connection.session!;
  const { expDataSN, referencedTaskTag } = pdu;
  if (session.parameters.errorRecoveryLevel < 2) return respond(FUNCTION_RESPONSE_REASSIGNMENT_NOT_SUPPORTED);
  const index = session.tags.get(referencedTaskTag);
  if (index < 0) return respond(FUNCTION_RESPONSE_TASK_DOES_NOT_EXIST);
  const task = shard.tasks.tasks[index]!;
  const { isRecoverable, state } = task.connection!;
  if (!isRecoverable || state !== CONNECTION_FAILED) return respond(FUNCTION_RESPONSE_TASK_STILL_ALLEGIANT);
  respond(FUNCTION_RESPONSE_COMPLETE);
  shard.engine.reassign(task, connection, expDataSN);
  shard.lifecycle.reassigned(session);
}

/** A task whose response is queued already is complete: the response goes out before ours. */
function abortIfUnanswered(shard: Shard, task: Task, barrier: Barrier): void {
  if (!isAnswered(task) && task.state !== TASK_FREE) shard.engine.abort(task, barrier);
}

function isAnswered({ state }: Task): boolean {
  return state === TASK_RESPONDING || state === TASK_UNACKNOWLEDGED;
}

function tagOf({ header }: HeldPdu): number {
  return new DataView(header.buffer, header.byteOffset).getUint32(16);
}

function* tasksOf(first: Task | null): Generator<Task> {
  for (let task = first; task !== null; task = task.nextOfSession) yield task;
}
