/**
 * Executes tasks: the services that SCSI commands call, and what lies between a task's start and its response.
 *
 *     HELD --its turn--> ACTIVE --good, reply, checkCondition, transfer done--> ENDING --nothing in flight--> RESPONDING --sent--> free
 *                          '------------------- abort -------------------> ABORTED --nothing in flight--> free
 *
 * A task that cannot get a buffer is parked and tried again when one is released; one whose connection holds too much
 * unsent data is starved until that is sent.
 */
import { assert } from "../assert.js";
import type { Slice } from "../buffer/slice.js";
import type { Connection } from "../connection/connection.js";
import { OUTGOING_DATA_IN } from "../connection/outgoing.js";
import { COUNTER } from "../counters.js";
import { SLICE_BYTES_MAX } from "../limits.js";
import type { Services } from "../scsi/command.js";
import { dispatch } from "../scsi/dispatch.js";
import {
  endWithInformation,
  endWithSense,
  INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT,
  MISCOMPARE_DURING_VERIFY_OPERATION,
  SENSE_KEY_ABORTED_COMMAND,
  storeError,
} from "../scsi/sense.js";
import { KIND_TASK, type Shard } from "../shard.js";
import { PENDING } from "../storage/store.js";
import { SCSI_STATUS_CHECK_CONDITION, SCSI_STATUS_GOOD, SCSI_STATUS_TASK_SET_FULL } from "../wire/scsi-response.js";
import type { Barrier } from "./barrier.js";
import { DataOut } from "./data-out.js";
import { ReadTransfer } from "./read-transfer.js";
import {
  PARK_BEGIN,
  PARK_NOT,
  PARK_RESUME,
  PARK_TRANSFER,
  TASK_ABORTED,
  TASK_ACTIVE,
  TASK_ENDING,
  TASK_HELD,
  TASK_RESPONDING,
  type Task,
  TRANSFER_COMPARE,
  TRANSFER_NONE,
  TRANSFER_PARAMETERS,
  TRANSFER_READ,
  TRANSFER_REPLY,
  TRANSFER_VERIFY,
  TRANSFER_WRITE,
} from "./task.js";
import { WriteTransfer } from "./write-transfer.js";

const EIO = -5;

/** iSCSI condition "Protocol Service CRC error" (RFC 7143 section 11.4.7.2). */
const PROTOCOL_SERVICE_CRC_ERROR = { asc: 0x47, ascq: 0x05 };

export class TaskEngine implements Services {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly dataOut: DataOut;
  readonly #shard: Shard;
  readonly #reads: ReadTransfer;
  readonly #writes: WriteTransfer;
  #parkedHead: Task | null = null;
  #parkedTail: Task | null = null;

  constructor(shard: Shard) {
    this.#shard = shard;
    this.bytes = shard.arena.bytes;
    this.view = shard.arena.view;
    this.#reads = new ReadTransfer(shard, this);
    this.#writes = new WriteTransfer(shard, this);
    this.dataOut = new DataOut(shard, this);
  }

  /** The task's turn has come. */
  start(task: Task): void {
    task.state = TASK_ACTIVE;
    if (task.overrun) return this.status(task, SCSI_STATUS_TASK_SET_FULL);
    // No command of ours moves data both ways, and none that takes no data gets any.
    if (task.unwantedData) return endWithSense(task, this, INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT);
    dispatch(task, this);
  }

  // ---------------------------------------------------------------- services: ending

  good(task: Task): void {
    task.status = SCSI_STATUS_GOOD;
    this.#end(task);
  }

  status(task: Task, status: number): void {
    task.status = status;
    this.#end(task);
  }

  checkCondition(task: Task): void {
    this.#shard.counters[COUNTER.check_conditions]!++;
    task.status = SCSI_STATUS_CHECK_CONDITION;
    this.#end(task);
  }

  reply(task: Task, length: number, allocationLength: number): void {
    const total = Math.min(length, allocationLength);
    const expected = task.expectsDataIn ? task.expectedDataTransferLength : 0;
    const count = Math.min(total, expected);
    task.transfer = TRANSFER_REPLY;
    task.transferTotal = total;
    if (count === 0) return this.good(task);
    const slice = task.parameters!;
    task.parameters = null;
    task.connection!.readBytes += slice.capacity;
    task.transferLength = count;
    task.covered = count;
    slice.transferOffset = 0;
    slice.length = count;
    slice.filled = count;
    this.append(task, slice);
    this.queueRead(task);
  }

