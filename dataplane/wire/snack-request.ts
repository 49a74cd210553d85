/**
 * SNACK Request (RFC 7143 section 11.16).
 *
 *             0               1               2               3
 *      0 | . . 10h       | 1 . . . Type  | reserved
 *      4 | TotalAHSLength| DataSegmentLength       both 0
 *      8 | LUN or reserved (8 bytes)
 *     16 | Initiator Task Tag or 0xffffffff
 *     20 | Target Transfer Tag or SNACK Tag or 0xffffffff
 *     24 | reserved
 *     28 | ExpStatSN
 *     32 | reserved (8 bytes)
 *     40 | BegRun
 *     44 | RunLength
 *
 *     type             Initiator Task Tag   bytes 20-23               BegRun            RunLength
 *     0 Data/R2T       of the command       0xffffffff                first DataSN      count, 0: all
 *     1 Status         0xffffffff           0xffffffff                first StatSN      count, 0: all
 *     2 DataACK        0xffffffff           Target Transfer Tag       next DataSN       0
 *     3 R-Data         of the command       SNACK Tag, not 0          0                 0
 */

import { FLAG_FINAL, hex, InitiatorPdu, OPCODE_SNACK_REQUEST, RESERVED_TAG } from "./bhs.js";
import {
  INVALID_BEG_RUN,
  INVALID_DATA_SEGMENT_LENGTH,
  INVALID_FINAL,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_RUN_LENGTH,
  INVALID_SNACK_TAG,
  INVALID_SNACK_TYPE,
  INVALID_TARGET_TRANSFER_TAG,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "./invalid.js";

export const SNACK_TYPE_DATA_R2T = 0;
export const SNACK_TYPE_STATUS = 1;
export const SNACK_TYPE_DATA_ACK = 2;
export const SNACK_TYPE_R_DATA = 3;
const TYPE_MASK = 0x0f;

export class SnackRequestPdu extends InitiatorPdu {
  /** Names no task and no tag until those are set. */
  override clear(): this {
    this.zero((OPCODE_SNACK_REQUEST << 24) | (FLAG_FINAL << 16));
    this.initiatorTaskTag = RESERVED_TAG;
    this.targetTransferTag = RESERVED_TAG;
    return this;
  }

  /** A SNACK_TYPE_. */
  get type(): number {
    return this.flags & TYPE_MASK;
  }
  set type(value: number) {
    this.flags = (this.flags & ~TYPE_MASK) | value;
  }

  get targetTransferTag(): number {
    return this.view.getUint32(this.offset + 20);
  }
  set targetTransferTag(tag: number) {
    this.view.setUint32(this.offset + 20, tag);
  }

  /** Same bytes as `targetTransferTag`; their meaning in an R-Data SNACK. */
  get snackTag(): number {
    return this.targetTransferTag;
  }
  set snackTag(tag: number) {
    this.targetTransferTag = tag;
  }

  get begRun(): number {
    return this.view.getUint32(this.offset + 40);
  }
  set begRun(sn: number) {
    this.view.setUint32(this.offset + 40, sn);
  }

  /** In PDUs; 0 for all from `begRun` on. */
  get runLength(): number {
    return this.view.getUint32(this.offset + 44);
  }
  set runLength(pduCount: number) {
    this.view.setUint32(this.offset + 44, pduCount);
  }

  override invalid(): number {
    if (!this.final) return INVALID_FINAL;
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    if (this.dataSegmentLength !== 0) return INVALID_DATA_SEGMENT_LENGTH;
    const namesTask = this.initiatorTaskTag !== RESERVED_TAG;
    const tag = this.targetTransferTag;
    switch (this.type) {
      case SNACK_TYPE_DATA_R2T:
        if (!namesTask) return INVALID_INITIATOR_TASK_TAG;
        return tag === RESERVED_TAG ? VALID : INVALID_TARGET_TRANSFER_TAG;
      case SNACK_TYPE_STATUS:
        if (namesTask) return INVALID_INITIATOR_TASK_TAG;
        return tag === RESERVED_TAG ? VALID : INVALID_TARGET_TRANSFER_TAG;
      case SNACK_TYPE_DATA_ACK:
        if (namesTask) return INVALID_INITIATOR_TASK_TAG;
        if (tag === RESERVED_TAG) return INVALID_TARGET_TRANSFER_TAG;
        return this.runLength === 0 ? VALID : INVALID_RUN_LENGTH;
      case SNACK_TYPE_R_DATA:
        if (!namesTask) return INVALID_INITIATOR_TASK_TAG;
        if (tag === 0 || tag === RESERVED_TAG) return INVALID_SNACK_TAG;
        if (this.begRun !== 0) return INVALID_BEG_RUN;
        return this.runLength === 0 ? VALID : INVALID_RUN_LENGTH;
      default:
        return INVALID_SNACK_TYPE;
    }
  }

  override describe(): string {
    return (
      `${this.describeCommon()} type=${this.type} tag=${hex(this.targetTransferTag)} lun=${this.describeLun()}` +
      ` begRun=${this.begRun} runLength=${this.runLength} expStatSN=${this.expStatSN}`
    );
  }
}
