/**
 * A task: one SCSI command from its arrival to its status. Tasks live in a fixed table (table.ts) and are reused; all
 * their memory is theirs for good, so that a command allocates nothing.
 */
import type { Slice } from "../buffer/slice.js";
import type { Connection } from "../connection/connection.js";
import { OUTGOING_RESPONSE, Outgoing } from "../connection/outgoing.js";
import type { ForwardedSense } from "../messages.js";
import type { Command } from "../scsi/command.js";
import type { LunMapping } from "../session/lun-mapping.js";
import type { Session } from "../session/session.js";
import type { LogicalUnit } from "../storage/logical-unit.js";
import type { Throttle } from "../throttle/throttle.js";
import type { Barrier } from "./barrier.js";

/** CDBs up to this length are kept with the task (16 in the BHS, more in an extended-CDB AHS: RFC 7143 section 11.2.2.3). */
export const CDB_BYTES_MAX = 260;

export const TASK_FREE = 0;
/** Arrived ahead of its turn: waits for the CmdSNs before it. */
export const TASK_HELD = 1;
/** Being executed: waits for data, a buffer, the store or the control plane. */
export const TASK_ACTIVE = 2;
/** Its status is decided, but the store still uses its buffers, or data that the initiator was asked for is still to come (RFC 7143 section 7.8). */
export const TASK_ENDING = 3;
/** Ended without a response; waits for the store to let go of its buffers. */
export const TASK_ABORTED = 4;
/** Its SCSI Response, or its last Data-In with the status, is queued. */
export const TASK_RESPONDING = 5;
/** In the window's order, but older tasks of its nexus come first (session/lun-mapping.ts). */
export const TASK_DORMANT = 6;
/** Its response is on its way and kept with its data until it is acknowledged (ErrorRecoveryLevel 1 and 2). */
export const TASK_UNACKNOWLEDGED = 7;

/** Waits until a limit has room for it (throttle/): a command that has not begun. */
export const TASK_THROTTLED = 8;

/** What the transfer of a task does. */
export const TRANSFER_NONE = 0;
/** Store to initiator. */
export const TRANSFER_READ = 1;
/** Initiator to store. */
export const TRANSFER_WRITE = 2;
/** Initiator to memory, compared with what the store holds. */
export const TRANSFER_COMPARE = 3;
/** Store to nowhere: VERIFY without data. */
export const TRANSFER_VERIFY = 4;
/** Initiator to the parameter buffer. */
export const TRANSFER_PARAMETERS = 5;
/** Memory to initiator. */
export const TRANSFER_REPLY = 6;
/** Initiator to store, and compared with what the store then holds. */
export const TRANSFER_WRITE_AND_COMPARE = 7;

/** What is wrong with the data that came for a task. */
export const DATA_INTACT = 0;
/** A data digest failed, or a data PDU is missing. */
export const DATA_LOST = 1;
/** Unsolicited data, which was not agreed upon. */
export const DATA_UNEXPECTED = 2;
/** More or less than was agreed upon, or than an R2T asked for. */
export const DATA_AMOUNT = 3;

/** Why a task is parked. */
export const PARK_NOT = 0;
/** `begin` is called again when a buffer is free. */
export const PARK_BEGIN = 1;
/** `resume` is called again when a buffer is free. */
export const PARK_RESUME = 2;
/** Its transfer goes on when a buffer is free. */
export const PARK_TRANSFER = 3;

/** A store operation of the task itself. */
export const OPERATION_NONE = 0;
export const OPERATION_READ = 1;
export const OPERATION_WRITE = 2;
export const OPERATION_FLUSH = 3;
export const OPERATION_DISCARD = 4;
export const OPERATION_ZERO = 5;
/** As ZERO, and what is allocated stays so. */
export const OPERATION_ZERO_KEEP = 6;
export const OPERATION_WRITE_ATOMIC = 7;

/** Why a task waits at the gate. */
export const GATED_NOT = 0;
/** Its transfer's writes wait for the owner. */
export const GATED_TRANSFER = 1;
/** Its own operation does. */
export const GATED_OPERATION = 2;
/** It wants to be the owner. */
export const GATED_OWN = 3;
/** It is the owner, and waits for the writes in flight. */
export const GATED_QUIET = 4;

export class Task extends Outgoing {
  readonly index: number;
  /** Arena offset of the CDB's copy. */
  readonly cdb: number;
  state = TASK_FREE;

