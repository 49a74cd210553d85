/** TEST UNIT READY, REQUEST SENSE, REPORT LUNS and what is reported of the command table (SPC-5). */
import { PROTOCOL_LEVEL_RFC7144 } from "../limits.js";
import type { Session } from "../session/session.js";
import type { Task } from "../task/task.js";
import { encodeLun, WELL_KNOWN_LUN_REPORT_LUNS } from "../wire/lun.js";
import { accessSense } from "./access-state.js";
import { type Command, NO_SERVICE_ACTION, type Services } from "./command.js";
import { senseOfNotReady } from "./readiness.js";
import {
  encodeDescriptorSense,
  encodeFixedSense,
  invalidFieldInCdb,
  LOGICAL_UNIT_NOT_SUPPORTED,
  NO_ADDITIONAL_SENSE,
  REPORTED_LUNS_DATA_HAS_CHANGED,
  SENSE_BYTES_MAX,
} from "./sense.js";
import { informationOf, senseKeyOf } from "./unit-attention.js";
import { isWellKnownUnit } from "./well-known.js";

/** Whether there is a unit with a medium was seen to before. */
export function beginTestUnitReady(task: Task, services: Services): void {
  services.good(task);
}

// -- REQUEST SENSE

const REQUEST_SENSE_FLAGS_BYTE = 1;
const FLAG_DESC = 0x01;
const REQUEST_SENSE_ALLOCATION_LENGTH = 4;

/** The sense is data here, and the status is GOOD: a pending unit attention or deferred error first, which is not reported again. */
export function beginRequestSense(task: Task, services: Services): void {
  const at = services.parameterBuffer(task, SENSE_BYTES_MAX);
  if (at < 0) return;
  const { bytes, view } = services;
  const attention = task.session!.attentions.take(task.lun);
  let { senseKey, asc, ascq } = NO_ADDITIONAL_SENSE;
  let [information, progress] = [-1, -1];
  const unreachable = task.mapping === null ? null : accessSense(task.mapping.accessState);
  if (task.unit === null) {
    if (!isWellKnownUnit(task)) ({ senseKey, asc, ascq } = LOGICAL_UNIT_NOT_SUPPORTED);
  } else if (attention >= 0) {
    senseKey = senseKeyOf(attention);
    asc = (attention >>> 8) & 0xff;
    ascq = attention & 0xff;
    information = informationOf(attention);
  } else if (unreachable !== null) {
    ({ senseKey, asc, ascq } = unreachable);
  } else if (task.unit.notReady !== null) {
    ({ senseKey, asc, ascq, senseKeySpecific: progress } = senseOfNotReady(task.unit.notReady));
  }
  const isDescriptor = (bytes[task.cdb + REQUEST_SENSE_FLAGS_BYTE]! & FLAG_DESC) !== 0;
  const encode = isDescriptor ? encodeDescriptorSense : encodeFixedSense;
  const length = encode(bytes, view, at, senseKey, asc, ascq, information, progress);
  services.reply(task, length, bytes[task.cdb + REQUEST_SENSE_ALLOCATION_LENGTH]!);
}

// -- REPORT LUNS

const SELECT_REPORT_BYTE = 2;
const REPORT_LUNS_ALLOCATION_LENGTH = 6;
const LUN_LIST_HEADER_BYTES = 8;
const LUN_BYTES = 8;

/** All that are no well-known units. */
const SELECT_REPORT_ADDRESSED = 0x00;
const SELECT_REPORT_WELL_KNOWN = 0x01;
const SELECT_REPORT_ALL = 0x02;
/** Administrative units; those and all that are in no conglomerate; the subsidiary units of the one addressed: of ours all are in none. */
const SELECT_REPORT_ADMINISTRATIVE = 0x10;
const SELECT_REPORT_NOT_SUBSIDIARY = 0x11;
const SELECT_REPORT_SUBSIDIARY = 0x12;

/** What this initiator sees, in ascending order: up to 255 in peripheral device addressing, above in flat space addressing. */
export function beginReportLuns(task: Task, services: Services): void {
  const { bytes, view } = services;
  const session = task.session!;
  const luns = selectLuns(session, bytes[task.cdb + SELECT_REPORT_BYTE]!);
  if (luns === null) {
    invalidFieldInCdb(task, services, SELECT_REPORT_BYTE);
    return;
  }
  const length = LUN_LIST_HEADER_BYTES + LUN_BYTES * luns.length;
  const at = services.parameterBuffer(task, length);
  if (at < 0) return;
  view.setUint32(at, LUN_BYTES * luns.length);
  for (const [i, lun] of luns.entries()) {
    view.setUint32(at + LUN_LIST_HEADER_BYTES + LUN_BYTES * i, encodeLun(lun));
  }
  // The inventory is being told here and now (SPC-5).
  session.attentions.withdraw(REPORTED_LUNS_DATA_HAS_CHANGED.asc, REPORTED_LUNS_DATA_HAS_CHANGED.ascq);
  services.reply(task, length, view.getUint32(task.cdb + REPORT_LUNS_ALLOCATION_LENGTH));
}

