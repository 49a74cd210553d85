/**
 * Sense data: what a command that ends with CHECK CONDITION says. A helper here writes the condition into the task and
 * ends it through `services.checkCondition`; the engine calls `encodeSense` when it builds the SCSI Response.
 * Key, ASC and ASCQ values: SPC-5, tables of sense keys and of additional sense codes.
 */
import { assert } from "../assert.js";
import type { ForwardedSense } from "../messages.js";
import type { Task } from "../task/task.js";
import { COMMAND_WRITES_MEDIUM, type Services } from "./command.js";
import { setUint64 } from "./uint64.js";

export const SENSE_KEY_NO_SENSE = 0x0;
export const SENSE_KEY_NOT_READY = 0x2;
export const SENSE_KEY_MEDIUM_ERROR = 0x3;
export const SENSE_KEY_HARDWARE_ERROR = 0x4;
export const SENSE_KEY_ILLEGAL_REQUEST = 0x5;
export const SENSE_KEY_UNIT_ATTENTION = 0x6;
export const SENSE_KEY_DATA_PROTECT = 0x7;
export const SENSE_KEY_COPY_ABORTED = 0xa;
export const SENSE_KEY_ABORTED_COMMAND = 0xb;
export const SENSE_KEY_MISCOMPARE = 0xe;
/**
 * Beside a sense key: a deferred error (SPC-5), that of an operation whose command ended with GOOD before. The command that is
 * told of it has not been executed.
 */
export const SENSE_DEFERRED = 0x10;
const SENSE_KEY_MASK = 0x0f;

/** An additional sense code with its qualifier, and the sense key under which we report it. */
export interface Sense {
  readonly senseKey: number;
  readonly asc: number;
  readonly ascq: number;
}

function sense(senseKey: number, asc: number, ascq: number): Sense {
  return { senseKey, asc, ascq };
}

export const NO_ADDITIONAL_SENSE = sense(SENSE_KEY_NO_SENSE, 0x00, 0x00);

export const FORMAT_IN_PROGRESS = sense(SENSE_KEY_NOT_READY, 0x04, 0x04);
/** LOGICAL UNIT NOT ACCESSIBLE, and why (SPC-5, target port asymmetric access states). */
export const ASYMMETRIC_ACCESS_STATE_TRANSITION = sense(SENSE_KEY_NOT_READY, 0x04, 0x0a);
export const TARGET_PORT_IN_STANDBY_STATE = sense(SENSE_KEY_NOT_READY, 0x04, 0x0b);
export const TARGET_PORT_IN_UNAVAILABLE_STATE = sense(SENSE_KEY_NOT_READY, 0x04, 0x0c);
export const SANITIZE_IN_PROGRESS = sense(SENSE_KEY_NOT_READY, 0x04, 0x1b);
/** Stopped: START STOP UNIT brings it back. */
export const INITIALIZING_COMMAND_REQUIRED = sense(SENSE_KEY_NOT_READY, 0x04, 0x02);
export const MEDIUM_NOT_PRESENT = sense(SENSE_KEY_NOT_READY, 0x3a, 0x00);

export const OPERATION_IN_PROGRESS = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x00, 0x16);

export const WRITE_ERROR = sense(SENSE_KEY_MEDIUM_ERROR, 0x0c, 0x00);
export const UNRECOVERED_READ_ERROR = sense(SENSE_KEY_MEDIUM_ERROR, 0x11, 0x00);

export const MEDIUM_FORMAT_CORRUPTED = sense(SENSE_KEY_MEDIUM_ERROR, 0x31, 0x00);
export const FORMAT_COMMAND_FAILED = sense(SENSE_KEY_MEDIUM_ERROR, 0x31, 0x01);
export const SANITIZE_COMMAND_FAILED = sense(SENSE_KEY_MEDIUM_ERROR, 0x31, 0x03);

export const LOGICAL_UNIT_FAILED_SELF_TEST = sense(SENSE_KEY_HARDWARE_ERROR, 0x3e, 0x03);
export const INTERNAL_TARGET_FAILURE = sense(SENSE_KEY_HARDWARE_ERROR, 0x44, 0x00);
export const SET_TARGET_PORT_GROUPS_COMMAND_FAILED = sense(SENSE_KEY_HARDWARE_ERROR, 0x67, 0x0a);

