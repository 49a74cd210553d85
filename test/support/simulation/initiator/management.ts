/** A task management function on its way (RFC 7143 sections 11.5 and 11.6). */
import assert from "node:assert/strict";
import { ABORT_TASK, FUNCTION_COMPLETE, TASK_DOES_NOT_EXIST } from "../../task-management.js";
import type { SimulatedUnit } from "../unit.js";
import type { SessionTask } from "./session-task.js";

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
  if (response === FUNCTION_COMPLETE) return;
  assert.equal(management.function, ABORT_TASK, `response ${response} to function ${management.function}`);
  assert.equal(response, TASK_DOES_NOT_EXIST, "ABORT TASK has no other failure");
  for (const task of alive) {
    assert(task.mayVanish, `the target does not know ${task.command.name}, which it has not answered`);
  }
}
