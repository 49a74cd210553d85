/** Block ranges and 64-bit addresses of CDBs and parameter lists. */
import type { Task } from "../task/task.js";
import type { Services } from "./command.js";
import { lbaOutOfRange } from "./sense.js";

/**
 * A 64-bit field as a number: exact to 2^53 - 1. Above, it is rounded, and still greater than any unit's capacity (2^53
 * bytes are 2^44 blocks), so that such an address is refused like any other beyond the end.
 */
export function getUint64(view: DataView, offset: number): number {
  return view.getUint32(offset) * 2 ** 32 + view.getUint32(offset + 4);
}

/** `value` must be an integer up to 2^53 - 1. */
export function setUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, Math.floor(value / 2 ** 32));
  view.setUint32(offset + 4, value >>> 0);
}

/**
 * Makes [lba, lba + blocks) the task's range and returns true, or ends the command with LOGICAL BLOCK ADDRESS OUT OF
 * RANGE and returns false. No blocks are in range up to and including the end.
 */
export function takeRange(task: Task, services: Services, lba: number, blocks: number): boolean {
  const capacity = task.unit!.blocks;
  if (lba + blocks > capacity) {
    lbaOutOfRange(task, services, firstBeyond(lba, capacity));
    return false;
  }
  task.lba = lba;
  task.blocks = blocks;
  return true;
}

/** First address of a range that is not there, or -1 where it cannot be told exactly. */
export function firstBeyond(lba: number, capacity: number): number {
  return lba <= Number.MAX_SAFE_INTEGER ? Math.max(lba, capacity) : -1;
}
