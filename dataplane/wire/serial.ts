/**
 * Serial number arithmetic with SERIAL_BITS = 32 (RFC 1982), as RFC 7143 section 4.2.2.1 demands for CmdSN, ExpCmdSN and
 * MaxCmdSN. Serial numbers are u32; the same functions serve StatSN and DataSN, which count modulo 2^32.
 *
 *      a is less than b if b can be reached from a by adding 1 to 2^31 - 1:
 *
 *          ... a  a+1 ......... a+2^31-1 | a+2^31 | a+2^31+1 ...... a-1 a ...
 *                 \____ greater ________/    ?     \______ less _______/
 *
 * Numbers 2^31 apart have no order (RFC 1982 section 3.2): every comparison of them is false.
 */

export function serialLess(a: number, b: number): boolean {
  return ((b - a) | 0) > 0;
}

export function serialLessOrEqual(a: number, b: number): boolean {
  return ((b - a) | 0) >= 0;
}

export function serialGreater(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

export function serialGreaterOrEqual(a: number, b: number): boolean {
  return ((a - b) | 0) >= 0;
}

/** `a` advanced by `count`, 0 to 2^31 - 1. A negative count steps back, for "ExpCmdSN - 1" and its like. */
export function serialAdd(a: number, count: number): number {
  return (a + count) >>> 0;
}

/** How often `from` must be incremented to reach `to`: 0 to 2^32 - 1. */
export function serialDistance(from: number, to: number): number {
  return (to - from) >>> 0;
}

/** Whether `sn` lies in `first` to `last` inclusive. A window with last = first - 1 is closed: nothing lies in it. */
export function serialInWindow(sn: number, first: number, last: number): boolean {
  return serialLessOrEqual(first, sn) && serialLessOrEqual(sn, last);
}