export const PARAMETER_LIST_LENGTH_ERROR = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x1a, 0x00);
export const INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x0e, 0x03);
export const INVALID_COMMAND_OPERATION_CODE = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x20, 0x00);
export const LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x21, 0x00);
export const UNSUPPORTED_TOKEN_TYPE = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x23, 0x01);
export const TOKEN_UNKNOWN = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x23, 0x04);
export const INVALID_TOKEN_LENGTH = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x23, 0x0a);
export const INVALID_FIELD_IN_CDB = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x24, 0x00);
export const LOGICAL_UNIT_NOT_SUPPORTED = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x25, 0x00);
export const INVALID_FIELD_IN_PARAMETER_LIST = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x26, 0x00);
export const COMMAND_SEQUENCE_ERROR = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x2c, 0x00);
export const TOO_MANY_TARGET_DESCRIPTORS = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x26, 0x06);
export const UNSUPPORTED_TARGET_DESCRIPTOR_TYPE_CODE = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x26, 0x07);
export const TOO_MANY_SEGMENT_DESCRIPTORS = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x26, 0x08);
export const UNSUPPORTED_SEGMENT_DESCRIPTOR_TYPE_CODE = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x26, 0x09);
export const INLINE_DATA_LENGTH_EXCEEDED = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x26, 0x0b);
export const INVALID_RELEASE_OF_PERSISTENT_RESERVATION = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x26, 0x04);
export const INVALID_FAST_FORMAT = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x26, 0x13);

/** The iSCSI condition "SNACK rejected" (RFC 7143 section 11.4.7.2). */
export const SNACK_REJECTED = sense(SENSE_KEY_ABORTED_COMMAND, 0x11, 0x13);
/** SOME COMMANDS CLEARED BY ISCSI PROTOCOL EVENT (RFC 7143 section 11.14.5). */
export const COMMANDS_CLEARED_BY_ISCSI_PROTOCOL_EVENT = sense(SENSE_KEY_UNIT_ATTENTION, 0x47, 0x7f);

export const INSUFFICIENT_RESOURCES = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x55, 0x03);
export const MEDIUM_REMOVAL_PREVENTED = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x53, 0x02);
export const INSUFFICIENT_REGISTRATION_RESOURCES = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x55, 0x04);

/** A task attribute that has no meaning now: ACA, as an ACA condition is never established (SAM-5). */
export const INVALID_MESSAGE_ERROR = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x49, 0x00);

export const POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED = sense(SENSE_KEY_UNIT_ATTENTION, 0x29, 0x00);
export const NOT_READY_TO_READY_CHANGE = sense(SENSE_KEY_UNIT_ATTENTION, 0x28, 0x00);
export const BUS_DEVICE_RESET_FUNCTION_OCCURRED = sense(SENSE_KEY_UNIT_ATTENTION, 0x29, 0x03);
export const I_T_NEXUS_LOSS_OCCURRED = sense(SENSE_KEY_UNIT_ATTENTION, 0x29, 0x07);
export const RESERVATIONS_PREEMPTED = sense(SENSE_KEY_UNIT_ATTENTION, 0x2a, 0x03);
export const RESERVATIONS_RELEASED = sense(SENSE_KEY_UNIT_ATTENTION, 0x2a, 0x04);
export const REGISTRATIONS_PREEMPTED = sense(SENSE_KEY_UNIT_ATTENTION, 0x2a, 0x05);
export const ASYMMETRIC_ACCESS_STATE_CHANGED = sense(SENSE_KEY_UNIT_ATTENTION, 0x2a, 0x06);
export const IMPLICIT_ASYMMETRIC_ACCESS_STATE_TRANSITION_FAILED = sense(SENSE_KEY_UNIT_ATTENTION, 0x2a, 0x07);
export const MODE_PARAMETERS_CHANGED = sense(SENSE_KEY_UNIT_ATTENTION, 0x2a, 0x01);
export const LOG_PARAMETERS_CHANGED = sense(SENSE_KEY_UNIT_ATTENTION, 0x2a, 0x02);
export const PRIORITY_CHANGED = sense(SENSE_KEY_UNIT_ATTENTION, 0x2a, 0x08);
export const TIMESTAMP_CHANGED = sense(SENSE_KEY_UNIT_ATTENTION, 0x2a, 0x10);
export const DEVICE_IDENTIFIER_CHANGED = sense(SENSE_KEY_UNIT_ATTENTION, 0x3f, 0x05);
export const CAPACITY_DATA_HAS_CHANGED = sense(SENSE_KEY_UNIT_ATTENTION, 0x2a, 0x09);
export const THIN_PROVISIONING_SOFT_THRESHOLD_REACHED = sense(SENSE_KEY_UNIT_ATTENTION, 0x38, 0x07);
export const REPORTED_LUNS_DATA_HAS_CHANGED = sense(SENSE_KEY_UNIT_ATTENTION, 0x3f, 0x0e);

