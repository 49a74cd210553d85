/** What a shard has lent out and what it has left: between two turns the books are balanced, at the end all is back. */
import assert from "node:assert/strict";
import { NO_TAG } from "../../../dataplane/buffer/slice.js";
import { CONNECTION_OPEN, type Connection } from "../../../dataplane/connection/connection.js";
import { COUNTER } from "../../../dataplane/counters.js";
import { BATCHES, COMMAND_WINDOW, RECEIVE_BUFFERS, SLICE_CLASSES } from "../../../dataplane/limits.js";
import type { Session } from "../../../dataplane/session/session.js";
import { RECEIVE_GROUP, type Shard } from "../../../dataplane/shard.js";
import { TASK_FREE, TASK_HELD, TASK_THROTTLED, Task } from "../../../dataplane/task/task.js";
import { serialDistance } from "../../../dataplane/wire/serial.js";
import type { SimulatedRing } from "./simulated-ring.js";

/** Between two turns. */
export function assertAccounts(shard: Shard): void {
  let throttled = 0;
  for (const session of shard.sessions.values()) {
    throttled += assertThrottled(session);
    assertWindow(session);
    for (const connection of [...session.connections, ...session.failed]) assertHoldings(session, connection);
    for (const connection of session.connections) {
      if (connection.state !== CONNECTION_OPEN) continue;
      assert(connection.creditBytes >= 0, "buffers that were given back twice");
      assert(connection.solicitedBytes >= 0, "more data came than was asked for");
      if (!isIdle(connection)) continue;
      assert.equal(connection.creditBytes, 0, "an idle connection holds no buffers");
      assert.equal(connection.solicitedBytes, 0, "an idle connection waits for no data");
      assert.equal(connection.starvedHead, null, "an idle connection has no starved task");
      assert.equal(connection.replies, 0, "an idle connection has no replies");
    }
  }
  assert.equal(shard.counters[COUNTER.throttled_tasks], throttled, "tasks that wait for limits are counted");
}

/** How many tasks of the session wait for limits: those that say so are in the queue that they name, and are counted. */
function assertThrottled(session: Session): number {
  let count = 0;
  for (let task = session.firstTask; task !== null; task = task.nextOfSession) {
    assert.equal(task.state === TASK_THROTTLED, task.throttle !== null);
    if (task.throttle === null) continue;
    assert(task.throttle === session.throttle || task.throttle === task.unit!.throttle, "limits in force");
    assert(task.throttle.isWatched && (task.previousThrottled === null) === (task.throttle.head === task));
    count++;
  }
  assert.equal(session.throttledCount, count);
  return count;
}

/** Each command that has had its turn keeps one place of the window until it is answered, or aborted. */
function assertWindow(session: Session): void {
  let taken = 0;
  for (const { isDue, immediate } of session.refusals.values()) if (isDue && !immediate) taken++;
  for (const { state, immediate, wasAnswered } of tasksOf(session)) {
    if (state !== TASK_HELD && !immediate && !wasAnswered) taken++;
  }
  assert.equal(serialDistance(session.expCmdSN, session.maxCmdSN), COMMAND_WINDOW - taken - 1, "the command window");
  let heldBytes = 0;
  for (const [, held] of session.held.entries(session.expCmdSN))
    if (held !== null && !(held instanceof Task)) heldBytes += held.data.length;
  assert.equal(session.heldBytes, heldBytes, "bytes that are held");
}

/** A connection, failed or not, has what its tasks and its batch have, and what it waits for is its own. */
function assertHoldings(session: Session, connection: Connection): void {
  const tasks = tasksOf(session).filter((task) => task.connection === connection);
  let [credit, solicited] = [0, 0];
  for (const { firstSlice } of tasks) {
    for (let slice = firstSlice; slice !== null; slice = slice.nextOfTask) {
      if (slice.credit === connection) credit += slice.capacity;
      if (slice.tag !== NO_TAG) solicited += slice.requestedEnd - slice.filled;
    }
  }
  for (let slice = connection.batch?.slices ?? null; slice !== null; slice = slice.nextOfBatch) {
    if (slice.released && slice.credit === connection) credit += slice.capacity;
  }
  assert.equal(connection.taskCount, tasks.length, "tasks of a connection");
  assert.equal(connection.creditBytes, credit, "buffers that count as the connection's");
  assert.equal(connection.solicitedBytes, solicited, "data that the connection was asked for");
  const starved: Task[] = [];
  for (let task = connection.starvedHead; task !== null; task = task.nextStarved) starved.push(task);
  assert.equal(connection.starvedTail, starved.at(-1) ?? null, "the queue of starved tasks");
  assert.deepEqual(new Set(starved), new Set(tasks.filter((task) => task.starved)), "starved tasks of a connection");
}

function tasksOf({ firstTask }: Session): Task[] {
  const tasks: Task[] = [];
  for (let task = firstTask; task !== null; task = task.nextOfSession) tasks.push(task);
  return tasks;
}

/** When no session is left. */
export function assertNothingLeaked(shard: Shard, ring: SimulatedRing): void {
  assert.equal(shard.sessions.size, 0, "sessions are gone");
  assert.equal(shard.connections.open, 0, "connections are back");
  assert.equal(shard.counters[COUNTER.sessions], 0, "no session is counted");
  assert.equal(shard.counters[COUNTER.connections], 0, "no connection is counted");
  assert.equal(shard.tasks.tasks.filter(({ state }) => state !== TASK_FREE).length, 0, "tasks are back");
  for (const classIndex of SLICE_CLASSES.keys()) {
    const total = shard.slices.slices.filter((slice) => slice.classIndex === classIndex).length;
    assert.equal(shard.slices.freeCount(classIndex), total, `slices of class ${classIndex} are back`);
  }
  assert.equal(countBatches(shard), BATCHES, "batches are back");
  assert.equal(ring.groups.get(RECEIVE_GROUP)!.count, RECEIVE_BUFFERS, "receive buffers are back");
  assert.equal(ring.inFlight(), 1, "nothing is in flight but the read of the eventfd");
}

function isIdle(connection: Connection): boolean {
  return connection.taskCount === 0 && connection.batch === null && connection.queueHead === null;
}

function countBatches(shard: Shard): number {
  const taken = [];
  const nobody = null as unknown as Connection;
  for (let batch = shard.batches.acquire(nobody); batch !== null; batch = shard.batches.acquire(nobody)) {
    taken.push(batch);
  }
  for (const batch of taken) shard.batches.release(batch);
  return taken.length;
}
