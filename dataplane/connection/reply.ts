/** A PDU that is no SCSI Response, Data-In or R2T: its header is made when it is queued, its numbers are stamped when it is sent. */
import type { Slice } from "../buffer/slice.js";
import { BHS_LENGTH } from "../wire/bhs.js";
import { OUTGOING_REPLY, Outgoing } from "./outgoing.js";

/** Carries status: takes the next StatSN. */
export const STAMP_STATUS = 0;
/** Shows the next StatSN without taking it: NOP-In that the target starts (RFC 7143 section 11.19.4). */
export const STAMP_CURRENT = 1;

export class Reply extends Outgoing {
  readonly header = new DataView(new ArrayBuffer(BHS_LENGTH));
  readonly stamp: number;
  /** Data segment, or null. Released when sent. */
  slice: Slice | null = null;
  /** The connection ends when this is sent (Logout Response, or the announcement that it is dropped). */
  closesConnection = false;
  /** Called when the kernel has it, or never will: its connection is gone. */
  onGone: (() => void) | null = null;
  /** Called once, with the StatSN that it shows, when it is made for sending. */
  onStamped: ((statSN: number) => void) | null = null;
  /** The peer receives data segments so long once it has this (Text Response); 0: as before. */
  maxSend = 0;
  /** Carries no digests: the final Login Response (digests begin after it, RFC 7143 section 13.1). */
  plain = false;

  constructor(stamp: number) {
    super(OUTGOING_REPLY);
    this.stamp = stamp;
  }
}
