/** Block ranges of CDBs. */
import type { Task } from "../task/task.js";
import type { Services } from "./command.js";
import { lbaOutOfRange } from "./sense.js";

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
