/**
 * TransportIDs of iSCSI initiators (SPC-5, TransportID for initiator ports using SCSI over iSCSI).
 *
 *     0 FORMAT CODE (7-6), PROTOCOL IDENTIFIER 5h (3-0)    2-3 ADDITIONAL LENGTH: at least 20, a multiple of four
 *     4- format 00b, the device: name, ended by NUL, padded with NULs
 *        format 01b, one port:   name, ",i,0x", ISID in hexadecimal, ended by NUL, padded with NULs
 *
 * What stands behind the first NUL does not count.
 */
import { normalizeName } from "../../login/names.js";
import type { InitiatorPort } from "./nexus.js";

const FORMAT_MASK = 0xc0;
const FORMAT_DEVICE = 0x00;
const FORMAT_PORT = 0x40;
const RESERVED_MASK = 0x30;
const PROTOCOL_MASK = 0x0f;
const PROTOCOL_ISCSI = 0x05;

const HEADER_BYTES = 4;
const LENGTH_OFFSET = 2;
const ADDITIONAL_LENGTH_MIN = 20;

const SEPARATOR = ",i,0x";
const ISID_DIGITS = 12;
const ISID = /^[0-9a-f]{1,12}$/i;

export type TransportIdParse =
  | {
      readonly ok: true;
      readonly lengthBytes: number;
      /** In normal form. */
      readonly initiatorName: string;
      /** Null: all ports of the initiator. */
      readonly isid: string | null;
    }
  /** `byte`: where it is wrong, counted from the start of `bytes`. */
  | { readonly ok: false; readonly byte: number };

/** Reads the TransportID at `offset`; it must end at `end` or before. */
export function decodeTransportId(bytes: Uint8Array, offset: number, end: number): TransportIdParse {
  if (end - offset < HEADER_BYTES) return { ok: false, byte: offset };
  const format = bytes[offset]! & FORMAT_MASK;
  const protocol = bytes[offset]! & PROTOCOL_MASK;
  const isKnown = protocol === PROTOCOL_ISCSI && (format === FORMAT_DEVICE || format === FORMAT_PORT);
  if (!isKnown || (bytes[offset]! & RESERVED_MASK) !== 0) return { ok: false, byte: offset };
  const additionalLength = (bytes[offset + LENGTH_OFFSET]! << 8) | bytes[offset + LENGTH_OFFSET + 1]!;
  const lengthBytes = HEADER_BYTES + additionalLength;
  if (additionalLength < ADDITIONAL_LENGTH_MIN || additionalLength % 4 !== 0 || lengthBytes > end - offset) {
    return { ok: false, byte: offset + LENGTH_OFFSET };
  }
  const port = decodePort(bytes.subarray(offset + HEADER_BYTES, offset + lengthBytes), format === FORMAT_PORT);
  return port === undefined ? { ok: false, byte: offset + HEADER_BYTES } : { ok: true, lengthBytes, ...port };
}

function decodePort(
  field: Uint8Array,
  hasIsid: boolean,
): { readonly initiatorName: string; readonly isid: string | null } | undefined {
  const terminator = field.indexOf(0);
  if (terminator < 0) return undefined;
  const text = Buffer.from(field.subarray(0, terminator)).toString("utf8");
  if (!hasIsid) {
    const initiatorName = normalizeName(text);
    return initiatorName === undefined ? undefined : { initiatorName, isid: null };
  }
  const separator = text.lastIndexOf(SEPARATOR);
  const digits = text.slice(separator + SEPARATOR.length);
  const initiatorName = separator < 0 ? undefined : normalizeName(text.slice(0, separator));
  if (initiatorName === undefined || !ISID.test(digits)) return undefined;
  return { initiatorName, isid: digits.toLowerCase().padStart(ISID_DIGITS, "0") };
}

/** Of one port, format 01b. */
export function encodeTransportId({ initiatorName, isid }: InitiatorPort): Uint8Array {
  const text = new TextEncoder().encode(initiatorName + SEPARATOR + isid);
  // With one NUL at least.
  const additionalLength = Math.max(ADDITIONAL_LENGTH_MIN, (text.length + 4) & ~3);
  const bytes = new Uint8Array(HEADER_BYTES + additionalLength);
  bytes[0] = FORMAT_PORT | PROTOCOL_ISCSI;
  bytes[LENGTH_OFFSET] = additionalLength >>> 8;
  bytes[LENGTH_OFFSET + 1] = additionalLength & 0xff;
  bytes.set(text, HEADER_BYTES);
  return bytes;
}
