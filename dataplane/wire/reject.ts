/**
 * Reject (RFC 7143 section 11.17).
 *
 *             0               1               2               3
 *      0 | . . 3fh       | 1 reserved    | Reason        | reserved
 *      4 | TotalAHSLength| DataSegmentLength
 *      8 | reserved (8 bytes)
 *     16 | 0xffffffff
 *     20 | reserved
 *     24 | StatSN
 *     28 | ExpCmdSN
 *     32 | MaxCmdSN
 *     36 | DataSN/R2TSN or reserved
 *     40 | reserved (8 bytes)
 *     48 | header digest, complete header of the bad PDU, vendor-specific data, data digest
 */

import { BHS_LENGTH, FLAG_FINAL, hex, OPCODE_REJECT, RESERVED_TAG, TargetPdu } from "./bhs.js";
import {
  INVALID_DATA_SEGMENT_LENGTH,
  INVALID_FINAL,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_REASON,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "./invalid.js";

export const REJECT_REASON_DATA_DIGEST_ERROR = 0x02;
export const REJECT_REASON_SNACK_REJECT = 0x03;
export const REJECT_REASON_PROTOCOL_ERROR = 0x04;
export const REJECT_REASON_COMMAND_NOT_SUPPORTED = 0x05;
export const REJECT_REASON_TOO_MANY_IMMEDIATE_COMMANDS = 0x06;
export const REJECT_REASON_TASK_IN_PROGRESS = 0x07;
export const REJECT_REASON_INVALID_DATA_ACK = 0x08;
export const REJECT_REASON_INVALID_PDU_FIELD = 0x09;
export const REJECT_REASON_LONG_OPERATION = 0x0a;
/** Never sent. A receiver takes it for a failed negotiation (section 11.17.1, note 3). */
export const REJECT_REASON_NEGOTIATION_RESET = 0x0b;
export const REJECT_REASON_WAITING_FOR_LOGOUT = 0x0c;

const REASON_TEXTS: readonly string[] = [
  "",
  "",
  "data digest error",
  "SNACK reject",
  "protocol error",
  "command not supported",
  "too many immediate commands",
  "task in progress",
  "invalid data ack",
  "invalid PDU field",
  "long operation reject",
  "negotiation reset",
  "waiting for logout",
];

/** E.g. "protocol error". */
export function describeRejectReason(reason: number): string {
  return REASON_TEXTS[reason] || `reason ${hex(reason, 2)}`;
}

export class RejectPdu extends TargetPdu {
  override clear(): this {
    this.zero((OPCODE_REJECT << 24) | (FLAG_FINAL << 16));
    this.initiatorTaskTag = RESERVED_TAG;
    return this;
  }

  /** A REJECT_REASON_. */
  get reason(): number {
    return this.view.getUint8(this.offset + 2);
  }
  set reason(reason: number) {
    this.view.setUint8(this.offset + 2, reason);
  }

  /** The next DataSN or R2TSN of the task; valid where a Data/R2T SNACK met a protocol error. */
  get dataSN(): number {
    return this.view.getUint32(this.offset + 36);
  }
  set dataSN(sn: number) {
    this.view.setUint32(this.offset + 36, sn);
  }

  override invalid(): number {
    if (!this.final) return INVALID_FINAL;
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    if (this.initiatorTaskTag !== RESERVED_TAG) return INVALID_INITIATOR_TASK_TAG;
    const reason = this.reason;
    if (reason < REJECT_REASON_DATA_DIGEST_ERROR || reason > REJECT_REASON_WAITING_FOR_LOGOUT) return INVALID_REASON;
    return this.dataSegmentLength < BHS_LENGTH ? INVALID_DATA_SEGMENT_LENGTH : VALID;
  }

  override describe(): string {
    return (
      `${this.describeCommon()} reason=${describeRejectReason(this.reason)} dataSN=${this.dataSN}` +
      ` ${this.describeNumbers()}`
    );
  }
}
