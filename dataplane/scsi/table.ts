/**
 * The command table: the one place that says which commands there are, which bits of their CDBs are legal, and what may run
 * when. A CDB with any other bit set is refused before its handler sees it, RDPROTECT and the like included: without
 * protection information they must be 0. NACA and the rest of the CONTROL byte must be 0 too. The obsolete FUA_NV bit
 * (02h of byte 1 in READ and WRITE) is let through, as hosts were once told to set it; and so is SYNC_NV (04h in SYNCHRONIZE
 * CACHE), which asked for less than is done.
 */

import {
  beginCompareAndWrite,
  beginOrWrite,
  beginWriteAtomic,
  resumeCompareAndWrite,
  resumeOrWrite,
  resumeWriteAtomic,
} from "./atomic.js";
import {
  beginPreFetch10,
  beginPreFetch16,
  beginRead6,
  beginRead10,
  beginRead12,
  beginRead16,
  beginSynchronizeCache10,
  beginSynchronizeCache16,
  beginVerify10,
  beginVerify12,
  beginVerify16,
  beginWrite6,
  beginWrite10,
  beginWrite12,
  beginWrite16,
  beginWriteAndVerify10,
  beginWriteAndVerify12,
  beginWriteAndVerify16,
  resumeFlush,
  resumeVerify,
} from "./blocks.js";
import {
  BUFFER_MODE_DATA,
  BUFFER_MODE_DESCRIPTOR,
  BUFFER_MODE_ECHO,
  BUFFER_MODE_ECHO_DESCRIPTOR,
  beginReadDataBuffer10,
  beginReadDataBuffer16,
  beginReadDescriptor10,
  beginReadDescriptor16,
  beginReadEchoBuffer10,
  beginReadEchoBuffer16,
  beginReadEchoDescriptor10,
  beginReadEchoDescriptor16,
  beginWriteDataBuffer,
  beginWriteEchoBuffer,
  resumeWriteDataBuffer,
  resumeWriteEchoBuffer,
} from "./buffers.js";
import { beginReadCapacity10, beginReadCapacity16 } from "./capacity.js";
import {
  COMMAND_CONFLICTS_EXCLUSIVE_ACCESS,
  COMMAND_CONFLICTS_LOST_RESERVATIONS,
  COMMAND_CONFLICTS_RESERVE,
  COMMAND_CONFLICTS_WRITE_EXCLUSIVE,
  COMMAND_NEEDS_MEDIUM,
  COMMAND_OF_WELL_KNOWN_UNIT,
  COMMAND_PASSES_UNIT_ATTENTION,
  COMMAND_RUNS_IN_STANDBY,
  COMMAND_RUNS_IN_TRANSITION,
  COMMAND_RUNS_IN_UNAVAILABLE,
  COMMAND_WITHOUT_UNIT,
  COMMAND_WRITES_MEDIUM,
  type Command,
  type CommandPlace,
  NO_SERVICE_ACTION,
} from "./command.js";
import { beginControlled, beginControlledOut, beginFormatUnit, resumeControlled } from "./control-command.js";
import {
  cost6,
  cost10,
  cost12,
  cost16,
  costNothing,
  costOfCompareAndWrite,
  costOfWriteAtomic,
  unlessUnmapped,
} from "./cost.js";
import { beginReadDefectData10, beginReadDefectData12 } from "./defects.js";
import { beginReceiveDiagnosticResults, beginSendDiagnostic, resumeSendDiagnostic } from "./diagnostics.js";
import { beginInquiry } from "./inquiry.js";
import { beginModeSense6, beginModeSense10, isModePageAllowedDuringSanitize } from "./mode.js";
import {
  beginPreventAllowMediumRemoval,
  beginStartStopUnit,
  isAllowMediumRemoval,
  isStart,
  resumePreventAllowMediumRemoval,
} from "./power.js";
import {
  beginGetLbaStatus,
  beginUnmap,
  beginWriteSame10,
  beginWriteSame16,
  resumeUnmap,
  resumeWriteSame,
} from "./provisioning.js";
import {
  beginReportLuns,
  beginReportSupportedOperationCodes,
  beginReportSupportedTaskManagementFunctions,
  beginRequestSense,
  beginTestUnitReady,
} from "./reporting.js";

