/**
 * NOP-In (RFC 7143 section 11.19).
 *
 *             0               1               2               3
 *      0 | . . 20h       | 1 reserved ...
 *      4 | TotalAHSLength| DataSegmentLength
 *      8 | LUN or reserved (8 bytes)
 *     16 | Initiator Task Tag or 0xffffffff
 *     20 | Target Transfer Tag or 0xffffffff
 *     24 | StatSN (the next one; advanced only by an echo)
 *     28 | ExpCmdSN
 *     32 | MaxCmdSN
 *     36 | reserved (12 bytes)
 *     48 | header digest, echoed ping data, data digest
 *
 *     Initiator Task Tag   Target Transfer Tag
 *     of the NOP-Out       0xffffffff            echo of the initiator's ping
 *     0xffffffff           the target's          ping, with a valid LUN; no data
 *     0xffffffff           0xffffffff            carries ExpCmdSN and MaxCmdSN; no data
 */

import { FLAG_FINAL, hex, OPCODE_NOP_IN, RESERVED_TAG, TargetPdu } from "./bhs.js";
import {
  INVALID_DATA_SEGMENT_LENGTH,
  INVALID_FINAL,
  INVALID_TARGET_TRANSFER_TAG,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "./invalid.js";

export class NopInPdu extends TargetPdu {
  /** Neither ping nor echo until a tag is set. */
  override clear(): this {
    this.zero((OPCODE_NOP_IN << 24) | (FLAG_FINAL << 16));
    this.initiatorTaskTag = RESERVED_TAG;
    this.targetTransferTag = RESERVED_TAG;
    return this;
  }

  get targetTransferTag(): number {
    return this.view.getUint32(this.offset + 20);
  }
  set targetTransferTag(tag: number) {
    this.view.setUint32(this.offset + 20, tag);
  }

  override invalid(): number {
    if (!this.final) return INVALID_FINAL;
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    if (this.initiatorTaskTag === RESERVED_TAG) {
      return this.dataSegmentLength === 0 ? VALID : INVALID_DATA_SEGMENT_LENGTH;
    }
    return this.targetTransferTag === RESERVED_TAG ? VALID : INVALID_TARGET_TRANSFER_TAG;
  }

  override describe(): string {
    return (
      `${this.describeCommon()} ttt=${hex(this.targetTransferTag)} lun=${this.describeLun()}` +
      ` ${this.describeNumbers()}`
    );
  }
}
