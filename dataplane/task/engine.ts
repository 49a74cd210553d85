/**
 * Executes tasks: the services that SCSI commands call, and what lies between a task's start and its response.
 *
 *                               (THROTTLED)
 *                                   |  ^
 *                                   v  | limits
 *     HELD --its turn--> (DORMANT) --> ACTIVE --good, reply, checkCondition, transfer done--> ENDING --nothing in flight--> RESPONDING --sent--> free
 *                          '------------------- abort -------------------> ABORTED --nothing in flight--> free
 *
 * Who waits for buffers stands in buffer-queues.ts, what is kept to be sent again in retransmission.ts, what control carries out in
 * control-exchanges.ts.
 */
import { assert } from "../assert.js";
import { NO_TAG, type Slice } from "../buffer/slice.js";
import { CONNECTION_FAILING, type Connection } from "../connection/connection.js";
import { OUTGOING_DATA_IN } from "../connection/outgoing.js";
import { COUNTER } from "../counters.js";
import type { Services } from "../scsi/command.js";
import { dispatch } from "../scsi/dispatch.js";
import {
  COMMANDS_CLEARED_BY_ISCSI_PROTOCOL_EVENT,
  checkCondition,
  endWithSense,
  INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT,
  INVALID_MESSAGE_ERROR,
  SENSE_KEY_ABORTED_COMMAND,
  SENSE_KEY_UNIT_ATTENTION,
  storeError,
} from "../scsi/sense.js";
import type { LunMapping } from "../session/lun-mapping.js";
import type { Shard } from "../shard.js";
import { Throttles } from "../throttle/throttles.js";
import { TASK_ATTRIBUTE_ACA } from "../wire/scsi-command.js";
import { SCSI_STATUS_CHECK_CONDITION, SCSI_STATUS_GOOD, SCSI_STATUS_TASK_SET_FULL } from "../wire/scsi-response.js";
import { BackgroundFlushes } from "./background-flushes.js";
import type { Barrier } from "./barrier.js";
import { BufferQueues } from "./buffer-queues.js";
import { Comparison } from "./comparison.js";
import { ControlExchanges } from "./control-exchanges.js";
import { DataOut } from "./data-out.js";
import { Gates } from "./gates.js";
import { Operations } from "./operations.js";
import { ReadTransfer } from "./read-transfer.js";
import { Retransmission } from "./retransmission.js";
import { dataForgotten, storeEnds } from "./stages.js";
import {
  DATA_INTACT,
  isBeingReceived,
  leaveAwaiters,
  OPERATION_DISCARD,
  OPERATION_FLUSH,
  OPERATION_READ,
  OPERATION_WRITE,
  OPERATION_WRITE_ATOMIC,
  OPERATION_ZERO,
  OPERATION_ZERO_KEEP,
  PARK_BEGIN,
  PARK_NOT,
  TASK_ABORTED,
  TASK_ACTIVE,
  TASK_DORMANT,
  TASK_ENDING,
  TASK_FREE,
  TASK_HELD,
  TASK_RESPONDING,
  TASK_THROTTLED,
  TASK_UNACKNOWLEDGED,
  type Task,
  TRANSFER_COMPARE,
  TRANSFER_NONE,
  TRANSFER_PARAMETERS,
  TRANSFER_READ,
  TRANSFER_REPLY,
  TRANSFER_VERIFY,
  TRANSFER_WRITE,
  TRANSFER_WRITE_AND_COMPARE,
} from "./task.js";
import { WriteTransfer } from "./write-transfer.js";

/** DATA_ -> the iSCSI condition of RFC 7143 section 11.4.7.2, whose sense key is ABORTED COMMAND. */
const DATA_FAULT_SENSE: readonly ({ readonly asc: number; readonly ascq: number } | null)[] = [
  null,
  // Protocol Service CRC error
  { asc: 0x47, ascq: 0x05 },
  // Unexpected unsolicited data
  { asc: 0x0c, ascq: 0x0c },
  // Incorrect amount of data
  { asc: 0x0c, ascq: 0x0d },
];

