/**
 * A slice: one buffer of the arena while it carries one stretch of a task's transfer.
 *
 *     | ... front room (FRONT_BYTES) | data (page-aligned, capacity bytes) |
 *            '- the BHS (and header digest) of a Data-In PDU is written right before the data: one iovec, no copy
 *
 * Owner: the task that acquired it, until it is queued for sending (then the connection's batch) or released. While the
 * store or the kernel uses its memory, `storeBusy` is set, and release waits.
 */
import type { Connection } from "../connection/connection.js";
import { OUTGOING_DATA_IN, Outgoing } from "../connection/outgoing.js";
import type { Task } from "../task/task.js";

/** BHS 48 + header digest 4, rounded up. */
export const FRONT_BYTES = 64;

/** No R2T is outstanding on the slice. */
export const NO_TAG = -1;

export class Slice extends Outgoing {
  readonly index: number;
  readonly classIndex: number;
  /** Arena offset of the data. */
  readonly offset: number;
  readonly capacity: number;

  task: Task | null = null;
  /** Where the slice starts in the task's transfer, and how many bytes of the transfer it carries. */
  transferOffset = 0;
  length = 0;
  /** Bytes that have arrived: from the store (read) or from the initiator (write). */
  filled = 0;
  /** Bytes that the store has to move (whole blocks, so maybe more than `length`) and where. */
  storeLength = 0;
  storeOffset = 0;
  /** Bytes that the store has moved so far: a short operation is continued. */
  storeDone = 0;
  /** Read: the store failed: negative errno, or 0. */
  failure = 0;
  storeBusy = false;
  /** Its write is counted at the unit's gate. */
  gateEntered = false;

  /** Read: bytes already given to Data-In PDUs. */
  sent = 0;

  /** Write: the Target Transfer Tag of the outstanding R2T, the end of what it asked for, and the DataSN expected next. */
  tag = NO_TAG;
  requestedEnd = 0;
  dataSN = 0;
  generation = 0;

  /** Next slice of the same task, in transfer order; or of the same free list. */
  nextOfTask: Slice | null = null;
  /** Next slice that is freed with the same batch. */
  nextOfBatch: Slice | null = null;

  /** Memory of it is in a batch that the kernel may still read. */
  inBatch = false;
  /** Released, but still in a batch: free when that is sent. */
  released = false;
  /** The connection whose share of read data it takes. */
  credit: Connection | null = null;

  // -- for retransmission (RFC 7143 section 11.16): how the slice was cut into Data-In PDUs, or its R2T
  /** The slice's first PDU was sent, and the fields below say how. */
  numbered = false;
  firstDataSN = 0;
  /** Where in the slice that PDU begins: not at 0 where the rest was acknowledged before. */
  numberedFrom = 0;
  /** Bytes of the sequence before that. */
  burstBefore = 0;
  segmentBytes = 0;
  /** R2TSN of the outstanding R2T, -1 while it is queued, and where in the slice it begins. */
  r2tSN = 0;
  requestedStart = 0;
  /** A data PDU of the sequence in work is missing: what follows up to its end is dropped, and asked for again. */
  gap = false;

  constructor(index: number, classIndex: number, offset: number, capacity: number) {
    super(OUTGOING_DATA_IN);
    this.index = index;
    this.classIndex = classIndex;
    this.offset = offset;
    this.capacity = capacity;
  }
}

/** All of its data was given to the transmitter, and none waits there. */
export function isSent(slice: Slice): boolean {
  return slice.sent > 0 && slice.sent === slice.length && !slice.queued;
}
