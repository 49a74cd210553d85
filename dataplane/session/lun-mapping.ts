/**
 * A logical unit as one session sees it, and that I_T_L nexus' task set: which tasks run, and which wait for their turn.
 *
 * Every I_T nexus has a task set of its own (TST=001b in the Control mode page), so that task attributes order the tasks of
 * one session, all of which live on one shard (SAM-5: SIMPLE waits for older ORDERED tasks, ORDERED for all older ones, HEAD OF
 * QUEUE for none).
 */
import { ACCESS_STATE_OPTIMIZED, accessBit } from "../scsi/access-state.js";
import type { LogicalUnit } from "../storage/logical-unit.js";
import { TASK_DORMANT, type Task } from "../task/task.js";
import { TASK_ATTRIBUTE_HEAD_OF_QUEUE, TASK_ATTRIBUTE_ORDERED } from "../wire/scsi-command.js";

export class LunMapping {
  readonly lun: number;
  readonly unit: LogicalUnit;
  /** The mapping or the unit is configured as read-only. */
  readOnly: boolean;
  /** What keeps commands of this nexus out: `conflicts`, and the bit that `accessState` asks for. 0: nothing. */
  blocked = 0;
  /** The unit or the session's initiator has limits (throttle/). */
  isLimited = false;
  /**
   * The unit's count of losses of which the initiator knows: a flush has failed for it, and that is acknowledged. Less than the
   * unit's: its next flush is to fail.
   */
  lossesHeard: number;
  /** The count when a deferred error was added to the nexus' unit attentions. */
  lossesDeferred = 0;
  /** Tasks that were admitted and have not ended. */
  #running = 0;
  #conflicts = 0;
  #accessState = ACCESS_STATE_OPTIMIZED;
  #orderedRuns = false;
  #dormantHead: Task | null = null;
  #dormantTail: Task | null = null;

  constructor(
    lun: number,
    unit: LogicalUnit,
    readOnly: boolean,
    conflicts: number,
    accessState: number = ACCESS_STATE_OPTIMIZED,
  ) {
    this.lun = lun;
    this.unit = unit;
    this.readOnly = readOnly;
    this.conflicts = conflicts;
    this.accessState = accessState;
    this.lossesHeard = unit.losses;
  }

  /** Bits of COMMAND_CONFLICTS_*: what a reservation keeps this nexus from. */
  set conflicts(conflicts: number) {
    this.#conflicts = conflicts;
    this.blocked = conflicts | accessBit(this.#accessState);
  }

  /** ACCESS_STATE_* of the session's target port group for this unit. */
  get accessState(): number {
    return this.#accessState;
  }

  set accessState(state: number) {
    this.#accessState = state;
    this.blocked = this.#conflicts | accessBit(state);
  }

  /** Whether the task may run now; if not, it is dormant. */
  admit(task: Task): boolean {
    const { attribute } = task;
    if (attribute !== TASK_ATTRIBUTE_HEAD_OF_QUEUE && this.#mustWait(attribute)) {
      task.state = TASK_DORMANT;
      task.nextDormant = null;
      if (this.#dormantTail === null) this.#dormantHead = task;
      else this.#dormantTail.nextDormant = task;
      this.#dormantTail = task;
      return false;
    }
    this.#admitted(task);
    return true;
  }

  /** An admitted task has ended. */
  leave(task: Task): void {
    this.#running--;
    task.admitted = false;
    if (task.attribute === TASK_ATTRIBUTE_ORDERED) this.#orderedRuns = false;
  }

  /** The next dormant task whose turn it is, admitted; null: none. */
  next(): Task | null {
    const task = this.#dormantHead;
    if (task === null || this.#orderedRuns) return null;
    if (task.attribute === TASK_ATTRIBUTE_ORDERED && this.#running > 0) return null;
    this.remove(task);
    this.#admitted(task);
    return task;
  }

  /** Takes a dormant task out: it was aborted. */
  remove(task: Task): void {
    let previous: Task | null = null;
    for (let at = this.#dormantHead; at !== task; at = at!.nextDormant) previous = at;
    if (previous === null) this.#dormantHead = task.nextDormant;
    else previous.nextDormant = task.nextDormant;
    if (this.#dormantTail === task) this.#dormantTail = previous;
    task.nextDormant = null;
  }

  #mustWait(attribute: number): boolean {
    if (this.#orderedRuns || this.#dormantHead !== null) return true;
    return attribute === TASK_ATTRIBUTE_ORDERED && this.#running > 0;
  }

  #admitted(task: Task): void {
    this.#running++;
    task.admitted = true;
    if (task.attribute === TASK_ATTRIBUTE_ORDERED) this.#orderedRuns = true;
  }
}
