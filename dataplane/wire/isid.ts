/**
 * Initiator part of the session identifier (RFC 7143 section 11.12.5): 48 bits, handled as one number below 2^48.
 *
 *             0               1               2               3
 *      0 | T |     A     | B                             | C
 *      4 | D
 *
 *     format     T      A (6 bits)   B (16)      C (8)      D (16)
 *     OUI        00b    ---- OUI, 22 bits ----   -- qualifier, 24 --
 *     EN         01b    reserved     - enterprise number -  qualifier
 *     random     10b    reserved     ------ random ------   qualifier
 */

export const ISID_FORMAT_OUI = 0;
export const ISID_FORMAT_EN = 1;
export const ISID_FORMAT_RANDOM = 2;
export const ISID_FORMAT_RESERVED = 3;

const D_RANGE = 0x1_0000;
const CD_RANGE = 0x100_0000;
const BCD_RANGE = 0x100_0000_0000;
const ABCD_RANGE = 0x4000_0000_0000;

/** The 6 bytes at `offset`. */
export function readIsid(view: DataView, offset: number): number {
  return view.getUint32(offset) * D_RANGE + view.getUint16(offset + 4);
}

export function writeIsid(view: DataView, offset: number, isid: number): void {
  view.setUint32(offset, Math.floor(isid / D_RANGE));
  view.setUint16(offset + 4, isid % D_RANGE);
}

export function isidOf(format: number, a: number, b: number, c: number, d: number): number {
  return format * ABCD_RANGE + a * BCD_RANGE + b * CD_RANGE + c * D_RANGE + d;
}

/** T: an ISID_FORMAT_. */
export function isidFormat(isid: number): number {
  return Math.floor(isid / ABCD_RANGE);
}

export function isidA(isid: number): number {
  return Math.floor((isid % ABCD_RANGE) / BCD_RANGE);
}

export function isidB(isid: number): number {
  return Math.floor((isid % BCD_RANGE) / CD_RANGE);
}

export function isidC(isid: number): number {
  return Math.floor((isid % CD_RANGE) / D_RANGE);
}

export function isidD(isid: number): number {
  return isid % D_RANGE;
}
