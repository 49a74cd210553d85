/** What a reservation command comes to: an answer that leaves all as it was, or a new state, with those to be told of it. */
import type { ScsiAnswer } from "../../../dataplane/messages.js";
import {
  fieldInCdb,
  fieldInParameterList,
  INVALID_FIELD_IN_CDB,
  INVALID_FIELD_IN_PARAMETER_LIST,
  PERSISTENT_RESERVATION_INFORMATION_LOST,
  type Sense,
} from "../../../dataplane/scsi/sense.js";
import { SCSI_STATUS_RESERVATION_CONFLICT } from "../../../dataplane/wire/scsi-response.js";
import { senseAnswer } from "../slow-commands.js";
import type { Nexus } from "./nexus.js";
import { assertValid, type UnitReservations } from "./state.js";

/** A unit attention condition for the nexuses, those of them that have a session. */
export interface Notice {
  readonly condition: Sense;
  readonly nexuses: readonly Nexus[];
}

export type Outcome =
  | { readonly kind: "answered"; readonly answer: ScsiAnswer }
  /** GOOD, once it is in force everywhere. */
  | {
      readonly kind: "changed";
      readonly state: UnitReservations;
      readonly notices: readonly Notice[];
      /** Nexuses whose commands are aborted, but for the one that has caused it. */
      readonly aborted: readonly Nexus[];
    };

export function answered(answer: ScsiAnswer): Outcome {
  return { kind: "answered", answer };
}

export function changed(
  state: UnitReservations,
  notices: readonly Notice[] = [],
  aborted: readonly Nexus[] = [],
): Outcome {
  assertValid(state);
  return { kind: "changed", state, notices: notices.filter(({ nexuses }) => nexuses.length > 0), aborted };
}

export const RESERVATION_CONFLICT: ScsiAnswer = { kind: "status", status: SCSI_STATUS_RESERVATION_CONFLICT };

export const INFORMATION_LOST: ScsiAnswer = senseAnswer(PERSISTENT_RESERVATION_INFORMATION_LOST);

/** `bit`, if given, is the field's most significant bit. */
export function invalidFieldOfCdb(byte: number, bit?: number): ScsiAnswer {
  return senseAnswer(INVALID_FIELD_IN_CDB, fieldInCdb(byte, bit));
}

export function invalidFieldOfList(byte: number, bit?: number): ScsiAnswer {
  return senseAnswer(INVALID_FIELD_IN_PARAMETER_LIST, fieldInParameterList(byte, bit));
}
