/**
 * Ready To Transfer (RFC 7143 section 11.8).
 *
 *             0               1               2               3
 *      0 | . . 31h       | 1 reserved ...
 *      4 | TotalAHSLength| DataSegmentLength       both 0
 *      8 | LUN (8 bytes)
 *     16 | Initiator Task Tag
 *     20 | Target Transfer Tag
 *     24 | StatSN (the next one; this PDU does not advance it)
 *     28 | ExpCmdSN
 *     32 | MaxCmdSN
 *     36 | R2TSN
 *     40 | Buffer Offset
 *     44 | Desired Data Transfer Length
 */

import { FLAG_FINAL, hex, OPCODE_R2T, RESERVED_TAG, TargetPdu } from "./bhs.js";
import {
  INVALID_DATA_SEGMENT_LENGTH,
  INVALID_DESIRED_DATA_TRANSFER_LENGTH,
  INVALID_FINAL,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_TARGET_TRANSFER_TAG,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "./invalid.js";

export class R2tPdu extends TargetPdu {
  override clear(): this {
    this.zero((OPCODE_R2T << 24) | (FLAG_FINAL << 16));
    return this;
  }

  /** Any value but RESERVED_TAG. */
  get targetTransferTag(): number {
    return this.view.getUint32(this.offset + 20);
  }
  set targetTransferTag(tag: number) {
    this.view.setUint32(this.offset + 20, tag);
  }

  /** Counts from 0 in each command, together with the DataSN of Data-In if that is bidirectional. */
  get r2tSN(): number {
    return this.view.getUint32(this.offset + 36);
  }
  set r2tSN(sn: number) {
    this.view.setUint32(this.offset + 36, sn);
  }

  /** In bytes from the beginning of the command's write data. */
  get bufferOffset(): number {
    return this.view.getUint32(this.offset + 40);
  }
  set bufferOffset(byteOffset: number) {
    this.view.setUint32(this.offset + 40, byteOffset);
  }

  /** In bytes, at least 1. */
  get desiredDataTransferLength(): number {
    return this.view.getUint32(this.offset + 44);
  }
  set desiredDataTransferLength(byteLength: number) {
    this.view.setUint32(this.offset + 44, byteLength);
  }

  override invalid(): number {
    if (!this.final) return INVALID_FINAL;
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    if (this.dataSegmentLength !== 0) return INVALID_DATA_SEGMENT_LENGTH;
    if (this.initiatorTaskTag === RESERVED_TAG) return INVALID_INITIATOR_TASK_TAG;
    if (this.targetTransferTag === RESERVED_TAG) return INVALID_TARGET_TRANSFER_TAG;
    return this.desiredDataTransferLength === 0 ? INVALID_DESIRED_DATA_TRANSFER_LENGTH : VALID;
  }

  override describe(): string {
    return (
      `${this.describeCommon()} ttt=${hex(this.targetTransferTag)} lun=${this.describeLun()} r2tSN=${this.r2tSN}` +
      ` bufferOffset=${this.bufferOffset} desiredDataTransferLength=${this.desiredDataTransferLength}` +
      ` ${this.describeNumbers()}`
    );
  }
}
