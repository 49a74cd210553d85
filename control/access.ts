/** Who may see and use what: pure questions to the configuration. Names are in normal form. */
import { byName } from "./config/difference.js";
import { isNamePattern, matchesPattern } from "./config/iscsi-name.js";
import type {
  AuthConfiguration,
  Configuration,
  LimitsConfiguration,
  LunMapping,
  TargetConfiguration,
} from "./config/schema.js";
import type { DiscoverableTarget } from "./discovery.js";
import type { Authentication } from "./login/context.js";

/** What one initiator gets of one target. */
export interface Grant {
  readonly target: TargetConfiguration;
  readonly auth: AuthConfiguration | null;
  readonly luns: readonly LunMapping[];
  /** Of the initiator with the target; null: none. */
  readonly limits: LimitsConfiguration | null;
  /** Through which the initiator reaches the target. */
  readonly portalGroups: readonly number[];
}

/** `forbidden`: the target is there, but not for this initiator. */
export type AccessDecision =
  | { readonly kind: "granted"; readonly grant: Grant }
  | { readonly kind: "notFound" }
  | { readonly kind: "forbidden" };

/** Access through one portal group: a target that has no portal there does not exist there. */
export function judgeAccess(
  configuration: Configuration,
  targetName: string,
  portalGroupTag: number,
  initiatorName: string,
): AccessDecision {
  const target = targetNamed(configuration, targetName);
  if (target === undefined || !target.portalGroups.includes(portalGroupTag)) return { kind: "notFound" };
  const grant = grantOf(target, initiatorName);
  return grant?.portalGroups.includes(portalGroupTag) ? { kind: "granted", grant } : { kind: "forbidden" };
}

/** Each configuration's targets by their names. */
const targetsByName = new WeakMap<readonly TargetConfiguration[], ReadonlyMap<string, TargetConfiguration>>();

export function targetNamed({ targets }: Configuration, name: string): TargetConfiguration | undefined {
  let named = targetsByName.get(targets);
  if (named === undefined) {
    named = byName(targets);
    targetsByName.set(targets, named);
  }
  return named.get(name);
}

/** Whether it is enough to have proved this: what is asked for may have changed since. */
export function isEnough(proved: Authentication, auth: AuthConfiguration | null): boolean {
  return auth === null || (proved.method === "CHAP" && auth.chap.some(({ user }) => user === proved.user));
}

/** The targets that a discovery session of this initiator is told of, with the portal groups that are open to it. */
export function visibleTargets(configuration: Configuration, initiatorName: string): DiscoverableTarget[] {
  return configuration.targets.flatMap((target) => {
    const grant = grantOf(target, initiatorName);
    return grant === undefined ? [] : [{ name: target.name, portalGroups: grant.portalGroups }];
  });
}

function grantOf(target: TargetConfiguration, initiatorName: string): Grant | undefined {
  const { initiators, auth, luns, portalGroups } = target;
  if (initiators === null) return { target, auth, luns, limits: null, portalGroups };
  // The entry with the name itself, wherever it stands; else the first whose pattern fits.
  const entry =
    initiators.find(({ name }) => name === initiatorName) ??
    initiators.find(({ name }) => isNamePattern(name) && matchesPattern(name, initiatorName));
  if (entry === undefined) return undefined;
  return { target, auth: entry.auth, luns: entry.luns, limits: entry.limits, portalGroups: entry.portalGroups };
}
