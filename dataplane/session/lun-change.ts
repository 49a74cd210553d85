/** A change of what a session sees: LUNs that control maps for it, or takes away, while it goes on. */
import type { LunRecord } from "../messages.js";
import { REPORTED_LUNS_DATA_HAS_CHANGED } from "../scsi/sense.js";
import type { Shard } from "../shard.js";
import { noteLimits } from "../throttle/throttles.js";
import { LunMapping } from "./lun-mapping.js";

/** Commands that have come for a LUN that goes end as they would have; later ones do not find it. */
export function changeLuns(
  shard: Shard,
  sessionId: number,
  added: readonly LunRecord[],
  removed: readonly number[],
  exchange: number,
): void {
  const session = shard.sessions.get(sessionId);
  if (session !== undefined) {
    for (const lun of removed) {
      session.luns.delete(lun);
      session.attentions.clear(lun);
    }
    for (const { lun, unitIndex, readOnly, blocked, accessState } of added) {
      const unit = shard.units.get(unitIndex);
      if (unit === undefined) continue;
      session.luns.set(lun, new LunMapping(lun, unit, readOnly || unit.readOnly, blocked, accessState));
    }
    noteLimits(session);
    const { asc, ascq } = REPORTED_LUNS_DATA_HAS_CHANGED;
    for (const lun of session.luns.keys()) session.attentions.add(lun, asc, ascq);
  }
  shard.host.post({ type: "done", exchange });
}
