/** Types of persistent reservations (SPC-5, persistent reservation type codes). */
import {
  COMMAND_CONFLICTS_EXCLUSIVE_ACCESS,
  COMMAND_CONFLICTS_WRITE_EXCLUSIVE,
} from "../../../dataplane/scsi/command.js";

export const WRITE_EXCLUSIVE = 0x1;
export const EXCLUSIVE_ACCESS = 0x3;
export const WRITE_EXCLUSIVE_REGISTRANTS_ONLY = 0x5;
export const EXCLUSIVE_ACCESS_REGISTRANTS_ONLY = 0x6;
export const WRITE_EXCLUSIVE_ALL_REGISTRANTS = 0x7;
export const EXCLUSIVE_ACCESS_ALL_REGISTRANTS = 0x8;

export const RESERVATION_TYPES = [
  WRITE_EXCLUSIVE,
  EXCLUSIVE_ACCESS,
  WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
  EXCLUSIVE_ACCESS_REGISTRANTS_ONLY,
  WRITE_EXCLUSIVE_ALL_REGISTRANTS,
  EXCLUSIVE_ACCESS_ALL_REGISTRANTS,
] as const;

export type ReservationType = (typeof RESERVATION_TYPES)[number];

/** The scope of every persistent reservation: the logical unit. */
export const LU_SCOPE = 0x0;

export function isReservationType(code: number): code is ReservationType {
  return (RESERVATION_TYPES as readonly number[]).includes(code);
}

/** Registered nexuses may do what the holder may. */
export function isRegistrantsOnly(type: ReservationType): boolean {
  return type === WRITE_EXCLUSIVE_REGISTRANTS_ONLY || type === EXCLUSIVE_ACCESS_REGISTRANTS_ONLY;
}

/** Every registered nexus is a holder. */
export function isAllRegistrants(type: ReservationType): boolean {
  return type === WRITE_EXCLUSIVE_ALL_REGISTRANTS || type === EXCLUSIVE_ACCESS_ALL_REGISTRANTS;
}

/** What it keeps those out of that it does not exempt: bits of COMMAND_CONFLICTS_*. */
export function conflictsOfType(type: ReservationType): number {
  switch (type) {
    case WRITE_EXCLUSIVE:
    case WRITE_EXCLUSIVE_REGISTRANTS_ONLY:
    case WRITE_EXCLUSIVE_ALL_REGISTRANTS:
      return COMMAND_CONFLICTS_WRITE_EXCLUSIVE;
    default:
      return COMMAND_CONFLICTS_EXCLUSIVE_ACCESS;
  }
}
