/** START STOP UNIT and PREVENT ALLOW MEDIUM REMOVAL (SBC-4), as far as a disk that neither spins nor opens has to do with them. */
import type { Task } from "../task/task.js";
import { flush } from "./blocks.js";
import type { Services } from "./command.js";
import { invalidFieldInCdb } from "./sense.js";

const START_BYTE = 4;
const POWER_CONDITION_MASK = 0xf0;
const FLAG_NO_FLUSH = 0x04;
const FLAG_LOEJ = 0x02;
const FLAG_LOEJ_BIT = 1;
const FLAG_START = 0x01;

/**
 * A stopped unit is one whose cache is flushed: it goes on serving. Power conditions are accepted and change nothing. The
 * medium cannot be ejected; loading it finds it loaded.
 */
export function beginStartStopUnit(task: Task, services: Services): void {
  const flags = services.bytes[task.cdb + START_BYTE]!;
  if ((flags & (POWER_CONDITION_MASK | FLAG_START)) !== 0) services.good(task);
  else if ((flags & FLAG_LOEJ) !== 0) invalidFieldInCdb(task, services, START_BYTE, FLAG_LOEJ_BIT);
  else if ((flags & FLAG_NO_FLUSH) !== 0) services.good(task);
  else flush(task, services);
}

/** Starting the unit conflicts with no reservation; stopping it, and power conditions, do. */
export function isStart(task: Task, services: Services): boolean {
  return (services.bytes[task.cdb + START_BYTE]! & (POWER_CONDITION_MASK | FLAG_START)) === FLAG_START;
}

/** As the medium cannot be ejected, removal is prevented whatever was asked for. */
export function beginPreventAllowMediumRemoval(task: Task, services: Services): void {
  services.good(task);
}

const PREVENT_BYTE = 4;
const PREVENT_MASK = 0x03;

/** Allowing removal conflicts with no reservation; preventing it does. */
export function isAllowMediumRemoval(task: Task, services: Services): boolean {
  return (services.bytes[task.cdb + PREVENT_BYTE]! & PREVENT_MASK) === 0;
}
