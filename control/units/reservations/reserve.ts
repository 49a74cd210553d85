/** RESERVE, RELEASE and CLEAR of PERSISTENT RESERVE OUT (SPC-5: reserving, releasing, clearing). */

import {
  INVALID_RELEASE_OF_PERSISTENT_RESERVATION,
  RESERVATIONS_PREEMPTED,
  RESERVATIONS_RELEASED,
} from "../../../dataplane/scsi/sense.js";
import { GOOD, invalidFieldOfCdb, invalidFieldOfList, RESERVATION_CONFLICT, senseAnswer } from "../answers.js";
import { type Nexus, nexusKey } from "./nexus.js";
import { answered, changed, type Outcome } from "./outcome.js";
import { type BasicList, SERVICE_ACTION_KEY_BYTE } from "./parameter-list.js";
import {
  isAllRegistrants,
  isRegistrantsOnly,
  isReservationType,
  LU_SCOPE,
  type ReservationType,
} from "./reservation-type.js";
import {
  isHolder,
  KEY_ZERO,
  nextGeneration,
  persistentOf,
  type Reservation,
  registeredExcept,
  type UnitReservations,
} from "./state.js";

/** SCOPE and TYPE as they stand in the CDB. */
export interface ScopeAndType {
  readonly scope: number;
  readonly type: number;
}

const SCOPE_AND_TYPE_BYTE = 2;
const SCOPE_BIT = 7;
const TYPE_BIT = 3;

/** The type of the reservation that is asked for, or the refusal of a scope or type that there is not. */
export function typeOf({ scope, type }: ScopeAndType): ReservationType | Outcome {
  if (scope !== LU_SCOPE) return answered(invalidFieldOfCdb(SCOPE_AND_TYPE_BYTE, SCOPE_BIT));
  return isReservationType(type) ? type : answered(invalidFieldOfCdb(SCOPE_AND_TYPE_BYTE, TYPE_BIT));
}

export function reservationOf(type: ReservationType, holder: Nexus): Reservation {
  return isAllRegistrants(type) ? { kind: "allRegistrants", type } : { kind: "holder", type, holder };
}

export function reserve(state: UnitReservations, sender: Nexus, asked: ScopeAndType): Outcome {
  const type = typeOf(asked);
  if (typeof type !== "number") return type;
  if (state.reservation === null) return changed({ ...state, reservation: reservationOf(type, sender) });
  const isSame = isHolder(state, sender) && persistentOf(state)?.type === type;
  return answered(isSame ? GOOD : RESERVATION_CONFLICT);
}

export function release(state: UnitReservations, sender: Nexus, asked: ScopeAndType): Outcome {
  const reservation = persistentOf(state);
  if (reservation === null || !isHolder(state, sender)) {
    const type = typeOf(asked);
    return typeof type === "number" ? answered(GOOD) : type;
  }
  if (asked.scope !== LU_SCOPE || asked.type !== reservation.type) {
    return answered(senseAnswer(INVALID_RELEASE_OF_PERSISTENT_RESERVATION));
  }
  const concernsOthers = isRegistrantsOnly(reservation.type) || isAllRegistrants(reservation.type);
  const nexuses = concernsOthers ? registeredExcept(state, sender) : [];
  return changed({ ...state, reservation: null }, [{ condition: RESERVATIONS_RELEASED, nexuses }]);
}

/**
 * REPLACE LOST RESERVATION: what is lost is given up, and the sender registered and made holder, in one step. Nobody is told: the
 * device server does not know who was registered.
 */
export function replaceLost(
  state: UnitReservations,
  sender: Nexus,
  asked: ScopeAndType,
  { reservationKey, serviceActionKey, survivesPowerLoss }: BasicList,
): Outcome {
  if (state.reservation?.kind !== "lost") return answered(senseAnswer(INVALID_RELEASE_OF_PERSISTENT_RESERVATION));
  if (reservationKey !== KEY_ZERO) return answered(RESERVATION_CONFLICT);
  if (serviceActionKey === KEY_ZERO) return answered(invalidFieldOfList(SERVICE_ACTION_KEY_BYTE));
  const type = typeOf(asked);
  if (typeof type !== "number") return type;
  const registrations = new Map([[nexusKey(sender), { nexus: sender, key: serviceActionKey }]]);
  return changed({ generation: 0, survivesPowerLoss, registrations, reservation: reservationOf(type, sender) });
}

export function clear(state: UnitReservations, sender: Nexus): Outcome {
  const nexuses = registeredExcept(state, sender);
  return changed({ ...state, registrations: new Map(), reservation: null, generation: nextGeneration(state) }, [
    { condition: RESERVATIONS_PREEMPTED, nexuses },
  ]);
}