  // ---------------------------------------------------------------- services: memory

  parameterBuffer(task: Task, length: number): number {
    if (task.parameters !== null) {
      assert(task.parameters.capacity >= length, "the parameter buffer is asked for once, in its full size");
      return task.parameterOffset;
    }
    const slice = this.#shard.slices.acquire(length, task);
    if (slice === null) {
      this.park(task, PARK_BEGIN);
      return -1;
    }
    task.parameters = slice;
    task.parameterOffset = slice.offset;
    this.bytes.fill(0, slice.offset, slice.offset + length);
    return slice.offset;
  }

  // ---------------------------------------------------------------- services: transfers

  readBlocks(task: Task, lba: number, blocks: number): void {
    this.#range(task, lba, blocks);
    task.transfer = TRANSFER_READ;
    this.#reads.start(task);
  }

  writeBlocks(task: Task, lba: number, blocks: number, durable: boolean): void {
    this.#range(task, lba, blocks);
    task.transfer = TRANSFER_WRITE;
    task.durable = durable;
    this.#writes.start(task);
  }

  compareBlocks(task: Task, lba: number, blocks: number): void {
    this.#range(task, lba, blocks);
    task.transfer = TRANSFER_COMPARE;
    this.#writes.start(task);
  }

  verifyBlocks(task: Task, lba: number, blocks: number): void {
    this.#range(task, lba, blocks);
    task.transferLength = task.transferTotal;
    task.transferTotal = 0;
    task.transfer = TRANSFER_VERIFY;
    this.#verifyNext(task);
  }

  receiveParameters(task: Task, length: number): void {
    // A command that works on more than it receives has made the buffer itself.
    if (task.parameters === null && this.parameterBuffer(task, length) < 0) return;
    task.transfer = TRANSFER_PARAMETERS;
    task.transferTotal = length;
    this.#writes.start(task);
  }

  // ---------------------------------------------------------------- services: store operations

  flush(task: Task): void {
    this.#finishIfDone(task, task.unit!.store.flush(KIND_TASK, task.index));
  }

  discard(task: Task, lba: number, blocks: number): void {
    const unit = task.unit!;
    const bytes = unit.blockLengthBytes;
    this.#finishIfDone(task, unit.store.discard(lba * bytes, blocks * bytes, KIND_TASK, task.index));
  }

  zero(task: Task, lba: number, blocks: number, keepAllocated: boolean): void {
    const unit = task.unit!;
    const bytes = unit.blockLengthBytes;
    this.#finishIfDone(task, unit.store.zero(lba * bytes, blocks * bytes, keepAllocated, KIND_TASK, task.index));
  }

  storeWrite(task: Task, bufferOffset: number, lba: number, blocks: number, durable: boolean): void {
    task.durable = durable;
    this.#operate(task, task.parameterOffset + bufferOffset, lba, blocks, true);
  }

  storeRead(task: Task, bufferOffset: number, lba: number, blocks: number): void {
    this.#operate(task, task.parameterOffset + bufferOffset, lba, blocks, false);
  }

  // ---------------------------------------------------------------- completions

  /** A store operation on a slice has ended. */
  sliceCompleted(slice: Slice, result: number): void {
    const task = slice.task!;
    slice.storeBusy = false;
    task.storeBusy--;
    if (task.state !== TASK_ACTIVE) return this.settle(task);
    if (task.transfer === TRANSFER_READ) this.#reads.completed(task, slice, result);
    else this.#writes.completed(task, slice, result);
  }

  /** A store operation of the task itself has ended. */
  taskCompleted(task: Task, result: number): void {
    task.storeBusy--;
    if (task.state !== TASK_ACTIVE) return this.settle(task);
    this.#operated(task, result);
  }

  /** All data of a slice was given to the transmitter. */
  sliceSent(task: Task, slice: Slice): void {
    assert(task.firstSlice === slice, "slices are sent in order");
    this.unlinkFirst(task);
    // A READ that has failed behind this slice.
    if (task.state === TASK_ENDING) this.settle(task);
    else if (slice.transferOffset + slice.length === task.transferLength) this.#finish(task);
    else if (task.transfer === TRANSFER_READ && task.covered < task.transferLength) this.#reads.pump(task);
  }

  /** The SCSI Response of the task is on its way. */
  responded(task: Task): void {
    this.#finish(task);
  }