function selectLuns({ luns }: Session, select: number): number[] | null {
  switch (select) {
    case SELECT_REPORT_ADDRESSED:
    case SELECT_REPORT_NOT_SUBSIDIARY:
      return ascending(luns.keys());
    case SELECT_REPORT_WELL_KNOWN:
      return [WELL_KNOWN_LUN_REPORT_LUNS];
    case SELECT_REPORT_ALL:
      return [...ascending(luns.keys()), WELL_KNOWN_LUN_REPORT_LUNS];
    case SELECT_REPORT_ADMINISTRATIVE:
    case SELECT_REPORT_SUBSIDIARY:
      return [];
    default:
      return null;
  }
}

function ascending(luns: Iterable<number>): number[] {
  return [...luns].sort((a, b) => a - b);
}

// -- REPORT SUPPORTED OPERATION CODES

const REPORTING_BYTE = 2;
const FLAG_RCTD = 0x80;
const REPORTING_OPTIONS_MASK = 0x07;
const REPORTING_OPTIONS_BIT = 2;
const REQUESTED_OPCODE_BYTE = 3;
const REQUESTED_SERVICE_ACTION_BYTE = 4;
const REPORT_ALLOCATION_LENGTH = 6;

const OPTIONS_ALL = 0;
/** One command that has no service actions. */
const OPTIONS_OPCODE = 1;
/** One command that has service actions. */
const OPTIONS_SERVICE_ACTION = 2;
/** One command, either way: one that has no service actions has no other than 0. */
const OPTIONS_EITHER = 3;

const SUPPORT_NOT = 0x01;
const SUPPORT_AS_STANDARD = 0x03;

const COMMAND_DESCRIPTOR_BYTES = 8;
const COMMAND_DESCRIPTOR_SERVACTV = 0x01;
const COMMAND_DESCRIPTOR_CTDP = 0x02;
const ONE_COMMAND_CTDP = 0x80;
const ALL_HEADER_BYTES = 4;
const ONE_HEADER_BYTES = 4;
/** Timeouts descriptor: 00-01 its own length less 2; nominal and recommended time 0: not told. */
const TIMEOUTS_BYTES = 12;

/** The command table, by a function because it holds the rows of these two commands too. */
type Table = () => readonly Command[];
/** Whether the task's unit has the command: what depends on the unit is left out of its report. */
type IsSupported = (command: Command, task: Task) => boolean;

export function beginReportSupportedOperationCodes(table: Table, isSupported: IsSupported): Command["begin"] {
  return (task, services) => {
    const { bytes, view } = services;
    const options = bytes[task.cdb + REPORTING_BYTE]! & REPORTING_OPTIONS_MASK;
    const withTimeouts = (bytes[task.cdb + REPORTING_BYTE]! & FLAG_RCTD) !== 0;
    const opcode = bytes[task.cdb + REQUESTED_OPCODE_BYTE]!;
    const serviceAction = view.getUint16(task.cdb + REQUESTED_SERVICE_ACTION_BYTE);
    const commands = table().filter((command) => isSupported(command, task));
    if (options === OPTIONS_ALL) {
      reportAll(task, services, commands, withTimeouts);
      return;
    }
    if (options > OPTIONS_EITHER) {
      invalidFieldInCdb(task, services, REPORTING_BYTE, REPORTING_OPTIONS_BIT);
      return;
    }
    const sameOpcode = commands.filter((command) => command.opcode === opcode);
    const hasActions = sameOpcode.some((command) => command.serviceAction !== NO_SERVICE_ACTION);
    if (sameOpcode.length > 0) {
      if (options === OPTIONS_OPCODE && hasActions) {
        invalidFieldInCdb(task, services, REPORTING_BYTE, REPORTING_OPTIONS_BIT);
        return;
      }
      if (options === OPTIONS_SERVICE_ACTION && !hasActions) {
        invalidFieldInCdb(task, services, REPORTING_BYTE, REPORTING_OPTIONS_BIT);
        return;
      }
    }
    const action = hasActions ? serviceAction : NO_SERVICE_ACTION;
    const isOther = options === OPTIONS_EITHER && !hasActions && serviceAction !== 0;
    const command = isOther ? undefined : sameOpcode.find((candidate) => candidate.serviceAction === action);
    reportOne(task, services, command, withTimeouts);
  };
}

