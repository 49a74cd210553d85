/**
 * Asynchronous Message (RFC 7143 section 11.9).
 *
 *             0               1               2               3
 *      0 | . . 32h       | 1 reserved ...
 *      4 | TotalAHSLength| DataSegmentLength
 *      8 | LUN or reserved (8 bytes)
 *     16 | 0xffffffff
 *     20 | reserved
 *     24 | StatSN
 *     28 | ExpCmdSN
 *     32 | MaxCmdSN
 *     36 | AsyncEvent    | AsyncVCode    | Parameter1
 *     40 | Parameter2                    | Parameter3
 *     44 | reserved
 *     48 | header digest, data segment (see SenseDataSegment), data digest
 *
 *     event                     Parameter1    Parameter2       Parameter3
 *     1 logout request          -             -                seconds to log out in
 *     2 connection drop         CID           Time2Wait        Time2Retain
 *     3 session drop            -             Time2Wait        Time2Retain
 *     4 negotiation request     -             -                seconds to send a Text Request in
 */

import { FLAG_FINAL, OPCODE_ASYNC_MESSAGE, RESERVED_TAG, TargetPdu } from "./bhs.js";
import {
  INVALID_ASYNC_EVENT,
  INVALID_FINAL,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "./invalid.js";

export const ASYNC_EVENT_SCSI = 0;
export const ASYNC_EVENT_LOGOUT_REQUEST = 1;
export const ASYNC_EVENT_CONNECTION_DROP = 2;
export const ASYNC_EVENT_SESSION_DROP = 3;
export const ASYNC_EVENT_NEGOTIATION_REQUEST = 4;
/** Only in a session that negotiated TaskReporting=FastAbort. */
export const ASYNC_EVENT_TASK_TERMINATION = 5;
/** This and all above it, to 255. */
export const ASYNC_EVENT_VENDOR_MIN = 248;

export class AsyncMessagePdu extends TargetPdu {
  override clear(): this {
    this.zero((OPCODE_ASYNC_MESSAGE << 24) | (FLAG_FINAL << 16));
    this.initiatorTaskTag = RESERVED_TAG;
    return this;
  }

  /** An ASYNC_EVENT_. */
  get asyncEvent(): number {
    return this.view.getUint8(this.offset + 36);
  }
  set asyncEvent(event: number) {
    this.view.setUint8(this.offset + 36, event);
  }

  /** Valid in vendor-specific events only. */
  get asyncVCode(): number {
    return this.view.getUint8(this.offset + 37);
  }
  set asyncVCode(code: number) {
    this.view.setUint8(this.offset + 37, code);
  }

  get parameter1(): number {
    return this.view.getUint16(this.offset + 38);
  }
  set parameter1(value: number) {
    this.view.setUint16(this.offset + 38, value);
  }

  get parameter2(): number {
    return this.view.getUint16(this.offset + 40);
  }
  set parameter2(value: number) {
    this.view.setUint16(this.offset + 40, value);
  }

  get parameter3(): number {
    return this.view.getUint16(this.offset + 42);
  }
  set parameter3(value: number) {
    this.view.setUint16(this.offset + 42, value);
  }

  override invalid(): number {
    if (!this.final) return INVALID_FINAL;
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    if (this.initiatorTaskTag !== RESERVED_TAG) return INVALID_INITIATOR_TASK_TAG;
    const event = this.asyncEvent;
    return event <= ASYNC_EVENT_TASK_TERMINATION || event >= ASYNC_EVENT_VENDOR_MIN ? VALID : INVALID_ASYNC_EVENT;
  }

  override describe(): string {
    return (
      `${this.describeCommon()} event=${this.asyncEvent} vcode=${this.asyncVCode} lun=${this.describeLun()}` +
      ` parameters=${this.parameter1},${this.parameter2},${this.parameter3} ${this.describeNumbers()}`
    );
  }
}
