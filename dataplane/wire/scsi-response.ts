/**
 * SCSI Response (RFC 7143 section 11.4; Status Qualifier: RFC 7144).
 *
 *             0               1               2               3
 *      0 | . . 21h       | 1 . . o u O U.| Response      | Status
 *      4 | TotalAHSLength| DataSegmentLength
 *      8 | Status Qualifier, or reserved | reserved
 *     12 | reserved
 *     16 | Initiator Task Tag
 *     20 | SNACK Tag or 0
 *     24 | StatSN
 *     28 | ExpCmdSN
 *     32 | MaxCmdSN
 *     36 | ExpDataSN or 0
 *     40 | Bidirectional Read Residual Count
 *     44 | Residual Count
 *     48 | header digest, data segment (see SenseDataSegment), data digest
 */

import { FLAG_FINAL, hex, OPCODE_SCSI_RESPONSE, RESERVED_TAG, TargetPdu } from "./bhs.js";
import {
  INVALID_EXP_DATA_SN,
  INVALID_FINAL,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_RESIDUAL_FLAGS,
  INVALID_RESPONSE,
  INVALID_SENSE_MISSING,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "./invalid.js";

/** Byte 1: "o" and "u", of the read of a bidirectional command. */
export const FLAG_BIDIRECTIONAL_READ_OVERFLOW = 0x10;
export const FLAG_BIDIRECTIONAL_READ_UNDERFLOW = 0x08;
/** Byte 1: "O" and "U"; at the same place in a Data-In. */
export const FLAG_OVERFLOW = 0x04;
export const FLAG_UNDERFLOW = 0x02;
const FLAGS_BIDIRECTIONAL_READ_RESIDUAL = FLAG_BIDIRECTIONAL_READ_OVERFLOW | FLAG_BIDIRECTIONAL_READ_UNDERFLOW;
const FLAGS_RESIDUAL = FLAG_OVERFLOW | FLAG_UNDERFLOW;

export const RESPONSE_COMMAND_COMPLETED = 0x00;
export const RESPONSE_TARGET_FAILURE = 0x01;
const RESPONSE_VENDOR_MIN = 0x80;

// SAM-5 status codes.
export const SCSI_STATUS_GOOD = 0x00;
export const SCSI_STATUS_CHECK_CONDITION = 0x02;
export const SCSI_STATUS_CONDITION_MET = 0x04;
export const SCSI_STATUS_BUSY = 0x08;
export const SCSI_STATUS_INTERMEDIATE = 0x10;
export const SCSI_STATUS_INTERMEDIATE_CONDITION_MET = 0x14;
export const SCSI_STATUS_RESERVATION_CONFLICT = 0x18;
export const SCSI_STATUS_TASK_SET_FULL = 0x28;
export const SCSI_STATUS_ACA_ACTIVE = 0x30;
export const SCSI_STATUS_TASK_ABORTED = 0x40;

export class ScsiResponsePdu extends TargetPdu {
  override clear(): this {
    this.zero((OPCODE_SCSI_RESPONSE << 24) | (FLAG_FINAL << 16));
    return this;
  }

  get bidirectionalReadOverflow(): boolean {
    return this.hasFlag(FLAG_BIDIRECTIONAL_READ_OVERFLOW);
  }
  set bidirectionalReadOverflow(value: boolean) {
    this.setFlag(FLAG_BIDIRECTIONAL_READ_OVERFLOW, value);
  }

  get bidirectionalReadUnderflow(): boolean {
    return this.hasFlag(FLAG_BIDIRECTIONAL_READ_UNDERFLOW);
  }
  set bidirectionalReadUnderflow(value: boolean) {
    this.setFlag(FLAG_BIDIRECTIONAL_READ_UNDERFLOW, value);
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

  /** A RESPONSE_; unless it is RESPONSE_COMMAND_COMPLETED, `status` and `flags` "MUST be ignored" (section 11.4.3). */
  get response(): number {
    return this.view.getUint8(this.offset + 2);
  }
  set response(value: number) {
    this.view.setUint8(this.offset + 2, value);
  }

  /** A SCSI_STATUS_. */
  get status(): number {
    return this.view.getUint8(this.offset + 3);
  }
  set status(value: number) {
    this.view.setUint8(this.offset + 3, value);
  }

  /** In sessions of iSCSIProtocolLevel 2 (SAM-5): scope in bits 15 and 14, qualifier below; 0: there is none. */
  get statusQualifier(): number {
    return this.view.getUint16(this.offset + 8);
  }
  set statusQualifier(value: number) {
    this.view.setUint16(this.offset + 8, value);
  }

  /** Of the last R-Data SNACK for this command on this connection, else 0. */
  get snackTag(): number {
    return this.view.getUint32(this.offset + 20);
  }
  set snackTag(tag: number) {
    this.view.setUint32(this.offset + 20, tag);
  }

  /** How many Data-In and R2T PDUs were sent for the command. */
  get expDataSN(): number {
    return this.view.getUint32(this.offset + 36);
  }
  set expDataSN(sn: number) {
    this.view.setUint32(this.offset + 36, sn);
  }

  /** In bytes; valid if `bidirectionalReadOverflow` or `bidirectionalReadUnderflow`. */
  get bidirectionalReadResidualCount(): number {
    return this.view.getUint32(this.offset + 40);
  }
  set bidirectionalReadResidualCount(byteLength: number) {
    this.view.setUint32(this.offset + 40, byteLength);
  }

  /** In bytes; valid if `overflow` or `underflow`. */
  get residualCount(): number {
    return this.view.getUint32(this.offset + 44);
  }
  set residualCount(byteLength: number) {
    this.view.setUint32(this.offset + 44, byteLength);
  }

  override invalid(): number {
    if (!this.final) return INVALID_FINAL;
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    if (this.initiatorTaskTag === RESERVED_TAG) return INVALID_INITIATOR_TASK_TAG;
    const response = this.response;
    if (response !== RESPONSE_COMMAND_COMPLETED) {
      if (response !== RESPONSE_TARGET_FAILURE && response < RESPONSE_VENDOR_MIN) return INVALID_RESPONSE;
      return this.expDataSN === 0 ? VALID : INVALID_EXP_DATA_SN;
    }
    const flags = this.flags;
    if ((flags & FLAGS_RESIDUAL) === FLAGS_RESIDUAL) return INVALID_RESIDUAL_FLAGS;
    if ((flags & FLAGS_BIDIRECTIONAL_READ_RESIDUAL) === FLAGS_BIDIRECTIONAL_READ_RESIDUAL) {
      return INVALID_RESIDUAL_FLAGS;
    }
    // Section 7.7 names this very case.
    if (this.status === SCSI_STATUS_CHECK_CONDITION && this.dataSegmentLength === 0) return INVALID_SENSE_MISSING;
    return VALID;
  }

  override describe(): string {
    let residual = "";
    if (this.overflow) residual += ` O=${this.residualCount}`;
    if (this.underflow) residual += ` U=${this.residualCount}`;
    if (this.bidirectionalReadOverflow) residual += ` o=${this.bidirectionalReadResidualCount}`;
    if (this.bidirectionalReadUnderflow) residual += ` u=${this.bidirectionalReadResidualCount}`;
    return (
      `${this.describeCommon()} response=${hex(this.response, 2)} status=${hex(this.status, 2)}${residual}` +
      `${this.statusQualifier === 0 ? "" : ` qualifier=${hex(this.statusQualifier, 4)}`}` +
      ` ${this.describeNumbers()} expDataSN=${this.expDataSN}` +
      `${this.snackTag === 0 ? "" : ` snackTag=${hex(this.snackTag)}`}`
    );
  }
}
