/** A change that control makes to a unit: who may use it, what its state is, what its sessions are to be told. */
import { reportScsiEvent } from "../connection/scsi-events.js";
import type { AttentionRecord, UnitChange } from "../messages.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard.js";
import { Barrier } from "../task/barrier.js";
import { abortUnitTasks, refuseUnitTasks } from "../task/task-sets.js";
import type { LogicalUnit } from "./logical-unit.js";

/** `done` is posted when the change is made and the tasks that it aborts are gone. */
export function changeUnit(shard: Shard, exchange: number, unitIndex: number, change: UnitChange): void {
  const barrier = new Barrier(() => shard.host.post({ type: "done", exchange }));
  const unit = shard.units.get(unitIndex);
  if (unit !== undefined) {
    if (change.state !== undefined) unit.apply(change.state);
    if (change.limits !== undefined) shard.engine.throttles.limitUnit(unit, change.limits);
    if (change.closes === true) shard.engine.backgroundFlushes.end(unit, barrier);
    for (const session of shard.sessions.values()) {
      changeSession(shard, session, unit, change);
      if (change.refusesTasks === true) refuseUnitTasks(shard, session, unit);
      if (!change.abortSessions?.includes(session.sessionId)) continue;
      const isAsker = change.spared?.sessionId === session.sessionId;
      abortUnitTasks(
        shard,
        session,
        unit,
        barrier,
        isAsker ? shard.engine.control.asker(change.spared.exchange) : undefined,
      );
    }
  }
  barrier.leave();
}

function changeSession(
  shard: Shard,
  session: Session,
  unit: LogicalUnit,
  { access, accessStates, attentions }: UnitChange,
): void {
  const { sessionId, targetPortalGroupTag } = session;
  const accessState = accessStates?.find(({ portalGroupTag }) => portalGroupTag === targetPortalGroupTag)?.state;
  for (const mapping of session.luns.values()) {
    if (mapping.unit !== unit) continue;
    if (access !== undefined) mapping.conflicts = access.exemptSessions.includes(sessionId) ? 0 : access.blocked;
    if (accessState !== undefined) mapping.accessState = accessState;
    for (const attention of attentions ?? []) {
      if (!concerns(attention, sessionId)) continue;
      const { asc, ascq } = attention;
      if (session.attentions.add(mapping.lun, asc, ascq)) reportScsiEvent(shard, session, mapping.lun, asc, ascq);
    }
  }
}

function concerns({ onlySessions, exceptSessions }: AttentionRecord, sessionId: number): boolean {
  if (onlySessions !== undefined && !onlySessions.includes(sessionId)) return false;
  return exceptSessions === undefined || !exceptSessions.includes(sessionId);
}
