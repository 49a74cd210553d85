/**
 * Registrations and reservation of one logical unit. Nothing here changes: a command makes a new state of the one before.
 *
 * The two kinds of reservation exclude each other (SPC-2): while a nexus is registered no RESERVE succeeds, while RESERVE
 * holds the unit no PERSISTENT RESERVE command does.
 *
 *                 RESERVE                        REGISTER                     RESERVE, PREEMPT
 *     "reserve" <--------- null, nobody registered ------> null, registrations <-------------> "holder" | "allRegistrants"
 *                --------->                       <------
 *        RELEASE, reset, nexus lost          last one removed
 */
import assert from "node:assert/strict";
import {
  COMMAND_CONFLICTS_EXCLUSIVE_ACCESS,
  COMMAND_CONFLICTS_LOST_RESERVATIONS,
  COMMAND_CONFLICTS_RESERVE,
  COMMAND_CONFLICTS_WRITE_EXCLUSIVE,
} from "../../../dataplane/scsi/command.js";
import { type Nexus, nexusKey } from "./nexus.js";
import { conflictsOfType, isAllRegistrants, isRegistrantsOnly, type ReservationType } from "./reservation-type.js";

/** Eight bytes in hexadecimal, lower case. */
export type ReservationKey = string;

/** No key: nobody can be registered with it. */
export const KEY_ZERO: ReservationKey = "0000000000000000";

export interface Registration {
  readonly nexus: Nexus;
  readonly key: ReservationKey;
}

export type Reservation =
  /** Of RESERVE (6) or (10). */
  | { readonly kind: "reserve"; readonly holder: Nexus }
  /** Persistent, of one holder. */
  | { readonly kind: "holder"; readonly type: ReservationType; readonly holder: Nexus }
  /** Persistent, held by every registered nexus. */
  | { readonly kind: "allRegistrants"; readonly type: ReservationType }
  /** What was kept cannot be read: nobody may use the unit until an initiator replaces it. */
  | { readonly kind: "lost" };

/** A persistent reservation of which all is known. */
export type PersistentReservation = Extract<Reservation, { readonly type: ReservationType }>;

export interface UnitReservations {
  /** PRGENERATION: 32 bits, wraps. */
  readonly generation: number;
  /** APTPL as it was last received: registrations and persistent reservation survive a restart. */
  readonly survivesPowerLoss: boolean;
  /** By `nexusKey`, in the order in which they were made. */
  readonly registrations: ReadonlyMap<string, Registration>;
  readonly reservation: Reservation | null;
}

export const UNRESERVED: UnitReservations = {
  generation: 0,
  survivesPowerLoss: false,
  registrations: new Map(),
  reservation: null,
};

export const LOST: UnitReservations = { ...UNRESERVED, reservation: { kind: "lost" } };

/** What always holds. Called with every new state. */
export function assertValid({ generation, registrations, reservation }: UnitReservations): void {
  assert(generation >= 0 && generation <= 0xffff_ffff, "PRGENERATION has 32 bits");
  for (const [key, registration] of registrations) {
    assert(key === nexusKey(registration.nexus), "a registration is kept under its nexus");
    assert(/^[0-9a-f]{16}$/.test(registration.key) && registration.key !== KEY_ZERO, "a registration has a key");
  }
  if (reservation === null) return;
  switch (reservation.kind) {
    case "reserve":
      assert(registrations.size === 0, "RESERVE and registrations exclude each other");
      break;
    case "lost":
      assert(registrations.size === 0, "registrations are lost with the reservation");
      break;
    case "holder":
      assert(!isAllRegistrants(reservation.type), "of these types nobody is the only holder");
      assert(registrations.has(nexusKey(reservation.holder)), "the holder is registered");
      break;
    case "allRegistrants":
      assert(isAllRegistrants(reservation.type), "of other types there is one holder");
      assert(registrations.size > 0, "somebody holds the reservation");
      break;
    default:
      reservation satisfies never;
  }
}

export function keyOf(state: UnitReservations, nexus: Nexus): ReservationKey | undefined {
  return state.registrations.get(nexusKey(nexus))?.key;
}

/** The persistent reservation, where there is one that is known. */
export function persistentOf({ reservation }: UnitReservations): PersistentReservation | null {
  return reservation?.kind === "holder" || reservation?.kind === "allRegistrants" ? reservation : null;
}

/** Whether the nexus holds the persistent reservation, alone or with others. */
export function isHolder({ registrations, reservation }: UnitReservations, nexus: Nexus): boolean {
  if (reservation?.kind === "holder") return nexusKey(reservation.holder) === nexusKey(nexus);
  return reservation?.kind === "allRegistrants" && registrations.has(nexusKey(nexus));
}

/** Whatever the reservation may have been. */
const CONFLICTS_WHILE_LOST =
  COMMAND_CONFLICTS_LOST_RESERVATIONS |
  COMMAND_CONFLICTS_WRITE_EXCLUSIVE |
  COMMAND_CONFLICTS_EXCLUSIVE_ACCESS |
  COMMAND_CONFLICTS_RESERVE;

/** Bits of COMMAND_CONFLICTS_*: what the reservation keeps those out of that it does not exempt. */
export function conflictsOf({ reservation }: UnitReservations): number {
  if (reservation === null) return 0;
  if (reservation.kind === "lost") return CONFLICTS_WHILE_LOST;
  return reservation.kind === "reserve" ? COMMAND_CONFLICTS_RESERVE : conflictsOfType(reservation.type);
}

export function isExempt(state: UnitReservations, nexus: Nexus): boolean {
  const { registrations, reservation } = state;
  if (reservation === null) return true;
  if (reservation.kind === "lost") return false;
  if (reservation.kind === "reserve") return nexusKey(reservation.holder) === nexusKey(nexus);
  return isHolder(state, nexus) || (isRegistrantsOnly(reservation.type) && registrations.has(nexusKey(nexus)));
}

/** Without these registrations, and without a persistent reservation that nobody holds any more. */
export function withoutRegistrations(
  state: UnitReservations,
  isRemoved: (r: Registration) => boolean,
): UnitReservations {
  const registrations = new Map([...state.registrations].filter(([, registration]) => !isRemoved(registration)));
  const { reservation } = state;
  const isReleased =
    (reservation?.kind === "holder" && !registrations.has(nexusKey(reservation.holder))) ||
    (reservation?.kind === "allRegistrants" && registrations.size === 0);
  return { ...state, registrations, reservation: isReleased ? null : reservation };
}

/** All that are registered, but for this one. */
export function registeredExcept({ registrations }: UnitReservations, nexus: Nexus): Nexus[] {
  const except = nexusKey(nexus);
  return [...registrations].flatMap(([key, registration]) => (key === except ? [] : [registration.nexus]));
}

export function nextGeneration({ generation }: UnitReservations): number {
  return (generation + 1) >>> 0;
}