import {
  ACTION_COPY_OPERATION_ABORT,
  ACTION_EXTENDED_COPY_LID1,
  ACTION_EXTENDED_COPY_LID4,
  ACTION_POPULATE_TOKEN,
  ACTION_RECEIVE_COPY_DATA_LID1,
  ACTION_RECEIVE_COPY_FAILURE_DETAILS,
  ACTION_RECEIVE_COPY_OPERATING_PARAMETERS,
  ACTION_RECEIVE_COPY_STATUS_LID1,
  ACTION_RECEIVE_COPY_STATUS_LID4,
  ACTION_RECEIVE_ROD_TOKEN_INFORMATION,
  ACTION_REPORT_ALL_ROD_TOKENS,
  ACTION_WRITE_USING_TOKEN,
  OPCODE_COPY_IN,
  OPCODE_COPY_OUT,
} from "./third-party-copy.js";

/** For what tells of a unit and does not use it, and for what brings it back. */
const IN_STANDBY = COMMAND_RUNS_IN_STANDBY;
const IN_UNAVAILABLE = IN_STANDBY | COMMAND_RUNS_IN_UNAVAILABLE;
const IN_EVERY_STATE = IN_UNAVAILABLE | COMMAND_RUNS_IN_TRANSITION;
const ALWAYS = COMMAND_WITHOUT_UNIT | COMMAND_OF_WELL_KNOWN_UNIT | COMMAND_PASSES_UNIT_ATTENTION | IN_EVERY_STATE;
/** Conflicts with what keeps others from reading. */
const EXCLUSIVE = COMMAND_CONFLICTS_EXCLUSIVE_ACCESS | COMMAND_CONFLICTS_RESERVE;
/** Conflicts with every reservation. */
const SHARED_BY_NONE = EXCLUSIVE | COMMAND_CONFLICTS_WRITE_EXCLUSIVE;
const READS = COMMAND_NEEDS_MEDIUM | EXCLUSIVE;
const WRITES = COMMAND_NEEDS_MEDIUM | COMMAND_WRITES_MEDIUM | SHARED_BY_NONE;
/** Writes all of the medium, and needs it in no good state before: who may begin when, control judges. */
const REWRITES = COMMAND_WRITES_MEDIUM | SHARED_BY_NONE;
/** Makes durable what was written: conflicts as a write does, and needs no writable medium. */
const SYNCHRONIZES = COMMAND_NEEDS_MEDIUM | SHARED_BY_NONE;

const SERVICE_ACTION_MASK = 0x1f;
export const OPCODE_FORMAT_UNIT = 0x04;
const OPCODE_UNMAP = 0x42;
export const OPCODE_SANITIZE = 0x48;
export const OPCODE_LOG_SELECT = 0x4c;
export const OPCODE_LOG_SENSE = 0x4d;
/** Page code of the list of log pages. */
export const LOG_PAGE_SUPPORTED = 0x00;
const LOG_PAGE_TEMPERATURE = 0x0d;
export const OPCODE_MAINTENANCE_IN = 0xa3;
export const OPCODE_MAINTENANCE_OUT = 0xa4;
export const ACTION_REPORT_IDENTIFYING_INFORMATION = 0x05;
export const ACTION_REPORT_TARGET_PORT_GROUPS = 0x0a;
export const ACTION_REPORT_PRIORITY = 0x0e;
export const ACTION_REPORT_TIMESTAMP = 0x0f;
export const ACTION_SET_IDENTIFYING_INFORMATION = 0x06;
export const ACTION_SET_TARGET_PORT_GROUPS = 0x0a;
export const ACTION_SET_PRIORITY = 0x0e;
export const ACTION_SET_TIMESTAMP = 0x0f;
export const OPCODE_MODE_SELECT_6 = 0x15;
export const OPCODE_MODE_SELECT_10 = 0x55;
export const OPCODE_RESERVE_6 = 0x16;
export const OPCODE_RELEASE_6 = 0x17;
export const OPCODE_START_STOP_UNIT = 0x1b;
export const OPCODE_PREVENT_ALLOW_MEDIUM_REMOVAL = 0x1e;
export const OPCODE_WRITE_ATOMIC_16 = 0x9c;
export const OPCODE_RESERVE_10 = 0x56;
export const OPCODE_RELEASE_10 = 0x57;
export const OPCODE_PERSISTENT_RESERVE_IN = 0x5e;
export const OPCODE_PERSISTENT_RESERVE_OUT = 0x5f;

