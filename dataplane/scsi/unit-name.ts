/** What a unit is known by, all over the world and through every target: what hosts compare, and what copies name it by. */
import { createHash } from "node:crypto";

export const NAA_BYTES = 8;

/**
 * NAA 3h: locally assigned, 60 bits. An IEEE-registered name needs a company identifier, which we do not have. The bits are
 * of a digest, as a UUID that was written by hand may have hardly any of its own where they would be cut out. They are
 * what hosts know the disk by: the derivation must never change.
 */
const NAA_LOCALLY_ASSIGNED = 0x30;

export function naaOf(uuid: string): Uint8Array {
  const naa = Uint8Array.from(createHash("sha256").update(uuid).digest().subarray(0, NAA_BYTES));
  naa[0] = NAA_LOCALLY_ASSIGNED | (naa[0]! & 0x0f);
  return naa;
}
