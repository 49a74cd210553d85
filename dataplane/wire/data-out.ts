/**
 * SCSI Data-Out (RFC 7143 section 11.7).
 *
 *             0               1               2               3
 *      0 | . . 05h       | F reserved ...
 *      4 | TotalAHSLength| DataSegmentLength
 *      8 | LUN or reserved (8 bytes)
 *     16 | Initiator Task Tag
 *     20 | Target Transfer Tag or 0xffffffff
 *     24 | reserved
 *     28 | ExpStatSN
 *     32 | reserved
 *     36 | DataSN
 *     40 | Buffer Offset
 *     44 | reserved
 *     48 | header digest, data, data digest
 */

import { hex, InitiatorPdu, OPCODE_DATA_OUT, RESERVED_TAG } from "./bhs.js";
import { INVALID_INITIATOR_TASK_TAG, INVALID_TOTAL_AHS_LENGTH, VALID } from "./invalid.js";

export class DataOutPdu extends InitiatorPdu {
  /** Unsolicited until `targetTransferTag` is set. */
  override clear(): this {
    this.zero(OPCODE_DATA_OUT << 24);
    this.targetTransferTag = RESERVED_TAG;
    return this;
  }

  /** Of the R2T that this answers, or RESERVED_TAG in unsolicited data. */
  get targetTransferTag(): number {
    return this.view.getUint32(this.offset + 20);
  }
  set targetTransferTag(tag: number) {
    this.view.setUint32(this.offset + 20, tag);
  }

  /** Counts from 0 in each sequence: each R2T, and the unsolicited data. */
  get dataSN(): number {
    return this.view.getUint32(this.offset + 36);
  }
  set dataSN(sn: number) {
    this.view.setUint32(this.offset + 36, sn);
  }

  /** In bytes from the beginning of the command's write data. */
  get bufferOffset(): number {
    return this.view.getUint32(this.offset + 40);
  }
  set bufferOffset(byteOffset: number) {
    this.view.setUint32(this.offset + 40, byteOffset);
  }

  override invalid(): number {
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    return this.initiatorTaskTag === RESERVED_TAG ? INVALID_INITIATOR_TASK_TAG : VALID;
  }

  override describe(): string {
    const tag = this.targetTransferTag;
    return (
      `${this.describeCommon()}${tag === RESERVED_TAG ? " unsolicited" : ` ttt=${hex(tag)} lun=${this.describeLun()}`}` +
      ` dataSN=${this.dataSN} bufferOffset=${this.bufferOffset} expStatSN=${this.expStatSN}`
    );
  }
}
