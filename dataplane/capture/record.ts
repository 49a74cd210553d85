/**
 * What a shard hands to control for a capture: records of a ring of its own (sharedarraybuffer-ring). Each begins with
 *
 *     byte 0   kind
 *          2   index of the connection in its shard's table: a later connection may have it again
 *          4   number of the capture: what an earlier one has left in the ring is told by it
 *          8   when, in microseconds of the ring's clock (a double)
 *         16   of a PDU: where it begins in what its direction of the connection has carried since the capture began, modulo 2^32
 *         20   of a PDU: its length on the wire, digests included
 *         24   PDUs that the shard has left out for want of room since the capture began, modulo 2^32
 *         28   of a PDU: its first bytes, all or fewer; of a connection: who it is, as JSON
 */

/** Who the connection of this index is; comes before the first of its PDUs. */
export const CAPTURE_CONNECTION = 0;
/** A PDU that the initiator has sent. */
export const CAPTURE_RECEIVED = 1;
/** A PDU that the target sends. */
export const CAPTURE_SENT = 2;

export const CAPTURE_INDEX = 2;
export const CAPTURE_NUMBER = 4;
export const CAPTURE_AT_US = 8;
export const CAPTURE_POSITION = 16;
export const CAPTURE_WIRE_LENGTH = 20;
export const CAPTURE_DROPPED = 24;
export const CAPTURE_HEADER_BYTES = 28;

/** What a record of a connection says. Addresses as `192.0.2.1:3260`. */
export interface CapturedConnection {
  readonly initiatorName: string;
  readonly initiatorAddress: string;
  readonly targetName: string;
  readonly portalAddress: string;
  readonly sessionId: number;
  readonly tsih: number;
  readonly cid: number;
  /** Bytes of its PDUs that the capture has seen until now. */
  readonly received: number;
  readonly sent: number;
}
