/**
 * Limits (`limits` in the configuration): commands wait here until their initiator's budget, and then that of their unit, has
 * room for them. They wait before they begin: with what data came along with them, but without any other buffer, without an R2T,
 * without a place at a gate. When it is their turn they are judged anew, as all may have changed meanwhile.
 *
 *     dispatch --> hold --> | initiator's throttle | --> | unit's throttle | --> TaskEngine.execute
 *
 * What waits here must not be in the way of what does not: of a shard's tasks and buffers only a part may be held by tasks
 * that wait, and of a session's command window. One more is answered with TASK SET FULL.
 */

import { COUNTER } from "../counters.js";
import {
  COST_BYTES_MAX,
  SESSION_THROTTLED_TASKS_MAX,
  SLICE_BYTES_MAX,
  THROTTLE_TICK_US,
  THROTTLED_TASKS_MAX,
} from "../limits.js";
import type { LimitsRecord } from "../messages.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard.js";
import type { LogicalUnit } from "../storage/logical-unit.js";
import { TASK_ACTIVE, TASK_THROTTLED, type Task } from "../task/task.js";
import { SCSI_STATUS_TASK_SET_FULL } from "../wire/scsi-response.js";
import { Budget } from "./budget.js";
import { Throttle } from "./throttle.js";

export class Throttles {
  readonly #shard: Shard;
  readonly #budgets: SharedArrayBuffer;
  /** Those with tasks that wait. */
  readonly #watched: Throttle[] = [];
  /** When to look at them next. */
  #lookUs = Number.POSITIVE_INFINITY;
  #lookedUs = 0;
  /** What tasks that wait hold in data that came with them. */
  #bytes = 0;

  constructor(shard: Shard, budgets: SharedArrayBuffer) {
    this.#shard = shard;
    this.#budgets = budgets;
    // A thread that died before this one has left its own number.
    shard.counters[COUNTER.throttled_tasks] = 0;
  }

  /** For `enter`: how long the shard may sleep. */
  waitMs(mostMs: number): number {
    return Math.min(mostMs, Math.max(0, this.#lookUs - this.#shard.ring.nowUs) / 1000);
  }

  /** A command is about to begin that limits count `bytes` of. True: it does not; it waits, or has ended. */
  hold(task: Task, bytes: number): boolean {
    if (task.isWithinLimits) return false;
    task.costBytes = Math.min(bytes, COST_BYTES_MAX);
    const throttle = this.#refusing(task, false);
    if (throttle === null) return false;
    const heldBytes = dataBytes(task);
    if (!this.#hasRoom(task, throttle, heldBytes)) {
      throttle.forgo(task);
      this.#shard.engine.status(task, SCSI_STATUS_TASK_SET_FULL);
      return true;
    }
    this.#shard.counters[COUNTER.throttled_tasks]!++;
    this.#bytes += heldBytes;
    task.session!.throttledCount++;
    task.heldBytes = heldBytes;
    task.throttledUs = this.#shard.ring.nowUs;
    task.state = TASK_THROTTLED;
    this.#enqueue(task, throttle);
    return true;
  }

  /** The task waits no more, and does not begin. */
  remove(task: Task): void {
    const throttle = task.throttle!;
    throttle.remove(task);
    this.#left(task);
    // The next one is first.
    if (throttle.head !== null) this.#lookAt(0);
  }

  /** Once a turn: whose turn it is begins. */
  run(): void {
    const { nowUs } = this.#shard.ring;
    if (nowUs < this.#lookUs) return;
    this.#lookedUs = nowUs;
    this.#lookUs = Number.POSITIVE_INFINITY;
    const watched = this.#watched;
    for (let i = watched.length - 1; i >= 0; i--) {
      const throttle = watched[i]!;
      while (throttle.head !== null && throttle.dueUs(nowUs) <= nowUs) this.#passed(throttle.take(), throttle);
      if (throttle.head !== null) {
        this.#lookAt(throttle.dueUs(nowUs));
        continue;
      }
      throttle.isWatched = false;
      watched[i] = watched[watched.length - 1]!;
      watched.pop();
    }
  }

  /** Once a second: see Budget. */
  settle(): void {
    const { ring, units, sessions } = this.#shard;
    for (const { throttle } of units.values()) throttle?.budget.settle(ring.nowUs);
    for (const { throttle } of sessions.values()) throttle?.budget.settle(ring.nowUs);
  }

  // ---------------------------------------------------------------- limits that come, change and go

  limitUnit(unit: LogicalUnit, limits: LimitsRecord | null): void {
    const { throttle } = unit;
    unit.throttle = this.#throttle(limits, true);
    for (const session of this.#shard.sessions.values()) noteLimits(session);
    if (throttle !== null) this.#moveOn(throttle, null);
  }

  /** All sessions of an initiator with a target spend from one budget, and those of one shard wait in one queue. */
  limitSession(session: Session, limits: LimitsRecord | null): void {
    const { throttle } = session;
    session.throttle = this.#throttleInUse(limits) ?? this.#throttle(limits, false);
    noteLimits(session);
    if (throttle !== null) this.#moveOn(throttle, session);
  }

  #throttle(limits: LimitsRecord | null, isOfUnit: boolean): Throttle | null {
    return limits && new Throttle(limits.budget, new Budget(this.#budgets, limits), isOfUnit);
  }

  #throttleInUse(limits: LimitsRecord | null): Throttle | null {
    if (limits === null) return null;
    for (const { throttle } of this.#shard.sessions.values()) if (throttle?.number === limits.budget) return throttle;
    return null;
  }

  /** Tasks that wait for a budget that is not in force any more: those of one session, or all. */
  #moveOn(throttle: Throttle, only: Session | null): void {
    const tasks: Task[] = [];
    for (let task = throttle.head; task !== null; task = task.nextThrottled) {
      if (only === null || task.session === only) tasks.push(task);
    }
    for (const task of tasks) throttle.remove(task);
    if (throttle.head !== null) this.#lookAt(0);
    for (const task of tasks) this.#goOn(task, throttle.isOfUnit);
  }

  // ---------------------------------------------------------------- waiting

  /** The first budget that has no room for the task now. `isPastInitiator`: it has waited for its initiator's already. */
  #refusing(task: Task, isPastInitiator: boolean): Throttle | null {
    const { nowUs } = this.#shard.ring;
    const ofInitiator = isPastInitiator ? null : task.session!.throttle;
    if (ofInitiator !== null && !ofInitiator.admits(task, nowUs)) return ofInitiator;
    const ofUnit = task.unit!.throttle;
    return ofUnit !== null && !ofUnit.admits(task, nowUs) ? ofUnit : null;
  }

  #passed(task: Task, { isOfUnit }: Throttle): void {
    if (isOfUnit) this.#letGo(task);
    else this.#goOn(task, true);
  }

  #goOn(task: Task, isPastInitiator: boolean): void {
    const throttle = this.#refusing(task, isPastInitiator);
    if (throttle === null) this.#letGo(task);
    else this.#enqueue(task, throttle);
  }

  #letGo(task: Task): void {
    this.#left(task);
    task.isWithinLimits = true;
    task.readOnly = task.mapping!.readOnly;
    this.#shard.engine.execute(task);
  }

