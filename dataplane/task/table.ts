/** The fixed table of a shard's tasks. */
import type { Arena } from "../arena.js";
import { assert } from "../assert.js";
import type { Connection } from "../connection/connection.js";
import { SESSION_TASKS_MAX, TASKS_MAX } from "../limits.js";
import type { Session } from "../session/session.js";
import {
  CDB_BYTES_MAX,
  DATA_INTACT,
  GATED_NOT,
  leaveAwaiters,
  OPERATION_NONE,
  PARK_NOT,
  TASK_ACTIVE,
  TASK_FREE,
  Task,
  TRANSFER_NONE,
} from "./task.js";

const CDB_STRIDE = (CDB_BYTES_MAX + 15) & ~15;

export class TaskTable {
  readonly tasks: Task[] = [];
  #free: Task | null = null;
  /** There was no task for somebody since the flag was last cleared. */
  wasFull = false;

  constructor(arena: Arena) {
    const cdbs = arena.take(TASKS_MAX * CDB_STRIDE, 64);
    for (let i = TASKS_MAX - 1; i >= 0; i--) {
      const task = new Task(i, cdbs + i * CDB_STRIDE);
      this.tasks[i] = task;
      task.nextFree = this.#free;
      this.#free = task;
    }
  }

  /** A task in its initial state, linked into its session; null when all are in use, or the session has as many as it may. */
  acquire(session: Session, connection: Connection, initiatorTaskTag: number): Task | null {
    if (session.taskCount === SESSION_TASKS_MAX) return null;
    const task = this.#free;
    if (task === null) {
      this.wasFull = true;
      return null;
    }
    this.#free = task.nextFree;
    task.nextFree = null;
    task.state = TASK_ACTIVE;
    task.connection = connection;
    task.session = session;
    task.initiatorTaskTag = initiatorTaskTag;
    connection.taskCount++;
    session.addTask(task);
    return task;
  }

  /** Unlinks the task and makes its slot free. Its slices and its places in queues are gone already. */
  release(task: Task): void {
    assert(task.storeBusy === 0, "a task with store operations in flight is not released");
    assert(task.firstSlice === null && task.parameters === null, "a released task has no slices");
    assert(task.throttle === null, "a released task waits for no limit");
    assert(task.parked === PARK_NOT && !task.starved && !task.queued, "a released task waits for nothing");
    assert(!task.retained && !task.isHeldBack, "a released task is not kept");
    assert(task.gated === GATED_NOT && !task.ownsGate && !task.admitted, "a released task holds nothing up");
    task.session!.removeTask(task);
    task.connection!.taskCount--;
    task.state = TASK_FREE;
    task.wasAnswered = false;
    task.snackTag = 0;
    task.use++;
    task.acknowledgedDataSN = 0;
    task.keptDataSN = 0;
    task.connection = null;
    task.session = null;
    task.command = null;
    task.unit = null;
    task.parameterOffset = -1;
    task.parameterLength = 0;
    task.step = 0;
    task.status = 0;
    task.transfer = TRANSFER_NONE;
    task.durable = false;
    task.lossesTold = -1;
    task.transferTotal = 0;
    task.transferLength = 0;
    task.covered = 0;
    task.done = 0;
    task.dataSN = 0;
    task.burst = 0;
    task.overrun = false;
    task.isAbortedAfterData = false;
    task.endsWithConnection = false;
    task.unwantedData = false;
    task.unsolicitedEnd = -1;
    task.unsolicitedDataSN = 0;
    task.outstandingR2T = 0;
    task.dataFault = DATA_INTACT;
    task.failure = 0;
    task.operation = OPERATION_NONE;
    task.isWithinLimits = false;
    task.begunUs = 0;
    task.decidedUs = 0;
    task.limitUs = 0;
    task.storeUs = 0;
    task.dataWaitUs = 0;
    task.mapping = null;
    task.nextFree = this.#free;
    this.#free = task;
    leaveAwaiters(task);
  }
}
