/**
 * Login Response (RFC 7143 section 11.13).
 *
 *             0               1               2               3
 *      0 | . . 23h       | T C . . CSG NSG| Version-max  | Version-active
 *      4 | TotalAHSLength| DataSegmentLength
 *      8 | ISID (6 bytes, see isid.ts)
 *     12 |                               | TSIH
 *     16 | Initiator Task Tag
 *     20 | reserved
 *     24 | StatSN
 *     28 | ExpCmdSN
 *     32 | MaxCmdSN
 *     36 | Status-Class  | Status-Detail | reserved
 *     40 | reserved (8 bytes)
 *     48 | login parameters (see text-keys.ts)
 */

import { hex, OPCODE_LOGIN_RESPONSE, RESERVED_TAG, TargetPdu } from "./bhs.js";
import {
  INVALID_CONTINUE,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_LOGIN_STATUS,
  INVALID_STAGE,
  INVALID_TOTAL_AHS_LENGTH,
  INVALID_TSIH,
  VALID,
} from "./invalid.js";
import { readIsid, writeIsid } from "./isid.js";
import {
  currentStage,
  FLAG_TRANSIT,
  nextStage,
  STAGE_FULL_FEATURE_PHASE,
  stageTransitionIsLegal,
  withCurrentStage,
  withNextStage,
} from "./login-stage.js";
import { FLAG_CONTINUE } from "./text-request.js";

export const LOGIN_STATUS_CLASS_SUCCESS = 0;
export const LOGIN_STATUS_CLASS_REDIRECTION = 1;
export const LOGIN_STATUS_CLASS_INITIATOR_ERROR = 2;
export const LOGIN_STATUS_CLASS_TARGET_ERROR = 3;

// Section 11.13.5: Status-Class in the high byte, Status-Detail in the low.
export const LOGIN_STATUS_SUCCESS = 0x0000;
export const LOGIN_STATUS_TARGET_MOVED_TEMPORARILY = 0x0101;
export const LOGIN_STATUS_TARGET_MOVED_PERMANENTLY = 0x0102;
export const LOGIN_STATUS_INITIATOR_ERROR = 0x0200;
export const LOGIN_STATUS_AUTHENTICATION_FAILURE = 0x0201;
export const LOGIN_STATUS_AUTHORIZATION_FAILURE = 0x0202;
export const LOGIN_STATUS_NOT_FOUND = 0x0203;
export const LOGIN_STATUS_TARGET_REMOVED = 0x0204;
export const LOGIN_STATUS_UNSUPPORTED_VERSION = 0x0205;
export const LOGIN_STATUS_TOO_MANY_CONNECTIONS = 0x0206;
export const LOGIN_STATUS_MISSING_PARAMETER = 0x0207;
export const LOGIN_STATUS_CANNOT_INCLUDE_IN_SESSION = 0x0208;
export const LOGIN_STATUS_SESSION_TYPE_NOT_SUPPORTED = 0x0209;
export const LOGIN_STATUS_SESSION_DOES_NOT_EXIST = 0x020a;
export const LOGIN_STATUS_INVALID_DURING_LOGIN = 0x020b;
export const LOGIN_STATUS_TARGET_ERROR = 0x0300;
export const LOGIN_STATUS_SERVICE_UNAVAILABLE = 0x0301;
export const LOGIN_STATUS_OUT_OF_RESOURCES = 0x0302;

