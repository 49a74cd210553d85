/** The parameter list of SET TARGET PORT GROUPS (SPC-5): judged as a whole before any of it counts. */

import type { ScsiAnswer } from "../../../dataplane/messages.js";
import {
  ACCESS_STATE_NON_OPTIMIZED,
  ACCESS_STATE_OPTIMIZED,
  ACCESS_STATE_STANDBY,
  ACCESS_STATE_TRANSITIONING,
  ACCESS_STATE_UNAVAILABLE,
} from "../../../dataplane/scsi/access-state.js";
import {
  ASYMMETRIC_ACCESS_STATE_TRANSITION,
  fieldInParameterList,
  INVALID_FIELD_IN_PARAMETER_LIST,
  PARAMETER_LIST_LENGTH_ERROR,
} from "../../../dataplane/scsi/sense.js";
import { senseAnswer } from "../answers.js";
import type { UnitAccess } from "./group-access.js";

const HEADER_BYTES = 4;
/** 0 ASYMMETRIC ACCESS STATE (3-0)    2-3 TARGET PORT GROUP OR TARGET PORT */
const DESCRIPTOR_BYTES = 4;
const STATE_MASK = 0x0f;
const STATE_BIT = 3;
const GROUP_BYTE = 2;

/** Transitioning is nothing to ask for, offline is a state of ports that can be taken away, which ours cannot. */
const SETTABLE: ReadonlySet<number> = new Set([
  ACCESS_STATE_OPTIMIZED,
  ACCESS_STATE_NON_OPTIMIZED,
  ACCESS_STATE_STANDBY,
  ACCESS_STATE_UNAVAILABLE,
]);

export type SetOutcome =
  | { readonly kind: "refused"; readonly answer: ScsiAnswer }
  /** By portal group tag. */
  | { readonly kind: "asked"; readonly states: ReadonlyMap<number, number> };

/** `length`: as the CDB says; the list may have come shorter. A list without a descriptor asks for nothing. */
export function askedStates(list: Uint8Array, length: number, access: UnitAccess): SetOutcome {
  const states = new Map<number, number>();
  if (length === 0) return { kind: "asked", states };
  // "would result in the truncation of a target port group descriptor", or of the header.
  if (list.length < length || length < HEADER_BYTES || (length - HEADER_BYTES) % DESCRIPTOR_BYTES !== 0) {
    return { kind: "refused", answer: senseAnswer(PARAMETER_LIST_LENGTH_ERROR) };
  }
  for (let at = HEADER_BYTES; at < length; at += DESCRIPTOR_BYTES) {
    const state = list[at]! & STATE_MASK;
    const tag = (list[at + GROUP_BYTE]! << 8) | list[at + GROUP_BYTE + 1]!;
    if (!SETTABLE.has(state)) return invalidField(at, STATE_BIT);
    const group = access.get(tag);
    // A group that stands there twice could be in one of two states.
    if (group === undefined || states.has(tag)) return invalidField(at + GROUP_BYTE);
    if (group.state === ACCESS_STATE_TRANSITIONING) {
      return { kind: "refused", answer: senseAnswer(ASYMMETRIC_ACCESS_STATE_TRANSITION) };
    }
    states.set(tag, state);
  }
  return { kind: "asked", states };
}

function invalidField(byte: number, bit?: number): SetOutcome {
  const answer = senseAnswer(INVALID_FIELD_IN_PARAMETER_LIST, fieldInParameterList(byte, bit));
  return { kind: "refused", answer };
}
