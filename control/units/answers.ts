/** How control answers SCSI commands. */

import { SLICE_BYTES_MAX } from "../../dataplane/limits.js";
import type { NotReady, ScsiAnswer } from "../../dataplane/messages.js";
import { senseOfNotReady } from "../../dataplane/scsi/readiness.js";
import {
  fieldInCdb,
  fieldInParameterList,
  INVALID_FIELD_IN_CDB,
  INVALID_FIELD_IN_PARAMETER_LIST,
  SENSE_KEY_MEDIUM_ERROR,
  type Sense,
  storeErrorSense,
} from "../../dataplane/scsi/sense.js";
import { SCSI_STATUS_RESERVATION_CONFLICT } from "../../dataplane/wire/scsi-response.js";

/** CHECK CONDITION with one of the named conditions. `senseKeySpecific`: as Task.senseKeySpecific. */
export function senseAnswer({ senseKey, asc, ascq }: Sense, senseKeySpecific?: number): ScsiAnswer {
  return { kind: "sense", senseKey, asc, ascq, ...(senseKeySpecific === undefined ? {} : { senseKeySpecific }) };
}

/** How a unit that is not ready refuses a command. */
export function notReadyAnswer(notReady: NotReady): ScsiAnswer {
  return { kind: "sense", ...senseOfNotReady(notReady) };
}

/** A store has failed with a negative errno, at this block. */
export function storeFaultAnswer(errno: number, writes: boolean, lba: number): ScsiAnswer {
  const sense = storeErrorSense(errno, writes);
  const answer = senseAnswer(sense);
  if (sense.senseKey !== SENSE_KEY_MEDIUM_ERROR || answer.kind !== "sense") return answer;
  return { ...answer, information: lba };
}

export const GOOD: ScsiAnswer = { kind: "good" };

/** GOOD with data, of which the initiator takes `allocationLength` bytes at most. */
export function dataAnswer(data: Uint8Array, allocationLength: number): ScsiAnswer {
  // No more goes to the shard than it can send.
  const sent = data.subarray(0, Math.min(allocationLength, SLICE_BYTES_MAX));
  return { kind: "good", data: Buffer.from(sent).toString("hex"), allocationLength };
}

export const RESERVATION_CONFLICT: ScsiAnswer = { kind: "status", status: SCSI_STATUS_RESERVATION_CONFLICT };

/** `bit`, if given, is the field's most significant bit. */
export function invalidFieldOfCdb(byte: number, bit?: number): ScsiAnswer {
  return senseAnswer(INVALID_FIELD_IN_CDB, fieldInCdb(byte, bit));
}

export function invalidFieldOfList(byte: number, bit?: number): ScsiAnswer {
  return senseAnswer(INVALID_FIELD_IN_PARAMETER_LIST, fieldInParameterList(byte, bit));
}