export const WRITE_PROTECTED = sense(SENSE_KEY_DATA_PROTECT, 0x27, 0x00);
export const PERSISTENT_RESERVATION_INFORMATION_LOST = sense(SENSE_KEY_DATA_PROTECT, 0x44, 0x01);
export const SPACE_ALLOCATION_FAILED_WRITE_PROTECT = sense(SENSE_KEY_DATA_PROTECT, 0x27, 0x07);

export const INSUFFICIENT_RESOURCES_TO_CREATE_ROD_TOKEN = sense(SENSE_KEY_ILLEGAL_REQUEST, 0x55, 0x0d);

// What ends an EXTENDED COPY once its parameter list was found to be right.
export const COPY_ABORTED_WITHOUT_REASON = sense(SENSE_KEY_COPY_ABORTED, 0x00, 0x00);
export const UNREACHABLE_COPY_TARGET = sense(SENSE_KEY_COPY_ABORTED, 0x08, 0x04);
export const THIRD_PARTY_DEVICE_FAILURE = sense(SENSE_KEY_COPY_ABORTED, 0x0d, 0x01);
export const COPY_TARGET_DEVICE_NOT_REACHABLE = sense(SENSE_KEY_COPY_ABORTED, 0x0d, 0x02);
export const INCORRECT_COPY_TARGET_DEVICE_TYPE = sense(SENSE_KEY_COPY_ABORTED, 0x0d, 0x03);
export const UNEXPECTED_INEXACT_SEGMENT = sense(SENSE_KEY_COPY_ABORTED, 0x26, 0x0a);

export const MISCOMPARE_DURING_VERIFY_OPERATION = sense(SENSE_KEY_MISCOMPARE, 0x1d, 0x00);

/** Bytes of the fixed format. */
export const SENSE_BYTES = 18;

/** Response code of fixed format, current information; one more is for deferred errors. */
const RESPONSE_CODE_FIXED_CURRENT = 0x70;
const SENSE_VALID = 0x80;

/** Sense-key-specific bytes as a 24-bit value: a field pointer for ILLEGAL REQUEST, a PROGRESS INDICATION for NOT READY. */
export const SENSE_KEY_SPECIFIC_VALID = 0x80_0000;
const FIELD_IS_IN_CDB = 0x40_0000;
/** SD of a segment pointer. */
const SEGMENT_DESCRIPTOR = 0x20_0000;
const BIT_POINTER_VALID = 0x08_0000;
const BIT_POINTER_SHIFT = 16;
const FIELD_POINTER_MAX = 0xffff;

// What the kernel answers for storage that fails, negated as it comes back from the ring (Linux, all architectures).
const EPERM = -1;
const EIO = -5;
const EACCES = -13;
const ENOSPC = -28;
const EROFS = -30;
/** What the block layer says for a medium error that is the sector's own (BLK_STS_MEDIUM). */
const ENODATA = -61;
const EDQUOT = -122;

