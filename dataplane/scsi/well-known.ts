/** The REPORT LUNS well-known logical unit (SPC-5): there for every session, also for one that sees no other. */
import type { Task } from "../task/task.js";
import { WELL_KNOWN_LUN_REPORT_LUNS } from "../wire/lun.js";

export function isWellKnownUnit(task: Task): boolean {
  return task.lun === WELL_KNOWN_LUN_REPORT_LUNS;
}
