/** Store operations that belong to a task itself and not to a slice of its transfer: flush, discard, reads into its buffer ... */
import { unreachable } from "../assert.js";
import { KIND_TASK, type Shard } from "../shard.js";
import { PENDING } from "../storage/store.js";
import type { TaskEngine } from "./engine.js";
import type { Gates } from "./gates.js";
import { storeBegins } from "./stages.js";
import {
  OPERATION_DISCARD,
  OPERATION_FLUSH,
  OPERATION_NONE,
  OPERATION_READ,
  OPERATION_WRITE,
  OPERATION_WRITE_ATOMIC,
  OPERATION_ZERO,
  OPERATION_ZERO_KEEP,
  type Task,
} from "./task.js";

const EIO = -5;
/** No block is named. */
const LBA_UNKNOWN = -1;

export class Operations {
  readonly #shard: Shard;
  readonly #engine: TaskEngine;
  readonly #gates: Gates;

  constructor(shard: Shard, engine: TaskEngine, gates: Gates) {
    this.#shard = shard;
    this.#engine = engine;
    this.#gates = gates;
  }

  /** `memory`: arena offset, for reads and writes. One at a time; the engine's `operated` is called with its result. */
  start(task: Task, operation: number, memory: number, lba: number, blocks: number): void {
    const blockLength = task.unit!.blockLengthBytes;
    task.operation = operation;
    task.operationMemory = memory;
    task.operationOffset = lba * blockLength;
    task.operationLength = blocks * blockLength;
    task.operationDone = 0;
    if (operation === OPERATION_FLUSH) task.lossesBefore = task.mapping!.lossesHeard;
    this.submit(task);
  }

  /** Gives the operation, or what is left of it, to the store; or lets the task wait at its unit's gate. */
  submit(task: Task): void {
    if (changesMedium(task.operation) && !this.#gates.enterOperation(task)) return;
    const result = this.#submit(task);
    if (result === PENDING) storeBegins(task, this.#shard.ring.nowUs);
    else this.#finish(task, result);
  }

  /** It has completed, and the task still goes on. */
  completed(task: Task, result: number): void {
    this.#finish(task, result);
  }

  /** It has completed, and the task is aborted: nothing of the result concerns anybody, but that others may have lost something. */
  outlived(task: Task, result: number): void {
    if (result < 0) noteFailure(task, result);
    this.#over(task);
  }

  #over(task: Task): void {
    task.operation = OPERATION_NONE;
    this.#gates.leaveOperation(task);
  }

  #submit(task: Task): number {
    const { store } = task.unit!;
    const { operationDone: done, index } = task;
    const memory = task.operationMemory + done;
    const length = task.operationLength - done;
    const offset = task.operationOffset + done;
    switch (task.operation) {
      case OPERATION_READ:
        return store.read(memory, length, offset, KIND_TASK, index);
      case OPERATION_WRITE:
        return store.write(memory, length, offset, task.durable, KIND_TASK, index);
      case OPERATION_WRITE_ATOMIC:
        return store.writeAtomic(memory, length, offset, task.durable, KIND_TASK, index);
      case OPERATION_FLUSH:
        return store.flush(KIND_TASK, index);
      case OPERATION_DISCARD:
        return store.discard(offset, length, KIND_TASK, index);
      case OPERATION_ZERO:
        return store.zero(offset, length, false, KIND_TASK, index);
      case OPERATION_ZERO_KEEP:
        return store.zero(offset, length, true, KIND_TASK, index);
      default:
        return unreachable("operation", task.operation);
    }
  }

  /** Where the operation stands. If nothing is left to do, it is another's failure that is told: nobody knows where. */
  #lba(task: Task): number {
    if (task.operationDone === task.operationLength) return LBA_UNKNOWN;
    return Math.floor((task.operationOffset + task.operationDone) / task.unit!.blockLengthBytes);
  }

  #finish(task: Task, result: number): void {
    if (result >= 0 && movesData(task.operation)) {
      task.operationDone += result;
      if (task.operationDone < task.operationLength) {
        // Nothing where blocks should be: the file was cut behind our back. What must not be torn is not continued.
        if (result === 0 || task.operation === OPERATION_WRITE_ATOMIC) return this.#end(task, EIO);
        return this.submit(task);
      }
    }
    this.#end(task, this.#withLosses(task, result));
  }

  /** What is said to be durable is so only if nothing was lost. */
  #withLosses(task: Task, result: number): number {
    const unit = task.unit!;
    if (result < 0) noteFailure(task, result);
    if (task.operation === OPERATION_FLUSH) {
      const loss = unit.lossSince(task.lossesBefore);
      if (loss < 0) task.lossesTold = unit.losses;
      return result < 0 ? result : loss;
    }
    if (!writes(task.operation) || !task.durable || result < 0) return result;
    const loss = unit.lossSince(task.lossesBefore);
    return loss < 0 ? loss : result;
  }

  #end(task: Task, result: number): void {
    // Where a flush or a discard failed, the command knows better.
    if (result < 0 && movesData(task.operation)) task.lba = this.#lba(task);
    this.#over(task);
    this.#engine.operated(task, result);
  }
}

/** What of the failure concerns others. */
function noteFailure({ operation, durable, unit }: Task, errno: number): void {
  if (operation === OPERATION_FLUSH) unit!.noteFailedFlush(errno);
  else if (writes(operation) && durable) unit!.noteFailedDurableWrite(errno);
}

function movesData(operation: number): boolean {
  return operation === OPERATION_READ || writes(operation);
}

function writes(operation: number): boolean {
  return operation === OPERATION_WRITE || operation === OPERATION_WRITE_ATOMIC;
}

function changesMedium(operation: number): boolean {
  return operation !== OPERATION_READ && operation !== OPERATION_FLUSH;
}
