/** REGISTER, REGISTER AND IGNORE EXISTING KEY, and REGISTER AND MOVE (SPC-5: registering; registering and moving the reservation). */

import { tagOfRelativePort } from "../../../dataplane/scsi/relative-port.js";
import { INSUFFICIENT_REGISTRATION_RESOURCES, RESERVATIONS_RELEASED } from "../../../dataplane/scsi/sense.js";
import { REGISTRATIONS_PER_UNIT_MAX } from "../../limits.js";
import { GOOD, invalidFieldOfCdb, invalidFieldOfList, RESERVATION_CONFLICT, senseAnswer } from "../answers.js";
import { isSameInitiatorPort, type Nexus, nexusKey } from "./nexus.js";
import { answered, changed, type Notice, type Outcome } from "./outcome.js";
import {
  type BasicList,
  type MoveList,
  RELATIVE_TARGET_PORT_BYTE,
  SERVICE_ACTION_KEY_BYTE,
  SPEC_I_PT,
  TRANSPORT_ID_BYTE,
} from "./parameter-list.js";
import { isRegistrantsOnly } from "./reservation-type.js";
import {
  KEY_ZERO,
  keyOf,
  nextGeneration,
  type Registration,
  type ReservationKey,
  registeredExcept,
  type UnitReservations,
  withoutRegistrations,
} from "./state.js";

const SERVICE_ACTION_BYTE = 1;
const SERVICE_ACTION_BIT = 4;

export interface RegisterRequest {
  readonly list: BasicList;
  /** REGISTER AND IGNORE EXISTING KEY. */
  readonly ignoresExistingKey: boolean;
  /** Tags of all portal groups of the sender's target. */
  readonly targetPorts: readonly number[];
}

/**
 * With ALL_TG_PT it is "as if the same registration request had been received individually through each target port": if it
 * conflicts at one of them, nothing is done at any.
 */
export function register(state: UnitReservations, sender: Nexus, request: RegisterRequest): Outcome {
  const { list, ignoresExistingKey, targetPorts } = request;
  const { serviceActionKey, initiatorPorts } = list;
  const ports = list.allTargetPorts ? targetPorts : [sender.portalGroupTag];
  const own = ports.map((portalGroupTag): Nexus => ({ ...sender, portalGroupTag }));
  const isRegistered = own.some((nexus) => keyOf(state, nexus) !== undefined);
  if (!ignoresExistingKey && own.some((nexus) => (keyOf(state, nexus) ?? KEY_ZERO) !== list.reservationKey)) {
    return answered(RESERVATION_CONFLICT);
  }
  if (isRegistered && initiatorPorts !== null) return answered(invalidFieldOfList(SPEC_I_PT.byte, SPEC_I_PT.bit));
  if (serviceActionKey === KEY_ZERO) return isRegistered ? unregister(state, sender, own, list) : answered(GOOD);

  const added: Nexus[] = [...own];
  for (const { initiatorName, isid, byte } of initiatorPorts ?? []) {
    for (const portalGroupTag of ports) {
      const nexus: Nexus = { initiatorName, isid, targetName: sender.targetName, portalGroupTag };
      if (keyOf(state, nexus) !== undefined) return answered(invalidFieldOfList(byte));
      added.push(nexus);
    }
  }
  const registrations = withKey(state, added, serviceActionKey);
  if (registrations.size > REGISTRATIONS_PER_UNIT_MAX)
    return answered(senseAnswer(INSUFFICIENT_REGISTRATION_RESOURCES));
  const { survivesPowerLoss } = list;
  return changed({ ...state, registrations, survivesPowerLoss, generation: nextGeneration(state) });
}

function unregister(
  state: UnitReservations,
  sender: Nexus,
  own: readonly Nexus[],
  { survivesPowerLoss }: BasicList,
): Outcome {
  const removed = new Set(own.map(nexusKey));
  const next = withoutRegistrations(state, ({ nexus }) => removed.has(nexusKey(nexus)));
  return changed(
    { ...next, survivesPowerLoss, generation: nextGeneration(state) },
    releasedByRemoval(state, next, sender),
  );
}

/** Of the types Registrants Only, those who are left are told that the reservation ended with its holder's registration. */
function releasedByRemoval(before: UnitReservations, after: UnitReservations, sender: Nexus): Notice[] {
  const isReleased = before.reservation?.kind === "holder" && after.reservation === null;
  if (!isReleased || !isRegistrantsOnly(before.reservation.type)) return [];
  return [{ condition: RESERVATIONS_RELEASED, nexuses: registeredExcept(after, sender) }];
}

export function registerAndMove(
  state: UnitReservations,
  sender: Nexus,
  list: MoveList,
  targetPorts: readonly number[],
): Outcome {
  const { serviceActionKey, survivesPowerLoss, relativeTargetPort, initiatorPorts } = list;
  const { reservation } = state;
  if (reservation === null) return answered(invalidFieldOfCdb(SERVICE_ACTION_BYTE, SERVICE_ACTION_BIT));
  // Of the types All Registrants, and of RESERVE, nobody is the one who could move it.
  if (reservation.kind !== "holder" || nexusKey(reservation.holder) !== nexusKey(sender)) {
    return answered(RESERVATION_CONFLICT);
  }
  if (serviceActionKey === KEY_ZERO) return answered(invalidFieldOfList(SERVICE_ACTION_KEY_BYTE));
  const portalGroupTag = tagOfRelativePort(relativeTargetPort, targetPorts);
  if (portalGroupTag === undefined) return answered(invalidFieldOfList(RELATIVE_TARGET_PORT_BYTE));
  const [port] = initiatorPorts;
  if (port === undefined || initiatorPorts.length > 1 || isSameInitiatorPort(port, sender)) {
    return answered(invalidFieldOfList(TRANSPORT_ID_BYTE));
  }
  const { initiatorName, isid } = port;
  const holder: Nexus = { initiatorName, isid, targetName: sender.targetName, portalGroupTag };
  const registrations = withKey(state, [holder], serviceActionKey);
  if (registrations.size > REGISTRATIONS_PER_UNIT_MAX)
    return answered(senseAnswer(INSUFFICIENT_REGISTRATION_RESOURCES));
  const moved: UnitReservations = {
    generation: nextGeneration(state),
    survivesPowerLoss,
    registrations,
    reservation: { ...reservation, holder },
  };
  const isSender = ({ nexus }: Registration) => nexusKey(nexus) === nexusKey(sender);
  return changed(list.unregisters ? withoutRegistrations(moved, isSender) : moved);
}

function withKey(
  { registrations }: UnitReservations,
  nexuses: readonly Nexus[],
  key: ReservationKey,
): ReadonlyMap<string, Registration> {
  const next = new Map(registrations);
  for (const nexus of nexuses) next.set(nexusKey(nexus), { nexus, key });
  return next;
}