/** Ends the command with CHECK CONDITION, without INFORMATION or field pointer. */
export function checkCondition(task: Task, services: Services, senseKey: number, asc: number, ascq: number): void {
  task.senseKey = senseKey;
  task.asc = asc;
  task.ascq = ascq;
  task.senseInformation = -1;
  task.senseKeySpecific = -1;
  task.senseCommandSpecific = -1;
  services.checkCondition(task);
}

/** Ends the command with CHECK CONDITION for one of the named conditions. */
export function endWithSense(task: Task, services: Services, condition: Sense): void {
  checkCondition(task, services, condition.senseKey, condition.asc, condition.ascq);
}

/** Ends the command with a named condition and its INFORMATION field: an LBA or an offset. */
export function endWithInformation(task: Task, services: Services, condition: Sense, information: number): void {
  task.senseKey = condition.senseKey;
  task.asc = condition.asc;
  task.ascq = condition.ascq;
  task.senseInformation = information;
  task.senseKeySpecific = -1;
  task.senseCommandSpecific = -1;
  services.checkCondition(task);
}

/** `byte` is counted from the CDB's start; `bit`, if given, is the field's most significant bit (7: the leftmost). */
export function invalidFieldInCdb(task: Task, services: Services, byte: number, bit = -1): void {
  endWithFieldPointer(task, services, INVALID_FIELD_IN_CDB, fieldInCdb(byte, bit));
}

/** `byte` is counted from the parameter list's start; beyond 65535, where no field pointer reaches, there is none. */
export function invalidFieldInParameterList(task: Task, services: Services, byte: number, bit = -1): void {
  endWithFieldPointer(task, services, INVALID_FIELD_IN_PARAMETER_LIST, fieldInParameterList(byte, bit));
}

/** The field pointer of `invalidFieldInCdb`, as Task.senseKeySpecific. */
export function fieldInCdb(byte: number, bit = -1): number {
  return fieldPointer(FIELD_IS_IN_CDB, byte, bit);
}

/** The field pointer of `invalidFieldInParameterList`, as Task.senseKeySpecific. */
export function fieldInParameterList(byte: number, bit = -1): number {
  return fieldPointer(0, byte, bit);
}

/** Segment pointer of COPY ABORTED, as Task.senseKeySpecific: `byte` is counted from the segment descriptor's start. */
export function fieldInSegmentDescriptor(byte: number): number {
  return SENSE_KEY_SPECIFIC_VALID | SEGMENT_DESCRIPTOR | byte;
}

function fieldPointer(place: number, byte: number, bit: number): number {
  if (byte > FIELD_POINTER_MAX) return -1;
  const bitPointer = bit < 0 ? 0 : BIT_POINTER_VALID | (bit << BIT_POINTER_SHIFT);
  return SENSE_KEY_SPECIFIC_VALID | place | bitPointer | byte;
}

function endWithFieldPointer(task: Task, services: Services, condition: Sense, senseKeySpecific: number): void {
  task.senseKey = condition.senseKey;
  task.asc = condition.asc;
  task.ascq = condition.ascq;
  task.senseInformation = -1;
  task.senseKeySpecific = senseKeySpecific;
  task.senseCommandSpecific = -1;
  services.checkCondition(task);
}

/** `lba`: the first block that is not there, for INFORMATION; -1 where it cannot be told (an address above 2^53 - 1). */
export function lbaOutOfRange(task: Task, services: Services, lba: number): void {
  endWithInformation(task, services, LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE, lba);
}

/**
 * Ends the command with what a store's negative errno means to the initiator. `task.lba` is the block that failed.
 * `writes` says which way it failed; a command that changes the medium is taken to have failed at writing.
 */
export function storeError(
  task: Task,
  services: Services,
  errno: number,
  writes = task.command !== null && (task.command.conditions & COMMAND_WRITES_MEDIUM) !== 0,
): void {
  const condition = storeErrorSense(errno, writes);
  if (condition.senseKey === SENSE_KEY_MEDIUM_ERROR) endWithInformation(task, services, condition, task.lba);
  else endWithSense(task, services, condition);
}

