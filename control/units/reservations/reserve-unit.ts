/**
 * RESERVE and RELEASE, (6) and (10), as SPC-2 defines them, with the exceptions for units that have persistent reservations
 * (SPC-5: exceptions to SPC-2 RESERVE and RELEASE behavior; CRH=1 in REPORT CAPABILITIES).
 */
import { GOOD, RESERVATION_CONFLICT } from "../answers.js";
import { type Nexus, nexusKey } from "./nexus.js";
import { answered, changed, type Outcome } from "./outcome.js";
import { isExempt, type UnitReservations } from "./state.js";

export function reserveUnit(state: UnitReservations, sender: Nexus): Outcome {
  if (state.registrations.size > 0) return besidePersistent(state, sender);
  const { reservation } = state;
  if (reservation === null) return changed({ ...state, reservation: { kind: "reserve", holder: sender } });
  return answered(isExempt(state, sender) ? GOOD : RESERVATION_CONFLICT);
}

/** "It is not an error" to release what one has not reserved. */
export function releaseUnit(state: UnitReservations, sender: Nexus): Outcome {
  if (state.registrations.size > 0) return besidePersistent(state, sender);
  return withoutReserve(state, sender) ?? answered(GOOD);
}

/**
 * While anybody is registered, nothing is reserved or released: who may use the unit under a persistent reservation hears
 * GOOD, everybody else RESERVATION CONFLICT, also where there is no reservation.
 */
function besidePersistent(state: UnitReservations, sender: Nexus): Outcome {
  return answered(state.reservation !== null && isExempt(state, sender) ? GOOD : RESERVATION_CONFLICT);
}

/** What RESERVE holds ends with its nexus, or, without `nexus`, with a reset. Undefined: there is nothing to end. */
export function withoutReserve(state: UnitReservations, nexus?: Nexus): Outcome | undefined {
  const { reservation } = state;
  if (reservation?.kind !== "reserve") return undefined;
  if (nexus !== undefined && nexusKey(nexus) !== nexusKey(reservation.holder)) return undefined;
  return changed({ ...state, reservation: null });
}
