/** What PERSISTENT RESERVE IN returns (SPC-5). */

import { relativePortOf } from "../../../dataplane/scsi/relative-port.js";
import { LU_SCOPE, RESERVATION_TYPES } from "./reservation-type.js";
import { isHolder, KEY_ZERO, keyOf, type PersistentReservation, persistentOf, type UnitReservations } from "./state.js";
import { encodeTransportId } from "./transport-id.js";

export const SERVICE_ACTION_READ_KEYS = 0x00;
export const SERVICE_ACTION_READ_RESERVATION = 0x01;
export const SERVICE_ACTION_REPORT_CAPABILITIES = 0x02;
export const SERVICE_ACTION_READ_FULL_STATUS = 0x03;

/** 0-3 PRGENERATION    4-7 ADDITIONAL LENGTH */
const HEADER_BYTES = 8;
const KEY_BYTES = 8;

/** Whole; the initiator gets as much of it as it has room for. */
export function persistentReserveIn(state: UnitReservations, serviceAction: number): Uint8Array {
  switch (serviceAction) {
    case SERVICE_ACTION_READ_KEYS:
      return readKeys(state);
    case SERVICE_ACTION_READ_RESERVATION:
      return readReservation(state);
    case SERVICE_ACTION_REPORT_CAPABILITIES:
      return reportCapabilities(state);
    case SERVICE_ACTION_READ_FULL_STATUS:
      return readFullStatus(state);
    default:
      throw new Error(`service action ${serviceAction} is not in the command table`);
  }
}

/** 8- a key for each registration */
function readKeys(state: UnitReservations): Uint8Array {
  return withHeader(
    state,
    [...state.registrations.values()].map(({ key }) => bytesOfKey(key)),
  );
}

/** 8-15 RESERVATION KEY    16-19 obsolete    21 SCOPE (7-4), TYPE (3-0)    22-23 obsolete */
function readReservation(state: UnitReservations): Uint8Array {
  const reservation = persistentOf(state);
  if (reservation === null) return withHeader(state, []);
  const descriptor = Buffer.alloc(16);
  // Of the types All Registrants the key is zero: there are many.
  const key = reservation.kind === "holder" ? keyOf(state, reservation.holder)! : KEY_ZERO;
  descriptor.set(bytesOfKey(key));
  descriptor[13] = scopeAndType(reservation);
  return withHeader(state, [descriptor]);
}

const RLR_C = 0x80;
const CRH = 0x10;
const SIP_C = 0x08;
const ATP_C = 0x04;
const PTPL_C = 0x01;
const TMV = 0x80;
const PTPL_A = 0x01;
/**
 * ALLOW COMMANDS 100b: TEST UNIT READY and RECEIVE COPY RESULTS pass all persistent reservations; MODE SENSE, READ BUFFER,
 * REPORT SUPPORTED OPERATION CODES and the like pass those of the types Write Exclusive. The command table does so.
 */
const ALLOW_COMMANDS = 0x40;

/** 0-1 LENGTH    2 RLR_C, CRH, SIP_C, ATP_C, PTPL_C    3 TMV, ALLOW COMMANDS (6-4), PTPL_A    4-5 PERSISTENT RESERVATION TYPE MASK */
function reportCapabilities({ survivesPowerLoss }: UnitReservations): Uint8Array {
  const data = Buffer.alloc(8);
  data.writeUInt16BE(data.length, 0);
  data[2] = RLR_C | CRH | SIP_C | ATP_C | PTPL_C;
  data[3] = TMV | ALLOW_COMMANDS | (survivesPowerLoss ? PTPL_A : 0);
  // Bit n of byte 4 stands for type n, bit 0 of byte 5 for type 8.
  for (const type of RESERVATION_TYPES) data[4 + (type >>> 3)]! |= 1 << (type & 7);
  return data;
}

const R_HOLDER = 0x01;
const STATUS_DESCRIPTOR_BYTES = 24;

/**
 * Per registration: 0-7 RESERVATION KEY    12 ALL_TG_PT, R_HOLDER    13 SCOPE, TYPE    18-19 RELATIVE TARGET PORT IDENTIFIER
 * 20-23 ADDITIONAL DESCRIPTOR LENGTH    24- TransportID. Every target port has a registration of its own, so ALL_TG_PT is 0.
 */
function readFullStatus(state: UnitReservations): Uint8Array {
  const { registrations } = state;
  const reservation = persistentOf(state);
  const descriptors = [...registrations.values()].map(({ nexus, key }) => {
    const transportId = encodeTransportId(nexus);
    const descriptor = Buffer.alloc(STATUS_DESCRIPTOR_BYTES + transportId.length);
    descriptor.set(bytesOfKey(key));
    if (reservation !== null && isHolder(state, nexus)) {
      descriptor[12] = R_HOLDER;
      descriptor[13] = scopeAndType(reservation);
    }
    descriptor.writeUInt16BE(relativePortOf(nexus.portalGroupTag), 18);
    descriptor.writeUInt32BE(transportId.length, 20);
    descriptor.set(transportId, STATUS_DESCRIPTOR_BYTES);
    return descriptor;
  });
  return withHeader(state, descriptors);
}

function withHeader({ generation }: UnitReservations, parts: readonly Uint8Array[]): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(generation, 0);
  const data = Buffer.concat([header, ...parts]);
  data.writeUInt32BE(data.length - HEADER_BYTES, 4);
  return data;
}

function bytesOfKey(key: string): Uint8Array {
  const bytes = Buffer.from(key, "hex");
  if (bytes.length !== KEY_BYTES) throw new Error("a reservation key has eight bytes");
  return bytes;
}

function scopeAndType({ type }: PersistentReservation): number {
  return (LU_SCOPE << 4) | type;
}