  /** The connection has sent something: tasks that waited for that go on. */
  feed(connection: Connection): void {
    while (connection.starvedHead !== null && this.#reads.hasCredit(connection)) {
      const task = connection.starvedHead;
      this.#unstarve(connection, task);
      this.#reads.pump(task);
    }
  }

  /** Tasks wait for a buffer. */
  get hasParked(): boolean {
    return this.#parkedHead !== null;
  }

  /** Buffers were released: parked tasks try again, in order, until one fails again. */
  retryParked(): void {
    const pool = this.#shard.slices;
    if (!pool.released) return;
    pool.released = false;
    while (this.#parkedHead !== null) {
      const task = this.#parkedHead;
      const why = task.parked;
      this.#unpark(task);
      if (why === PARK_BEGIN) task.command!.begin(task, this);
      else if (why === PARK_RESUME) this.#operated(task, task.parkedResult);
      else if (task.transfer === TRANSFER_READ) this.#reads.pump(task);
      else if (task.transfer === TRANSFER_VERIFY) this.#verifyNext(task);
      else this.#writes.pump(task);
      if (task.parked !== PARK_NOT) return;
    }
  }

  /** A Data-Out PDU for the task is complete. */
  dataArrived(task: Task): void {
    if (task.state === TASK_ACTIVE) this.#writes.pump(task);
    else this.settle(task);
  }

  // ---------------------------------------------------------------- for the transfers

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

  starve(task: Task): void {
    if (task.starved) return;
    const connection = task.connection!;
    task.starved = true;
    task.nextStarved = null;
    if (connection.starvedTail === null) connection.starvedHead = task;
    else connection.starvedTail.nextStarved = task;
    connection.starvedTail = task;
  }

  append(task: Task, slice: Slice): void {
    slice.task = task;
    slice.nextOfTask = null;
    if (task.lastSlice === null) task.firstSlice = slice;
    else task.lastSlice.nextOfTask = slice;
    task.lastSlice = slice;
    if (task.nextToQueue === null) task.nextToQueue = slice;
    task.sliceCount++;
  }

  /** Takes the task's first slice out of its list. */
  unlinkFirst(task: Task): Slice {
    const slice = task.firstSlice!;
    task.firstSlice = slice.nextOfTask;
    if (task.firstSlice === null) task.lastSlice = null;
    slice.nextOfTask = null;
    task.sliceCount--;
    return slice;
  }

  /** Queues the slices whose data is there, as far as there is no gap: Data-In leaves in order (RFC 7143 section 13.18). */
  queueRead(task: Task): void {
    const connection = task.connection!;
    let slice = task.nextToQueue;
    while (slice !== null && slice.filled === slice.length) {
      const next: Slice | null = slice.nextOfTask;
      if (slice.transferOffset + slice.length === task.transferLength) task.state = TASK_RESPONDING;
      slice.outgoingKind = OUTGOING_DATA_IN;
      this.#shard.transmitter.queue(connection, slice);
      slice = next;
    }
    task.nextToQueue = slice;
  }

  /**
   * A store operation failed: the task ends with the sense for it, once all of its operations are back. `lba` is the block
   * that failed, `moved` the bytes that are through from the start of the transfer on: what an initiator takes as good. Of a
   * READ it is known only when what it has queued is sent.
   */
  fail(task: Task, errno: number, lba: number, moved: number): void {
    task.lba = lba;
    if (task.transfer !== TRANSFER_READ) task.transferTotal = Math.min(task.transferTotal, moved);
    storeError(task, this, errno);
  }

  /** Data was lost on the way (RFC 7143 section 7.8, option b). */
  failData(task: Task): void {
    task.senseKey = SENSE_KEY_ABORTED_COMMAND;
    task.asc = PROTOCOL_SERVICE_CRC_ERROR.asc;
    task.ascq = PROTOCOL_SERVICE_CRC_ERROR.ascq;
    task.senseInformation = -1;
    task.senseKeySpecific = -1;
    this.checkCondition(task);
  }

  /** All parameters of a command are in its buffer. */
  parametersReceived(task: Task): void {
    task.parameterLength = task.done;
    task.transfer = TRANSFER_NONE;
    task.command!.resume!(task, this, task.done);
  }

