/** Task management functions that only ask (RFC 7144, SAM-5): "function succeeded" is yes, "function complete" is no. */

import { senseKeyOf } from "../scsi/unit-attention.js";
import type { LunMapping } from "../session/lun-mapping.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard.js";
import { serialLess } from "../wire/serial.js";
import type { TaskManagementRequestPdu } from "../wire/task-management-request.js";
import { isUnderWay } from "./task.js";

/** UADE DEPTH of SAM-5, where the Additional Response Information has it. */
const DEPTH_ONE = 0x100000;
const DEPTH_MORE = 0x200000;
const SENSE_KEY_SHIFT = 16;
const SENSE_KEY_MASK = 0x0f;
const ASC_ASCQ_MASK = 0xffff;

/** QUERY TASK: the task is with the target and has not ended. */
export function isInTaskSet(shard: Shard, session: Session, pdu: TaskManagementRequestPdu): boolean {
  const index = session.tags.get(pdu.referencedTaskTag);
  if (index < 0) return false;
  const task = shard.tasks.tasks[index]!;
  return isUnderWay(task) && task.lunHigh === pdu.lunHigh && task.lunLow === pdu.lunLow;
}

/** QUERY TASK SET: a task of the nexus that was sent before the function has not ended. */
export function hasTasks(session: Session, mapping: LunMapping, cmdSN: number): boolean {
  for (let task = session.firstTask; task !== null; task = task.nextOfSession) {
    if (task.mapping !== mapping || !isUnderWay(task)) continue;
    if (task.immediate || serialLess(task.cmdSN, cmdSN)) return true;
  }
  return false;
}

/** QUERY ASYNCHRONOUS EVENT: the next unit attention or deferred error, as Additional Response Information; 0: there is none. It stays. */
export function pendingEvent({ attentions }: Session, lun: number): number {
  const count = attentions.count(lun);
  if (count === 0) return 0;
  const condition = attentions.next(lun);
  const senseKey = (senseKeyOf(condition) & SENSE_KEY_MASK) << SENSE_KEY_SHIFT;
  return (count === 1 ? DEPTH_ONE : DEPTH_MORE) | senseKey | (condition & ASC_ASCQ_MASK);
}
