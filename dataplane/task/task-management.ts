/** Task management functions (RFC 7143 sections 11.5 and 11.6, RFC 7144): a response goes out when every task that it affects is gone. */
import { unreachable } from "../assert.js";
import { CONNECTION_FAILED, CONNECTION_OPEN, type Connection } from "../connection/connection.js";
import { PROTOCOL_LEVEL_RFC7144, TASK_FUNCTIONS_MAX } from "../limits.js";
import type { HeldPdu, Session } from "../session/session.js";
import type { Shard } from "../shard.js";
import { RESERVED_TAG } from "../wire/bhs.js";
import { serialInWindow, serialLess } from "../wire/serial.js";
import {
  FUNCTION_ABORT_TASK,
  FUNCTION_ABORT_TASK_SET,
  FUNCTION_CLEAR_ACA,
  FUNCTION_CLEAR_TASK_SET,
  FUNCTION_I_T_NEXUS_RESET,
  FUNCTION_LOGICAL_UNIT_RESET,
  FUNCTION_MAX,
  FUNCTION_QUERY_ASYNCHRONOUS_EVENT,
  FUNCTION_QUERY_TASK,
  FUNCTION_QUERY_TASK_SET,
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
  FUNCTION_RESPONSE_SUCCEEDED,
  FUNCTION_RESPONSE_TASK_DOES_NOT_EXIST,
  FUNCTION_RESPONSE_TASK_STILL_ALLEGIANT,
} from "../wire/task-management-response.js";
import { Barrier } from "./barrier.js";
import { hasTasks, isInTaskSet, pendingEvent } from "./queries.js";
import { isAnswered, TASK_ABORTED, TASK_UNACKNOWLEDGED, Task } from "./task.js";
import {
  abortTaskSet,
  afterCommands,
  conclude,
  resetLogicalUnit,
  resetNexus,
  resetTarget,
  type TaskSetFunction,
} from "./task-sets.js";

/** `information`: Additional Response Information (RFC 7144); `onGone`: as Reply.onGone. */
type Respond = (response: number, information?: number, onGone?: (() => void) | null) => void;

export function manageTasks(shard: Shard, connection: Connection, pdu: TaskManagementRequestPdu): void {
  const session = connection.session!;
  const tag = pdu.initiatorTaskTag;
  if (session.functionTags.size >= TASK_FUNCTIONS_MAX || session.functionTags.has(tag)) {
    return shard.requests.managementResponse(connection, tag, FUNCTION_RESPONSE_REJECTED);
  }
  session.functionTags.add(tag);
  const respond: Respond = (response, information = 0, onGone = null) => {
    session.functionTags.delete(tag);
    shard.requests.managementResponse(connection, tag, response, information, onGone);
  };
  // Those of RFC 7144 are none in other sessions; unassigned ones are none anywhere.
  const isRfc7144 = session.parameters.iSCSIProtocolLevel >= PROTOCOL_LEVEL_RFC7144;
  if (pdu.function < FUNCTION_ABORT_TASK || pdu.function > (isRfc7144 ? FUNCTION_MAX : FUNCTION_TASK_REASSIGN)) {
    return respond(FUNCTION_RESPONSE_NOT_SUPPORTED);
  }
  const complete = (): void => respond(FUNCTION_RESPONSE_COMPLETE);
  const { cmdSN } = pdu;
  const request: TaskSetFunction = { session, connection, initiatorTaskTag: tag, cmdSN, respond: complete };
  switch (pdu.function) {
    case FUNCTION_TASK_REASSIGN:
      return reassignTask(shard, connection, pdu.referencedTaskTag, pdu.expDataSN, respond);
    case FUNCTION_TARGET_WARM_RESET:
      return resetTarget(shard, request);
    case FUNCTION_TARGET_COLD_RESET: {
      const { targetName } = session;
      // "the target MUST then close all of its TCP connections to all initiators" (section 11.6.1).
      const endSessions = (): void => shard.host.post({ type: "targetColdReset", targetName });
      return resetTarget(shard, { ...request, respond: () => respond(FUNCTION_RESPONSE_COMPLETE, 0, endSessions) });
    }
    case FUNCTION_I_T_NEXUS_RESET:
      return resetNexus(shard, request);
    case FUNCTION_ABORT_TASK:
      return abortTask(shard, connection, pdu, respond);
    // An ACA condition is never established: NormACA is 0 in the standard INQUIRY data.
    case FUNCTION_CLEAR_ACA:
      return respond(FUNCTION_RESPONSE_NOT_SUPPORTED);
    default:
      return manageUnit(shard, session, pdu, request, respond);
  }
}

