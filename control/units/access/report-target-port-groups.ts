/** What REPORT TARGET PORT GROUPS returns (SPC-5). A portal group is a target port group, and its one port. */
import { relativePortOf } from "../../../dataplane/scsi/relative-port.js";
import type { UnitAccess } from "./group-access.js";

/** PARAMETER DATA FORMAT: bits 7 to 5 of byte 1. */
const FORMAT_LENGTH_ONLY = 0;
const FORMAT_EXTENDED = 1;

const LENGTH_BYTES = 4;
const EXTENDED_BYTES = 4;
/** RETURN DATA FORMAT of the extended header, in bits 6 to 4. */
const EXTENDED_HEADER = 0x10;
/** In seconds: all shards change over within one exchange of messages. */
const IMPLICIT_TRANSITION_TIME_S = 1;

const GROUP_BYTES = 8;
const PORT_BYTES = 4;
const PREF = 0x80;
/** T_SUP, U_SUP, S_SUP, AN_SUP and AO_SUP: all states but offline and LBA dependent. */
const SUPPORTED_STATES = 0x8f;

/**
 * Whole; the initiator gets as much of it as it has room for. Undefined: there is no such format.
 *
 *     header      0-3 length of what follows    extended: 4 RETURN DATA FORMAT (6-4)    5 IMPLICIT TRANSITION TIME
 *     per group   0 PREF, ASYMMETRIC ACCESS STATE (3-0)    1 supported states    2-3 TARGET PORT GROUP    5 STATUS CODE
 *                 7 TARGET PORT COUNT    per port: 2-3 RELATIVE TARGET PORT IDENTIFIER
 */
export function reportTargetPortGroups(access: UnitAccess, format: number): Uint8Array | undefined {
  if (format !== FORMAT_LENGTH_ONLY && format !== FORMAT_EXTENDED) return undefined;
  const headerBytes = LENGTH_BYTES + (format === FORMAT_EXTENDED ? EXTENDED_BYTES : 0);
  const data = Buffer.alloc(headerBytes + access.size * (GROUP_BYTES + PORT_BYTES));
  data.writeUInt32BE(data.length - LENGTH_BYTES, 0);
  if (format === FORMAT_EXTENDED) {
    data[4] = EXTENDED_HEADER;
    data[5] = IMPLICIT_TRANSITION_TIME_S;
  }
  let at = headerBytes;
  for (const [tag, { state, preferred, statusCode }] of access) {
    data[at] = (preferred ? PREF : 0) | state;
    data[at + 1] = SUPPORTED_STATES;
    data.writeUInt16BE(tag, at + 2);
    data[at + 5] = statusCode;
    data[at + 7] = 1;
    data.writeUInt16BE(relativePortOf(tag), at + GROUP_BYTES + 2);
    at += GROUP_BYTES + PORT_BYTES;
  }
  return data;
}
