/**
 * What is in force for a unit: how it is reached through each portal group. Nothing here changes: a command or a new
 * configuration makes a new state of the one before.
 *
 * Who wins: what an initiator has set (SET TARGET PORT GROUPS) stands until an initiator sets something else, or the
 * configuration names another state for the group than it did then.
 */
import type { AccessStateName, PathAccess } from "../../config/schema.js";
import { ACCESS_STATES } from "./access-state.js";

/** STATUS CODE of REPORT TARGET PORT GROUPS: why the state is what it is. */
export const STATUS_NONE = 0x00;
/** By SET TARGET PORT GROUPS. */
export const STATUS_EXPLICIT = 0x01;
/** By the target itself: by its configuration. */
export const STATUS_IMPLICIT = 0x02;

export interface GroupAccess {
  /** ACCESS_STATE_* */
  readonly state: number;
  readonly preferred: boolean;
  /** STATUS_* */
  readonly statusCode: number;
  /** What the configuration said when an initiator set another state; null: the state is the configured one. */
  readonly setOver: AccessStateName | null;
}

/** By portal group tag. */
export type UnitAccess = ReadonlyMap<number, GroupAccess>;

export const NOTHING_IN_FORCE: UnitAccess = new Map();

export function configuredAccess({ state, preferred }: PathAccess, statusCode: number = STATUS_NONE): GroupAccess {
  return { state: ACCESS_STATES[state], preferred, statusCode, setOver: null };
}

/** What is in force under another configuration, by portal group tag; of groups that are gone nothing is left. */
export function reconfigured(before: UnitAccess, configured: ReadonlyMap<number, PathAccess>): UnitAccess {
  const after = new Map<number, GroupAccess>();
  for (const [tag, access] of configured) {
    const { preferred } = access;
    const was = before.get(tag);
    if (was === undefined) after.set(tag, configuredAccess(access));
    else if (was.setOver === access.state) after.set(tag, { ...was, preferred });
    else if (was.state === ACCESS_STATES[access.state]) after.set(tag, { ...was, preferred, setOver: null });
    else after.set(tag, configuredAccess(access, STATUS_IMPLICIT));
  }
  return after;
}

/** What is in force when initiators' wishes, by portal group tag, are fulfilled. */
export function withStates(
  before: UnitAccess,
  asked: ReadonlyMap<number, number>,
  configured: ReadonlyMap<number, PathAccess>,
): UnitAccess {
  const after = new Map(before);
  for (const [tag, state] of asked) {
    const was = before.get(tag)!;
    if (was.state === state) continue;
    const { state: name } = configured.get(tag)!;
    const setOver = ACCESS_STATES[name] === state ? null : name;
    after.set(tag, { ...was, state, statusCode: STATUS_EXPLICIT, setOver });
  }
  return after;
}

/** Tags of the groups that are reached differently, or are preferred or not any more. */
export function changedGroups(before: UnitAccess, after: UnitAccess): number[] {
  return [...after].flatMap(([tag, { state, preferred }]) => {
    const was = before.get(tag);
    return was !== undefined && (was.state !== state || was.preferred !== preferred) ? [tag] : [];
  });
}