  // -- who and what
  connection: Connection | null = null;
  session: Session | null = null;
  command: Command | null = null;
  /** What the LUN means to this session, or null where it has no such LUN. */
  mapping: LunMapping | null = null;
  /** The mapping's unit. */
  unit: LogicalUnit | null = null;
  /** The LUN as a number, or -1 where its format is not one that we serve. */
  lun = -1;
  /** The LUN field as it came: an R2T repeats it. */
  lunHigh = 0;
  lunLow = 0;
  /** The mapping or the unit is read-only. */
  readOnly = false;
  cdbLength = 16;
  initiatorTaskTag = 0;
  cmdSN = 0;
  /** ATTR field of the SCSI Command PDU (RFC 7143 section 11.3.1). */
  attribute = 0;
  immediate = false;
  expectsDataIn = false;
  expectsDataOut = false;
  expectedDataTransferLength = 0;
  /** Of a bidirectional command, whose other length is that of its write; else 0. */
  bidirectionalReadLength = 0;

  // -- for the command's own use between `begin` and its end
  /** Arena offset of the parameter buffer, or -1. */
  parameterOffset = -1;
  parameterLength = 0;
  /** A command of several steps counts them here. */
  step = 0;
  /** Block range in work; also the LBA to which a failed transfer's sense refers. */
  lba = 0;
  blocks = 0;

  // -- status and sense of CHECK CONDITION (scsi/sense.ts)
  status = 0;
  senseKey = 0;
  asc = 0;
  ascq = 0;
  /** INFORMATION field: an LBA or an offset, or -1: not valid. */
  senseInformation = -1;
  /** Sense-key-specific bytes of ILLEGAL REQUEST as their 24-bit value (SKSV, C/D, BPV, bit pointer, field pointer), or -1. */
  senseKeySpecific = -1;
  /** COMMAND-SPECIFIC INFORMATION field, or -1: none. */
  senseCommandSpecific = -1;
  /** Of COPY ABORTED, which control alone says: what one of the units that take part has answered. */
  senseForwarded: ForwardedSense | null = null;

  // -- the transfer (task/read-transfer.ts, task/write-transfer.ts)
  transfer = TRANSFER_NONE;
  /** Bytes that the command would move, and bytes that it does move: the lesser of it and what the initiator expects. */
  transferTotal = 0;
  transferLength = 0;
  /** First byte in the store. */
  storeStart = 0;
  /** All that the task has written to the store is durable. */
  durable = false;
  /** Its unit's count of losses when it began to write durably; of a flush, that of which the initiator knew then. */
  lossesBefore = 0;
  /** Its status tells the initiator of its unit's losses, of which there were so many then; -1: it does not. */
  lossesTold = -1;
  /** Bytes of the transfer for which slices were made, from its start. */
  covered = 0;
  /** Bytes that are through: sent (read), or in the store (write). */
  done = 0;
  /** Slices in transfer order; `nextToQueue` is the first whose data has not been queued for sending. */
  nextToQueue: Slice | null = null;
  firstSlice: Slice | null = null;
  lastSlice: Slice | null = null;
  sliceCount = 0;
  /** Data came, or is announced, that the command's direction has no use for. */
  unwantedData = false;
  /** Data came with the command, or unsolicited, for which there was no buffer. */
  overrun = false;
  /** The parameter buffer, if there is one. */
  parameters: Slice | null = null;
  /** Next DataSN of Data-In, or R2TSN of R2T. */
  dataSN = 0;
  /** Bytes since the last F bit in Data-In (RFC 7143 section 13.13). */
  burst = 0;
  /** Unsolicited Data-Out PDUs are still to come, up to this offset; -1: none. */
  unsolicitedEnd = -1;
  unsolicitedDataSN = 0;
  /** R2Ts that are out and not answered in full. */
  outstandingR2T = 0;
  /** Store operations in flight that are this task's own, with those of its slices. */
  storeBusy = 0;
  /** A DATA_: the first thing that was wrong. The task ends with the sense for it when all data that is expected has come. */
  dataFault = DATA_INTACT;
  /** A store operation of a slice failed: negative errno of the last that did, or 0. No further slice is begun. */
  failure = 0;
  /** The store operation of the task itself: what, and where; reads and writes are continued if short. */
  operation = OPERATION_NONE;
  operationMemory = 0;
  operationOffset = 0;
  operationLength = 0;
  operationDone = 0;
  /** The operation is counted at the unit's gate. */
  operationEntered = false;
  /** The task owns its unit's gate. */
  ownsGate = false;
  /** The exchange in which control carries the command out; 0: it does not. */
  exchange = 0;

