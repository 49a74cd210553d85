/**
 * What waits on a connection to be sent: a singly linked queue through the things themselves, so that queueing allocates
 * nothing. One node is in at most one queue. pdu-encoder.ts turns nodes into PDUs at the last moment, when it stamps them.
 */

/** A slice with read data: one or more Data-In PDUs. */
export const OUTGOING_DATA_IN = 0;
/** A slice that wants data: one R2T. */
export const OUTGOING_R2T = 1;
/** A task that has ended: its SCSI Response. */
export const OUTGOING_RESPONSE = 2;
/** Any other PDU, its header made already: reply.ts. */
export const OUTGOING_REPLY = 3;
/** PDUs that were sent before and are asked for again: resend.ts. */
export const OUTGOING_RESEND = 4;

export class Outgoing {
  outgoingKind: number;
  next: Outgoing | null = null;
  queued = false;
  /** Of what carries status: the StatSN that it went out with, and the next one that is not acknowledged (retained.ts). */
  statSN = 0;
  retained = false;
  nextRetained: Outgoing | null = null;

  constructor(kind: number) {
    this.outgoingKind = kind;
  }
}
