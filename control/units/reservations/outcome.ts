/** What a reservation command comes to: an answer that leaves all as it was, or a new state, with those to be told of it. */

import type { ScsiAnswer } from "../../../dataplane/messages.js";
import { PERSISTENT_RESERVATION_INFORMATION_LOST, type Sense } from "../../../dataplane/scsi/sense.js";
import { senseAnswer } from "../answers.js";
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

export const INFORMATION_LOST: ScsiAnswer = senseAnswer(PERSISTENT_RESERVATION_INFORMATION_LOST);
