/**
 * SCSI Data-In (RFC 7143 section 11.7).
 *
 *             0               1               2               3
 *      0 | . . 25h       | F A 0 0 0 O U S| reserved     | Status or reserved
 *      4 | TotalAHSLength| DataSegmentLength
 *      8 | LUN or reserved (8 bytes)
 *     16 | Initiator Task Tag
 *     20 | Target Transfer Tag or 0xffffffff
 *     24 | StatSN or reserved
 *     28 | ExpCmdSN
 *     32 | MaxCmdSN
 *     36 | DataSN
 *     40 | Buffer Offset
 *     44 | Residual Count
 *     48 | header digest, data, data digest
 *
 * StatSN, Status, O, U and Residual Count count only where S is 1; LUN and Target Transfer Tag where A is 1.
 */

import { hex, OPCODE_DATA_IN, RESERVED_TAG, TargetPdu } from "./bhs.js";
import {
  INVALID_INITIATOR_TASK_TAG,
  INVALID_RESIDUAL_FLAGS,
  INVALID_STATUS,
  INVALID_STATUS_WITHOUT_FINAL,
  INVALID_TARGET_TRANSFER_TAG,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "./invalid.js";
import {
  FLAG_OVERFLOW,
  FLAG_UNDERFLOW,
  SCSI_STATUS_CONDITION_MET,
  SCSI_STATUS_GOOD,
  SCSI_STATUS_INTERMEDIATE,
  SCSI_STATUS_INTERMEDIATE_CONDITION_MET,
} from "./scsi-response.js";

/** Byte 1: "A", asks for a DataACK. */
export const FLAG_ACKNOWLEDGE = 0x40;
/** Byte 1: "S", the PDU ends the command with `status`. */
export const FLAG_STATUS = 0x01;

export class DataInPdu extends TargetPdu {
  override clear(): this {
    this.zero(OPCODE_DATA_IN << 24);
    this.targetTransferTag = RESERVED_TAG;
    return this;
  }

  get acknowledge(): boolean {
    return this.hasFlag(FLAG_ACKNOWLEDGE);
  }
  set acknowledge(value: boolean) {
    this.setFlag(FLAG_ACKNOWLEDGE, value);
  }

  get overflow(): boolean {
    return this.hasFlag(FLAG_OVERFLOW);
  }
  set overflow(value: boolean) {
    this.setFlag(FLAG_OVERFLOW, value);
  }

  get underflow(): boolean {
    return this.hasFlag(FLAG_UNDERFLOW);
  }
  set underflow(value: boolean) {
    this.setFlag(FLAG_UNDERFLOW, value);
  }

  get hasStatus(): boolean {
    return this.hasFlag(FLAG_STATUS);
  }
  set hasStatus(value: boolean) {
    this.setFlag(FLAG_STATUS, value);
  }

  /** A SCSI_STATUS_ other than an error's. */
  get status(): number {
    return this.view.getUint8(this.offset + 3);
  }
  set status(value: number) {
    this.view.setUint8(this.offset + 3, value);
  }

  /** To be copied, with the LUN, into the DataACK. */
  get targetTransferTag(): number {
    return this.view.getUint32(this.offset + 20);
  }
  set targetTransferTag(tag: number) {
    this.view.setUint32(this.offset + 20, tag);
  }

  /** Counts from 0 in each command, together with R2TSN if that is bidirectional. */
  get dataSN(): number {
    return this.view.getUint32(this.offset + 36);
  }
  set dataSN(sn: number) {
    this.view.setUint32(this.offset + 36, sn);
  }

  /** In bytes from the beginning of the command's read data. */
  get bufferOffset(): number {
    return this.view.getUint32(this.offset + 40);
  }
  set bufferOffset(byteOffset: number) {
    this.view.setUint32(this.offset + 40, byteOffset);
  }

  /** In bytes; valid if `overflow` or `underflow`. */
  get residualCount(): number {
    return this.view.getUint32(this.offset + 44);
  }
  set residualCount(byteLength: number) {
    this.view.setUint32(this.offset + 44, byteLength);
  }

  override invalid(): number {
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    if (this.initiatorTaskTag === RESERVED_TAG) return INVALID_INITIATOR_TASK_TAG;
    if (this.acknowledge && this.targetTransferTag === RESERVED_TAG) return INVALID_TARGET_TRANSFER_TAG;
    if (!this.hasStatus) return VALID;
    if (!this.final) return INVALID_STATUS_WITHOUT_FINAL;
    if (this.overflow && this.underflow) return INVALID_RESIDUAL_FLAGS;
    switch (this.status) {
      case SCSI_STATUS_GOOD:
      case SCSI_STATUS_CONDITION_MET:
      case SCSI_STATUS_INTERMEDIATE:
      case SCSI_STATUS_INTERMEDIATE_CONDITION_MET:
        return VALID;
      default:
        return INVALID_STATUS;
    }
  }

  override describe(): string {
    let status = "";
    if (this.hasStatus) {
      status = ` status=${hex(this.status, 2)} statSN=${this.statSN}`;
      if (this.overflow) status += ` O=${this.residualCount}`;
      if (this.underflow) status += ` U=${this.residualCount}`;
    }
    const acknowledge = this.acknowledge ? ` A ttt=${hex(this.targetTransferTag)} lun=${this.describeLun()}` : "";
    return (
      `${this.describeCommon()}${acknowledge} dataSN=${this.dataSN} bufferOffset=${this.bufferOffset}${status}` +
      ` expCmdSN=${this.expCmdSN} maxCmdSN=${this.maxCmdSN}`
    );
  }
}
