/** Who may see and use what: pure questions to the configuration. Names are in normal form. */
import type { AuthConfiguration, Configuration, LunMapping, TargetConfiguration } from "./config/schema.js";

/** What one initiator gets of one target. */
export interface Grant {
  readonly target: TargetConfiguration;
  readonly auth: AuthConfiguration | null;
  readonly luns: readonly LunMapping[];
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
  const target = configuration.targets.find(({ name }) => name === targetName);
  if (target === undefined || !target.portalGroups.includes(portalGroupTag)) return { kind: "notFound" };
  const grant = grantOf(target, initiatorName);
  return grant === undefined ? { kind: "forbidden" } : { kind: "granted", grant };
}

/** The targets that a discovery session of this initiator is told of. */
export function visibleTargets(configuration: Configuration, initiatorName: string): TargetConfiguration[] {
  return configuration.targets.filter((target) => grantOf(target, initiatorName) !== undefined);
}

function grantOf(target: TargetConfiguration, initiatorName: string): Grant | undefined {
  if (target.initiators === null) return { target, auth: target.auth, luns: target.luns };
  const entry = target.initiators.find(({ name }) => name === initiatorName);
  return entry && { target, auth: entry.auth, luns: entry.luns };
}
