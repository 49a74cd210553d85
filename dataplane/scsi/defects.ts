/** READ DEFECT DATA (SBC-4) of a medium that has no defects: both lists are there, and empty. */
import type { Task } from "../task/task.js";
import type { Services } from "./command.js";
import { invalidFieldInCdb } from "./sense.js";

// REQ_PLIST, REQ_GLIST and DEFECT LIST FORMAT stand in one byte of the CDB, and so again in the header.
const REQUEST_MASK = 0x1f;
const REQUEST_BYTE_10 = 2;
const REQUEST_BYTE_12 = 1;
const FORMAT_MASK = 0x07;
const FORMAT_BIT = 2;
/** An empty list can be had in all formats that the standard defines; 110b is a vendor's own, 111b reserved. */
const FORMATS = 6;

const HEADER_10_BYTES = 4;
const HEADER_12_BYTES = 8;
const ALLOCATION_LENGTH_10 = 7;
const ALLOCATION_LENGTH_12 = 6;

export function beginReadDefectData10(task: Task, services: Services): void {
  const length = services.view.getUint16(task.cdb + ALLOCATION_LENGTH_10);
  reportDefects(task, services, REQUEST_BYTE_10, HEADER_10_BYTES, length);
}

/** ADDRESS DESCRIPTOR INDEX is beyond the end of the lists, whatever it is. */
export function beginReadDefectData12(task: Task, services: Services): void {
  const length = services.view.getUint32(task.cdb + ALLOCATION_LENGTH_12);
  reportDefects(task, services, REQUEST_BYTE_12, HEADER_12_BYTES, length);
}

function reportDefects(
  task: Task,
  services: Services,
  requestByte: number,
  headerBytes: number,
  allocationLength: number,
): void {
  const { bytes } = services;
  const request = bytes[task.cdb + requestByte]! & REQUEST_MASK;
  if ((request & FORMAT_MASK) >= FORMATS) {
    invalidFieldInCdb(task, services, requestByte, FORMAT_BIT);
    return;
  }
  const at = services.parameterBuffer(task, headerBytes);
  if (at < 0) return;
  bytes[at + 1] = request;
  services.reply(task, headerBytes, allocationLength);
}
