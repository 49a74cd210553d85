/** A task management function on its way (RFC 7143 sections 11.5 and 11.6). */
import assert from "node:assert/strict";
import type { SimulatedUnit } from "../unit.js";
import type { SessionTask } from "./session-task.js";

export const FUNCTION_ABORT_TASK = 1;
export const FUNCTION_ABORT_TASK_SET = 2;
export const FUNCTION_CLEAR_TASK_SET = 4;
export const FUNCTION_LOGICAL_UNIT_RESET = 5;
export const FUNCTION_TARGET_WARM_RESET = 6;

const RESPONSE_COMPLETE = 0;
const RESPONSE_TASK_DOES_NOT_EXIST = 1;

export interface Management {
  readonly initiatorTaskTag: number;
  readonly function: number;
  readonly lun: number;
  /** Tasks that it is to end, unless they end before. */
  readonly affected: readonly SessionTask[];
  /** The unit that is reset. */
  readonly unit: SimulatedUnit | null;
}

/** `alive`: those of the affected tasks that have not ended. They end with this. */
export function checkManagementResponse(management: Management, response: number, alive: readonly SessionTask[]): void {
  if (response === RESPONSE_COMPLETE) return;
  assert.equal(management.function, FUNCTION_ABORT_TASK, `response ${response} to function ${management.function}`);
  assert.equal(response, RESPONSE_TASK_DOES_NOT_EXIST, "ABORT TASK has no other failure");
  for (const task of alive) {
    assert(task.mayVanish, `the target does not know ${task.command.name}, which it has not answered`);
  }
}
