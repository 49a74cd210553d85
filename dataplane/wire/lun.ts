/**
 * The 8-byte LUN field (RFC 7143 section 11.2.1.7; SAM-5 section 4.7, single-level structure).
 *
 *        byte 0          byte 1     bytes 2-7
 *      | 00 | 000000  |  LUN      | 0 ...     peripheral device addressing, bus 0: 0 to 255
 *      | 01 | LUN, 14 bits        | 0 ...     flat space addressing: 0 to 16383
 *      | 11 | 00 0001 |  W-LUN    | 0 ...     well-known logical unit: C1h, then e.g. 01h for REPORT LUNS
 *
 * A logical unit may be named in either of the first two ways; both decode to the same number. A well-known unit decodes
 * to C100h + W-LUN, which no other addressing can reach. As the last six bytes are always 0, a valid LUN is one u32.
 */

const METHOD_MASK = 0xc000;
const METHOD_PERIPHERAL = 0x0000;
const METHOD_FLAT = 0x4000;
const PERIPHERAL_LUN_MAX = 0xff;

/** Largest ordinary LUN. */
export const LUN_MAX = 0x3fff;
export const WELL_KNOWN_LUN_BASE = 0xc100;
const WELL_KNOWN_LUN_MAX = 0xc1ff;
export const WELL_KNOWN_LUN_REPORT_LUNS = 0xc101;

/** What `decodeLun` returns for every address that is none of the three above. */
export const LUN_UNKNOWN = -1;

/** LUN of the two big-endian halves of the field, or LUN_UNKNOWN. */
export function decodeLun(high: number, low: number): number {
  if (low !== 0 || (high & 0xffff) !== 0) return LUN_UNKNOWN;
  const address = high >>> 16;
  if ((address & METHOD_MASK) === METHOD_FLAT) return address & LUN_MAX;
  if ((address & METHOD_MASK) === METHOD_PERIPHERAL) return address <= PERIPHERAL_LUN_MAX ? address : LUN_UNKNOWN;
  return address >= WELL_KNOWN_LUN_BASE && address <= WELL_KNOWN_LUN_MAX ? address : LUN_UNKNOWN;
}

/**
 * High half of the field for `lun`; the low half is always 0. Numbers to 255 take peripheral addressing, which every
 * initiator knows. Throws RangeError for a number that `decodeLun` never returns.
 */
export function encodeLun(lun: number): number {
  if (!Number.isInteger(lun)) throw new RangeError(`no LUN: ${lun}`);
  if (lun >= 0 && lun <= PERIPHERAL_LUN_MAX) return lun << 16;
  if (lun > PERIPHERAL_LUN_MAX && lun <= LUN_MAX) return (METHOD_FLAT | lun) << 16;
  if (lun >= WELL_KNOWN_LUN_BASE && lun <= WELL_KNOWN_LUN_MAX) return (lun << 16) >>> 0;
  throw new RangeError(`no LUN: ${lun}`);
}
