/**
 * Parameter lists of PERSISTENT RESERVE OUT (SPC-5), judged as far as that does not depend on who is registered.
 *
 *     basic:  0-7 RESERVATION KEY    8-15 SERVICE ACTION RESERVATION KEY    16-19 obsolete
 *             20 SPEC_I_PT (3), ALL_TG_PT (2), APTPL (0)    21 reserved    22-23 obsolete
 *             with SPEC_I_PT: 24-27 TRANSPORTID PARAMETER DATA LENGTH    28- TransportIDs
 *
 *     REGISTER AND MOVE:  0-7 RESERVATION KEY    8-15 SERVICE ACTION RESERVATION KEY    16 reserved
 *             17 UNREG (1), APTPL (0)    18-19 RELATIVE TARGET PORT IDENTIFIER
 *             20-23 TRANSPORTID LENGTH    24- TransportID
 */

import type { ScsiAnswer } from "../../../dataplane/messages.js";
import { PARAMETER_LIST_LENGTH_ERROR } from "../../../dataplane/scsi/sense.js";
import { invalidFieldOfList, senseAnswer } from "../answers.js";
import type { InitiatorPort } from "./nexus.js";
import type { ReservationKey } from "./state.js";
import { decodeTransportId } from "./transport-id.js";

export const RESERVATION_KEY_BYTE = 0;
export const SERVICE_ACTION_KEY_BYTE = 8;
const KEY_BYTES = 8;

const FLAGS_BYTE = 20;
const FLAG_SPEC_I_PT = 0x08;
export const SPEC_I_PT = { byte: FLAGS_BYTE, bit: 3 } as const;
const FLAG_ALL_TG_PT = 0x04;
const FLAG_APTPL = 0x01;
const FLAGS_RESERVED = 0xf2;
const RESERVED_BYTE = 21;
const BASIC_LIST_BYTES = 24;
const TRANSPORT_IDS_LENGTH_BYTE = 24;
const TRANSPORT_IDS_BYTE = 28;

const MOVE_RESERVED_BYTE = 16;
const MOVE_FLAGS_BYTE = 17;
const FLAG_UNREG = 0x02;
const MOVE_FLAGS_RESERVED = 0xfc;
export const RELATIVE_TARGET_PORT_BYTE = 18;
const TRANSPORT_ID_LENGTH_BYTE = 20;
export const TRANSPORT_ID_BYTE = 24;
const TRANSPORT_ID_LENGTH_MIN = 24;

/** An initiator port that a TransportID names; `byte`: where that stands. */
export interface ListedPort extends InitiatorPort {
  readonly byte: number;
}

export interface BasicList {
  readonly reservationKey: ReservationKey;
  readonly serviceActionKey: ReservationKey;
  readonly survivesPowerLoss: boolean;
  readonly allTargetPorts: boolean;
  /** Null without SPEC_I_PT. */
  readonly initiatorPorts: readonly ListedPort[] | null;
}

export interface MoveList {
  readonly reservationKey: ReservationKey;
  readonly serviceActionKey: ReservationKey;
  readonly survivesPowerLoss: boolean;
  readonly unregisters: boolean;
  readonly relativeTargetPort: number;
  /** All that the TransportID names. */
  readonly initiatorPorts: readonly ListedPort[];
}

export type Parsed<List> =
  | { readonly ok: true; readonly list: List }
  | { readonly ok: false; readonly answer: ScsiAnswer };

/** The ISIDs of the initiator's ports that the device server knows: a TransportID that names the device names all of them. */
export type KnownIsids = (initiatorName: string) => Iterable<string>;

export interface BasicListOptions {
  /** PARAMETER LIST LENGTH of the CDB. */
  readonly lengthBytes: number;
  /** The service action may have SPEC_I_PT: REGISTER alone. */
  readonly mayNamePorts: boolean;
  readonly knownIsids: KnownIsids;
}

const LENGTH_ERROR: ScsiAnswer = senseAnswer(PARAMETER_LIST_LENGTH_ERROR);