  #enqueue(task: Task, throttle: Throttle): void {
    throttle.enqueue(task);
    if (!throttle.isWatched) this.#watched.push(throttle);
    throttle.isWatched = true;
    if (throttle.head === task) this.#lookAt(throttle.dueUs(this.#shard.ring.nowUs));
  }

  #left(task: Task): void {
    this.#shard.counters[COUNTER.throttled_tasks]!--;
    this.#bytes -= task.heldBytes;
    task.heldBytes = 0;
    task.session!.throttledCount--;
    task.state = TASK_ACTIVE;
    task.limitUs = this.#shard.ring.nowUs - task.throttledUs;
    this.#shard.statistics.throttled(task, task.limitUs);
  }

  /** Not sooner than a tick after the last look: many that are due one after the other begin together. */
  #lookAt(dueUs: number): void {
    this.#lookUs = Math.min(this.#lookUs, Math.max(dueUs, this.#lookedUs + THROTTLE_TICK_US));
  }

  /** One that waits alone always has, but for what it takes of its session's window. */
  #hasRoom(task: Task, { head }: Throttle, bytes: number): boolean {
    if (task.session!.throttledCount >= SESSION_THROTTLED_TASKS_MAX) return false;
    if (head === null) return true;
    if (this.#shard.counters[COUNTER.throttled_tasks]! >= THROTTLED_TASKS_MAX) return false;
    return bytes === 0 || this.#bytes + bytes <= this.#shard.slices.freeBytes(bytes);
  }
}

/** Has the session's commands know whether there is a limit: after any change of its LUNs or of limits. */
export function noteLimits({ throttle, luns }: Session): void {
  for (const mapping of luns.values()) mapping.isLimited = throttle !== null || mapping.unit.throttle !== null;
}

/** Buffers for data that came with the command, or is about to. */
function dataBytes({ firstSlice, unsolicitedEnd, expectedDataTransferLength }: Task): number {
  if (firstSlice !== null) return firstSlice.capacity;
  return unsolicitedEnd < 0 ? 0 : Math.min(SLICE_BYTES_MAX, expectedDataTransferLength);
}
