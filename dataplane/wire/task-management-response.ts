/**
 * Task Management Function Response (RFC 7143 section 11.6).
 *
 *             0               1               2               3
 *      0 | . . 22h       | 1 reserved    | Response      | reserved
 *      4 | TotalAHSLength| DataSegmentLength       both 0
 *      8 | reserved (8 bytes)
 *     16 | Initiator Task Tag
 *     20 | reserved
 *     24 | StatSN
 *     28 | ExpCmdSN
 *     32 | MaxCmdSN
 *     36 | reserved (12 bytes)
 */

import { FLAG_FINAL, OPCODE_TASK_MANAGEMENT_RESPONSE, RESERVED_TAG, TargetPdu } from "./bhs.js";
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
/** "the value 7 is defined by [RFC7144]" */
const FUNCTION_RESPONSE_MAX = 7;
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

  override invalid(): number {
    if (!this.final) return INVALID_FINAL;
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    if (this.dataSegmentLength !== 0) return INVALID_DATA_SEGMENT_LENGTH;
    if (this.initiatorTaskTag === RESERVED_TAG) return INVALID_INITIATOR_TASK_TAG;
    const response = this.response;
    return response <= FUNCTION_RESPONSE_MAX || response === FUNCTION_RESPONSE_REJECTED ? VALID : INVALID_RESPONSE;
  }

  override describe(): string {
    return `${this.describeCommon()} response=${this.response} ${this.describeNumbers()}`;
  }
}
