/**
 * Login Request (RFC 7143 section 11.12).
 *
 *             0               1               2               3
 *      0 | . 1 03h       | T C . . CSG NSG| Version-max  | Version-min
 *      4 | TotalAHSLength| DataSegmentLength
 *      8 | ISID (6 bytes, see isid.ts)
 *     12 |                               | TSIH
 *     16 | Initiator Task Tag
 *     20 | CID                           | reserved
 *     24 | CmdSN
 *     28 | ExpStatSN or reserved
 *     32 | reserved (16 bytes)
 *     48 | login parameters (see text-keys.ts)
 */

import { CommandPdu, FLAG_IMMEDIATE, hex, OPCODE_LOGIN_REQUEST, RESERVED_TAG } from "./bhs.js";
import {
  INVALID_CONTINUE,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_ISID,
  INVALID_STAGE,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "./invalid.js";
import { ISID_FORMAT_RESERVED, isidFormat, readIsid, writeIsid } from "./isid.js";
import {
  currentStage,
  FLAG_TRANSIT,
  nextStage,
  stageTransitionIsLegal,
  withCurrentStage,
  withNextStage,
} from "./login-stage.js";
import { FLAG_CONTINUE } from "./text-request.js";

/** Version-max and Version-min of RFC 7143 (section 11.12.4). */
export const ISCSI_VERSION = 0;

export class LoginRequestPdu extends CommandPdu {
  /** Sets the I bit: "Login Requests are always considered as immediate." */
  override clear(): this {
    this.zero((OPCODE_LOGIN_REQUEST | FLAG_IMMEDIATE) << 24);
    return this;
  }

  /** T, where other PDUs have the F bit. */
  get transit(): boolean {
    return this.hasFlag(FLAG_TRANSIT);
  }
  set transit(value: boolean) {
    this.setFlag(FLAG_TRANSIT, value);
  }

  get continue(): boolean {
    return this.hasFlag(FLAG_CONTINUE);
  }
  set continue(value: boolean) {
    this.setFlag(FLAG_CONTINUE, value);
  }

  /** Current stage, a STAGE_. */
  get csg(): number {
    return currentStage(this.flags);
  }
  set csg(stage: number) {
    this.flags = withCurrentStage(this.flags, stage);
  }

  /** Next stage, a STAGE_; reserved unless `transit`. */
  get nsg(): number {
    return nextStage(this.flags);
  }
  set nsg(stage: number) {
    this.flags = withNextStage(this.flags, stage);
  }

  get versionMax(): number {
    return this.view.getUint8(this.offset + 2);
  }
  set versionMax(version: number) {
    this.view.setUint8(this.offset + 2, version);
  }

  get versionMin(): number {
    return this.view.getUint8(this.offset + 3);
  }
  set versionMin(version: number) {
    this.view.setUint8(this.offset + 3, version);
  }

  /** All 48 bits as one number; isid.ts takes it apart. */
  get isid(): number {
    return readIsid(this.view, this.offset + 8);
  }
  set isid(isid: number) {
    writeIsid(this.view, this.offset + 8, isid);
  }

  /** 0 asks for a new session. */
  get tsih(): number {
    return this.view.getUint16(this.offset + 14);
  }
  set tsih(tsih: number) {
    this.view.setUint16(this.offset + 14, tsih);
  }

  get cid(): number {
    return this.view.getUint16(this.offset + 20);
  }
  set cid(cid: number) {
    this.view.setUint16(this.offset + 20, cid);
  }

  /** Versions are not judged here: a range that leaves out 0 has its own login status (section 11.13.5, 0205h). */
  override invalid(): number {
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    if (this.initiatorTaskTag === RESERVED_TAG) return INVALID_INITIATOR_TASK_TAG;
    if (this.continue && this.transit) return INVALID_CONTINUE;
    if (!stageTransitionIsLegal(this.flags)) return INVALID_STAGE;
    return isidFormat(this.isid) === ISID_FORMAT_RESERVED ? INVALID_ISID : VALID;
  }

  override describe(): string {
    return (
      `${this.describeCommon()}${this.continue ? " C" : ""} csg=${this.csg}${this.transit ? ` nsg=${this.nsg}` : ""}` +
      ` version=${this.versionMin}-${this.versionMax} isid=${hex(this.isid, 12)} tsih=${this.tsih} cid=${this.cid}` +
      ` ${this.describeNumbers()}`
    );
  }
}
