/** The tasks of one shard that wait for one budget, in the order in which they begin. The first of them has booked. */
import { assert } from "../assert.js";
import type { Task } from "../task/task.js";
import { TASK_ATTRIBUTE_HEAD_OF_QUEUE } from "../wire/scsi-command.js";
import type { Budget } from "./budget.js";

const NOT_BOOKED = -1;

export class Throttle {
  /** In words of ShardTask.budgets: throttles of one shard with the same number would be one. */
  readonly number: number;
  readonly budget: Budget;
  /** Of a unit, not of an initiator. */
  readonly isOfUnit: boolean;
  /** Its tasks are being looked at when they are due (throttles.ts). */
  isWatched = false;
  head: Task | null = null;
  #tail: Task | null = null;
  /** When the first task may begin, or NOT_BOOKED. */
  #startUs = NOT_BOOKED;

  constructor(number: number, budget: Budget, isOfUnit: boolean) {
    this.number = number;
    this.budget = budget;
    this.isOfUnit = isOfUnit;
  }

  /** Whether the task may begin at once, which is paid for then. If not, it is to be queued. */
  admits({ costBytes }: Task, nowUs: number): boolean {
    if (this.head !== null) return false;
    const startUs = this.budget.book(costBytes, nowUs);
    if (startUs <= nowUs) return true;
    this.#startUs = startUs;
    return false;
  }

  /** Queues a task that was not admitted. */
  enqueue(task: Task): void {
    task.throttle = this;
    if (this.head !== null && task.attribute === TASK_ATTRIBUTE_HEAD_OF_QUEUE) {
      this.#cancel(this.head);
      this.#link(task, null, this.head);
    } else {
      this.#link(task, this.#tail, null);
    }
  }

  /** The task that was not admitted is not queued either. */
  forgo(task: Task): void {
    if (this.head === null) this.#cancel(task);
  }

  /** When the first task may begin. */
  dueUs(nowUs: number): number {
    if (this.#startUs === NOT_BOOKED) this.#startUs = this.budget.book(this.head!.costBytes, nowUs);
    return this.#startUs;
  }

  /** Takes the first task out, which is due. */
  take(): Task {
    const task = this.head!;
    this.#startUs = NOT_BOOKED;
    this.#unlink(task);
    return task;
  }

  /** Takes out a task that does not begin. */
  remove(task: Task): void {
    assert(task.throttle === this, "it waits here");
    if (task === this.head) this.#cancel(task);
    this.#unlink(task);
  }

  #cancel({ costBytes }: Task): void {
    if (this.#startUs !== NOT_BOOKED) this.budget.cancel(costBytes);
    this.#startUs = NOT_BOOKED;
  }

  #link(task: Task, previous: Task | null, next: Task | null): void {
    task.previousThrottled = previous;
    task.nextThrottled = next;
    if (previous === null) this.head = task;
    else previous.nextThrottled = task;
    if (next === null) this.#tail = task;
    else next.previousThrottled = task;
  }

  #unlink(task: Task): void {
    const { previousThrottled: previous, nextThrottled: next } = task;
    if (previous === null) this.head = next;
    else previous.nextThrottled = next;
    if (next === null) this.#tail = previous;
    else next.previousThrottled = previous;
    task.throttle = null;
    task.previousThrottled = null;
    task.nextThrottled = null;
  }
}
