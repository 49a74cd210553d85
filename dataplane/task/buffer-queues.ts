/**
 * Tasks that wait for buffers. One that finds none is parked, and tried again when one is released; one whose connection holds too
 * much that it has not read or sent is starved until it has. Where all wait for too long, some are given up.
 */
import { assert } from "../assert.js";
import type { Slice } from "../buffer/slice.js";
import type { Connection } from "../connection/connection.js";
import { COUNTER } from "../counters.js";
import { CONNECTION_CREDIT_BYTES_MAX, SHORTAGE_PATIENCE_US } from "../limits.js";
import type { Shard } from "../shard.js";
import { SCSI_STATUS_TASK_SET_FULL } from "../wire/scsi-response.js";
import type { TaskEngine } from "./engine.js";
import {
  isBeingReceived,
  PARK_BEGIN,
  PARK_NOT,
  PARK_RESUME,
  TASK_DORMANT,
  TASK_THROTTLED,
  type Task,
  TRANSFER_COMPARE,
  TRANSFER_VERIFY,
  TRANSFER_WRITE_AND_COMPARE,
} from "./task.js";

export class BufferQueues {
  readonly #shard: Shard;
  readonly #engine: TaskEngine;
  #parkedHead: Task | null = null;
  #parkedTail: Task | null = null;
  /** When a parked task got its buffer last, or none was parked. */
  #servedUs = 0;

  constructor(shard: Shard, engine: TaskEngine) {
    this.#shard = shard;
    this.#engine = engine;
  }

  /** The task waits for a buffer; `why`: PARK_*, `result`: what its command goes on with. */
  park(task: Task, why: number, result = 0): void {
    assert(task.parked === PARK_NOT, "a task is parked once");
    task.parked = why;
    task.parkedResult = result;
    task.nextParked = null;
    if (this.#parkedTail === null) this.#parkedHead = task;
    else this.#parkedTail.nextParked = task;
    this.#parkedTail = task;
    this.#shard.counters[COUNTER.parked_tasks]!++;
  }

  /** The task waits until its connection has read or sent something. */
  starve(task: Task): void {
    if (task.starved) return;
    const connection = task.connection!;
    task.starved = true;
    task.nextStarved = null;
    if (connection.starvedTail === null) connection.starvedHead = task;
    else connection.starvedTail.nextStarved = task;
    connection.starvedTail = task;
  }

  /** The task does not wait for a buffer any more. */
  unpark(task: Task): void {
    let previous: Task | null = null;
    for (let at = this.#parkedHead; at !== null; previous = at, at = at.nextParked) {
      if (at !== task) continue;
      if (previous === null) this.#parkedHead = task.nextParked;
      else previous.nextParked = task.nextParked;
      if (this.#parkedTail === task) this.#parkedTail = previous;
      break;
    }
    task.parked = PARK_NOT;
    task.nextParked = null;
  }

  /** Nor for its connection. */
  unstarve(connection: Connection, task: Task): void {
    let previous: Task | null = null;
    for (let at = connection.starvedHead; at !== null; previous = at, at = at.nextStarved) {
      if (at !== task) continue;
      if (previous === null) connection.starvedHead = task.nextStarved;
      else previous.nextStarved = task.nextStarved;
      if (connection.starvedTail === task) connection.starvedTail = previous;
      break;
    }
    task.starved = false;
    task.nextStarved = null;
  }

  /**
   * Whether the connection may have one more buffer, for `length` bytes that it reads or will be asked for; data that is kept
   * for retransmission is given up for it.
   */
  hasCredit(connection: Connection, length: number): boolean {
    return this.isWithinCredit(connection, length) || this.#engine.retransmission.dropRetained(connection, length);
  }

  /** Likewise, with nothing given up. */
  isWithinCredit({ creditBytes }: Connection, length: number): boolean {
    if (creditBytes === 0) return true;
    return creditBytes + length <= Math.min(CONNECTION_CREDIT_BYTES_MAX, this.#shard.slices.freeBytes(length));
  }

  /** The buffer counts as the connection's until it is released or need not be kept. */
  charge(connection: Connection, slice: Slice): void {
    slice.credit = connection;
    connection.creditBytes += slice.capacity;
  }

  /** Connections have read or sent something: their tasks that waited for that go on. */
  feed(): void {
    for (const connection of this.#shard.slices.takeCredited()) {
      for (let task = connection.starvedHead; task !== null; task = connection.starvedHead) {
        this.unstarve(connection, task);
        this.#engine.pump(task);
        if (task.starved) break;
      }
    }
  }

  /** Tasks wait for a buffer. */
  get hasParked(): boolean {
    return this.#parkedHead !== null;
  }

  /** Buffers were released: parked tasks try again, in order, until one fails again. */
  retryParked(): void {
    const pool = this.#shard.slices;
    if (!pool.hasReleased) return;
    pool.hasReleased = false;
    while (this.#parkedHead !== null) {
      const task = this.#parkedHead;
      const why = task.parked;
      this.unpark(task);
      if (why === PARK_BEGIN) task.command!.begin(task, this.#engine);
      else if (why === PARK_RESUME) task.command!.resume!(task, this.#engine, task.parkedResult);
      else if (task.transfer === TRANSFER_VERIFY) this.#engine.comparison.verifyNext(task);
      else this.#engine.pump(task);
      if (task.parked !== PARK_NOT) return;
      this.#servedUs = this.#shard.ring.nowUs;
    }
  }

  /**
   * Tasks wait for buffers, and for too long none has got one: where commands hold data that they cannot use yet, because they wait
   * for others, or for one buffer more, they are given up with TASK SET FULL. Those whose turn has not come are so when it comes; if
   * there are none, all that have written nothing yet but the oldest.
   */
  relieve(): void {
    const { nowUs } = this.#shard.ring;
    if (this.#parkedHead === null) this.#servedUs = nowUs;
    if (nowUs - this.#servedUs < SHORTAGE_PATIENCE_US) return;
    let hasFound = false;
    for (const session of this.#shard.sessions.values()) {
      for (let task = session.firstTask; task !== null; task = task.nextOfSession) {
        const waits = task.state === TASK_DORMANT || task.state === TASK_THROTTLED;
        if (!waits || task.firstSlice === null || isBeingReceived(task)) continue;
        task.overrun = true;
        task.nextToQueue = null;
        this.#engine.releaseSlices(task);
        hasFound = true;
      }
    }
    const holders: Task[] = [];
    for (let task = this.#parkedHead; task !== null; task = task.nextParked) {
      const mayHaveWritten = task.parked !== PARK_BEGIN && task.transfer !== TRANSFER_COMPARE && !waitsToCompare(task);
      if (!mayHaveWritten && task.firstSlice !== null) holders.push(task);
    }
    const isEnough = hasFound || holders.length > 1;
    for (const task of isEnough ? holders.slice(1) : holders) {
      if (task.parked !== PARK_NOT) this.#engine.status(task, SCSI_STATUS_TASK_SET_FULL);
    }
  }
}

/** A WRITE AND VERIFY that waits for the buffer to read back into, for which it waits before it writes. */
function waitsToCompare({ transfer, parameters }: Task): boolean {
  return transfer === TRANSFER_WRITE_AND_COMPARE && parameters === null;
}
