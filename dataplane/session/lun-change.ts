/** A change of what a session sees: LUNs that control maps for it, takes away, or makes read-only, while it goes on. */
import type { ControlMessage } from "../messages.js";
import { MODE_PARAMETERS_CHANGED, REPORTED_LUNS_DATA_HAS_CHANGED } from "../scsi/sense.js";
import type { Shard } from "../shard.js";
import { noteLimits } from "../throttle/throttles.js";
import { LunMapping } from "./lun-mapping.js";

/** Commands that have come for a LUN that goes, or is read-only from now on, end as they would have. */
export function changeLuns(
  shard: Shard,
  { exchange, sessionId, added, removed, switched }: ControlMessage & { type: "lunChange" },
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
    for (const { lun, readOnly } of switched) {
      const mapping = session.luns.get(lun);
      if (mapping === undefined) continue;
      mapping.readOnly = readOnly || mapping.unit.readOnly;
      // WP, in the header that all mode pages have (SPC-5).
      session.attentions.add(lun, MODE_PARAMETERS_CHANGED.asc, MODE_PARAMETERS_CHANGED.ascq);
    }
    if (added.length > 0 || removed.length > 0) {
      const { asc, ascq } = REPORTED_LUNS_DATA_HAS_CHANGED;
      for (const lun of session.luns.keys()) session.attentions.add(lun, asc, ascq);
    }
    noteLimits(session);
  }
  shard.host.post({ type: "done", exchange });
}
