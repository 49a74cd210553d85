/**
 * The seam between SCSI and the task engine. A command is a row of the table: its `begin` reads the CDB and calls exactly
 * one service (or ends the command); where a service completes later, `resume` is called with its result. A command that
 * waits for nothing but its transfer (READ, WRITE) has no `resume`: the engine ends it with GOOD, or with the sense that
 * the store's error maps to.
 */
import type { Task } from "../task/task.js";

/** The CDB has no service action. */
export const NO_SERVICE_ACTION = -1;

/** Where a command is carried out. What control does may take its time. "both": it depends on the CDB. */
export type CommandPlace = "shard" | "control" | "both";

export interface Command {
  readonly name: string;
  readonly opcode: number;
  /** Low five bits of CDB byte 1 (or bytes 8-9 for variable length), or NO_SERVICE_ACTION. */
  readonly serviceAction: number;
  /** CDB usage data as REPORT SUPPORTED OPERATION CODES shows it: byte 0 the opcode, then the mask of legal bits; its length is the CDB's. */
  readonly usage: readonly number[];
  /** Bits of COMMAND_*: what may run when. */
  readonly conditions: number;
  begin(task: Task, services: Services): void;
  /** `result`: 0 or a count, or a negative errno. Called for each service that completes later, until the command is ended. */
  resume?(task: Task, services: Services, result: number): void;
  readonly place: CommandPlace;
  /** What limits count of it, in bytes, beside the command itself (scsi/cost.ts). Absent: limits do not concern it. */
  costBytes?(task: Task, services: Services): number;
  /** It writes the blocks of its range, which it has received into its parameter buffer: it is counted as a write. */
  readonly writesWhatItReceives?: true;
  /** It is treated as if it had the task attribute HEAD OF QUEUE, whatever it has. */
  readonly isHeadOfQueue?: true;
  /** Whether this CDB is let through a reservation that others of its row conflict with. Absent: none is. */
  isLetThrough?(task: Task, services: Services): boolean;
  /**
   * Whether this CDB is let through while the unit is sanitized, or has failed to be (SBC-4, commands allowed during sanitize).
   * Absent: only where the command needs no unit at all.
   */
  isAllowedDuringSanitize?(task: Task, services: Services): boolean;
}

/** Runs although a unit attention is pending, and leaves it pending (SPC-5: INQUIRY, REPORT LUNS; REQUEST SENSE reports it itself). */
export const COMMAND_PASSES_UNIT_ATTENTION = 1 << 0;
/** Needs no logical unit behind the LUN (INQUIRY, REPORT LUNS, REQUEST SENSE). */
export const COMMAND_WITHOUT_UNIT = 1 << 1;
/** The well-known logical unit has it too (SPC-5: INQUIRY, REPORT LUNS, REQUEST SENSE, TEST UNIT READY). */
export const COMMAND_OF_WELL_KNOWN_UNIT = 1 << 7;
/** Changes the medium: refused with DATA PROTECT / WRITE PROTECTED on a read-only unit or mapping. */
export const COMMAND_WRITES_MEDIUM = 1 << 2;
/** Reads or writes blocks: refused with NOT READY where the medium cannot be accessed. */
export const COMMAND_NEEDS_MEDIUM = 1 << 3;
// Conflicts with a reservation that this nexus is not exempt from (the tables of commands that are allowed in the presence of
// various reservations: SPC-5 and SBC-4 for persistent ones, SPC-2 and SBC for those of RESERVE):
/** Write Exclusive, of all three kinds. */
export const COMMAND_CONFLICTS_WRITE_EXCLUSIVE = 1 << 4;
/** Exclusive Access, of all three kinds. What conflicts with Write Exclusive conflicts with these too. */
export const COMMAND_CONFLICTS_EXCLUSIVE_ACCESS = 1 << 5;
/** RESERVE (6) and (10). */
export const COMMAND_CONFLICTS_RESERVE = 1 << 6;
/** What was kept of the unit's reservations is lost: nothing runs but what SPC-5 lists, until REPLACE LOST RESERVATION. */
export const COMMAND_CONFLICTS_LOST_RESERVATIONS = 1 << 11;
// Runs although the target port group of the session is in this asymmetric access state (SPC-5). Active groups let all through.
export const COMMAND_RUNS_IN_STANDBY = 1 << 8;
export const COMMAND_RUNS_IN_UNAVAILABLE = 1 << 9;
export const COMMAND_RUNS_IN_TRANSITION = 1 << 10;

