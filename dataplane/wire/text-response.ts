/**
 * Text Response (RFC 7143 section 11.11).
 *
 *             0               1               2               3
 *      0 | . . 24h       | F C reserved ...
 *      4 | TotalAHSLength| DataSegmentLength
 *      8 | LUN or reserved (8 bytes)
 *     16 | Initiator Task Tag
 *     20 | Target Transfer Tag or 0xffffffff
 *     24 | StatSN
 *     28 | ExpCmdSN
 *     32 | MaxCmdSN
 *     36 | reserved (12 bytes)
 *     48 | header digest, text (see text-keys.ts), data digest
 */

import { hex, OPCODE_TEXT_RESPONSE, RESERVED_TAG, TargetPdu } from "./bhs.js";
import {
  INVALID_CONTINUE,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_TARGET_TRANSFER_TAG,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "./invalid.js";
import { FLAG_CONTINUE } from "./text-request.js";

export class TextResponsePdu extends TargetPdu {
  override clear(): this {
    this.zero(OPCODE_TEXT_RESPONSE << 24);
    this.targetTransferTag = RESERVED_TAG;
    return this;
  }

  get continue(): boolean {
    return this.hasFlag(FLAG_CONTINUE);
  }
  set continue(value: boolean) {
    this.setFlag(FLAG_CONTINUE, value);
  }

  /** RESERVED_TAG in the final response, and never in another. */
  get targetTransferTag(): number {
    return this.view.getUint32(this.offset + 20);
  }
  set targetTransferTag(tag: number) {
    this.view.setUint32(this.offset + 20, tag);
  }

  override invalid(): number {
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    if (this.initiatorTaskTag === RESERVED_TAG) return INVALID_INITIATOR_TASK_TAG;
    const final = this.final;
    if (this.continue && final) return INVALID_CONTINUE;
    return final === (this.targetTransferTag === RESERVED_TAG) ? VALID : INVALID_TARGET_TRANSFER_TAG;
  }

  override describe(): string {
    return (
      `${this.describeCommon()}${this.continue ? " C" : ""} ttt=${hex(this.targetTransferTag)}` +
      ` lun=${this.describeLun()} ${this.describeNumbers()}`
    );
  }
}
