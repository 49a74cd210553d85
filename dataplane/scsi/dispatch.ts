/**
 * From a CDB to its handler: finds the row of the command table, judges the CDB and the state of the unit once, and begins
 * the command; handlers trust what was judged here. On the path of every I/O: it allocates nothing.
 *
 * What is wrong is told in this order: no unit, unit attention, unknown command, illegal bits, access state, reservation, not
 * ready, write protection. Then limits may have it wait, and it comes here again.
 */
import { assert } from "../assert.js";
import type { LunMapping } from "../session/lun-mapping.js";
import type { Task } from "../task/task.js";
import { SCSI_STATUS_RESERVATION_CONFLICT } from "../wire/scsi-response.js";
import { accessBit, accessSense } from "./access-state.js";
import {
  COMMAND_CONFLICTS_EXCLUSIVE_ACCESS,
  COMMAND_CONFLICTS_LOST_RESERVATIONS,
  COMMAND_CONFLICTS_RESERVE,
  COMMAND_CONFLICTS_WRITE_EXCLUSIVE,
  COMMAND_OF_WELL_KNOWN_UNIT,
  COMMAND_PASSES_UNIT_ATTENTION,
  COMMAND_RUNS_IN_STANDBY,
  COMMAND_RUNS_IN_TRANSITION,
  COMMAND_RUNS_IN_UNAVAILABLE,
  COMMAND_WITHOUT_UNIT,
  COMMAND_WRITES_MEDIUM,
  type Command,
  NO_SERVICE_ACTION,
  type Services,
} from "./command.js";
import { endNotReady, isRefused } from "./readiness.js";
import {
  endWithInformation,
  endWithSense,
  INVALID_COMMAND_OPERATION_CODE,
  invalidFieldInCdb,
  LOGICAL_UNIT_NOT_SUPPORTED,
  PERSISTENT_RESERVATION_INFORMATION_LOST,
  WRITE_PROTECTED,
} from "./sense.js";
import { COMMANDS } from "./table.js";
import { informationOf, isDeferredError, senseKeyOf } from "./unit-attention.js";
import { isWellKnownUnit } from "./well-known.js";

const SERVICE_ACTION_BYTE = 1;
const SERVICE_ACTION_MASK = 0x1f;
const SERVICE_ACTION_BIT = 4;
const SERVICE_ACTIONS = 32;
/** CDBs of the table are no longer than this, and a task's copy no shorter. */
const CDB_BYTES = 16;
const CONFLICTS =
  COMMAND_CONFLICTS_WRITE_EXCLUSIVE |
  COMMAND_CONFLICTS_EXCLUSIVE_ACCESS |
  COMMAND_CONFLICTS_RESERVE |
  COMMAND_CONFLICTS_LOST_RESERVATIONS;
const RUNS_IN_EVERY_STATE = COMMAND_RUNS_IN_STANDBY | COMMAND_RUNS_IN_UNAVAILABLE | COMMAND_RUNS_IN_TRANSITION;

/** A command as the dispatcher wants it: the bits that must be 0, as four big-endian words over the CDB and what follows it. */
class Row {
  readonly command: Command;
  readonly conditions: number;
  /** Which bits of LunMapping.blocked keep it out: its conflicts, and those of the access states in which it does not run. */
  readonly blockedBy: number;
  readonly illegal0: number;
  readonly illegal1: number;
  readonly illegal2: number;
  readonly illegal3: number;

  constructor(command: Command) {
    this.command = command;
    this.conditions = command.conditions;
    this.blockedBy = (command.conditions & CONFLICTS) | (~command.conditions & RUNS_IN_EVERY_STATE);
    this.illegal0 = illegalWord(command, 0);
    this.illegal1 = illegalWord(command, 4);
    this.illegal2 = illegalWord(command, 8);
    this.illegal3 = illegalWord(command, 12);
  }
}

function illegalBits(command: Command, byte: number): number {
  if (byte === 0 || byte >= command.usage.length) return 0;
  const hasAction = command.serviceAction !== NO_SERVICE_ACTION;
  const legal = command.usage[byte]! | (hasAction && byte === SERVICE_ACTION_BYTE ? SERVICE_ACTION_MASK : 0);
  return ~legal & 0xff;
}

function illegalWord(command: Command, byte: number): number {
  let word = 0;
  for (let i = 0; i < 4; i++) word = (word << 8) | illegalBits(command, byte + i);
  return word;
}

/** Opcode -> its row, or null. */
const ROWS: (Row | null)[] = new Array<Row | null>(256).fill(null);
/** Opcode -> service action -> row, for opcodes that have service actions; else null. */
const ACTION_ROWS: ((Row | null)[] | null)[] = new Array<(Row | null)[] | null>(256).fill(null);

/** Opcode -> 1: its commands are treated as HEAD OF QUEUE. */
const HEAD_OF_QUEUE = new Uint8Array(256);

for (const command of COMMANDS) {
  if (command.isHeadOfQueue) HEAD_OF_QUEUE[command.opcode] = 1;
  assert(command.usage.length <= CDB_BYTES, "a CDB of the table fits into the BHS");
  const row = new Row(command);
  if (command.serviceAction === NO_SERVICE_ACTION) {
    ROWS[command.opcode] = row;
  } else {
    const actions = (ACTION_ROWS[command.opcode] ??= new Array<Row | null>(SERVICE_ACTIONS).fill(null));
    actions[command.serviceAction] = row;
  }
}