/** What a store's negative errno means; a MEDIUM ERROR is that of a block. */
export function storeErrorSense(errno: number, writes: boolean): Sense {
  switch (errno) {
    case ENOSPC:
    case EDQUOT:
      return SPACE_ALLOCATION_FAILED_WRITE_PROTECT;
    case EIO:
    case ENODATA:
      return writes ? WRITE_ERROR : UNRECOVERED_READ_ERROR;
    case EROFS:
    case EACCES:
    case EPERM:
      return writes ? WRITE_PROTECTED : INTERNAL_TARGET_FAILURE;
    default:
      return INTERNAL_TARGET_FAILURE;
  }
}

/**
 * Writes the task's sense data at `offset` and returns its length, in the format that D_SENSE asks for. In fixed format an
 * INFORMATION of more than 32 bits cannot be told, and goes out as not valid.
 */
export function encodeSense(bytes: Uint8Array, view: DataView, offset: number, task: Task): number {
  const encode = task.unit?.descriptorSense === true ? encodeDescriptorSense : encodeFixedSense;
  const { senseKey, asc, ascq, senseInformation, senseKeySpecific, senseCommandSpecific } = task;
  return encode(
    bytes,
    view,
    offset,
    senseKey,
    asc,
    ascq,
    senseInformation,
    senseKeySpecific,
    senseCommandSpecific,
    senseKey === SENSE_KEY_COPY_ABORTED ? task.senseForwarded : null,
  );
}

function responseCode(current: number, senseKey: number): number {
  return (senseKey & SENSE_DEFERRED) === 0 ? current : current + 1;
}

/** The same from its parts. `information`, `senseKeySpecific` and `commandSpecific`: -1 where there is none. */
export function encodeFixedSense(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  senseKey: number,
  asc: number,
  ascq: number,
  information: number,
  senseKeySpecific: number,
  commandSpecific = -1,
  forwarded: ForwardedSense | null = null,
): number {
  bytes.fill(0, offset, offset + SENSE_BYTES);
  const informationValid = information >= 0 && information <= 0xffff_ffff;
  bytes[offset] = responseCode(RESPONSE_CODE_FIXED_CURRENT, senseKey) | (informationValid ? SENSE_VALID : 0);
  bytes[offset + 2] = senseKey & SENSE_KEY_MASK;
  if (informationValid) view.setUint32(offset + 3, information);
  if (commandSpecific >= 0) view.setUint32(offset + 8, commandSpecific);
  bytes[offset + 12] = asc;
  bytes[offset + 13] = ascq;
  if (senseKeySpecific >= 0) {
    bytes[offset + 15] = senseKeySpecific >>> 16;
    view.setUint16(offset + 16, senseKeySpecific & 0xffff);
  }
  let length = SENSE_BYTES;
  if (forwarded !== null) {
    const sense = Buffer.from(forwarded.sense, "hex");
    // "the starting byte number, relative to the first byte of sense data, of an area that contains the status byte and sense
    // data": the first byte of COMMAND-SPECIFIC INFORMATION is for the copy source, the second for the copy destination.
    bytes[offset + 8 + (forwarded.side === "source" ? 0 : 1)] = length;
    bytes[offset + length] = forwarded.status;
    bytes.set(sense, offset + length + 1);
    length += 1 + sense.length;
  }
  bytes[offset + 7] = length - 8;
  return length;
}

const DESCRIPTOR_SENSE_HEADER_BYTES = 8;
const RESPONSE_CODE_DESCRIPTOR_CURRENT = 0x72;
const INFORMATION_DESCRIPTOR_BYTES = 12;
const COMMAND_SPECIFIC_DESCRIPTOR = 0x01;
const COMMAND_SPECIFIC_DESCRIPTOR_BYTES = 12;
const SENSE_KEY_SPECIFIC_DESCRIPTOR = 0x02;
const SENSE_KEY_SPECIFIC_DESCRIPTOR_BYTES = 8;
const FORWARDED_DESCRIPTOR = 0x0c;
const FORWARDED_DESCRIPTOR_HEADER_BYTES = 4;
/** FSDT: not all of the sense data is there. */
const FORWARDED_TRUNCATED = 0x80;
const FORWARDED_FROM_SOURCE = 0x01;
const FORWARDED_FROM_DESTINATION = 0x02;
/** Of both formats, where nothing is forwarded. */
export const OWN_SENSE_BYTES_MAX =
  DESCRIPTOR_SENSE_HEADER_BYTES +
  INFORMATION_DESCRIPTOR_BYTES +
  COMMAND_SPECIFIC_DESCRIPTOR_BYTES +
  SENSE_KEY_SPECIFIC_DESCRIPTOR_BYTES;
