/**
 * Byte 1 of Login Request and Login Response (RFC 7143 sections 11.12.1 to 11.12.3).
 *
 *      | T | C | . | . | CSG   | NSG   |
 */

/** "T", where other PDUs have the F bit. */
export const FLAG_TRANSIT = 0x80;
const CSG_MASK = 0x0c;
const CSG_SHIFT = 2;
const NSG_MASK = 0x03;

export const STAGE_SECURITY_NEGOTIATION = 0;
export const STAGE_LOGIN_OPERATIONAL_NEGOTIATION = 1;
const STAGE_RESERVED = 2;
export const STAGE_FULL_FEATURE_PHASE = 3;

export function currentStage(flags: number): number {
  return (flags & CSG_MASK) >> CSG_SHIFT;
}

export function withCurrentStage(flags: number, stage: number): number {
  return (flags & ~CSG_MASK) | (stage << CSG_SHIFT);
}

export function nextStage(flags: number): number {
  return flags & NSG_MASK;
}

export function withNextStage(flags: number, stage: number): number {
  return (flags & ~NSG_MASK) | stage;
}

/**
 * Whether CSG is a stage of the Login Phase and, where the T bit makes NSG valid, NSG one that section 6.3 lets follow:
 * a later one, reserved code excepted.
 */
export function stageTransitionIsLegal(flags: number): boolean {
  const csg = currentStage(flags);
  if (csg > STAGE_LOGIN_OPERATIONAL_NEGOTIATION) return false;
  if ((flags & FLAG_TRANSIT) === 0) return true;
  const nsg = nextStage(flags);
  return nsg > csg && nsg !== STAGE_RESERVED;
}