/** Whether commands with this operation code go before all others, whatever task attribute they have. */
export function isHeadOfQueue(opcode: number): boolean {
  return HEAD_OF_QUEUE[opcode] !== 0;
}

/** Begins the task's command, or ends it. The CDB, the LUN with its unit, and the session are set; nothing else need be. */
export function dispatch(task: Task, services: Services): void {
  const { bytes, view } = services;
  const { cdb, unit } = task;
  const opcode = bytes[cdb]!;
  let row = ROWS[opcode]!;
  let isKnownOpcode = row !== null;
  const actions = ACTION_ROWS[opcode]!;
  if (actions !== null) {
    row = actions[bytes[cdb + SERVICE_ACTION_BYTE]! & SERVICE_ACTION_MASK]!;
    isKnownOpcode = true;
  }
  if (unit === null) {
    dispatchWithoutUnit(task, services, row);
    return;
  }
  const conditions = row === null ? 0 : row.conditions;
  const attentions = task.session!.attentions;
  if (attentions.pending(task.lun) && (conditions & COMMAND_PASSES_UNIT_ATTENTION) === 0) {
    const condition = attentions.take(task.lun);
    if (isDeferredError(condition)) task.lossesTold = task.mapping!.lossesDeferred;
    const sense = { senseKey: senseKeyOf(condition), asc: (condition >>> 8) & 0xff, ascq: condition & 0xff };
    endWithInformation(task, services, sense, informationOf(condition));
    return;
  }
  if (row === null) {
    if (isKnownOpcode) invalidFieldInCdb(task, services, SERVICE_ACTION_BYTE, SERVICE_ACTION_BIT);
    else endWithSense(task, services, INVALID_COMMAND_OPERATION_CODE);
    return;
  }
  if (hasIllegalBits(view, cdb, row)) {
    refuseIllegalBits(task, services, row.command);
    return;
  }
  const { mapping } = task;
  if (mapping !== null && (row.blockedBy & mapping.blocked) !== 0 && refuseBlocked(task, services, row, mapping))
    return;
  if (unit.notReady !== null && isRefused(unit.notReady, row.command, task, services)) {
    endNotReady(task, services, unit.notReady);
    return;
  }
  if ((conditions & COMMAND_WRITES_MEDIUM) !== 0 && (task.readOnly || unit.softwareWriteProtect)) {
    endWithSense(task, services, WRITE_PROTECTED);
    return;
  }
  task.command = row.command;
  task.step = 0;
  if (mapping?.isLimited && isHeld(task, services, row.command)) return;
  row.command.begin(task, services);
}

/** Limits do not let it begin now. */
function isHeld(task: Task, services: Services, command: Command): boolean {
  return command.costBytes !== undefined && services.hold(task, command.costBytes(task, services));
}

/** By the state of the port group, or by a reservation; false: the command is let through all the same. */
function refuseBlocked(task: Task, services: Services, { blockedBy, command }: Row, mapping: LunMapping): boolean {
  if ((blockedBy & accessBit(mapping.accessState)) !== 0) {
    endWithSense(task, services, accessSense(mapping.accessState)!);
    return true;
  }
  const isLost = (mapping.blocked & COMMAND_CONFLICTS_LOST_RESERVATIONS) !== 0;
  if (isLost && (blockedBy & COMMAND_CONFLICTS_LOST_RESERVATIONS) === 0) return false;
  if (command.isLetThrough?.(task, services)) return false;
  if (isLost) endWithSense(task, services, PERSISTENT_RESERVATION_INFORMATION_LOST);
  else services.status(task, SCSI_STATUS_RESERVATION_CONFLICT);
  return true;
}

/** No unit attention, reservation or medium comes into it. */
function dispatchWithoutUnit(task: Task, services: Services, row: Row | null): void {
  const conditions = row === null ? 0 : row.conditions;
  const isWellKnown = isWellKnownUnit(task);
  if (row === null || (conditions & (isWellKnown ? COMMAND_OF_WELL_KNOWN_UNIT : COMMAND_WITHOUT_UNIT)) === 0) {
    endWithSense(task, services, isWellKnown ? INVALID_COMMAND_OPERATION_CODE : LOGICAL_UNIT_NOT_SUPPORTED);
    return;
  }
  if (hasIllegalBits(services.view, task.cdb, row)) {
    refuseIllegalBits(task, services, row.command);
    return;
  }
  task.command = row.command;
  task.step = 0;
  row.command.begin(task, services);
}

function hasIllegalBits(view: DataView, cdb: number, row: Row): boolean {
  const illegal =
    (view.getUint32(cdb) & row.illegal0) |
    (view.getUint32(cdb + 4) & row.illegal1) |
    (view.getUint32(cdb + 8) & row.illegal2) |
    (view.getUint32(cdb + 12) & row.illegal3);
  return illegal !== 0;
}

/** The field pointer names the first byte with an illegal bit, and the leftmost such bit in it. */
function refuseIllegalBits(task: Task, services: Services, command: Command): void {
  for (let byte = 1; byte < command.usage.length; byte++) {
    const illegal = services.bytes[task.cdb + byte]! & illegalBits(command, byte);
    if (illegal === 0) continue;
    invalidFieldInCdb(task, services, byte, 31 - Math.clz32(illegal));
    return;
  }
}
