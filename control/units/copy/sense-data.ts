/** Sense data of what a copy comes to, as bytes. */
import type { ForwardedSense, ScsiAnswer } from "../../../dataplane/messages.js";
import {
  COPY_TARGET_DEVICE_NOT_REACHABLE,
  encodeDescriptorSense,
  encodeFixedSense,
  SENSE_BYTES_MAX,
} from "../../../dataplane/scsi/sense.js";
import { SCSI_STATUS_CHECK_CONDITION, SCSI_STATUS_GOOD } from "../../../dataplane/wire/scsi-response.js";
import type { CopyFailure } from "./copy-operation.js";

export function statusOf(answer: ScsiAnswer): number {
  if (answer.kind === "status") return answer.status;
  return answer.kind === "sense" ? SCSI_STATUS_CHECK_CONDITION : SCSI_STATUS_GOOD;
}

/** Empty where there is none. */
export function senseData(answer: ScsiAnswer, descriptorSense: boolean): Uint8Array {
  if (answer.kind !== "sense") return new Uint8Array();
  const bytes = new Uint8Array(SENSE_BYTES_MAX);
  const view = new DataView(bytes.buffer);
  const { senseKey, asc, ascq, information = -1, senseKeySpecific = -1, commandSpecificInformation = -1 } = answer;
  const { forwarded = null } = answer;
  const encode = descriptorSense ? encodeDescriptorSense : encodeFixedSense;
  const length = encode(
    bytes,
    view,
    0,
    senseKey,
    asc,
    ascq,
    information,
    senseKeySpecific,
    commandSpecificInformation,
    forwarded,
  );
  return bytes.subarray(0, length);
}

/** "The status byte and sense data shall not be modified by the copy manager" (SPC-5). */
export function forwardedSense({ side, answer, descriptorSense }: CopyFailure): ForwardedSense {
  return { side, status: statusOf(answer), sense: Buffer.from(senseData(answer, descriptorSense)).toString("hex") };
}

/** The unit is not there any more: there is nobody that could have said anything. */
export function isUnreachable({ answer }: CopyFailure): boolean {
  const { asc, ascq } = COPY_TARGET_DEVICE_NOT_REACHABLE;
  return answer.kind === "sense" && answer.asc === asc && answer.ascq === ascq;
}