function row(
  name: string,
  usage: readonly number[],
  conditions: number,
  begin: Command["begin"],
  resume?: Command["resume"],
): Command {
  const isControlled = begin === beginControlled || resume === resumeControlled;
  const place = isControlled ? "control" : "shard";
  const command: Command = {
    name,
    opcode: usage[0]!,
    serviceAction: NO_SERVICE_ACTION,
    usage,
    // What needs no unit tells nothing of what is on it.
    conditions: conditions | ((conditions & COMMAND_WITHOUT_UNIT) === 0 ? COMMAND_CONFLICTS_LOST_RESERVATIONS : 0),
    place,
    begin,
  };
  return resume === undefined ? command : { ...command, resume };
}

/** `usage[1]` holds the service action's own value beside the mask of the byte's other bits, as REPORT SUPPORTED OPERATION CODES shows it. */
function actionRow(
  name: string,
  usage: readonly number[],
  conditions: number,
  begin: Command["begin"],
  resume?: Command["resume"],
): Command {
  return { ...row(name, usage, conditions, begin, resume), serviceAction: usage[1]! & SERVICE_ACTION_MASK };
}

/** A command whose data goes through its parameter buffer to the medium. */
function throughBuffer(command: Command): Command {
  return { ...command, writesWhatItReceives: true };
}

/** A command that the shard begins, and that control carries out, or does so with some of its CDBs. */
function carriedOut(place: CommandPlace, command: Command): Command {
  return { ...command, place };
}

/** A command that limits concern. */
function limited(costBytes: NonNullable<Command["costBytes"]>, command: Command): Command {
  return { ...command, costBytes };
}

/** A command that SPC-5 allows while what was kept of the unit's reservations is lost. */
function despiteLoss(command: Command): Command {
  return { ...command, conditions: command.conditions & ~COMMAND_CONFLICTS_LOST_RESERVATIONS };
}

/** A command that SBC-4 allows while the unit is sanitized; or a CDB of it, where `isAllowed` says so. */
function duringSanitize(command: Command, isAllowed: Command["isAllowedDuringSanitize"] = () => true): Command {
  return { ...command, isAllowedDuringSanitize: isAllowed };
}

const isTemperatureLog: Command["isAllowedDuringSanitize"] = ({ cdb }, { bytes }) =>
  (bytes[cdb + 2]! & 0x3f) === LOG_PAGE_TEMPERATURE && bytes[cdb + 3] === 0;

/** SCOPE and TYPE may be anything where they are ignored. Who conflicts with what is judged with the registrations: by control. */
function persistentReserveOut(serviceAction: number, name: string): Command {
  const usage = [OPCODE_PERSISTENT_RESERVE_OUT, serviceAction, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0];
  const begin = beginControlledOut({ byte: 5, width: 4 });
  return actionRow(`PERSISTENT RESERVE OUT, ${name}`, usage, IN_STANDBY, begin, resumeControlled);
}

function persistentReserveIn(serviceAction: number, name: string): Command {
  const usage = [OPCODE_PERSISTENT_RESERVE_IN, serviceAction, 0, 0, 0, 0, 0, 0xff, 0xff, 0];
  return actionRow(`PERSISTENT RESERVE IN, ${name}`, usage, IN_STANDBY, beginControlled);
}

/** Of READ BUFFER and WRITE BUFFER only the echo modes are there in every state but the active ones (SPC-5). */
function bufferStates(mode: number): number {
  return mode === BUFFER_MODE_ECHO || mode === BUFFER_MODE_ECHO_DESCRIPTOR ? IN_EVERY_STATE : 0;
}

/** Masks of what these commands have beside a length: in byte 2 and in byte 10. */
interface MaintenanceFields {
  readonly scope?: number;
  readonly type?: number;
}

function maintenanceIn(serviceAction: number, name: string, { scope = 0, type = 0 }: MaintenanceFields = {}): Command {
  const usage = [OPCODE_MAINTENANCE_IN, serviceAction, scope, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, type, 0];
  return actionRow(name, usage, IN_STANDBY, beginControlled);
}

function maintenanceOut(serviceAction: number, name: string, { scope = 0, type = 0 }: MaintenanceFields = {}): Command {
  const usage = [OPCODE_MAINTENANCE_OUT, serviceAction, scope, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, type, 0];
  return actionRow(name, usage, SHARED_BY_NONE, beginControlledOut({ byte: 6, width: 4 }), resumeControlled);
}