/** The functions that address a unit by its LUN. */
function manageUnit(
  shard: Shard,
  session: Session,
  pdu: TaskManagementRequestPdu,
  request: TaskSetFunction,
  respond: Respond,
): void {
  const mapping = session.luns.get(pdu.lun);
  if (mapping === undefined) return respond(FUNCTION_RESPONSE_LUN_DOES_NOT_EXIST);
  const answer = (isYes: boolean, information = 0): void =>
    respond(isYes ? FUNCTION_RESPONSE_SUCCEEDED : FUNCTION_RESPONSE_COMPLETE, information);
  switch (pdu.function) {
    case FUNCTION_ABORT_TASK_SET:
    case FUNCTION_CLEAR_TASK_SET:
      return abortTaskSet(shard, request, mapping);
    case FUNCTION_LOGICAL_UNIT_RESET:
      return resetLogicalUnit(shard, request, mapping.unit);
    case FUNCTION_QUERY_TASK:
      return answer(isInTaskSet(shard, session, pdu));
    case FUNCTION_QUERY_TASK_SET:
      return afterCommands(request, () => answer(hasTasks(session, mapping, request.cmdSN)));
    case FUNCTION_QUERY_ASYNCHRONOUS_EVENT: {
      const event = pendingEvent(session, mapping.lun);
      return answer(event !== 0, event);
    }
    default:
      return unreachable("task management function", pdu.function);
  }
}

/** ABORT TASK by the Referenced Task Tag, with the cases of RFC 7143 sections 7.11 and 11.6.1. */
function abortTask(shard: Shard, connection: Connection, pdu: TaskManagementRequestPdu, respond: Respond): void {
  const session = connection.session!;
  const { refCmdSN, referencedTaskTag } = pdu;
  // "an ABORT TASK function MUST NOT be executed on a task management request" (section 11.5.1).
  if (session.functionTags.has(referencedTaskTag)) return respond(FUNCTION_RESPONSE_REJECTED);
  const index = session.tags.get(referencedTaskTag);
  const task = index < 0 ? null : shard.tasks.tasks[index]!;
  if (task !== null && task.lunHigh === pdu.lunHigh && task.lunLow === pdu.lunLow) {
    return endTask(shard, connection, task, respond);
  }
  if (shard.refusals.drop(session, referencedTaskTag)) return respond(FUNCTION_RESPONSE_COMPLETE);
  // Not here yet but within the window, or no SCSI command and still ahead of its turn: it is taken as received and aborted.
  const isInWindow = serialInWindow(refCmdSN, session.expCmdSN, session.maxCmdSN) && serialLess(refCmdSN, pdu.cmdSN);
  if (!isInWindow || !mayBe(session, refCmdSN, referencedTaskTag))
    return respond(FUNCTION_RESPONSE_TASK_DOES_NOT_EXIST);
  shard.dispatcher.plug(session, refCmdSN);
  shard.dispatcher.releaseHeld(session);
  respond(FUNCTION_RESPONSE_COMPLETE);
}

