/** The tasks of a shard at the gates of their units (storage/gate.ts): those that passed, those that own one, those that wait. */
import { unreachable } from "../assert.js";
import type { Slice } from "../buffer/slice.js";
import type { TaskEngine } from "./engine.js";
import { GATED_NOT, GATED_OPERATION, GATED_OWN, GATED_QUIET, GATED_TRANSFER, TASK_ACTIVE, type Task } from "./task.js";

export class Gates {
  readonly #engine: TaskEngine;
  /** In the order in which they came. */
  #waiting: Task[] = [];
  /** Something that the waiting may wait for has happened on this shard. */
  #changed = false;

  constructor(engine: TaskEngine) {
    this.#engine = engine;
  }

  /** Tasks wait, and it is worth while to call `retry` now. */
  get hasChanged(): boolean {
    return this.#changed && this.#waiting.length > 0;
  }

  /** A slice is about to be written. False: its task waits. */
  enterSlice(task: Task, slice: Slice): boolean {
    if (slice.gateEntered || task.ownsGate) return true;
    if (!task.unit!.gate.enter()) return this.#wait(task, GATED_TRANSFER);
    slice.gateEntered = true;
    return true;
  }

  leaveSlice(task: Task, slice: Slice): void {
    if (!slice.gateEntered) return;
    slice.gateEntered = false;
    task.unit!.gate.leave();
    this.#changed = true;
  }

  /** The task's own operation is about to change the medium. False: it waits. */
  enterOperation(task: Task): boolean {
    if (task.operationEntered || task.ownsGate) return true;
    if (!task.unit!.gate.enter()) return this.#wait(task, GATED_OPERATION);
    task.operationEntered = true;
    return true;
  }

  leaveOperation(task: Task): void {
    if (!task.operationEntered) return;
    task.operationEntered = false;
    task.unit!.gate.leave();
    this.#changed = true;
  }

  /** The task wants its unit for itself; its command is resumed when it has it. */
  own(task: Task): void {
    const { gate } = task.unit!;
    if (!task.ownsGate && !gate.own()) {
      this.#wait(task, GATED_OWN);
      return;
    }
    task.ownsGate = true;
    if (gate.isQuiet()) task.command!.resume!(task, this.#engine, 0);
    else this.#wait(task, GATED_QUIET);
  }

  /** The task has ended and none of its operations is in flight. */
  disown(task: Task): void {
    if (!task.ownsGate) return;
    task.ownsGate = false;
    task.unit!.gate.disown();
    this.#changed = true;
  }

  /** Once a turn: who waits tries again. */
  retry(): void {
    this.#changed = false;
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const task of waiting) this.#retry(task);
  }

  /** The task waits no more: it is aborted. */
  remove(task: Task): void {
    if (task.gated === GATED_NOT) return;
    task.gated = GATED_NOT;
    const at = this.#waiting.indexOf(task);
    if (at >= 0) this.#waiting.splice(at, 1);
  }

  #retry(task: Task): void {
    const why = task.gated;
    task.gated = GATED_NOT;
    // Aborted, or failed by another of its slices, while those before it were tried.
    if (why === GATED_NOT || task.state !== TASK_ACTIVE) return;
    switch (why) {
      case GATED_TRANSFER:
        return this.#engine.pump(task);
      case GATED_OPERATION:
        return this.#engine.operations.submit(task);
      case GATED_OWN:
      case GATED_QUIET:
        return this.own(task);
      default:
        return unreachable("gated", why);
    }
  }

  #wait(task: Task, why: number): false {
    if (task.gated === GATED_NOT) this.#waiting.push(task);
    task.gated = why;
    return false;
  }
}
