/** What RECEIVE COPY STATUS and its relatives tell of a copy (SPC-5), whole; the initiator gets as much as it has room for. */
import { setUint64 } from "../../../dataplane/scsi/uint64.js";
import { SCSI_STATUS_GOOD } from "../../../dataplane/wire/scsi-response.js";
import type { CopyOperation } from "./copy-operation.js";
import { ROD_MANAGEMENT_TOKEN_BYTES, ROD_TOKEN_BYTES, type RodToken } from "./rod-tokens.js";
import { senseData, statusOf } from "./sense-data.js";

// COPY COMMAND STATUS of LID1.
const IN_PROGRESS = 0x00;
const COMPLETED = 0x01;
const COMPLETED_WITH_ERRORS = 0x02;
// COPY OPERATION STATUS of LID4, which has these besides the two of COMPLETED.
const COMPLETED_WITH_PART_OF_THE_ROD = 0x03;
const IN_PROGRESS_IN_FOREGROUND = 0x11;
const IN_PROGRESS_IN_BACKGROUND = 0x12;
const TERMINATED = 0x60;
// TRANSFER COUNT UNITS.
const UNIT_BYTES = 0x00;
const UNIT_MEBIBYTES = 0x02;
const UNIT_LOGICAL_BLOCKS = 0xf1;
/** ESTIMATED STATUS UPDATE DELAY: not known. */
const DELAY_UNKNOWN = 0xffff_ffff;

/** 0-3 AVAILABLE DATA    4 HDD (7), COPY COMMAND STATUS (6-0)    5-6 SEGMENTS PROCESSED    7 TRANSFER COUNT UNITS    8-11 TRANSFER COUNT */
export function copyStatusLid1({ state, segmentsDone, bytesDone }: CopyOperation): Uint8Array {
  const data = new Uint8Array(12);
  const view = new DataView(data.buffer);
  view.setUint32(0, data.length - 4);
  data[4] = state === "running" ? IN_PROGRESS : state === "completed" ? COMPLETED : COMPLETED_WITH_ERRORS;
  view.setUint16(5, segmentsDone);
  const isLarge = bytesDone > 0xffff_ffff;
  data[7] = isLarge ? UNIT_MEBIBYTES : UNIT_BYTES;
  view.setUint32(8, isLarge ? Math.floor(bytesDone / 2 ** 20) : bytesDone);
  return data;
}

/** No segment that we copy holds any data: AVAILABLE DATA 0. */
export function heldData(): Uint8Array {
  return new Uint8Array(4);
}

const FAILURE_HEADER_BYTES = 60;

/** 0-3 AVAILABLE DATA    56 EXTENDED COPY COMMAND STATUS    58-59 SENSE DATA LENGTH    60- SENSE DATA. Of a copy that has not failed: 0. */
export function failureDetails(operation: CopyOperation, descriptorSense: boolean): Uint8Array {
  const sense = senseOf(operation, descriptorSense);
  if (sense.length === 0) return new Uint8Array(4);
  const data = new Uint8Array(FAILURE_HEADER_BYTES + sense.length);
  const view = new DataView(data.buffer);
  view.setUint32(0, data.length - 4);
  data[56] = statusOf(operation.answer);
  view.setUint16(58, sense.length);
  data.set(sense, FAILURE_HEADER_BYTES);
  return data;
}

const STATUS_HEADER_BYTES = 32;

/**
 *     0-3 AVAILABLE DATA    4 RESPONSE TO SERVICE ACTION    5 COPY OPERATION STATUS    6-7 OPERATION COUNTER
 *     8-11 ESTIMATED STATUS UPDATE DELAY    12 EXTENDED COPY COMPLETION STATUS    13 length of the sense field
 *     14 SENSE DATA LENGTH    15 TRANSFER COUNT UNITS    16-23 TRANSFER COUNT    24-25 SEGMENTS PROCESSED    32- SENSE DATA
 */
export function copyStatusLid4(operation: CopyOperation, descriptorSense: boolean): Uint8Array {
  return statusWithSense(operation, descriptorSense, UNIT_BYTES, operation.bytesDone);
}

/** The same, and behind it 0-3 length of the token descriptors, and of a token 4-5 reserved, 6- the token. */
export function rodTokenInformation(
  operation: CopyOperation,
  descriptorSense: boolean,
  blockLengthBytes: number,
): Uint8Array {
  const blocks = Math.floor(operation.bytesDone / blockLengthBytes);
  const status = statusWithSense(operation, descriptorSense, UNIT_LOGICAL_BLOCKS, blocks);
  const { token } = operation;
  const descriptorsLength = token === null ? 0 : 2 + ROD_TOKEN_BYTES;
  const data = new Uint8Array(status.length + 4 + descriptorsLength);
  const view = new DataView(data.buffer);
  data.set(status);
  view.setUint32(0, data.length - 4);
  view.setUint32(status.length, descriptorsLength);
  if (token !== null) data.set(token, status.length + 6);
  return data;
}

/** 0-3 AVAILABLE DATA    8- ROD management tokens */
export function allRodTokens(tokens: readonly RodToken[]): Uint8Array {
  const data = new Uint8Array(8 + tokens.length * ROD_MANAGEMENT_TOKEN_BYTES);
  new DataView(data.buffer).setUint32(0, data.length - 4);
  for (const [i, { bytes }] of tokens.entries()) {
    data.set(bytes.subarray(0, ROD_MANAGEMENT_TOKEN_BYTES), 8 + i * ROD_MANAGEMENT_TOKEN_BYTES);
  }
  return data;
}

function statusWithSense(
  operation: CopyOperation,
  descriptorSense: boolean,
  units: number,
  transferCount: number,
): Uint8Array {
  const { request, steps, segmentsDone, answer } = operation;
  const sense = senseOf(operation, descriptorSense);
  const data = new Uint8Array(STATUS_HEADER_BYTES + sense.length);
  const view = new DataView(data.buffer);
  view.setUint32(0, data.length - 4);
  data[4] = request.serviceAction;
  data[5] = operationStatus(operation);
  view.setUint16(6, steps);
  view.setUint32(8, DELAY_UNKNOWN);
  data[12] = operation.isRunning ? SCSI_STATUS_GOOD : statusOf(answer);
  data[13] = sense.length;
  data[14] = sense.length;
  data[15] = units;
  setUint64(view, 16, transferCount);
  view.setUint16(24, segmentsDone);
  data.set(sense, STATUS_HEADER_BYTES);
  return data;
}

function operationStatus({ state, request }: CopyOperation): number {
  switch (state) {
    case "running":
      return request.isInBackground === true ? IN_PROGRESS_IN_BACKGROUND : IN_PROGRESS_IN_FOREGROUND;
    case "completed":
      return request.isPartial === true ? COMPLETED_WITH_PART_OF_THE_ROD : COMPLETED;
    case "failed":
      return COMPLETED_WITH_ERRORS;
    case "terminated":
      return TERMINATED;
    default:
      return state satisfies never;
  }
}

/** Empty where there is none. */
function senseOf({ state, answer }: CopyOperation, descriptorSense: boolean): Uint8Array {
  return state === "running" ? new Uint8Array() : senseData(answer, descriptorSense);
}