export class TaskEngine implements Services {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly dataOut: DataOut;
  readonly gates: Gates;
  readonly operations: Operations;
  readonly comparison: Comparison;
  readonly backgroundFlushes: BackgroundFlushes;
  readonly throttles: Throttles;
  readonly control: ControlExchanges;
  readonly waiting: BufferQueues;
  readonly retransmission: Retransmission;
  readonly #shard: Shard;
  readonly #reads: ReadTransfer;
  readonly #writes: WriteTransfer;

  constructor(shard: Shard, budgets: SharedArrayBuffer) {
    this.#shard = shard;
    this.bytes = shard.arena.bytes;
    this.view = shard.arena.view;
    this.#reads = new ReadTransfer(shard, this);
    this.gates = new Gates(this);
    this.throttles = new Throttles(shard, budgets);
    this.control = new ControlExchanges(shard, this);
    this.waiting = new BufferQueues(shard, this);
    this.retransmission = new Retransmission(shard, this);
    this.operations = new Operations(shard, this, this.gates);
    this.comparison = new Comparison(shard, this);
    this.backgroundFlushes = new BackgroundFlushes(shard);
    this.#writes = new WriteTransfer(shard, this);
    this.dataOut = new DataOut(shard, this);
  }

  /** The command's turn in CmdSN order has come; its task may have to wait for older ones of its nexus. */
  start(task: Task): void {
    if (task.mapping === null || task.mapping.admit(task)) this.#activate(task);
  }