/**
 * What the task engine does for a command. Everything below either ends the task, or parks it until a completion.
 * After a call that ends the task, the command touches the task no more.
 */
export interface Services {
  /** The shard's arena: all offsets below are into it. */
  readonly bytes: Uint8Array;
  readonly view: DataView;

  // -- ends the task
  good(task: Task): void;
  /** Sends `length` bytes of the task's parameter buffer, cut to `allocationLength` and to what the initiator expects, then GOOD. */
  reply(task: Task, length: number, allocationLength: number): void;
  /** CHECK CONDITION with the sense in task.senseKey/asc/ascq/senseInformation/senseFieldPointer (see sense.ts's helpers, which call this). */
  checkCondition(task: Task): void;
  /** Any other status byte without data (BUSY, TASK SET FULL, RESERVATION CONFLICT). */
  status(task: Task, status: number): void;

  // -- memory
  /** Arena offset of a page-aligned buffer of at least `length` (at most SLICE_BYTES_MAX) zeroed bytes that lives until the task ends (also kept
      in task.parameterOffset), or -1: none is free now; return at once, `begin` (or `resume` with the same result) will be called again later. */
  parameterBuffer(task: Task, length: number): number;

  // -- transfers
  /** Streams blocks to the initiator and ends the task. The range was checked. `dpo`/`fua` change nothing but the cache's use. */
  readBlocks(task: Task, lba: number, blocks: number): void;
  /** Takes blocks from the initiator into the store and ends the task; `durable`: FUA, or the unit's write cache is off. */
  writeBlocks(task: Task, lba: number, blocks: number, durable: boolean): void;
  /** Takes blocks from the initiator, reads the medium, compares; ends the task, on a difference with MISCOMPARE and its offset. */
  compareBlocks(task: Task, lba: number, blocks: number): void;
  /** Takes blocks from the initiator into the store, durably, reads them back and compares; ends the task as the two above do. */
  writeAndCompareBlocks(task: Task, lba: number, blocks: number): void;
  /** Reads the blocks and sends nothing (VERIFY with BYTCHK=0, PRE-FETCH); ends the task with the status. */
  verifyBlocks(task: Task, lba: number, blocks: number, status: number): void;
  /** Receives the parameter list or block data of a command into the parameter buffer (at most SLICE_BYTES_MAX); then `resume` with
      the number of bytes received: min(length, what the initiator sends). Allocates the buffer itself: task.parameterOffset. */
  receiveParameters(task: Task, length: number): void;

  // -- control
  /** Has control carry out the command, with its CDB and the parameters that were received; the answer ends the task. */
  askControl(task: Task): void;

  // -- limits
  /**
   * A command that costs so many bytes is about to begin. True: it does not, and is touched no more; it waits for the limits of its
   * unit or initiator, and is dispatched anew when they have room, or it has ended.
   */
  hold(task: Task, bytes: number): boolean;

  // -- the unit for itself
  /** Keeps every other write off the unit, on all shards, until the task ends; then `resume` with 0. */
  own(task: Task): void;

  // -- store operations; each completes with one `resume`
  flush(task: Task): void;
  /** Flushes without the task, which may end. A failure is told to its nexus later, as a deferred error. No `resume`. */
  flushInBackground(task: Task): void;
  discard(task: Task, lba: number, blocks: number): void;
  zero(task: Task, lba: number, blocks: number, keepAllocated: boolean): void;
  /** From / to the parameter buffer at `bufferOffset` (0: its start), whole: short ones are continued. */
  storeWrite(task: Task, bufferOffset: number, lba: number, blocks: number, durable: boolean): void;
  /** From the start of the parameter buffer, as a whole or not at all: what UnitRecord.atomicWrites allows. */
  storeWriteAtomic(task: Task, lba: number, blocks: number, durable: boolean): void;
  storeRead(task: Task, bufferOffset: number, lba: number, blocks: number): void;
}