/** `bytes`: what was received, which may be less than the CDB says. */
export function parseBasicList(bytes: Uint8Array, options: BasicListOptions): Parsed<BasicList> {
  const { lengthBytes, mayNamePorts, knownIsids } = options;
  if (lengthBytes < BASIC_LIST_BYTES || bytes.length < lengthBytes) return refused(LENGTH_ERROR);
  const flags = bytes[FLAGS_BYTE]!;
  const namesPorts = (flags & FLAG_SPEC_I_PT) !== 0;
  if (!namesPorts && lengthBytes !== BASIC_LIST_BYTES) return refused(LENGTH_ERROR);
  const reserved = reservedBit(bytes, FLAGS_BYTE, FLAGS_RESERVED) ?? reservedBit(bytes, RESERVED_BYTE, 0xff);
  if (reserved !== undefined) return refused(reserved);
  if (namesPorts && !mayNamePorts) return refused(invalidFieldOfList(SPEC_I_PT.byte, SPEC_I_PT.bit));
  const common = {
    reservationKey: keyAt(bytes, RESERVATION_KEY_BYTE),
    serviceActionKey: keyAt(bytes, SERVICE_ACTION_KEY_BYTE),
    survivesPowerLoss: (flags & FLAG_APTPL) !== 0,
    allTargetPorts: (flags & FLAG_ALL_TG_PT) !== 0,
  };
  if (!namesPorts) return { ok: true, list: { ...common, initiatorPorts: null } };
  if (lengthBytes < TRANSPORT_IDS_BYTE) return refused(LENGTH_ERROR);
  const end = TRANSPORT_IDS_BYTE + uint32At(bytes, TRANSPORT_IDS_LENGTH_BYTE);
  if (end > lengthBytes) return refused(LENGTH_ERROR);
  const ports = parseTransportIds(bytes, TRANSPORT_IDS_BYTE, end, knownIsids);
  return ports.ok ? { ok: true, list: { ...common, initiatorPorts: ports.list } } : ports;
}

export function parseMoveList(bytes: Uint8Array, lengthBytes: number, knownIsids: KnownIsids): Parsed<MoveList> {
  if (lengthBytes < TRANSPORT_ID_BYTE || bytes.length < lengthBytes) return refused(LENGTH_ERROR);
  const flags = bytes[MOVE_FLAGS_BYTE]!;
  const reserved =
    reservedBit(bytes, MOVE_RESERVED_BYTE, 0xff) ?? reservedBit(bytes, MOVE_FLAGS_BYTE, MOVE_FLAGS_RESERVED);
  if (reserved !== undefined) return refused(reserved);
  const transportIdLength = uint32At(bytes, TRANSPORT_ID_LENGTH_BYTE);
  if (transportIdLength < TRANSPORT_ID_LENGTH_MIN || transportIdLength % 4 !== 0) {
    return refused(invalidFieldOfList(TRANSPORT_ID_LENGTH_BYTE));
  }
  const end = TRANSPORT_ID_BYTE + transportIdLength;
  if (end > lengthBytes) return refused(LENGTH_ERROR);
  const transportId = decodeTransportId(bytes, TRANSPORT_ID_BYTE, end);
  if (!transportId.ok) return refused(invalidFieldOfList(transportId.byte));
  return {
    ok: true,
    list: {
      reservationKey: keyAt(bytes, RESERVATION_KEY_BYTE),
      serviceActionKey: keyAt(bytes, SERVICE_ACTION_KEY_BYTE),
      survivesPowerLoss: (flags & FLAG_APTPL) !== 0,
      unregisters: (flags & FLAG_UNREG) !== 0,
      relativeTargetPort: (bytes[RELATIVE_TARGET_PORT_BYTE]! << 8) | bytes[RELATIVE_TARGET_PORT_BYTE + 1]!,
      initiatorPorts: portsOf(transportId, TRANSPORT_ID_BYTE, knownIsids),
    },
  };
}

function parseTransportIds(
  bytes: Uint8Array,
  start: number,
  end: number,
  knownIsids: KnownIsids,
): Parsed<readonly ListedPort[]> {
  const ports: ListedPort[] = [];
  for (let at = start; at < end; ) {
    const transportId = decodeTransportId(bytes, at, end);
    if (!transportId.ok) return refused(invalidFieldOfList(transportId.byte));
    ports.push(...portsOf(transportId, at, knownIsids));
    at += transportId.lengthBytes;
  }
  return { ok: true, list: ports };
}

function portsOf(
  { initiatorName, isid }: { readonly initiatorName: string; readonly isid: string | null },
  byte: number,
  knownIsids: KnownIsids,
): ListedPort[] {
  const isids = isid === null ? [...knownIsids(initiatorName)] : [isid];
  return isids.map((each) => ({ initiatorName, isid: each, byte }));
}

function refused(answer: ScsiAnswer): { readonly ok: false; readonly answer: ScsiAnswer } {
  return { ok: false, answer };
}

/** The refusal of a byte that has some of these bits; it points to the leftmost of them. */
function reservedBit(bytes: Uint8Array, byte: number, mask: number): ScsiAnswer | undefined {
  const illegal = bytes[byte]! & mask;
  return illegal === 0 ? undefined : invalidFieldOfList(byte, 31 - Math.clz32(illegal));
}

function keyAt(bytes: Uint8Array, offset: number): ReservationKey {
  return Buffer.from(bytes.subarray(offset, offset + KEY_BYTES)).toString("hex");
}

function uint32At(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(offset);
}