/** The mode stands where others have a service action, and counts as one. */
function writeBuffer(mode: number, name: string, begin: Command["begin"], resume: Command["resume"]): Command {
  const usage = [0x3b, mode, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
  return despiteLoss(actionRow(`WRITE BUFFER, ${name}`, usage, SHARED_BY_NONE | bufferStates(mode), begin, resume));
}

function readBuffer10(mode: number, name: string, begin: Command["begin"]): Command {
  const usage = [0x3c, mode, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
  return despiteLoss(actionRow(`READ BUFFER(10), ${name}`, usage, EXCLUSIVE | bufferStates(mode), begin));
}

function readBuffer16(mode: number, name: string, begin: Command["begin"]): Command {
  const usage = [0x9b, mode, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
  return despiteLoss(actionRow(`READ BUFFER(16), ${name}`, usage, EXCLUSIVE | bufferStates(mode), begin));
}

/** Whose parameter list control judges: it may be about other units than the one that it is sent to. */
function copyOut(
  name: string,
  action: number,
  listIdentifier: readonly number[],
  conditions: number,
  group = 0,
): Command {
  const usage = [OPCODE_COPY_OUT, action, 0, 0, 0, 0, ...listIdentifier, 0xff, 0xff, 0xff, 0xff, group, 0];
  return actionRow(name, usage, conditions, beginControlledOut({ byte: 10, width: 4 }), resumeControlled);
}

/** As TEST UNIT READY passes all persistent reservations: see REPORT CAPABILITIES of PERSISTENT RESERVE IN. */
function copyIn(name: string, action: number, listIdentifier: readonly number[]): Command {
  const usage = [OPCODE_COPY_IN, action, ...listIdentifier, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0];
  return actionRow(name, usage, COMMAND_CONFLICTS_RESERVE, beginControlled);
}

const LID_NONE = [0, 0, 0, 0];
const LID1 = [0xff, 0, 0, 0];
const LID4 = [0xff, 0xff, 0xff, 0xff];

/**
 * IMMED and AUSE; only overwriting has a parameter list. ZNR is for zones, which there are none of: it is refused, though SBC-4
 * has it ignored then, as hosts that set it expect something of it (and as libiscsi's test suite does).
 */
function sanitize(serviceAction: number, name: string, begin: Command["begin"], listLength = 0): Command {
  const usage = [OPCODE_SANITIZE, 0xa0 | serviceAction, 0, 0, 0, 0, 0, listLength, listLength, 0];
  const command = actionRow(`SANITIZE, ${name}`, usage, REWRITES, begin, resumeControlled);
  // "shall process this command as if it has a HEAD OF QUEUE task attribute" (SBC-4).
  return { ...duringSanitize(command), isHeadOfQueue: true };
}

/** Whether the task's unit has the command: UNMAP only where it can deallocate. */
function isSupported(command: Command, { unit }: { readonly unit: { readonly thin: boolean } | null }): boolean {
  return command.opcode !== OPCODE_UNMAP || unit?.thin === true;
}

// One line per row: this is a table.
// biome-ignore format: columns
export const COMMANDS: readonly Command[] = [
  row("TEST UNIT READY", [0x00, 0, 0, 0, 0, 0], COMMAND_NEEDS_MEDIUM | COMMAND_OF_WELL_KNOWN_UNIT | COMMAND_CONFLICTS_RESERVE, beginTestUnitReady),
  row("REQUEST SENSE", [0x03, 0x01, 0, 0, 0xff, 0], ALWAYS, beginRequestSense),
  row("FORMAT UNIT", [OPCODE_FORMAT_UNIT, 0x3f, 0, 0, 0x01, 0], REWRITES, beginFormatUnit, resumeControlled),
  limited(cost6, row("READ(6)", [0x08, 0x1f, 0xff, 0xff, 0xff, 0], READS, beginRead6)),
  limited(cost6, row("WRITE(6)", [0x0a, 0x1f, 0xff, 0xff, 0xff, 0], WRITES, beginWrite6)),
  carriedOut("both", row("INQUIRY", [0x12, 0x01, 0xff, 0xff, 0xff, 0], ALWAYS, beginInquiry)),
  row("MODE SELECT(6)", [OPCODE_MODE_SELECT_6, 0x11, 0, 0, 0xff, 0], SHARED_BY_NONE | IN_STANDBY, beginControlledOut({ byte: 4, width: 1 }), resumeControlled),
  row("RESERVE(6)", [OPCODE_RESERVE_6, 0, 0, 0, 0, 0], 0, beginControlled),
  row("RELEASE(6)", [OPCODE_RELEASE_6, 0, 0, 0, 0, 0], 0, beginControlled),
  duringSanitize(row("MODE SENSE(6)", [0x1a, 0x08, 0xff, 0xff, 0xff, 0], EXCLUSIVE | IN_STANDBY, beginModeSense6), isModePageAllowedDuringSanitize),
  { ...row("START STOP UNIT", [OPCODE_START_STOP_UNIT, 0x01, 0, 0x0f, 0xf7, 0], SHARED_BY_NONE, beginStartStopUnit, resumeControlled), isLetThrough: isStart },
  row("RECEIVE DIAGNOSTIC RESULTS", [0x1c, 0x01, 0xff, 0xff, 0xff, 0], SHARED_BY_NONE | IN_STANDBY, beginReceiveDiagnosticResults),
  row("SEND DIAGNOSTIC", [0x1d, 0xf7, 0, 0xff, 0xff, 0], COMMAND_NEEDS_MEDIUM | SHARED_BY_NONE | IN_STANDBY, beginSendDiagnostic, resumeSendDiagnostic),
  carriedOut("control", { ...row("PREVENT ALLOW MEDIUM REMOVAL", [OPCODE_PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, 0x01, 0], SHARED_BY_NONE, beginPreventAllowMediumRemoval, resumePreventAllowMediumRemoval), isLetThrough: isAllowMediumRemoval }),
  duringSanitize(row("READ CAPACITY(10)", [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], COMMAND_NEEDS_MEDIUM | IN_STANDBY, beginReadCapacity10)),
  limited(cost10, row("READ(10)", [0x28, 0x1a, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0], READS, beginRead10)),
  limited(cost10, row("WRITE(10)", [0x2a, 0x1a, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0], WRITES, beginWrite10)),
  limited(cost10, row("WRITE AND VERIFY(10)", [0x2e, 0x16, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0], WRITES, beginWriteAndVerify10)),
  limited(cost10, row("VERIFY(10)", [0x2f, 0x16, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0], READS, beginVerify10, resumeVerify)),
  limited(cost10, row("PRE-FETCH(10)", [0x34, 0x02, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0], READS, beginPreFetch10)),
  row("SYNCHRONIZE CACHE(10)", [0x35, 0x06, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0], SYNCHRONIZES, beginSynchronizeCache10, resumeFlush),
  row("READ DEFECT DATA(10)", [0x37, 0, 0x1f, 0, 0, 0, 0, 0xff, 0xff, 0], READS, beginReadDefectData10),
  writeBuffer(BUFFER_MODE_DATA, "DATA", beginWriteDataBuffer, resumeWriteDataBuffer),
  writeBuffer(BUFFER_MODE_ECHO, "ECHO BUFFER", beginWriteEchoBuffer, resumeWriteEchoBuffer),
  readBuffer10(BUFFER_MODE_DATA, "DATA", beginReadDataBuffer10),
  readBuffer10(BUFFER_MODE_DESCRIPTOR, "DESCRIPTOR", beginReadDescriptor10),
  readBuffer10(BUFFER_MODE_ECHO, "ECHO BUFFER", beginReadEchoBuffer10),
  readBuffer10(BUFFER_MODE_ECHO_DESCRIPTOR, "ECHO BUFFER DESCRIPTOR", beginReadEchoDescriptor10),
  limited(unlessUnmapped(cost10), row("WRITE SAME(10)", [0x41, 0x08, 0xff, 0xff, 0xff, 0xff, 0x3f, 0xff, 0xff, 0], WRITES, beginWriteSame10, resumeWriteSame)),
  limited(costNothing, row("UNMAP", [OPCODE_UNMAP, 0, 0, 0, 0, 0, 0x3f, 0xff, 0xff, 0], WRITES, beginUnmap, resumeUnmap)),
  sanitize(0x01, "OVERWRITE", beginControlledOut({ byte: 7, width: 2 }), 0xff),
  sanitize(0x02, "BLOCK ERASE", beginControlled),
  sanitize(0x03, "CRYPTOGRAPHIC ERASE", beginControlled),
  sanitize(0x1f, "EXIT FAILURE MODE", beginControlled),
  row("LOG SELECT", [OPCODE_LOG_SELECT, 0x02, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0], SHARED_BY_NONE | IN_STANDBY, beginControlledOut({ byte: 7, width: 2 }), resumeControlled),
  despiteLoss(duringSanitize(row("LOG SENSE", [OPCODE_LOG_SENSE, 0, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff, 0], IN_STANDBY, beginControlled), isTemperatureLog)),
  row("MODE SELECT(10)", [OPCODE_MODE_SELECT_10, 0x11, 0, 0, 0, 0, 0, 0xff, 0xff, 0], SHARED_BY_NONE | IN_STANDBY, beginControlledOut({ byte: 7, width: 2 }), resumeControlled),
  row("RESERVE(10)", [OPCODE_RESERVE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0, beginControlled),
  row("RELEASE(10)", [OPCODE_RELEASE_10, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0, beginControlled),
  duringSanitize(row("MODE SENSE(10)", [0x5a, 0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0], EXCLUSIVE | IN_STANDBY, beginModeSense10), isModePageAllowedDuringSanitize),
  persistentReserveIn(0x00, "READ KEYS"),
  persistentReserveIn(0x01, "READ RESERVATION"),
  persistentReserveIn(0x02, "REPORT CAPABILITIES"),
  persistentReserveIn(0x03, "READ FULL STATUS"),
  persistentReserveOut(0x00, "REGISTER"),
  persistentReserveOut(0x01, "RESERVE"),
  persistentReserveOut(0x02, "RELEASE"),
  persistentReserveOut(0x03, "CLEAR"),
  persistentReserveOut(0x04, "PREEMPT"),
  persistentReserveOut(0x05, "PREEMPT AND ABORT"),
  persistentReserveOut(0x06, "REGISTER AND IGNORE EXISTING KEY"),
  persistentReserveOut(0x07, "REGISTER AND MOVE"),
  despiteLoss(persistentReserveOut(0x08, "REPLACE LOST RESERVATION")),
  limited(costNothing, copyOut("EXTENDED COPY(LID1)", ACTION_EXTENDED_COPY_LID1, LID_NONE, COMMAND_NEEDS_MEDIUM | SHARED_BY_NONE)),
  limited(costNothing, copyOut("EXTENDED COPY(LID4)", ACTION_EXTENDED_COPY_LID4, LID_NONE, COMMAND_NEEDS_MEDIUM | SHARED_BY_NONE)),
  limited(costNothing, copyOut("POPULATE TOKEN", ACTION_POPULATE_TOKEN, LID4, READS, 0x3f)),
  limited(costNothing, copyOut("WRITE USING TOKEN", ACTION_WRITE_USING_TOKEN, LID4, WRITES, 0x3f)),
  actionRow("COPY OPERATION ABORT", [OPCODE_COPY_OUT, ACTION_COPY_OPERATION_ABORT, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], COMMAND_CONFLICTS_RESERVE, beginControlled),
  copyIn("RECEIVE COPY STATUS(LID1)", ACTION_RECEIVE_COPY_STATUS_LID1, LID1),
  copyIn("RECEIVE COPY DATA(LID1)", ACTION_RECEIVE_COPY_DATA_LID1, LID1),
  copyIn("RECEIVE COPY OPERATING PARAMETERS", ACTION_RECEIVE_COPY_OPERATING_PARAMETERS, LID_NONE),
  copyIn("RECEIVE COPY FAILURE DETAILS(LID1)", ACTION_RECEIVE_COPY_FAILURE_DETAILS, LID1),
  copyIn("RECEIVE COPY STATUS(LID4)", ACTION_RECEIVE_COPY_STATUS_LID4, LID4),
  copyIn("RECEIVE ROD TOKEN INFORMATION", ACTION_RECEIVE_ROD_TOKEN_INFORMATION, LID4),
  copyIn("REPORT ALL ROD TOKENS", ACTION_REPORT_ALL_ROD_TOKENS, LID_NONE),
  limited(cost16, row("READ(16)", [0x88, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0], READS, beginRead16)),
  limited(costOfCompareAndWrite, throughBuffer(row("COMPARE AND WRITE", [0x89, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0xff, 0x3f, 0], WRITES, beginCompareAndWrite, resumeCompareAndWrite))),
  limited(cost16, row("WRITE(16)", [0x8a, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0], WRITES, beginWrite16)),
  limited(cost16, throughBuffer(row("ORWRITE(16)", [0x8b, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0], WRITES, beginOrWrite, resumeOrWrite))),
  limited(cost16, row("WRITE AND VERIFY(16)", [0x8e, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0], WRITES, beginWriteAndVerify16)),
  limited(cost16, row("VERIFY(16)", [0x8f, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0], READS, beginVerify16, resumeVerify)),
  limited(cost16, row("PRE-FETCH(16)", [0x90, 0x02, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0], READS, beginPreFetch16)),
  row("SYNCHRONIZE CACHE(16)", [0x91, 0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0], SYNCHRONIZES, beginSynchronizeCache16, resumeFlush),
  limited(unlessUnmapped(cost16), row("WRITE SAME(16)", [0x93, 0x09, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0], WRITES, beginWriteSame16, resumeWriteSame)),
  readBuffer16(BUFFER_MODE_DATA, "DATA", beginReadDataBuffer16),
  readBuffer16(BUFFER_MODE_DESCRIPTOR, "DESCRIPTOR", beginReadDescriptor16),
  readBuffer16(BUFFER_MODE_ECHO, "ECHO BUFFER", beginReadEchoBuffer16),
  readBuffer16(BUFFER_MODE_ECHO_DESCRIPTOR, "ECHO BUFFER DESCRIPTOR", beginReadEchoDescriptor16),
  carriedOut("both", limited(costOfWriteAtomic, throughBuffer(row("WRITE ATOMIC(16)", [OPCODE_WRITE_ATOMIC_16, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0], WRITES, beginWriteAtomic, resumeWriteAtomic)))),
  duringSanitize(actionRow("READ CAPACITY(16)", [0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], COMMAND_NEEDS_MEDIUM | IN_STANDBY, beginReadCapacity16)),
  carriedOut("control", actionRow("GET LBA STATUS", [0x9e, 0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x17, 0], READS, beginGetLbaStatus)),
  row("REPORT LUNS", [0xa0, 0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], ALWAYS, beginReportLuns),
  maintenanceIn(ACTION_REPORT_IDENTIFYING_INFORMATION, "REPORT IDENTIFYING INFORMATION", { type: 0xfe }),
  despiteLoss(actionRow("REPORT TARGET PORT GROUPS", [OPCODE_MAINTENANCE_IN, 0xe0 | ACTION_REPORT_TARGET_PORT_GROUPS, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], IN_EVERY_STATE, beginControlled)),
  duringSanitize(actionRow("REPORT SUPPORTED OPERATION CODES", [OPCODE_MAINTENANCE_IN, 0x0c, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0], EXCLUSIVE | IN_STANDBY, beginReportSupportedOperationCodes(() => COMMANDS, isSupported))),
  duringSanitize(actionRow("REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS", [OPCODE_MAINTENANCE_IN, 0x0d, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], EXCLUSIVE | IN_STANDBY, beginReportSupportedTaskManagementFunctions)),
  maintenanceIn(ACTION_REPORT_PRIORITY, "REPORT PRIORITY", { scope: 0xc0 }),
  maintenanceIn(ACTION_REPORT_TIMESTAMP, "REPORT TIMESTAMP"),
  maintenanceOut(ACTION_SET_IDENTIFYING_INFORMATION, "SET IDENTIFYING INFORMATION", { type: 0xfe }),
  actionRow("SET TARGET PORT GROUPS", [OPCODE_MAINTENANCE_OUT, ACTION_SET_TARGET_PORT_GROUPS, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0], SHARED_BY_NONE | IN_UNAVAILABLE, beginControlledOut({ byte: 6, width: 4 }), resumeControlled),
  maintenanceOut(ACTION_SET_PRIORITY, "SET PRIORITY", { scope: 0xc0 }),
  maintenanceOut(ACTION_SET_TIMESTAMP, "SET TIMESTAMP"),
  limited(cost12, row("READ(12)", [0xa8, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0], READS, beginRead12)),
  limited(cost12, row("WRITE(12)", [0xaa, 0x1a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0], WRITES, beginWrite12)),
  limited(cost12, row("WRITE AND VERIFY(12)", [0xae, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0], WRITES, beginWriteAndVerify12)),
  limited(cost12, row("VERIFY(12)", [0xaf, 0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 0], READS, beginVerify12, resumeVerify)),
  row("READ DEFECT DATA(12)", [0xb7, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0], READS, beginReadDefectData12),
];
