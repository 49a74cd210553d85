/** PREEMPT and PREEMPT AND ABORT (SPC-5: preempting; removing registrations; preempting and aborting). */

import { REGISTRATIONS_PREEMPTED, RESERVATIONS_RELEASED } from "../../../dataplane/scsi/sense.js";
import { invalidFieldOfList, RESERVATION_CONFLICT } from "../answers.js";
import { type Nexus, nexusKey } from "./nexus.js";
import { answered, changed, type Outcome } from "./outcome.js";
import { SERVICE_ACTION_KEY_BYTE } from "./parameter-list.js";
import { reservationOf, type ScopeAndType, typeOf } from "./reserve.js";
import {
  KEY_ZERO,
  keyOf,
  nextGeneration,
  persistentOf,
  type Registration,
  type ReservationKey,
  registeredExcept,
  type UnitReservations,
  withoutRegistrations,
} from "./state.js";

export interface PreemptRequest {
  /** SERVICE ACTION RESERVATION KEY: who is preempted. */
  readonly key: ReservationKey;
  /** Of the new reservation. */
  readonly asked: ScopeAndType;
  /** PREEMPT AND ABORT. */
  readonly aborts: boolean;
}

/**
 *     reservation        key            what is done
 *     All Registrants    zero           all other registrations go, the reservation is replaced
 *     All Registrants    any other      registrations with the key go
 *     one holder         the holder's   registrations with the key go but the sender's own, the reservation is replaced
 *     one holder, none   zero           INVALID FIELD IN PARAMETER LIST
 *     one holder, none   any other      registrations with the key go
 */
export function preempt(state: UnitReservations, sender: Nexus, { key, asked, aborts }: PreemptRequest): Outcome {
  const { reservation } = state;
  const ofAll = reservation?.kind === "allRegistrants" && key === KEY_ZERO;
  if (key === KEY_ZERO && !ofAll) return answered(invalidFieldOfList(SERVICE_ACTION_KEY_BYTE));
  const named = [...state.registrations.values()].filter((registration) => ofAll || registration.key === key);
  if (named.length === 0) return answered(RESERVATION_CONFLICT);
  const aborted = aborts ? named.map(({ nexus }) => nexus) : [];
  const ofHolder = reservation?.kind === "holder" && keyOf(state, reservation.holder) === key;
  if (ofAll || ofHolder) return replaceReservation(state, sender, asked, named, aborted);

  const next = withoutRegistrations(state, (registration) => named.includes(registration));
  const nexuses = nexusesExcept(named, sender);
  return changed(
    { ...next, generation: nextGeneration(state) },
    [{ condition: REGISTRATIONS_PREEMPTED, nexuses }],
    aborted,
  );
}

/** The sender keeps its registration, also where it preempts itself. */
function replaceReservation(
  state: UnitReservations,
  sender: Nexus,
  asked: ScopeAndType,
  named: readonly Registration[],
  aborted: readonly Nexus[],
): Outcome {
  const type = typeOf(asked);
  if (typeof type !== "number") return type;
  const removed = new Set(nexusesExcept(named, sender).map(nexusKey));
  const { registrations } = withoutRegistrations(state, ({ nexus }) => removed.has(nexusKey(nexus)));
  const next: UnitReservations = {
    ...state,
    registrations,
    reservation: reservationOf(type, sender),
    generation: nextGeneration(state),
  };
  const reservation = persistentOf(state);
  const hasChanged = reservation !== null && reservation.type !== type;
  return changed(
    next,
    [
      { condition: REGISTRATIONS_PREEMPTED, nexuses: nexusesExcept(named, sender) },
      { condition: RESERVATIONS_RELEASED, nexuses: hasChanged ? registeredExcept(next, sender) : [] },
    ],
    aborted,
  );
}

function nexusesExcept(registrations: readonly Registration[], sender: Nexus): Nexus[] {
  return registrations.map(({ nexus }) => nexus).filter((nexus) => nexusKey(nexus) !== nexusKey(sender));
}
