/**
 * Task Management Function Response (RFC 7143 section 11.6; Additional Response Information: RFC 7144).
 *
 *             0               1               2               3
 *      0 | . . 22h       | 1 reserved    | Response      | reserved
 *      4 | TotalAHSLength| DataSegmentLength       both 0
 *      8 | Additional Response Information, or reserved | reserved
 *     12 | reserved
 *     16 | Initiator Task Tag
 *     20 | reserved
 *     24 | StatSN
 *     28 | ExpCmdSN
 *     32 | MaxCmdSN
 *     36 | reserved (12 bytes)
 */

import { FLAG_FINAL, hex, OPCODE_TASK_MANAGEMENT_RESPONSE, RESERVED_TAG, TargetPdu } from "./bhs.js";
import {
  INVALID_DATA_SEGMENT_LENGTH,
  INVALID_FINAL,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_RESPONSE,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "./invalid.js";

export const FUNCTION_RESPONSE_COMPLETE = 0;
export const FUNCTION_RESPONSE_TASK_DOES_NOT_EXIST = 1;
export const FUNCTION_RESPONSE_LUN_DOES_NOT_EXIST = 2;
export const FUNCTION_RESPONSE_TASK_STILL_ALLEGIANT = 3;
export const FUNCTION_RESPONSE_REASSIGNMENT_NOT_SUPPORTED = 4;
export const FUNCTION_RESPONSE_NOT_SUPPORTED = 5;
export const FUNCTION_RESPONSE_AUTHORIZATION_FAILED = 6;
/** RFC 7144, the answer "yes" to a query; "no" is FUNCTION_RESPONSE_COMPLETE. */
export const FUNCTION_RESPONSE_SUCCEEDED = 7;
const FUNCTION_RESPONSE_MAX = FUNCTION_RESPONSE_SUCCEEDED;
export const FUNCTION_RESPONSE_REJECTED = 255;

export class TaskManagementResponsePdu extends TargetPdu {
  override clear(): this {
    this.zero((OPCODE_TASK_MANAGEMENT_RESPONSE << 24) | (FLAG_FINAL << 16));
    return this;
  }

  /** A FUNCTION_RESPONSE_. */
  get response(): number {
    return this.view.getUint8(this.offset + 2);
  }
  set response(value: number) {
    this.view.setUint8(this.offset + 2, value);
  }

  /**
   * Of QUERY ASYNCHRONOUS EVENT (SAM-5): UADE DEPTH in bits 21 and 20, SENSE KEY in bits 19 to 16, ADDITIONAL SENSE CODE, ADDITIONAL
   * SENSE CODE QUALIFIER. 24 bits.
   */
  get additionalResponseInformation(): number {
    return this.view.getUint32(this.offset + 8) >>> 8;
  }
  set additionalResponseInformation(information: number) {
    this.view.setUint16(this.offset + 8, information >>> 8);
    this.view.setUint8(this.offset + 10, information & 0xff);
  }

  override invalid(): number {
    if (!this.final) return INVALID_FINAL;
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    if (this.dataSegmentLength !== 0) return INVALID_DATA_SEGMENT_LENGTH;
    if (this.initiatorTaskTag === RESERVED_TAG) return INVALID_INITIATOR_TASK_TAG;
    const response = this.response;
    return response <= FUNCTION_RESPONSE_MAX || response === FUNCTION_RESPONSE_REJECTED ? VALID : INVALID_RESPONSE;
  }

  override describe(): string {
    const information = this.additionalResponseInformation;
    return (
      `${this.describeCommon()} response=${this.response}` +
      `${information === 0 ? "" : ` information=${hex(information, 6)}`} ${this.describeNumbers()}`
    );
  }
}
