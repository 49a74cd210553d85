/**
 * START STOP UNIT and PREVENT ALLOW MEDIUM REMOVAL (SBC-4). A shard judges the CDB. What comes of it concerns all nexuses, so
 * that control does it: control/units/start-stop.ts, control/units/removal-prevention.ts.
 */
import type { Task } from "../task/task.js";
import { flush } from "./blocks.js";
import type { Services } from "./command.js";
import { invalidFieldInCdb, storeError } from "./sense.js";

// -- START STOP UNIT

export const IMMED_BYTE = 1;
export const FLAG_IMMED = 0x01;
const MODIFIER_BYTE = 3;
const MODIFIER_MASK = 0x0f;
const MODIFIER_BIT = 3;
export const START_BYTE = 4;
export const POWER_CONDITION_SHIFT = 4;
const POWER_CONDITION_BIT = 7;
export const FLAG_NO_FLUSH = 0x04;
export const FLAG_LOEJ = 0x02;
const FLAG_LOEJ_BIT = 1;
export const FLAG_START = 0x01;

/** START and LOEJ count. With all other values of POWER CONDITION they are ignored. */
export const POWER_CONDITION_START_VALID = 0x0;
const POWER_CONDITION_ACTIVE = 0x1;
const POWER_CONDITION_IDLE = 0x2;
export const POWER_CONDITION_STANDBY = 0x3;
export const POWER_CONDITION_LU_CONTROL = 0x7;
const POWER_CONDITION_FORCE_IDLE_0 = 0xa;
export const POWER_CONDITION_FORCE_STANDBY_0 = 0xb;

/** POWER CONDITION -> how many values POWER CONDITION MODIFIER has: idle_a to idle_c, standby_z and standby_y. */
const MODIFIERS: ReadonlyMap<number, number> = new Map([
  [POWER_CONDITION_START_VALID, 1],
  [POWER_CONDITION_ACTIVE, 1],
  [POWER_CONDITION_IDLE, 3],
  [POWER_CONDITION_STANDBY, 2],
  [POWER_CONDITION_LU_CONTROL, 1],
  [POWER_CONDITION_FORCE_IDLE_0, 3],
  [POWER_CONDITION_FORCE_STANDBY_0, 2],
]);

/**
 * Reserved power conditions are taken where the medium is removable: iscsi-test-cu has all sixteen values accepted of such a
 * unit, and no condition that it does not know would eject the medium. Only a removable medium can be ejected; a fixed one
 * can be loaded: it is.
 */
export function beginStartStopUnit(task: Task, services: Services): void {
  const { bytes } = services;
  const { removable } = task.unit!;
  const flags = bytes[task.cdb + START_BYTE]!;
  const condition = flags >>> POWER_CONDITION_SHIFT;
  const modifiers = MODIFIERS.get(condition);
  if (modifiers === undefined && !removable) {
    invalidFieldInCdb(task, services, START_BYTE, POWER_CONDITION_BIT);
  } else if ((bytes[task.cdb + MODIFIER_BYTE]! & MODIFIER_MASK) >= (modifiers ?? 1)) {
    invalidFieldInCdb(task, services, MODIFIER_BYTE, MODIFIER_BIT);
  } else if (
    condition === POWER_CONDITION_START_VALID &&
    (flags & (FLAG_LOEJ | FLAG_START)) === FLAG_LOEJ &&
    !removable
  ) {
    invalidFieldInCdb(task, services, START_BYTE, FLAG_LOEJ_BIT);
  } else {
    services.askControl(task);
  }
}

/** Starting the unit conflicts with no reservation; stopping it, and power conditions, do. */
export function isStart(task: Task, services: Services): boolean {
  const flags = services.bytes[task.cdb + START_BYTE]!;
  return flags >>> POWER_CONDITION_SHIFT === POWER_CONDITION_START_VALID && (flags & FLAG_START) !== 0;
}

// -- PREVENT ALLOW MEDIUM REMOVAL

const PREVENT_BYTE = 4;
const PREVENT_MASK = 0x03;

/**
 * The medium of a fixed unit cannot be removed, whatever is asked for. Otherwise a prevention ends only when the cache has
 * been written out: "after the device server has successfully performed a synchronize cache operation" (SBC-4).
 */
export function beginPreventAllowMediumRemoval(task: Task, services: Services): void {
  if (!task.unit!.removable) services.good(task);
  else if (isAllowMediumRemoval(task, services) && task.unit!.notReady === null) flush(task, services);
  else services.askControl(task);
}

/** The cache has been written out. */
export function resumePreventAllowMediumRemoval(task: Task, services: Services, result: number): void {
  if (result < 0) storeError(task, services, result, true);
  else services.askControl(task);
}

/** Allowing removal conflicts with no reservation; preventing it does. */
export function isAllowMediumRemoval(task: Task, services: Services): boolean {
  return (services.bytes[task.cdb + PREVENT_BYTE]! & PREVENT_MASK) === 0;
}
