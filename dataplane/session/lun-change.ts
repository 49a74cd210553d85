/** A change of what a session sees: LUNs that control maps for it, takes away, or makes read-only, while it goes on. */
import { CONNECTION_FAILED } from "../connection/connection.js";
import { reportScsiEvent } from "../connection/scsi-events.js";
import type { ControlMessage, LunRecord } from "../messages.js";
import { COMMAND_WRITES_MEDIUM } from "../scsi/command.js";
import { MODE_PARAMETERS_CHANGED, REPORTED_LUNS_DATA_HAS_CHANGED } from "../scsi/sense.js";
import type { Shard } from "../shard.js";
import { Barrier } from "../task/barrier.js";
import { isAnswered, isWaiting, TASK_RESPONDING, type Task } from "../task/task.js";
import { noteLimits } from "../throttle/throttles.js";
import { LunMapping } from "./lun-mapping.js";
import type { Session } from "./session.js";

/**
 * Commands that have begun on a LUN that goes, or is read-only from now on, end as they would have; those whose turn has not come
 * are refused then if they write. `done` is posted when nothing can be written through the LUN any more: another host may be given
 * the unit next, or its file be copied.
 */
export function changeLuns(
  shard: Shard,
  { exchange, sessionId, added, removed, switched }: ControlMessage & { type: "lunChange" },
): void {
  const barrier = new Barrier(() => shard.host.post({ type: "done", exchange }));
  const session = shard.sessions.get(sessionId);
  if (session !== undefined) {
    for (const lun of removed) {
      endWrites(shard, session, lun, barrier);
      session.luns.delete(lun);
      session.attentions.clear(lun);
    }
    for (const record of added) mapLun(shard, session, record);
    for (const { lun, readOnly } of switched) {
      const mapping = session.luns.get(lun);
      if (mapping === undefined) continue;
      mapping.readOnly = readOnly || mapping.unit.readOnly;
      if (readOnly) endWrites(shard, session, lun, barrier);
      // WP, in the header that all mode pages have (SPC-5).
      const { asc, ascq } = MODE_PARAMETERS_CHANGED;
      if (session.attentions.add(lun, asc, ascq)) reportScsiEvent(shard, session, lun, asc, ascq);
    }
    if (added.length > 0 || removed.length > 0) {
      const { asc, ascq } = REPORTED_LUNS_DATA_HAS_CHANGED;
      const [toldOf] = [...session.luns.keys()].filter((lun) => session.attentions.add(lun, asc, ascq));
      // Once: an initiator asks for the LUNs of the target, whichever tells it that they are others.
      if (toldOf !== undefined) reportScsiEvent(shard, session, toldOf, asc, ascq);
    }
    noteLimits(session);
  }
  barrier.leave();
}

/** The session sees a unit at this LUN from now on, unless it has just gone. */
export function mapLun(shard: Shard, session: Session, record: LunRecord): void {
  const { lun, unitIndex, readOnly, blocked, accessState, hasUnheardLoss } = record;
  const unit = shard.units.get(unitIndex);
  if (unit === undefined) return;
  const mapping = new LunMapping(lun, unit, readOnly || unit.readOnly, blocked, accessState);
  if (hasUnheardLoss === true) mapping.lossesHeard--;
  session.luns.set(lun, mapping);
}

/**
 * What control alone carries out is its own affair: it asks before each part whether it may go on. What waits on a failed connection
 * for somebody to take it over is aborted: that may take as long as the initiator wants.
 */
function endWrites(shard: Shard, session: Session, lun: number, barrier: Barrier): void {
  const mapping = session.luns.get(lun);
  const writesBegun: Task[] = [];
  for (let task = session.firstTask; task !== null; task = task.nextOfSession) {
    if (task.mapping !== mapping || isAnswered(task)) continue;
    if (isWaiting(task)) task.readOnly = true;
    else if (task.state === TASK_RESPONDING || !writes(task) || isControls(shard, task)) continue;
    else writesBegun.push(task);
  }
  for (const task of writesBegun) {
    if (task.connection?.state === CONNECTION_FAILED) shard.engine.abort(task, barrier);
    else shard.engine.awaitEnd(task, barrier);
  }
}

function isControls(shard: Shard, task: Task): boolean {
  return shard.engine.control.isAsking(task) && task.command!.place === "control";
}

function writes({ command }: Task): boolean {
  return command !== null && (command.conditions & COMMAND_WRITES_MEDIUM) !== 0;
}
