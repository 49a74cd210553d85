/**
 * Task Management Function Request (RFC 7143 section 11.5; functions 9 to 12: RFC 7144).
 *
 *             0               1               2               3
 *      0 | . I 02h       | 1 Function    | reserved
 *      4 | TotalAHSLength| DataSegmentLength       both 0
 *      8 | LUN or reserved (8 bytes)
 *     16 | Initiator Task Tag
 *     20 | Referenced Task Tag or 0xffffffff
 *     24 | CmdSN
 *     28 | ExpStatSN
 *     32 | RefCmdSN or reserved
 *     36 | ExpDataSN or reserved
 *     40 | reserved (8 bytes)
 */

import { CommandPdu, FLAG_FINAL, hex, OPCODE_TASK_MANAGEMENT_REQUEST, RESERVED_TAG } from "./bhs.js";
import {
  INVALID_DATA_SEGMENT_LENGTH,
  INVALID_FINAL,
  INVALID_IMMEDIATE,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "./invalid.js";

export const FUNCTION_ABORT_TASK = 1;
export const FUNCTION_ABORT_TASK_SET = 2;
export const FUNCTION_CLEAR_ACA = 3;
export const FUNCTION_CLEAR_TASK_SET = 4;
export const FUNCTION_LOGICAL_UNIT_RESET = 5;
export const FUNCTION_TARGET_WARM_RESET = 6;
export const FUNCTION_TARGET_COLD_RESET = 7;
export const FUNCTION_TASK_REASSIGN = 8;
// RFC 7144: in sessions of iSCSIProtocolLevel 2.
export const FUNCTION_QUERY_TASK = 9;
export const FUNCTION_QUERY_TASK_SET = 10;
export const FUNCTION_I_T_NEXUS_RESET = 11;
export const FUNCTION_QUERY_ASYNCHRONOUS_EVENT = 12;
/** What is beyond it is unassigned, and so is 0. */
export const FUNCTION_MAX = FUNCTION_QUERY_ASYNCHRONOUS_EVENT;
const FUNCTION_MASK = 0x7f;

/** Indexed by function. */
const FUNCTION_NAMES: readonly string[] = [
  "",
  " ABORT TASK",
  " ABORT TASK SET",
  " CLEAR ACA",
  " CLEAR TASK SET",
  " LOGICAL UNIT RESET",
  " TARGET WARM RESET",
  " TARGET COLD RESET",
  " TASK REASSIGN",
  " QUERY TASK",
  " QUERY TASK SET",
  " I_T NEXUS RESET",
  " QUERY ASYNCHRONOUS EVENT",
];
export class TaskManagementRequestPdu extends CommandPdu {
  /** No task is referenced until `referencedTaskTag` is set. */
  override clear(): this {
    this.zero((OPCODE_TASK_MANAGEMENT_REQUEST << 24) | (FLAG_FINAL << 16));
    this.referencedTaskTag = RESERVED_TAG;
    return this;
  }

  /** A FUNCTION_. */
  get function(): number {
    return this.flags & FUNCTION_MASK;
  }
  set function(value: number) {
    this.flags = (this.flags & ~FUNCTION_MASK) | value;
  }

  get referencedTaskTag(): number {
    return this.view.getUint32(this.offset + 20);
  }
  set referencedTaskTag(tag: number) {
    this.view.setUint32(this.offset + 20, tag);
  }

  /** CmdSN of the task to abort or to ask for; this request's own CmdSN if that task was immediate. */
  get refCmdSN(): number {
    return this.view.getUint32(this.offset + 32);
  }
  set refCmdSN(sn: number) {
    this.view.setUint32(this.offset + 32, sn);
  }

  /** In a TASK REASSIGN: the first unacknowledged DataSN, or 0 for "unchanged". */
  get expDataSN(): number {
    return this.view.getUint32(this.offset + 36);
  }
  set expDataSN(sn: number) {
    this.view.setUint32(this.offset + 36, sn);
  }

  override invalid(): number {
    if (!this.final) return INVALID_FINAL;
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    if (this.dataSegmentLength !== 0) return INVALID_DATA_SEGMENT_LENGTH;
    if (this.initiatorTaskTag === RESERVED_TAG) return INVALID_INITIATOR_TASK_TAG;
    // Whether there is such a function is told by the response (section 11.6.1). The Referenced Task Tag of a function that names no
    // task "MUST be set to the reserved value" (section 11.5.4): nothing depends on it, and a host in need of a reset is not put off.
    return this.function === FUNCTION_TASK_REASSIGN && !this.immediate ? INVALID_IMMEDIATE : VALID;
  }

  override describe(): string {
    const referenced = this.referencedTaskTag;
    return (
      `${this.describeCommon()} function=${this.function}${FUNCTION_NAMES[this.function] ?? ""} lun=${this.describeLun()}` +
      `${referenced === RESERVED_TAG ? "" : ` referencedTaskTag=${hex(referenced)}`}` +
      ` ${this.describeNumbers()} refCmdSN=${this.refCmdSN} expDataSN=${this.expDataSN}`
    );
  }
}