function endTask(shard: Shard, connection: Connection, task: Task, respond: Respond): void {
  const { state, isRecoverable } = task.connection!;
  if (isAnswered(task) && task.wasAnswered && state === CONNECTION_FAILED && isRecoverable) {
    // "its status, if sent but not acknowledged, will be resent followed by the task management response" (section 11.5.1).
    shard.engine.retransmission.reassign(task, connection, task.dataSN);
    shard.lifecycle.purge(connection.session!);
    return respond(FUNCTION_RESPONSE_COMPLETE);
  }
  // "the response was sent prior to the abort" (section 7.11).
  if (task.state === TASK_UNACKNOWLEDGED && state === CONNECTION_OPEN) {
    return respond(FUNCTION_RESPONSE_TASK_DOES_NOT_EXIST);
  }
  const barrier = new Barrier(() => respond(FUNCTION_RESPONSE_COMPLETE));
  if (!conclude(task)) shard.engine.abort(task, barrier);
  barrier.leave();
}

/** Whether a request that is ahead of its turn, or has not come, may have this tag. */
function mayBe(session: Session, cmdSN: number, tag: number): boolean {
  if (cmdSN === session.expCmdSN && session.askingText !== null) return session.askingText.textInitiatorTaskTag === tag;
  const held = session.held.get(cmdSN);
  return held === undefined || (held !== null && !(held instanceof Task) && tagOf(held) === tag);
}

/** TASK REASSIGN (section 7.2.2): the response goes out before anything of the task does. */
function reassignTask(
  shard: Shard,
  connection: Connection,
  referencedTaskTag: number,
  expDataSN: number,
  respond: Respond,
): void {
  const session = connection.session!;
  // "a target MUST terminate and/or discard all of the active immediate commands" (section 7.14): it has waited, and is one of these.
  if (connection.state !== CONNECTION_OPEN) return respond(FUNCTION_RESPONSE_REJECTED);
  if (session.parameters.errorRecoveryLevel < 2) return respond(FUNCTION_RESPONSE_REASSIGNMENT_NOT_SUPPORTED);
  if (session.refusals.has(referencedTaskTag)) return respond(FUNCTION_RESPONSE_TASK_STILL_ALLEGIANT);
  if (isNoCommand(session, referencedTaskTag)) return respond(FUNCTION_RESPONSE_REJECTED);
  const index = session.tags.get(referencedTaskTag);
  if (index < 0) return respond(FUNCTION_RESPONSE_TASK_DOES_NOT_EXIST);
  const task = shard.tasks.tasks[index]!;
  if (task.state === TASK_ABORTED) return respond(FUNCTION_RESPONSE_TASK_DOES_NOT_EXIST);
  const { isRecoverable, loggedOut, state, closers } = task.connection!;
  const isOver = state === CONNECTION_FAILED;
  if (!isRecoverable || !(isOver || loggedOut)) return respond(FUNCTION_RESPONSE_TASK_STILL_ALLEGIANT);
  if (!isOver) {
    // It has logged itself out, so that its initiator may know already, while the kernel or the store still has something of it.
    const ready = new Barrier(() => reassignTask(shard, connection, referencedTaskTag, expDataSN, respond));
    ready.join();
    closers.push(ready);
    return ready.leave();
  }
  respond(FUNCTION_RESPONSE_COMPLETE);
  shard.engine.retransmission.reassign(task, connection, expDataSN);
  shard.lifecycle.purge(session);
}

/**
 * TASK REASSIGN "MUST NOT be executed to reassign the connection allegiance of a Task Management Function Request, an active text
 * negotiation task, or a Logout task" (section 11.5.1): such a one is under way, or waits for its turn.
 */
function isNoCommand(session: Session, tag: number): boolean {
  const { functionTags, logoutTags, connections, failed, held, expCmdSN } = session;
  if (functionTags.has(tag) || logoutTags.has(tag)) return true;
  const isNegotiated = ({ textTag, textHeader, textInitiatorTaskTag }: Connection): boolean =>
    textInitiatorTaskTag === tag && (textTag !== RESERVED_TAG || textHeader !== null);
  if (connections.some(isNegotiated) || failed.some(isNegotiated)) return true;
  for (const [, early] of held.entries(expCmdSN)) {
    if (early !== null && !(early instanceof Task) && tagOf(early) === tag) return true;
  }
  return false;
}

function tagOf({ header }: HeldPdu): number {
  return new DataView(header.buffer, header.byteOffset).getUint32(16);
}
