/** One command in flight. Each connection has `depth` of them for good; a command allocates nothing. */
import type { Connection } from "./connection.js";

export const OPERATION_READ = 0;
export const OPERATION_WRITE = 1;
/** The command in `cdb`; `length` bytes come in. */
export const OPERATION_CDB = 2;

/** ITT: low 16 bits the task's index in its session, high 16 bits the count of its uses, so that an answer to an earlier use is noticed. */
const TAG_INDEX_MASK = 0xffff;
/** Stays below the reserved tag 0xffffffff. */
export const TASKS_PER_SESSION_MAX = TAG_INDEX_MASK - 1;

export function tagIndex(initiatorTaskTag: number): number {
  return initiatorTaskTag & TAG_INDEX_MASK;
}

export class Task {
  readonly connection: Connection;
  /** In the session. */
  readonly index: number;
  /** Arena offset of this task's own data buffer, or -1 if it has none. */
  readonly ownData: number;

  // -- what to do, filled in by the workload
  operation = OPERATION_READ;
  lba = 0;
  blocks = 0;
  fua = false;
  readonly cdb = new Uint8Array(16);
  /** Bytes to transfer. */
  length = 0;
  /** Arena offset that a write's data comes from and a read's data goes to; -1: data read is dropped. */
  data = -1;
  /** For the workload's own use. */
  note = 0;

  // -- how it went
  initiatorTaskTag: number;
  active = false;
  /** CLOCK_MONOTONIC, when the command was built. */
  startUs = 0;
  /** Bytes of Data-In so far. */
  received = 0;
  /** DataSN or R2TSN that comes next. */
  dataSN = 0;
  /** SCSI status; with CHECK CONDITION sense key, ASC and ASCQ as one number 0xKKAAQQ. */
  status = 0;
  sense = 0;

  constructor(connection: Connection, index: number, ownData: number) {
    this.connection = connection;
    this.index = index;
    this.ownData = ownData;
    this.initiatorTaskTag = index;
  }

  /** A new tag for a new use. */
  begin(nowUs: number): void {
    this.initiatorTaskTag = ((((this.initiatorTaskTag >>> 16) + 1) << 16) | this.index) >>> 0;
    this.active = true;
    this.startUs = nowUs;
    this.received = 0;
    this.dataSN = 0;
    this.status = 0;
    this.sense = 0;
  }

  get writes(): boolean {
    return this.operation === OPERATION_WRITE;
  }
}

/** Says what the tasks do. All tasks of all connections ask the same workload. */
export interface Workload {
  /** No further command will be asked for. The run ends when the last has ended. */
  readonly finished: boolean;
  /** Fills in the task's next command; false: nothing for it now. */
  next(task: Task, nowUs: number): boolean;
  /** The command has ended; the task is free again when this returns. */
  done(task: Task, nowUs: number): void;
}