const LOGIN_STATUS_NAMES: ReadonlyMap<number, string> = new Map([
  [LOGIN_STATUS_SUCCESS, "success"],
  [LOGIN_STATUS_TARGET_MOVED_TEMPORARILY, "target moved temporarily"],
  [LOGIN_STATUS_TARGET_MOVED_PERMANENTLY, "target moved permanently"],
  [LOGIN_STATUS_INITIATOR_ERROR, "initiator error"],
  [LOGIN_STATUS_AUTHENTICATION_FAILURE, "authentication failure"],
  [LOGIN_STATUS_AUTHORIZATION_FAILURE, "authorization failure"],
  [LOGIN_STATUS_NOT_FOUND, "not found"],
  [LOGIN_STATUS_TARGET_REMOVED, "target removed"],
  [LOGIN_STATUS_UNSUPPORTED_VERSION, "unsupported version"],
  [LOGIN_STATUS_TOO_MANY_CONNECTIONS, "too many connections"],
  [LOGIN_STATUS_MISSING_PARAMETER, "missing parameter"],
  [LOGIN_STATUS_CANNOT_INCLUDE_IN_SESSION, "can't include in session"],
  [LOGIN_STATUS_SESSION_TYPE_NOT_SUPPORTED, "session type not supported"],
  [LOGIN_STATUS_SESSION_DOES_NOT_EXIST, "session does not exist"],
  [LOGIN_STATUS_INVALID_DURING_LOGIN, "invalid during login"],
  [LOGIN_STATUS_TARGET_ERROR, "target error"],
  [LOGIN_STATUS_SERVICE_UNAVAILABLE, "service unavailable"],
  [LOGIN_STATUS_OUT_OF_RESOURCES, "out of resources"],
]);

/** E.g. "0203 not found". */
export function describeLoginStatus(status: number): string {
  return `${status.toString(16).padStart(4, "0")} ${LOGIN_STATUS_NAMES.get(status) ?? "unknown status"}`;
}

export class LoginResponsePdu extends TargetPdu {
  override clear(): this {
    this.zero(OPCODE_LOGIN_RESPONSE << 24);
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

  get versionActive(): number {
    return this.view.getUint8(this.offset + 3);
  }
  set versionActive(version: number) {
    this.view.setUint8(this.offset + 3, version);
  }

  /** All 48 bits as one number; isid.ts takes it apart. */
  get isid(): number {
    return readIsid(this.view, this.offset + 8);
  }
  set isid(isid: number) {
    writeIsid(this.view, this.offset + 8, isid);
  }

  /** A new session learns its own in the response that ends the Login Phase. */
  get tsih(): number {
    return this.view.getUint16(this.offset + 14);
  }
  set tsih(tsih: number) {
    this.view.setUint16(this.offset + 14, tsih);
  }

  /** Status-Class and Status-Detail together: a LOGIN_STATUS_. */
  get status(): number {
    return this.view.getUint16(this.offset + 36);
  }
  set status(status: number) {
    this.view.setUint16(this.offset + 36, status);
  }

  get statusClass(): number {
    return this.view.getUint8(this.offset + 36);
  }

  get statusDetail(): number {
    return this.view.getUint8(this.offset + 37);
  }

  /** An unknown Status-Detail is no fault: the class suffices to act on. */
  override invalid(): number {
    if (this.totalAHSLength !== 0) return INVALID_TOTAL_AHS_LENGTH;
    if (this.initiatorTaskTag === RESERVED_TAG) return INVALID_INITIATOR_TASK_TAG;
    // In a Login reject T, CSG and NSG are reserved (section 6.3.1).
    const statusClass = this.statusClass;
    if (statusClass > LOGIN_STATUS_CLASS_TARGET_ERROR) return INVALID_LOGIN_STATUS;
    if (statusClass !== LOGIN_STATUS_CLASS_SUCCESS) return VALID;
    if (this.continue && this.transit) return INVALID_CONTINUE;
    if (!stageTransitionIsLegal(this.flags)) return INVALID_STAGE;
    return this.transit && this.nsg === STAGE_FULL_FEATURE_PHASE && this.tsih === 0 ? INVALID_TSIH : VALID;
  }

  override describe(): string {
    return (
      `${this.describeCommon()}${this.continue ? " C" : ""} status=${describeLoginStatus(this.status)} csg=${this.csg}` +
      `${this.transit ? ` nsg=${this.nsg}` : ""} version=${this.versionActive}/${this.versionMax}` +
      ` isid=${hex(this.isid, 12)} tsih=${this.tsih} ${this.describeNumbers()}`
    );
  }
}