  // -- error recovery
  /** Its response has been sent once: the command window is open again. */
  wasAnswered = false;
  /** Of the last R-Data SNACK: the response repeats it (RFC 7143 section 11.16.5). */
  snackTag = 0;
  /** How often the slot was used: part of the tag that a DataACK names. */
  use = 0;
  /** Data-In PDUs below are acknowledged; of a write whose connection has failed, R2Ts below are answered. */
  acknowledgedDataSN = 0;
  /** Data-In PDUs below, and not acknowledged, are no longer kept. */
  keptDataSN = 0;
  /** When the last data PDU came, or was asked for. */
  dataUs = 0;

  // -- queues
  /** Counted as running by its mapping. */
  admitted = false;
  nextDormant: Task | null = null;
  /** Where it waits for a limit; null: it does not. */
  throttle: Throttle | null = null;
  previousThrottled: Task | null = null;
  nextThrottled: Task | null = null;
  /** Since when it waits, or has waited, microseconds of the ring's clock. */
  throttledUs = 0;
  /** What limits count of it beside the command, in bytes. */
  costBytes = 0;
  /** Bytes of the buffers that it holds while it waits for a limit. */
  heldBytes = 0;
  /** Its limits have let it go. */
  isWithinLimits = false;
  /** Waits at the gate of its unit: what for. */
  gated = GATED_NOT;
  parked = PARK_NOT;
  parkedResult = 0;
  nextParked: Task | null = null;
  /** Waits for its connection to send what it holds already. */
  starved = false;
  nextStarved: Task | null = null;
  previousOfSession: Task | null = null;
  nextOfSession: Task | null = null;
  /** Its response waits for a response fence to be cleared (task/fences.ts). */
  isHeldBack = false;
  /** A function that ends it has taken its response for its end: it is not kept to be reassigned. */
  endsWithConnection = false;
  /** Nothing is done for it any more; it is aborted when all Data-Out that is on its way has come. */
  isAbortedAfterData = false;
  /** What waits until nothing of this task is in flight any more: task management, logout, a change of its LUN. */
  readonly awaiters: Barrier[] = [];
  /** Free list. */
  nextFree: Task | null = null;

  // -- where its time goes (task/stages.ts), microseconds of the ring's clock
  /** When the command arrived. */
  startedUs = 0;
  /** When it began, after its turn had come; 0: it has not. */
  begunUs = 0;
  /** When its status was known; 0: it is not. */
  decidedUs = 0;
  /** How long it has waited for limits (throttle/). */
  limitUs = 0;
  /** How long it has waited for the store, and since when it does, while it does. */
  storeUs = 0;
  storeSinceUs = 0;
  /** How long it has waited for data that the initiator was asked for, or had announced. */
  dataWaitUs = 0;
  dataSinceUs = 0;

  constructor(index: number, cdb: number) {
    super(OUTGOING_RESPONSE);
    this.index = index;
    this.cdb = cdb;
  }
}

/** Nothing of it is in flight any more. */
export function leaveAwaiters({ awaiters }: Task): void {
  while (awaiters.length > 0) awaiters.pop()!.leave();
}

/** Its response is on its way. */
export function isAnswered({ state, isHeldBack }: Task): boolean {
  return state === TASK_UNACKNOWLEDGED || (state === TASK_RESPONDING && !isHeldBack);
}

/** It has not begun: for want of commands before it, of its nexus or in CmdSN, or of room within its limits. */
export function isWaiting({ state }: Task): boolean {
  return state === TASK_HELD || state === TASK_DORMANT || state === TASK_THROTTLED;
}

/** As a SCSI command it has not ended. */
export function isUnderWay(task: Task): boolean {
  return task.state !== TASK_FREE && task.state !== TASK_ABORTED && !isAnswered(task);
}

const USES = 0x7fff;

/** Target Transfer Tag of a Data-In PDU that asks for a DataACK: never the reserved one, and not soon the same again. */
export function acknowledgeTag(task: Task): number {
  return (task.use % USES) * 0x10000 + task.index;
}

/** The connection is about to put data into one of the task's buffers. */
export function isBeingReceived(task: Task): boolean {
  const { sink, sinkOwned } = task.connection!;
  return sink !== null && !sinkOwned && sink.task === task;
}
