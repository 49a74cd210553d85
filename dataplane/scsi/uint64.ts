/** 64-bit fields of CDBs and parameter lists as numbers. */

/**
 * A 64-bit field as a number: exact to 2^53 - 1. Above, it is rounded, and still greater than any unit's capacity (2^53
 * bytes are 2^44 blocks), so that such an address is refused like any other beyond the end.
 */
export function getUint64(view: DataView, offset: number): number {
  return view.getUint32(offset) * 2 ** 32 + view.getUint32(offset + 4);
}

/** `value` must be an integer up to 2^53 - 1. */
export function setUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, Math.floor(value / 2 ** 32));
  view.setUint32(offset + 4, value >>> 0);
}
