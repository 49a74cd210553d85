/** One iSCSI connection in full feature phase, as its shard keeps it. */
import type { Slice } from "../buffer/slice.js";
import type { Session } from "../session/session.js";
import type { Barrier } from "../task/barrier.js";
import type { Task } from "../task/task.js";
import type { Termination } from "../task/terminations.js";
import { BHS_LENGTH, RESERVED_TAG } from "../wire/bhs.js";
import type { Batch } from "./batch.js";
import type { Departure } from "./departures.js";
import type { Outgoing } from "./outgoing.js";
import type { Retained } from "./retained.js";
import type { ToldLosses } from "./told-losses.js";

export const CONNECTION_FREE = 0;
export const CONNECTION_OPEN = 1;
/** Its tasks end; then it is shut down, and when the kernel holds nothing of it any more, its descriptor is closed. */
export const CONNECTION_CLOSING = 2;
/** Shut down, as after CLOSING, but its tasks are kept for reassignment (ErrorRecoveryLevel 2). */
export const CONNECTION_FAILING = 3;
/** Its descriptor is closed, its tasks wait: for a logout, and then for TASK REASSIGN (RFC 7143 section 8.2, CLEANUP_WAIT). */
export const CONNECTION_FAILED = 4;

/** Receive states: what the next byte belongs to. */
export const RECEIVE_HEADER = 0;
export const RECEIVE_DATA = 1;
/** Padding and data digest. */
export const RECEIVE_TRAILER = 2;

/** BHS, the longest AHS (255 words) and a header digest; then the trailer (padding 3, digest 4). */
export const TRAILER_OFFSET = BHS_LENGTH + 255 * 4 + 4;
export const HEADER_AREA_BYTES = 1088;

export class Connection {
  readonly index: number;
  /** Arena offset: headers and trailers that arrive in pieces are put together here. */
  readonly headerArea: number;
  state = CONNECTION_FREE;
  fd = -1;
  connectionId = 0;
  cid = 0;
  initiatorAddress = "";
  /** By which the initiator has reached us. */
  portalAddress = "";
  session: Session | null = null;

  // -- negotiated
  headerDigest = false;
  dataDigest = false;
  maxReceive = 0;
  maxSend = 0;
  /** `maxSend` when all that is queued has been sent. */
  nextMaxSend = 0;
  pingIntervalUs = 0;
  /** See scsi-events.ts. */
  reportsScsiEvents = false;

  // -- numbers
  statSN = 0;
  expStatSN = 0;

  // -- receive
  receiveState = RECEIVE_HEADER;
  /** Bytes of the header or trailer put together so far. */
  have = 0;
  /** Arena offset of the header of the PDU in work. */
  header = 0;
  dataLength = 0;
  dataReceived = 0;
  /** CRC32C of what has come of a data segment that is dropped. */
  droppedCrc = 0;
  /** Where the data segment goes: a slice, from `sinkOffset` on; null: it is dropped. */
  sink: Slice | null = null;
  sinkOffset = 0;
  /** The sink is the connection's own until the PDU is complete (immediate data, text, ping data); otherwise it is a task's. */
  sinkOwned = false;
  receiveBusy = false;
  /** The receive in flight goes straight to the sink. */
  receiveDirect = false;
  /** Solicited bytes that were asked for and have not come. */
  solicitedBytes = 0;

  // -- transmit
  /** What was sent and may be asked for again; null where the session does not recover from errors. */
  retained: Retained | null = null;
  /** When the initiator acknowledged some of that last, or there was none. */
  acknowledgedUs = 0;
  queueHead: Outgoing | null = null;
  queueTail: Outgoing | null = null;
  replies = 0;
  /** Buffers of those that wait. */
  replyBytes = 0;
  batch: Batch | null = null;
  dirty = false;
  /** The batch is with the kernel, which tells of it only if it can't send all at once. */
  attempting = false;
  /** Most bytes of one slice that R2Ts ask for: as many as one of them may, where that is a page or more. */
  writeSliceBytes = 0;
  /** Buffers of read data (in the store's hands, queued, being sent, kept), and of write data that was asked for. */
  creditBytes = 0;
  starvedHead: Task | null = null;
  starvedTail: Task | null = null;

  // -- text exchange in progress: parts received, or answer still to send
  textReceived = "";
  textToSend = "";
  /** The Target Transfer Tag that the next request of the sequence carries; RESERVED_TAG: there is none to come. */
  textTag = RESERVED_TAG;
  /** Requests that control has been asked about and has not answered, those that were given up since included. */
  textsAsked = 0;
  /** What control is asked about: the exchange, and the header of its (last) request. */
  textExchange = 0;
  textHeader: Uint8Array | null = null;
  textInitiatorTaskTag = 0;
  textImmediate = false;
  textFinal = true;
  /** A whole request of the sequence has been answered already. */
  textContinues = false;
  /** `maxSend` from the end of the sequence on; 0: as before. */
  textMaxSend = 0;

  /** Tasks that others have ended, of which the initiator was told and has not acknowledged it (task/terminations.ts). */
  terminations: Termination[] = [];
  /** Null: there are none. */
  toldLosses: ToldLosses | null = null;

  // -- capture (capture/capture.ts)
  isCaptured = false;
  /** Who reads the capture knows who this is. */
  isIntroduced = false;
  /** Bytes of PDUs that the capture has seen, or left out, modulo 2^32. */
  capturedIn = 0;
  capturedOut = 0;

  // -- life
  taskCount = 0;
  lastReceiveUs = 0;
  /** Bytes received and sent, modulo 2^32. */
  movedBytes = 0;
  /** That at the last look, and at how many looks in a row it had moved little although it was waited for (lifecycle.ts). */
  movedBytesBefore = 0;
  slowLooks = 0;
  pingSentUs = 0;
  closeReason = "";
  /** What waits for the connection to be drained: a logout on another connection. */
  readonly closers: Barrier[] = [];
  /** It is being logged out for recovery: nothing of its tasks is sent any more (RFC 7143 section 11.14). */
  isSuspended = false;
  /** FAILED: it was logged out for recovery, so its tasks may be reassigned. */
  isRecoverable = false;
  /** FAILED: when its tasks are given up. CLOSING: when it is shut down although some are left. */
  expiresUs = 0;
  /** shutdown(2) was called: the initiator knows. */
  isShutDown = false;
  /** Its initiator was asked to log out. */
  departure: Departure | null = null;
  /** A Logout was accepted: nothing that comes after it is looked at. */
  loggedOut = false;
  /** What ends it is queued, a Logout Response as a rule: nothing follows it (section 11.14). */
  isAnsweredLast = false;

  constructor(index: number, headerArea: number) {
    this.index = index;
    this.headerArea = headerArea;
  }
}

/** Its tasks may go on with it: what they send and ask for goes out. */
export function isServing({ state, isSuspended }: Connection): boolean {
  return state === CONNECTION_OPEN && !isSuspended;
}
