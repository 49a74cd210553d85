/**
 * Text Request (RFC 7143 section 11.10).
 *
 *             0               1               2               3
 *      0 | . I 04h       | F C reserved ...
 *      4 | TotalAHSLength| DataSegmentLength
 *      8 | LUN or reserved (8 bytes)
 *     16 | Initiator Task Tag
 *     20 | Target Transfer Tag or 0xffffffff
 *     24 | CmdSN
 *     28 | ExpStatSN
 *     32 | reserved (16 bytes)
 *     48 | header digest, text (see text-keys.ts), data digest
 */

import { CommandPdu, hex, OPCODE_TEXT_REQUEST, RESERVED_TAG } from "./bhs.js";
import { INVALID_CONTINUE, INVALID_INITIATOR_TASK_TAG, INVALID_TOTAL_AHS_LENGTH, VALID } from "./invalid.js";

/** Byte 1 of Text and Login PDUs: "C", the text goes on in the next PDU. */
export const FLAG_CONTINUE = 0x40;

export class TextRequestPdu extends CommandPdu {
  /** A new exchange until `targetTransferTag` is set. */
  override clear(): this {
    this.zero(OPCODE_TEXT_REQUEST << 24);
    this.targetTransferTag = RESERVED_TAG;
    return this;
  }

  get continue(): boolean {
    return this.hasFlag(FLAG_CONTINUE);
  }
  set continue(value: boolean) {
    this.setFlag(FLAG_CONTINUE, value);
  }

  /** Copied from the Text Response that this continues; RESERVED_TAG begins anew. */
  get targetTransferTag(): number {
    return this.view.getUint32(this.offset + 20);
  }
  set targetTransferTag(tag: number) {
    this.view.setUint32(this.offset + 20, tag);
  }

  override invalid(): number {
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    if (this.initiatorTaskTag === RESERVED_TAG) return INVALID_INITIATOR_TASK_TAG;
    return this.continue && this.final ? INVALID_CONTINUE : VALID;
  }

  override describe(): string {
    return (
      `${this.describeCommon()}${this.continue ? " C" : ""} ttt=${hex(this.targetTransferTag)}` +
      ` lun=${this.describeLun()} ${this.describeNumbers()}`
    );
  }
}
