/**
 * Logout Response (RFC 7143 section 11.15).
 *
 *             0               1               2               3
 *      0 | . . 26h       | 1 reserved    | Response      | reserved
 *      4 | TotalAHSLength| DataSegmentLength       both 0
 *      8 | reserved (8 bytes)
 *     16 | Initiator Task Tag
 *     20 | reserved
 *     24 | StatSN
 *     28 | ExpCmdSN
 *     32 | MaxCmdSN
 *     36 | reserved
 *     40 | Time2Wait                     | Time2Retain
 *     44 | reserved
 */

import { FLAG_FINAL, OPCODE_LOGOUT_RESPONSE, RESERVED_TAG, TargetPdu } from "./bhs.js";
import {
  INVALID_DATA_SEGMENT_LENGTH,
  INVALID_FINAL,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_RESPONSE,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "./invalid.js";

export const LOGOUT_RESPONSE_CLOSED = 0;
export const LOGOUT_RESPONSE_CID_NOT_FOUND = 1;
export const LOGOUT_RESPONSE_RECOVERY_NOT_SUPPORTED = 2;
export const LOGOUT_RESPONSE_CLEANUP_FAILED = 3;

export class LogoutResponsePdu extends TargetPdu {
  override clear(): this {
    this.zero((OPCODE_LOGOUT_RESPONSE << 24) | (FLAG_FINAL << 16));
    return this;
  }

  /** A LOGOUT_RESPONSE_. */
  get response(): number {
    return this.view.getUint8(this.offset + 2);
  }
  set response(value: number) {
    this.view.setUint8(this.offset + 2, value);
  }

  /** In seconds. */
  get time2Wait(): number {
    return this.view.getUint16(this.offset + 40);
  }
  set time2Wait(seconds: number) {
    this.view.setUint16(this.offset + 40, seconds);
  }

  /** In seconds. */
  get time2Retain(): number {
    return this.view.getUint16(this.offset + 42);
  }
  set time2Retain(seconds: number) {
    this.view.setUint16(this.offset + 42, seconds);
  }

  override invalid(): number {
    if (!this.final) return INVALID_FINAL;
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    if (this.dataSegmentLength !== 0) return INVALID_DATA_SEGMENT_LENGTH;
    if (this.initiatorTaskTag === RESERVED_TAG) return INVALID_INITIATOR_TASK_TAG;
    return this.response > LOGOUT_RESPONSE_CLEANUP_FAILED ? INVALID_RESPONSE : VALID;
  }

  override describe(): string {
    return (
      `${this.describeCommon()} response=${this.response} time2Wait=${this.time2Wait} time2Retain=${this.time2Retain}` +
      ` ${this.describeNumbers()}`
    );
  }
}