  /** The data of a slice of COMPARE is there: the store's is read next to it. */
  compareSlice(task: Task, slice: Slice): void {
    if (task.parameters === null) {
      task.parameters = this.#shard.slices.acquire(Math.min(SLICE_BYTES_MAX, task.transferLength), task);
      if (task.parameters === null) return this.park(task, PARK_TRANSFER);
      task.parameterOffset = task.parameters.offset;
    }
    const unit = task.unit!;
    const lba = task.lba + slice.transferOffset / unit.blockLengthBytes;
    this.#operate(task, task.parameterOffset, lba, slice.length / unit.blockLengthBytes, false);
  }

  // ---------------------------------------------------------------- ending and aborting

  /** Ends a task without a response. `barrier` is left when nothing of it is in flight any more. */
  abort(task: Task, barrier: Barrier | null): void {
    if (barrier !== null) {
      barrier.join();
      task.aborters.push(barrier);
    }
    if (task.state === TASK_ABORTED) return;
    const connection = task.connection!;
    if (task.queued || this.#anyQueued(task)) {
      this.#shard.transmitter.remove(connection, (node) => node === task || this.#isSliceOf(node, task));
    }
    if (task.parked !== PARK_NOT) this.#unpark(task);
    if (task.starved) this.#unstarve(connection, task);
    // Its CmdSN counts as received: the commands behind it must not wait for it.
    if (task.state === TASK_HELD) task.session!.held.set(task.cmdSN, null);
    this.#forgetSolicited(task);
    task.state = TASK_ABORTED;
    this.settle(task);
  }

  /** Aborts all tasks of a connection. */
  abortConnection(connection: Connection, barrier: Barrier | null): void {
    const session = connection.session!;
    for (let task = session.firstTask; task !== null; ) {
      const next: Task | null = task.nextOfSession;
      if (task.connection === connection) this.abort(task, barrier);
      task = next;
    }
  }

  /** Gives up what an ended task still has, if nothing of it is in flight; then responds, or frees it. */
  settle(task: Task): void {
    if (task.state !== TASK_ENDING && task.state !== TASK_ABORTED) return;
    if (task.storeBusy > 0) return;
    const connection = task.connection!;
    const sink = connection.sink;
    if (sink !== null && !connection.sinkOwned && sink.task === task) return;
    if (task.state === TASK_ENDING) {
      if (task.unsolicitedEnd >= 0 || task.outstandingR2T > 0 || this.#anyQueued(task)) return;
      // What a failed READ has sent before: all up to the first slice that is left.
      if (task.transfer === TRANSFER_READ && task.firstSlice !== null) {
        task.transferTotal = Math.min(task.transferTotal, task.firstSlice.transferOffset);
      }
    }
    while (task.firstSlice !== null) this.#release(connection, task, this.unlinkFirst(task));
    task.nextToQueue = null;
    if (task.parameters !== null) {
      this.#shard.slices.release(task.parameters);
      task.parameters = null;
    }
    if (task.state === TASK_ABORTED) {
      if (!task.immediate) task.session!.reopen();
      this.#shard.tasks.release(task);
      if (connection.taskCount === 0) this.#shard.lifecycle.drain(connection);
      return;
    }
    task.state = TASK_RESPONDING;
    this.#shard.transmitter.queue(connection, task);
  }

  #end(task: Task): void {
    assert(task.state === TASK_ACTIVE, "a task ends once");
    if (task.starved) this.#unstarve(task.connection!, task);
    if (task.parked !== PARK_NOT) this.#unpark(task);
    task.state = TASK_ENDING;
    this.settle(task);
  }

