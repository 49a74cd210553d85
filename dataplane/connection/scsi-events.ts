/**
 * SCSI asynchronous events (RFC 7143 section 11.9.1, AsyncEvent 0): what an initiator would hear of a unit with its next command,
 * it is told at once if its target is configured so. The unit attention condition stays, as not every initiator looks at events.
 */
import { encodeDescriptorSense, encodeFixedSense, SENSE_BYTES_MAX, SENSE_KEY_UNIT_ATTENTION } from "../scsi/sense.js";
import { informationOf } from "../scsi/unit-attention.js";
import type { Session } from "../session/session.js";
import type { Shard } from "../shard.js";
import { ASYNC_EVENT_SCSI, AsyncMessagePdu } from "../wire/async-message.js";
import { SENSE_LENGTH_LENGTH } from "../wire/sense-data-segment.js";
import { CONNECTION_OPEN, type Connection } from "./connection.js";
import { Reply, STAMP_STATUS } from "./reply.js";

/**
 * Reports a unit attention condition of a mapped LUN. To be called when the condition is new: so an initiator that sends no
 * commands has no more events waiting for it than its LUNs may have conditions.
 */
export function reportScsiEvent(shard: Shard, session: Session, lun: number, asc: number, ascq: number): void {
  const connection = session.connections.find(takesEvents);
  if (connection === undefined) return;
  const slice = shard.slices.acquireReserved(SENSE_LENGTH_LENGTH + SENSE_BYTES_MAX);
  // It will hear of it all the same.
  if (slice === null) return;
  const { bytes, view } = shard.arena;
  const encode = session.luns.get(lun)!.unit.descriptorSense ? encodeDescriptorSense : encodeFixedSense;
  const information = informationOf((asc << 8) | ascq);
  const senseAt = slice.offset + SENSE_LENGTH_LENGTH;
  const senseLength = encode(bytes, view, senseAt, SENSE_KEY_UNIT_ATTENTION, asc, ascq, information, -1);
  view.setUint16(slice.offset, senseLength);
  const reply = new Reply(STAMP_STATUS);
  reply.slice = slice;
  const pdu = new AsyncMessagePdu(reply.header).clear();
  pdu.asyncEvent = ASYNC_EVENT_SCSI;
  pdu.lun = lun;
  pdu.dataSegmentLength = SENSE_LENGTH_LENGTH + senseLength;
  shard.transmitter.queueReply(connection, reply);
}

function takesEvents({ reportsScsiEvents, state, loggedOut }: Connection): boolean {
  return reportsScsiEvents && state === CONNECTION_OPEN && !loggedOut;
}