  #activate(task: Task): void {
    task.state = TASK_ACTIVE;
    if (task.admitted) this.#shard.statistics.began(task);
    this.execute(task);
  }

  /** Judges the command and begins it; anew when limits that it has waited for let it go, as all may have changed meanwhile. */
  execute(task: Task): void {
    if (task.isAbortedAfterData) return;
    if (task.overrun) return this.status(task, SCSI_STATUS_TASK_SET_FULL);
    if (task.attribute === TASK_ATTRIBUTE_ACA) return endWithSense(task, this, INVALID_MESSAGE_ERROR);
    if (task.dataFault !== DATA_INTACT) return this.failData(task);
    // No command of ours moves data both ways, and none that takes no data gets any.
    if (task.unwantedData) return endWithSense(task, this, INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT);
    if (task.begunUs === 0) task.begunUs = this.#shard.ring.nowUs;
    dispatch(task, this);
  }

  // ---------------------------------------------------------------- services: ending

  good(task: Task): void {
    task.status = SCSI_STATUS_GOOD;
    this.#end(task);
  }

  /** All blocks were read: the task ends with the status that was chosen for that. */
  verified(task: Task): void {
    this.#end(task);
  }

  status(task: Task, status: number): void {
    // Nothing was moved: all that the initiator expects is residual.
    task.transferTotal = 0;
    task.status = status;
    this.#end(task);
  }

  checkCondition(task: Task): void {
    this.#shard.counters[COUNTER.check_conditions]!++;
    // "The first completion message carrying the UA" is fenced (RFC 7143 section 4.2.2.3.4, a).
    if (task.senseKey === SENSE_KEY_UNIT_ATTENTION) this.#shard.fences.mark(task.session!, task);
    task.status = SCSI_STATUS_CHECK_CONDITION;
    this.#end(task);
  }

  reply(task: Task, length: number, allocationLength: number): void {
    const total = Math.min(length, allocationLength);
    const expected = task.expectsDataIn ? task.expectedDataTransferLength : 0;
    const count = Math.min(total, expected);
    task.transferTotal = total;
    if (task.expectsDataOut) return this.endWithoutDataIn(task);
    if (count === 0) return this.good(task);
    task.transfer = TRANSFER_REPLY;
    task.decidedUs = this.#shard.ring.nowUs;
    const slice = task.parameters!;
    task.parameters = null;
    this.waiting.charge(task.connection!, slice);
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
      this.waiting.park(task, PARK_BEGIN);
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
    if (durable) task.lossesBefore = task.unit!.losses;
    this.#writes.start(task);
  }

  compareBlocks(task: Task, lba: number, blocks: number): void {
    this.#range(task, lba, blocks);
    task.transfer = TRANSFER_COMPARE;
    this.#writes.start(task);
  }

  writeAndCompareBlocks(task: Task, lba: number, blocks: number): void {
    this.#range(task, lba, blocks);
    task.transfer = TRANSFER_WRITE_AND_COMPARE;
    task.durable = true;
    task.lossesBefore = task.unit!.losses;
    this.#writes.start(task);
  }

  verifyBlocks(task: Task, lba: number, blocks: number, status: number): void {
    this.#range(task, lba, blocks);
    task.status = status;
    task.transferLength = task.transferTotal;
    task.transferTotal = 0;
    task.transfer = TRANSFER_VERIFY;
    this.comparison.verifyNext(task);
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
    this.operations.start(task, OPERATION_FLUSH, 0, 0, 0);
  }

  flushInBackground(task: Task): void {
    this.backgroundFlushes.begin(task);
  }

  discard(task: Task, lba: number, blocks: number): void {
    this.operations.start(task, OPERATION_DISCARD, 0, lba, blocks);
  }

  zero(task: Task, lba: number, blocks: number, keepAllocated: boolean): void {
    this.operations.start(task, keepAllocated ? OPERATION_ZERO_KEEP : OPERATION_ZERO, 0, lba, blocks);
  }

  storeWrite(task: Task, bufferOffset: number, lba: number, blocks: number, durable: boolean): void {
    task.durable = durable;
    if (durable) task.lossesBefore = task.unit!.losses;
    this.operations.start(task, OPERATION_WRITE, task.parameterOffset + bufferOffset, lba, blocks);
  }

  storeWriteAtomic(task: Task, lba: number, blocks: number, durable: boolean): void {
    task.durable = durable;
    if (durable) task.lossesBefore = task.unit!.losses;
    this.operations.start(task, OPERATION_WRITE_ATOMIC, task.parameterOffset, lba, blocks);
  }

  storeRead(task: Task, bufferOffset: number, lba: number, blocks: number): void {
    this.operations.start(task, OPERATION_READ, task.parameterOffset + bufferOffset, lba, blocks);
  }

  own(task: Task): void {
    this.gates.own(task);
  }

  // ---------------------------------------------------------------- services: limits

  hold(task: Task, bytes: number): boolean {
    return this.throttles.hold(task, bytes);
  }

  // ---------------------------------------------------------------- services: control

  askControl(task: Task): void {
    this.control.ask(task);
  }

  // ---------------------------------------------------------------- completions

  /** A store operation on a slice has ended. */
  sliceCompleted(slice: Slice, result: number): void {
    const task = slice.task!;
    slice.storeBusy = false;
    storeEnds(task, this.#shard.ring.nowUs);
    if (result < 0 && task.durable) task.unit!.noteFailedDurableWrite(result);
    if (task.state !== TASK_ACTIVE) {
      this.gates.leaveSlice(task, slice);
      return this.settle(task);
    }
    if (task.transfer === TRANSFER_READ) this.#reads.completed(task, slice, result);
    else this.#writes.completed(task, slice, result);
  }

  /** A store operation of the task itself has ended. */
  taskCompleted(task: Task, result: number): void {
    storeEnds(task, this.#shard.ring.nowUs);
    if (task.state === TASK_ACTIVE) return this.operations.completed(task, result);
    this.operations.outlived(task, result);
    this.settle(task);
  }

  /** An operation of the task itself is over, in full or with an error. */
  operated(task: Task, result: number): void {
    switch (task.transfer) {
      case TRANSFER_VERIFY:
      case TRANSFER_COMPARE:
      case TRANSFER_WRITE_AND_COMPARE:
        return this.comparison.operated(task, result);
      case TRANSFER_WRITE:
        return this.#writes.flushed(task, result);
      default:
        task.command!.resume!(task, this, result);
    }
  }

  /** The task's transfer may go on. */
  pump(task: Task): void {
    if (task.transfer === TRANSFER_READ) this.#reads.pump(task);
    else this.#writes.pump(task);
  }

  /** All data of a slice was given to the transmitter. */
  sliceSent(task: Task, slice: Slice): void {
    const isKept = task.connection!.retained !== null;
    if (isKept) {
      // It can be given up for others.
      this.#shard.slices.returnCredit(task.connection!);
    } else {
      assert(task.firstSlice === slice, "slices are sent in order");
      this.#shard.slices.release(this.unlinkFirst(task));
    }
    // A READ that has failed behind this slice.
    if (task.state === TASK_ENDING) this.settle(task);
    else if (slice.transferOffset + slice.length < task.transferLength) this.readOn(task);
    else if (!isKept) this.#finish(task);
  }

  /** The task's reads may go on. */
  readOn(task: Task): void {
    if (task.transfer === TRANSFER_READ) this.#reads.sent(task);
  }

  /** The SCSI Response of the task is on its way. */
  responded(task: Task): void {
    this.#finish(task);
  }

  /** A Data-Out PDU for the task is complete. */
  dataArrived(task: Task): void {
    if (task.isAbortedAfterData) {
      if (task.outstandingR2T === 0 && task.unsolicitedEnd < 0) this.abort(task, null);
      return;
    }
    if (task.state === TASK_ACTIVE) this.#writes.pump(task);
    else this.settle(task);
  }

  // ---------------------------------------------------------------- for the transfers

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
      const isLast = slice.transferOffset + slice.length === task.transferLength;
      const isApart = connection.retained !== null;
      if (isLast && !isApart && task.session!.fence !== null && this.#isHeldBack(task, slice)) break;
      if (isLast) task.state = TASK_RESPONDING;
      slice.outgoingKind = OUTGOING_DATA_IN;
      this.#shard.transmitter.queue(connection, slice);
      // Status apart from data: see Transmitter.
      if (isLast && isApart) this.respond(task);
      slice = next;
    }
    task.nextToQueue = slice;
  }

  /** The last slice, which carries the status, waits for a response fence. */
  #isHeldBack(task: Task, last: Slice): boolean {
    if (task.isHeldBack) return true;
    return this.#shard.fences.holds(task, () => {
      task.nextToQueue = null;
      task.state = TASK_RESPONDING;
      last.outgoingKind = OUTGOING_DATA_IN;
      this.#shard.transmitter.queue(task.connection!, last);
    });
  }

  /**
   * The SCSI Response of a task that has ended is queued, or waits for a response fence. One that was sent before waits for none: a
   * fence may wait for it to be acknowledged. One that waits already goes on doing so, whatever of its data is sent again.
   */
  respond(task: Task): void {
    if (task.isHeldBack) return;
    if (!task.wasAnswered && task.session!.fence !== null && this.#isResponseHeldBack(task)) return;
    this.#shard.transmitter.queue(task.connection!, task);
  }

  #isResponseHeldBack(task: Task): boolean {
    return this.#shard.fences.holds(task, () => this.#shard.transmitter.queue(task.connection!, task));
  }

  /**
   * A store operation failed: the task ends with the sense for it, once all of its operations are back. `lba` is the block
   * that failed, `moved` the bytes that are through from the start of the transfer on: what an initiator takes as good. Of a
   * READ it is known only when what it has queued is sent. `writes`: see `storeError`.
   */
  fail(task: Task, errno: number, lba: number, moved: number, writes?: boolean): void {
    task.lba = lba;
    if (task.transfer !== TRANSFER_READ) task.transferTotal = Math.min(task.transferTotal, moved);
    storeError(task, this, errno, writes);
  }

  /** The initiator expects data the other way round: it must not take the command for one that has worked. True: it is ended. */
  refuseDirection(task: Task): boolean {
    if (task.expectedDataTransferLength === 0 || task.transferTotal === 0) return false;
    task.transferTotal = 0;
    endWithSense(task, this, INVALID_FIELD_IN_COMMAND_INFORMATION_UNIT);
    return true;
  }

  /**
   * The initiator would send data (W) with a command that has some for it. Neither is moved, and the residual count says so.
   * GOOD, as iscsi-test-cu wants it, unless R says that the initiator waits for this data.
   */
  endWithoutDataIn(task: Task): void {
    if (task.expectsDataIn && this.refuseDirection(task)) return;
    if (task.expectedDataTransferLength > 0) task.transferTotal = 0;
    this.good(task);
  }

  /** Something was wrong with the data of a write (RFC 7143 sections 7.8, option b, and 11.4.7.2). */
  failData(task: Task): void {
    if (task.overrun) return this.status(task, SCSI_STATUS_TASK_SET_FULL);
    const { asc, ascq } = DATA_FAULT_SENSE[task.dataFault]!;
    checkCondition(task, this, SENSE_KEY_ABORTED_COMMAND, asc, ascq);
  }

  /** All parameters of a command are in its buffer. */
  parametersReceived(task: Task): void {
    task.parameterLength = task.done;
    task.transfer = TRANSFER_NONE;
    task.command!.resume!(task, this, task.done);
  }

  // ---------------------------------------------------------------- ending and aborting

  /** `barrier` is left when nothing of the task, which does not read, is in flight any more, however it ends. */
  awaitEnd(task: Task, barrier: Barrier): void {
    if (task.state === TASK_FREE) return;
    barrier.join();
    task.awaiters.push(barrier);
  }

  /**
   * Ends a task without a response. `barrier` is left when nothing of it is in flight any more. Of several tasks that are to end, what
   * waited for the first, another reset for instance, may have ended the next.
   */
  abort(task: Task, barrier: Barrier | null): void {
    if (task.state === TASK_FREE) return;
    if (barrier !== null) this.awaitEnd(task, barrier);
    if (task.state === TASK_ABORTED) return;
    task.isAbortedAfterData = false;
    if (task.session!.fence !== null) this.#shard.fences.drop(task);
    const connection = task.connection!;
    if (task.state === TASK_UNACKNOWLEDGED) {
      this.forget(task);
      if (connection.taskCount === 0) this.#shard.lifecycle.drain(connection);
      return;
    }
    if (task.queued || this.#anyQueued(task)) this.dequeue(task);
    if (task.parked !== PARK_NOT) this.waiting.unpark(task);
    if (task.starved) this.waiting.unstarve(connection, task);
    this.gates.remove(task);
    if (task.state === TASK_DORMANT) task.mapping!.remove(task);
    if (task.state === TASK_THROTTLED) this.throttles.remove(task);
    // Its CmdSN counts as received: the commands behind it must not wait for it.
    if (task.state === TASK_HELD) {
      task.session!.held.set(task.cmdSN, null);
      // The window opens when they have caught up with it.
      task.wasAnswered = true;
    }
    // The initiator may have sent what it was asked for, or still send it.
    if (task.outstandingR2T > 0 || task.unsolicitedEnd >= 0) task.session!.abandon(task.initiatorTaskTag);
    this.#forgetSolicited(task);
    if (task.exchange !== 0) this.control.abort(task);
    task.state = TASK_ABORTED;
    this.settle(task);
  }

  /**
   * Aborts a task when the data that the initiator was asked for, or has announced, has come: what comes later is not mistaken
   * for a new command's.
   */
  abortAfterData(task: Task, barrier: Barrier): void {
    if (task.state === TASK_ABORTED || (task.outstandingR2T === 0 && task.unsolicitedEnd < 0)) {
      return this.abort(task, barrier);
    }
    this.awaitEnd(task, barrier);
    if (task.state === TASK_THROTTLED) this.throttles.remove(task);
    task.isAbortedAfterData = true;
    task.dataUs = this.#shard.ring.nowUs;
  }

  /** Aborts all tasks of a connection; with a barrier, those whose response is queued keep it. */
  abortConnection(connection: Connection, barrier: Barrier | null): void {
    const session = connection.session!;
    const { asc, ascq } = COMMANDS_CLEARED_BY_ISCSI_PROTOCOL_EVENT;
    const tasks: Task[] = [];
    for (let task = session.firstTask; task !== null; task = task.nextOfSession) {
      const isAnswered = barrier !== null && task.state === TASK_RESPONDING && !task.isHeldBack;
      if (task.connection === connection && !isAnswered) tasks.push(task);
    }
    // Told on what other connections the session has (section 11.14.5): once, so before one that waits for these takes its turn.
    for (const task of tasks) {
      const isOver = task.state === TASK_ABORTED || task.state === TASK_UNACKNOWLEDGED;
      if (task.mapping !== null && !isOver) session.attentions.add(task.lun, asc, ascq);
    }
    for (const task of tasks) this.abort(task, barrier);
  }

  /** Gives up what an ended task still has, if nothing of it is in flight; then responds, or frees it. */
  settle(task: Task): void {
    if (task.state !== TASK_ENDING && task.state !== TASK_ABORTED) return;
    if (task.storeBusy > 0) return;
    const connection = task.connection!;
    if (isBeingReceived(task)) return;
    if (task.state === TASK_ENDING) {
      if (task.unsolicitedEnd >= 0 || task.outstandingR2T > 0 || this.#anyQueued(task)) return;
      // What a failed READ has sent before: all up to the first slice that is left, or was not sent.
      if (task.transfer === TRANSFER_READ) {
        let slice = task.firstSlice;
        while (slice !== null && slice.sent === slice.length) slice = slice.nextOfTask;
        if (slice !== null) task.transferTotal = Math.min(task.transferTotal, slice.transferOffset);
        task.keptDataSN = task.dataSN;
      }
    }
    this.releaseSlices(task);
    task.nextToQueue = null;
    this.gates.disown(task);
    if (task.parameters !== null) {
      this.#shard.slices.release(task.parameters);
      task.parameters = null;
    }
    if (task.state === TASK_ABORTED) {
      if (!task.immediate && !task.wasAnswered) task.session!.reopen();
      this.#free(task);
      if (connection.taskCount === 0 || connection.state === CONNECTION_FAILING)
        this.#shard.lifecycle.drain(connection);
      return;
    }
    task.state = TASK_RESPONDING;
    leaveAwaiters(task);
    this.respond(task);
  }

  #end(task: Task): void {
    assert(task.state === TASK_ACTIVE, "a task ends once");
    if (task.starved) this.waiting.unstarve(task.connection!, task);
    if (task.parked !== PARK_NOT) this.waiting.unpark(task);
    this.gates.remove(task);
    task.decidedUs = this.#shard.ring.nowUs;
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
    if (task.retained) this.#retain(task);
    else this.#free(task);
  }

  /** As a SCSI command the task has ended; what was sent is kept until it is acknowledged. */
  #retain(task: Task): void {
    const { mapping } = task;
    task.state = TASK_UNACKNOWLEDGED;
    // All that it keeps can be given up for others.
    this.#shard.slices.returnCredit(task.connection!);
    if (task.immediate) {
      task.immediate = false;
      task.session!.immediateTasks--;
    }
    if (task.admitted) this.#leave(task);
    if (mapping !== null) this.#activateNext(mapping);
  }

  /** The response of an ended task is acknowledged, or nobody will ask for it any more. */
  forget(task: Task): void {
    if (task.retained) task.connection!.retained!.remove(task);
    // It was being sent again.
    if (task.state !== TASK_UNACKNOWLEDGED) this.dequeue(task);
    this.retransmission.dropResends(task);
    this.releaseSlices(task);
    task.nextToQueue = null;
    this.#shard.tasks.release(task);
  }

  /** Takes what the task has queued for sending out of the queue. */
  dequeue(task: Task): void {
    this.#shard.transmitter.remove(task.connection!, (node) => node === task || this.#isSliceOf(node, task));
  }

  /** The connection is gone and its tasks are kept: what was to be sent or received on it is not waited for. */
  suspendConnection(connection: Connection): void {
    const tasks: Task[] = [];
    for (let task = connection.session!.firstTask; task !== null; task = task.nextOfSession) {
      if (task.connection === connection) tasks.push(task);
    }
    // As with those that are aborted: one may have ended the next.
    for (const task of tasks) if (task.connection === connection) this.#suspend(task);
  }

  /** Something of the connection's aborted tasks is still in flight. */
  hasAborted(connection: Connection): boolean {
    for (let task = connection.session!.firstTask; task !== null; task = task.nextOfSession) {
      if (task.connection === connection && task.state === TASK_ABORTED) return true;
    }
    return false;
  }

  #suspend(task: Task): void {
    // "a target MUST terminate and/or discard all of the active immediate commands" (section 7.14).
    // Nor does anybody wait for its end as long as its initiator may take to go on with it.
    const isAwaited = task.awaiters.length > 0;
    if (task.endsWithConnection || task.immediate || isAwaited) return this.abort(task, null);
    if (task.isHeldBack) this.#shard.fences.withdraw(task);
    if (task.starved) this.waiting.unstarve(task.connection!, task);
    if (task.expectsDataOut) task.acknowledgedDataSN = task.dataSN;
    if (task.outstandingR2T === 0 && task.unsolicitedEnd < 0) return;
    // R2Ts that were not answered in full are sent again, and keep their numbers.
    for (let slice = task.firstSlice; slice !== null; slice = slice.nextOfTask) {
      if (slice.tag === NO_TAG || slice.r2tSN < 0) continue;
      task.acknowledgedDataSN = Math.min(task.acknowledgedDataSN, slice.r2tSN);
    }
    this.#forgetSolicited(task);
    this.settle(task);
  }

  /** Frees the slot, and starts the tasks of its nexus that waited for this one to end. */
  #free(task: Task): void {
    const { mapping } = task;
    // Its response was sent before, and its data was being sent again.
    if (task.retained) task.connection!.retained!.remove(task);
    if (task.admitted) this.#leave(task);
    this.retransmission.dropResends(task);
    this.#shard.tasks.release(task);
    if (mapping !== null) this.#activateNext(mapping);
  }

  /** It is over as a SCSI command. */
  #leave(task: Task): void {
    const { nowUs } = this.#shard.ring;
    this.#shard.statistics.ended(task, nowUs);
    this.#shard.slowCommands.ended(task, nowUs);
    task.mapping!.leave(task);
  }

  #activateNext(mapping: LunMapping): void {
    for (let next = mapping.next(); next !== null; next = mapping.next()) this.#activate(next);
  }

  releaseSlices(task: Task): void {
    while (task.firstSlice !== null) this.#shard.slices.release(this.unlinkFirst(task));
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
      slice.tag = NO_TAG;
      slice.gap = false;
    }
    dataForgotten(task, this.#shard.ring.nowUs);
    task.unsolicitedEnd = -1;
  }

  // ---------------------------------------------------------------- queues

  #range(task: Task, lba: number, blocks: number): void {
    const blockLength = task.unit!.blockLengthBytes;
    task.lba = lba;
    task.blocks = blocks;
    task.storeStart = lba * blockLength;
    task.transferTotal = blocks * blockLength;
  }
}
