/** PERSISTENT RESERVE OUT (SPC-5): from the state of a unit and a command to what that comes to. */
import { RESERVATION_CONFLICT } from "../answers.js";
import type { Nexus } from "./nexus.js";
import { answered, INFORMATION_LOST, type Outcome } from "./outcome.js";
import { type KnownIsids, parseBasicList, parseMoveList } from "./parameter-list.js";
import { preempt } from "./preempt.js";
import { register, registerAndMove } from "./register.js";
import { clear, release, replaceLost, reserve } from "./reserve.js";
import { keyOf, type ReservationKey, type UnitReservations } from "./state.js";

export const SERVICE_ACTION_REGISTER = 0x00;
export const SERVICE_ACTION_RESERVE = 0x01;
export const SERVICE_ACTION_RELEASE = 0x02;
export const SERVICE_ACTION_CLEAR = 0x03;
export const SERVICE_ACTION_PREEMPT = 0x04;
export const SERVICE_ACTION_PREEMPT_AND_ABORT = 0x05;
export const SERVICE_ACTION_REGISTER_AND_IGNORE_EXISTING_KEY = 0x06;
export const SERVICE_ACTION_REGISTER_AND_MOVE = 0x07;
export const SERVICE_ACTION_REPLACE_LOST_RESERVATION = 0x08;

const SERVICE_ACTION_BYTE = 1;
const SERVICE_ACTION_MASK = 0x1f;
const SCOPE_AND_TYPE_BYTE = 2;
const SCOPE_SHIFT = 4;
const TYPE_MASK = 0x0f;
const PARAMETER_LIST_LENGTH_BYTE = 5;

/** What the command may name beside the nexus that it came through. */
export interface Surroundings {
  /** Tags of all portal groups of the sender's target. */
  readonly targetPorts: readonly number[];
  readonly knownIsids: KnownIsids;
}

/** `cdb`: judged by the command table. `parameters`: what was received of the list. */
export function persistentReserveOut(
  state: UnitReservations,
  sender: Nexus,
  cdb: Uint8Array,
  parameters: Uint8Array,
  { targetPorts, knownIsids }: Surroundings,
): Outcome {
  // "all PERSISTENT RESERVE OUT commands shall conflict regardless of initiator or service action" (SPC-2).
  if (state.reservation?.kind === "reserve") return answered(RESERVATION_CONFLICT);
  const action = cdb[SERVICE_ACTION_BYTE]! & SERVICE_ACTION_MASK;
  const lengthBytes = new DataView(cdb.buffer, cdb.byteOffset).getUint32(PARAMETER_LIST_LENGTH_BYTE);
  const asked = {
    scope: cdb[SCOPE_AND_TYPE_BYTE]! >>> SCOPE_SHIFT,
    type: cdb[SCOPE_AND_TYPE_BYTE]! & TYPE_MASK,
  };
  if (action === SERVICE_ACTION_REPLACE_LOST_RESERVATION) {
    const parsed = parseBasicList(parameters, { lengthBytes, mayNamePorts: false, knownIsids });
    return parsed.ok ? replaceLost(state, sender, asked, parsed.list) : answered(parsed.answer);
  }
  if (state.reservation?.kind === "lost") return answered(INFORMATION_LOST);
  const isOurs = (key: ReservationKey) => keyOf(state, sender) === key;

  if (action === SERVICE_ACTION_REGISTER_AND_MOVE) {
    const parsed = parseMoveList(parameters, lengthBytes, knownIsids);
    if (!parsed.ok) return answered(parsed.answer);
    if (!isOurs(parsed.list.reservationKey)) return answered(RESERVATION_CONFLICT);
    return registerAndMove(state, sender, parsed.list, targetPorts);
  }
  const mayNamePorts = action === SERVICE_ACTION_REGISTER;
  const parsed = parseBasicList(parameters, { lengthBytes, mayNamePorts, knownIsids });
  if (!parsed.ok) return answered(parsed.answer);
  const { list } = parsed;
  const ignoresExistingKey = action === SERVICE_ACTION_REGISTER_AND_IGNORE_EXISTING_KEY;
  if (action === SERVICE_ACTION_REGISTER || ignoresExistingKey) {
    return register(state, sender, { list, ignoresExistingKey, targetPorts });
  }
  // "shall be verified to be correct regardless of the SERVICE ACTION and SCOPE field values"; who is not registered has none.
  if (!isOurs(list.reservationKey)) return answered(RESERVATION_CONFLICT);
  switch (action) {
    case SERVICE_ACTION_RESERVE:
      return reserve(state, sender, asked);
    case SERVICE_ACTION_RELEASE:
      return release(state, sender, asked);
    case SERVICE_ACTION_CLEAR:
      return clear(state, sender);
    case SERVICE_ACTION_PREEMPT:
    case SERVICE_ACTION_PREEMPT_AND_ABORT: {
      const aborts = action === SERVICE_ACTION_PREEMPT_AND_ABORT;
      return preempt(state, sender, { key: list.serviceActionKey, asked, aborts });
    }
    default:
      throw new Error(`service action ${action} is not in the command table`);
  }
}
