/**
 * NOP-Out (RFC 7143 section 11.18).
 *
 *             0               1               2               3
 *      0 | . I 00h       | 1 reserved ...
 *      4 | TotalAHSLength| DataSegmentLength
 *      8 | LUN or reserved (8 bytes)
 *     16 | Initiator Task Tag or 0xffffffff
 *     20 | Target Transfer Tag or 0xffffffff
 *     24 | CmdSN
 *     28 | ExpStatSN
 *     32 | reserved (16 bytes)
 *     48 | header digest, ping data, data digest
 *
 *     Initiator Task Tag   Target Transfer Tag
 *     a task's             0xffffffff            ping: the target echoes it in a NOP-In
 *     0xffffffff           of a NOP-In           answer to the target's ping, with its LUN; I bit set
 *     0xffffffff           0xffffffff            acknowledges status, no answer; I bit set
 */

import { CommandPdu, FLAG_FINAL, hex, OPCODE_NOP_OUT, RESERVED_TAG } from "./bhs.js";
import { INVALID_FINAL, INVALID_IMMEDIATE, INVALID_TOTAL_AHS_LENGTH, VALID } from "./invalid.js";

export class NopOutPdu extends CommandPdu {
  /** Neither ping nor answer until a tag is set. */
  override clear(): this {
    this.zero((OPCODE_NOP_OUT << 24) | (FLAG_FINAL << 16));
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

  /** Both tags at once, answer and ping in one, are unusual but break no rule. */
  override invalid(): number {
    if (!this.final) return INVALID_FINAL;
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    return this.initiatorTaskTag === RESERVED_TAG && !this.immediate ? INVALID_IMMEDIATE : VALID;
  }

  override describe(): string {
    return (
      `${this.describeCommon()} ttt=${hex(this.targetTransferTag)} lun=${this.describeLun()}` +
      ` ${this.describeNumbers()}`
    );
  }
}
