/** READ DEFECT DATA (SBC-4) of a medium that has no defects: both lists are there, and empty. */
import type { Task } from "../task/task.js";
import type { Services } from "./command.js";

/** REQ_PLIST, REQ_GLIST and DEFECT LIST FORMAT of the CDB, as the header repeats them. */
const REQUEST_MASK = 0x1f;
const HEADER_10_BYTES = 4;
const HEADER_12_BYTES = 8;

export function beginReadDefectData10(task: Task, services: Services): void {
  const { bytes, view } = services;
  const at = services.parameterBuffer(task, HEADER_10_BYTES);
  if (at < 0) return;
  bytes[at + 1] = bytes[task.cdb + 2]! & REQUEST_MASK;
  services.reply(task, HEADER_10_BYTES, view.getUint16(task.cdb + 7));
}

export function beginReadDefectData12(task: Task, services: Services): void {
  const { bytes, view } = services;
  const at = services.parameterBuffer(task, HEADER_12_BYTES);
  if (at < 0) return;
  bytes[at + 1] = bytes[task.cdb + 1]! & REQUEST_MASK;
  services.reply(task, HEADER_12_BYTES, view.getUint32(task.cdb + 6));
}
