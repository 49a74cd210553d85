/**
 * Where the time of a command goes, by the ring's clock, which stands still within a turn: some stores a command, and no look at any
 * clock. The stages of a WRITE overlap: it waits for data and for the store at once.
 *
 *     startedUs            begunUs                                   decidedUs             its end
 *         | window, task set |   limitUs:    until limits let it go      |                      |
 *         |                  |   dataWaitUs: R2T --> the data            | its turn to be sent  |
 *         |                  |   storeUs:    while operations are out    |                      |
 */
import type { Task } from "./task.js";

/** One more operation of the task is with the store, or with control. */
export function storeBegins(task: Task, nowUs: number): void {
  if (task.storeBusy++ === 0) task.storeSinceUs = nowUs;
}

/** One of them is over. */
export function storeEnds(task: Task, nowUs: number): void {
  if (--task.storeBusy === 0) task.storeUs += nowUs - task.storeSinceUs;
}

/** One more R2T is out. */
export function dataAwaited(task: Task, nowUs: number): void {
  if (task.outstandingR2T++ === 0) task.dataSinceUs = nowUs;
}

/** What one of them has asked for has come, or is not waited for any more. */
export function dataCame(task: Task, nowUs: number): void {
  if (--task.outstandingR2T === 0) task.dataWaitUs += nowUs - task.dataSinceUs;
}

/** None of them is answered any more. */
export function dataForgotten(task: Task, nowUs: number): void {
  if (task.outstandingR2T > 0) task.dataWaitUs += nowUs - task.dataSinceUs;
  task.outstandingR2T = 0;
}