/** Of both formats: there is room for all that is forwarded in fixed format, and for most of it in descriptor format. */
export const SENSE_BYTES_MAX = 62;
assert(SENSE_BYTES + 1 + OWN_SENSE_BYTES_MAX <= SENSE_BYTES_MAX, "fixed sense data has room for what is forwarded");

/** Descriptor format, with a descriptor for each part that there is. Arguments as of `encodeFixedSense`. */
export function encodeDescriptorSense(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  senseKey: number,
  asc: number,
  ascq: number,
  information: number,
  senseKeySpecific: number,
  commandSpecific = -1,
  forwarded: ForwardedSense | null = null,
): number {
  bytes.fill(0, offset, offset + SENSE_BYTES_MAX);
  bytes[offset] = responseCode(RESPONSE_CODE_DESCRIPTOR_CURRENT, senseKey);
  bytes[offset + 1] = senseKey & SENSE_KEY_MASK;
  bytes[offset + 2] = asc;
  bytes[offset + 3] = ascq;
  let at = offset + DESCRIPTOR_SENSE_HEADER_BYTES;
  if (information >= 0) {
    bytes[at + 1] = INFORMATION_DESCRIPTOR_BYTES - 2;
    bytes[at + 2] = SENSE_VALID;
    setUint64(view, at + 4, information);
    at += INFORMATION_DESCRIPTOR_BYTES;
  }
  if (commandSpecific >= 0) {
    bytes[at] = COMMAND_SPECIFIC_DESCRIPTOR;
    bytes[at + 1] = COMMAND_SPECIFIC_DESCRIPTOR_BYTES - 2;
    setUint64(view, at + 4, commandSpecific);
    at += COMMAND_SPECIFIC_DESCRIPTOR_BYTES;
  }
  if (senseKeySpecific >= 0) {
    bytes[at] = SENSE_KEY_SPECIFIC_DESCRIPTOR;
    bytes[at + 1] = SENSE_KEY_SPECIFIC_DESCRIPTOR_BYTES - 2;
    bytes[at + 4] = senseKeySpecific >>> 16;
    view.setUint16(at + 5, senseKeySpecific & 0xffff);
    at += SENSE_KEY_SPECIFIC_DESCRIPTOR_BYTES;
  }
  if (forwarded !== null) at = putForwardedDescriptor(bytes, at, offset + SENSE_BYTES_MAX, forwarded);
  bytes[offset + 7] = at - offset - DESCRIPTOR_SENSE_HEADER_BYTES;
  return at - offset;
}

/** Returns where the next descriptor would start: at `end` at the latest. */
function putForwardedDescriptor(bytes: Uint8Array, at: number, end: number, forwarded: ForwardedSense): number {
  const sense = Buffer.from(forwarded.sense, "hex");
  const told = sense.subarray(0, end - at - FORWARDED_DESCRIPTOR_HEADER_BYTES);
  const source = forwarded.side === "source" ? FORWARDED_FROM_SOURCE : FORWARDED_FROM_DESTINATION;
  bytes[at] = FORWARDED_DESCRIPTOR;
  bytes[at + 1] = FORWARDED_DESCRIPTOR_HEADER_BYTES - 2 + told.length;
  bytes[at + 2] = source | (told.length < sense.length ? FORWARDED_TRUNCATED : 0);
  bytes[at + 3] = forwarded.status;
  bytes.set(told, at + FORWARDED_DESCRIPTOR_HEADER_BYTES);
  return at + FORWARDED_DESCRIPTOR_HEADER_BYTES + told.length;
}
