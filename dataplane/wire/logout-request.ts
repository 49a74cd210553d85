/**
 * Logout Request (RFC 7143 section 11.14).
 *
 *             0               1               2               3
 *      0 | . I 06h       | 1 Reason Code | reserved
 *      4 | TotalAHSLength| DataSegmentLength       both 0
 *      8 | reserved (8 bytes)
 *     16 | Initiator Task Tag
 *     20 | CID or reserved               | reserved
 *     24 | CmdSN
 *     28 | ExpStatSN
 *     32 | reserved (16 bytes)
 */

import { CommandPdu, FLAG_FINAL, OPCODE_LOGOUT_REQUEST, RESERVED_TAG } from "./bhs.js";
import {
  INVALID_DATA_SEGMENT_LENGTH,
  INVALID_FINAL,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_REASON,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "./invalid.js";

export const LOGOUT_REASON_CLOSE_SESSION = 0;
export const LOGOUT_REASON_CLOSE_CONNECTION = 1;
export const LOGOUT_REASON_REMOVE_CONNECTION_FOR_RECOVERY = 2;
const REASON_MASK = 0x7f;

export class LogoutRequestPdu extends CommandPdu {
  override clear(): this {
    this.zero((OPCODE_LOGOUT_REQUEST << 24) | (FLAG_FINAL << 16));
    return this;
  }

  /** A LOGOUT_REASON_. */
  get reasonCode(): number {
    return this.flags & REASON_MASK;
  }
  set reasonCode(reason: number) {
    this.flags = (this.flags & ~REASON_MASK) | reason;
  }

  /** The connection to close; valid unless the reason is LOGOUT_REASON_CLOSE_SESSION. */
  get cid(): number {
    return this.view.getUint16(this.offset + 20);
  }
  set cid(cid: number) {
    this.view.setUint16(this.offset + 20, cid);
  }

  override invalid(): number {
    if (!this.final) return INVALID_FINAL;
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    if (this.dataSegmentLength !== 0) return INVALID_DATA_SEGMENT_LENGTH;
    if (this.initiatorTaskTag === RESERVED_TAG) return INVALID_INITIATOR_TASK_TAG;
    return this.reasonCode > LOGOUT_REASON_REMOVE_CONNECTION_FOR_RECOVERY ? INVALID_REASON : VALID;
  }

  override describe(): string {
    return `${this.describeCommon()} reason=${this.reasonCode} cid=${this.cid} ${this.describeNumbers()}`;
  }
}