/*
 *   0-3 COMMAND DATA LENGTH, then per command:
 *   0 opcode    2-3 service action    5 CTDP, SERVACTV    6-7 CDB LENGTH    with CTDP: 8-19 timeouts descriptor
 */
function reportAll(task: Task, services: Services, commands: readonly Command[], withTimeouts: boolean): void {
  const descriptorBytes = COMMAND_DESCRIPTOR_BYTES + (withTimeouts ? TIMEOUTS_BYTES : 0);
  const length = ALL_HEADER_BYTES + commands.length * descriptorBytes;
  const start = services.parameterBuffer(task, length);
  if (start < 0) return;
  const { bytes, view } = services;
  view.setUint32(start, length - ALL_HEADER_BYTES);
  let at = start + ALL_HEADER_BYTES;
  for (const command of commands) {
    const hasAction = command.serviceAction !== NO_SERVICE_ACTION;
    bytes[at] = command.opcode;
    if (hasAction) view.setUint16(at + 2, command.serviceAction);
    bytes[at + 5] = (hasAction ? COMMAND_DESCRIPTOR_SERVACTV : 0) | (withTimeouts ? COMMAND_DESCRIPTOR_CTDP : 0);
    view.setUint16(at + 6, command.usage.length);
    if (withTimeouts) view.setUint16(at + COMMAND_DESCRIPTOR_BYTES, TIMEOUTS_BYTES - 2);
    at += descriptorBytes;
  }
  services.reply(task, length, view.getUint32(task.cdb + REPORT_ALLOCATION_LENGTH));
}

/*
 *   1 CTDP, SUPPORT    2-3 CDB SIZE    4- CDB USAGE DATA, then with CTDP the timeouts descriptor
 */
function reportOne(task: Task, services: Services, command: Command | undefined, withTimeouts: boolean): void {
  const usage = command?.usage ?? [];
  const hasTimeouts = withTimeouts && command !== undefined;
  const length = ONE_HEADER_BYTES + usage.length + (hasTimeouts ? TIMEOUTS_BYTES : 0);
  const at = services.parameterBuffer(task, length);
  if (at < 0) return;
  const { bytes, view } = services;
  bytes[at + 1] = (hasTimeouts ? ONE_COMMAND_CTDP : 0) | (command === undefined ? SUPPORT_NOT : SUPPORT_AS_STANDARD);
  view.setUint16(at + 2, usage.length);
  bytes.set(usage, at + ONE_HEADER_BYTES);
  if (hasTimeouts) view.setUint16(at + ONE_HEADER_BYTES + usage.length, TIMEOUTS_BYTES - 2);
  services.reply(task, length, view.getUint32(task.cdb + REPORT_ALLOCATION_LENGTH));
}

// -- REPORT SUPPORTED TASK MANAGEMENT FUNCTIONS

const FLAG_REPD = 0x80;
const FUNCTIONS_BYTES = 4;
const FUNCTIONS_EXTENDED_BYTES = 16;
/** Byte 0: ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET, QUERY TASK, TARGET RESET. */
const ATS = 0x80;
const ATSS = 0x40;
const CTSS = 0x10;
const LURS = 0x08;
const QTS = 0x04;
const TRS = 0x02;
/** Byte 1: QUERY ASYNCHRONOUS EVENT, QUERY TASK SET, I_T NEXUS RESET. */
const QAES = 0x04;
const QTSS = 0x02;
const ITNRS = 0x01;

export function beginReportSupportedTaskManagementFunctions(task: Task, services: Services): void {
  const at = services.parameterBuffer(task, FUNCTIONS_EXTENDED_BYTES);
  if (at < 0) return;
  const { bytes, view } = services;
  const extended = (bytes[task.cdb + REPORTING_BYTE]! & FLAG_REPD) !== 0;
  const length = extended ? FUNCTIONS_EXTENDED_BYTES : FUNCTIONS_BYTES;
  bytes[at] = ATS | ATSS | CTSS | LURS | TRS;
  if (task.session!.parameters.iSCSIProtocolLevel >= PROTOCOL_LEVEL_RFC7144) {
    bytes[at] |= QTS;
    bytes[at + 1] = QAES | QTSS | ITNRS;
  }
  bytes[at + 3] = length - FUNCTIONS_BYTES;
  services.reply(task, length, view.getUint32(task.cdb + REPORT_ALLOCATION_LENGTH));
}