  /** The last PDU of the task is in a batch: its slot is free. */
  #finish(task: Task): void {
    assert(task.state === TASK_RESPONDING, "only a task that responds is finished");
    if (task.parameters !== null) {
      this.#shard.slices.release(task.parameters);
      task.parameters = null;
    }
    task.nextToQueue = null;
    this.#shard.tasks.release(task);
  }

  #release(connection: Connection, task: Task, slice: Slice): void {
    if (task.transfer === TRANSFER_READ || task.transfer === TRANSFER_REPLY) connection.readBytes -= slice.capacity;
    this.#shard.slices.release(slice);
  }

  #anyQueued(task: Task): boolean {
    for (let slice = task.firstSlice; slice !== null; slice = slice.nextOfTask) if (slice.queued) return true;
    return false;
  }

  #isSliceOf(node: unknown, task: Task): boolean {
    for (let slice = task.firstSlice; slice !== null; slice = slice.nextOfTask) if (slice === node) return true;
    return false;
  }

  /** What was asked for by R2T and will be dropped when it comes. */
  #forgetSolicited(task: Task): void {
    for (let slice = task.firstSlice; slice !== null; slice = slice.nextOfTask) {
      if (slice.tag >= 0) task.connection!.solicitedBytes -= slice.requestedEnd - slice.filled;
      slice.tag = -1;
    }
    task.outstandingR2T = 0;
    task.unsolicitedEnd = -1;
  }

  // ---------------------------------------------------------------- operations of the task itself

  #range(task: Task, lba: number, blocks: number): void {
    const blockLength = task.unit!.blockLengthBytes;
    task.lba = lba;
    task.blocks = blocks;
    task.storeStart = lba * blockLength;
    task.transferTotal = blocks * blockLength;
  }

  #verifyNext(task: Task): void {
    if (task.done === task.transferLength) return this.good(task);
    const unit = task.unit!;
    if (task.parameters === null) {
      task.parameters = this.#shard.slices.acquire(Math.min(SLICE_BYTES_MAX, task.transferLength), task);
      if (task.parameters === null) return this.park(task, PARK_TRANSFER);
      task.parameterOffset = task.parameters.offset;
    }
    const length = Math.min(task.parameters.capacity, task.transferLength - task.done);
    const lba = task.lba + task.done / unit.blockLengthBytes;
    this.#operate(task, task.parameterOffset, lba, length / unit.blockLengthBytes, false);
  }

  #operate(task: Task, memory: number, lba: number, blocks: number, writes: boolean): void {
    const blockLength = task.unit!.blockLengthBytes;
    task.operationMemory = memory;
    task.operationOffset = lba * blockLength;
    task.operationLength = blocks * blockLength;
    task.operationDone = 0;
    task.operationWrites = writes;
    this.#operateRest(task);
  }

  #operateRest(task: Task): void {
    const store = task.unit!.store;
    const memory = task.operationMemory + task.operationDone;
    const length = task.operationLength - task.operationDone;
    const offset = task.operationOffset + task.operationDone;
    const result = task.operationWrites
      ? store.write(memory, length, offset, task.durable, KIND_TASK, task.index)
      : store.read(memory, length, offset, KIND_TASK, task.index);
    this.#finishIfDone(task, result);
  }

  #finishIfDone(task: Task, result: number): void {
    if (result === PENDING) task.storeBusy++;
    else this.#operated(task, result);
  }

  #operated(task: Task, result: number): void {
    if (task.operationMemory >= 0) {
      // Behind the end of a file that somebody has cut: not readable, not writable.
      if (result === 0) return this.#ended(task, EIO);
      if (result > 0) {
        task.operationDone += result;
        if (task.operationDone < task.operationLength) return this.#operateRest(task);
      }
    }
    this.#ended(task, result);
  }

  /** An operation of the task itself is over, in full or with an error. */
  #ended(task: Task, result: number): void {
    const movesData = task.operationMemory >= 0;
    task.operationMemory = -1;
    switch (task.transfer) {
      case TRANSFER_VERIFY:
        if (result < 0) return this.fail(task, result, this.#operationLba(task), task.done);
        task.done += task.operationLength;
        return this.#verifyNext(task);
      case TRANSFER_COMPARE:
        return this.#compare(task, result);
      default:
        // Where a flush or a discard failed, the command knows better.
        if (result < 0 && movesData) task.lba = this.#operationLba(task);
        return task.command!.resume!(task, this, result);
    }
  }

  #operationLba(task: Task): number {
    return Math.floor((task.operationOffset + task.operationDone) / task.unit!.blockLengthBytes);
  }

  #compare(task: Task, result: number): void {
    if (result < 0) return this.fail(task, result, this.#operationLba(task), task.done);
    const slice = task.firstSlice!;
    const { bytes } = this;
    for (let i = 0; i < slice.length; i++) {
      if (bytes[slice.offset + i] === bytes[task.parameterOffset + i]) continue;
      return endWithInformation(task, this, MISCOMPARE_DURING_VERIFY_OPERATION, slice.transferOffset + i);
    }
    this.unlinkFirst(task);
    task.nextToQueue = null;
    this.#release(task.connection!, task, slice);
    task.done += slice.length;
    if (task.done === task.transferLength) this.good(task);
    else this.#writes.pump(task);
  }

  #unpark(task: Task): void {
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

  #unstarve(connection: Connection, task: Task): void {
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
}
