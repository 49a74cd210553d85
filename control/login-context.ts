/** What the login machine asks, answered from the configuration and the registry for the connections of one portal. */
import { randomBytes } from "node:crypto";
import { MAX_RECV_DATA_SEGMENT_LENGTH, SLICE_BYTES_MAX } from "../dataplane/limits.js";
import {
  LOGIN_STATUS_AUTHORIZATION_FAILURE,
  LOGIN_STATUS_CANNOT_INCLUDE_IN_SESSION,
  LOGIN_STATUS_NOT_FOUND,
  LOGIN_STATUS_OUT_OF_RESOURCES,
  LOGIN_STATUS_SERVICE_UNAVAILABLE,
  LOGIN_STATUS_SESSION_DOES_NOT_EXIST,
  LOGIN_STATUS_TOO_MANY_CONNECTIONS,
} from "../dataplane/wire/login-response.js";
import { judgeAccess } from "./access.js";
import { formatPortalAddress } from "./config/portal-address.js";
import type { AuthConfiguration, Configuration, SessionSettings } from "./config/schema.js";
import type { Entrance } from "./entrance.js";
import { LOGIN_DATA_SEGMENT_LENGTH_MAX } from "./limits.js";
import type {
  AuthRequirement,
  DiscoveryQuery,
  LoginContext,
  LoginDecision,
  Redirect,
  TargetQuery,
} from "./login/context.js";
import { SESSION_LIMITS_DEFAULT, type SessionLimits } from "./login/parameters.js";
import type { LoginFailureStatus } from "./login/status.js";
import type { Redirections } from "./redirection.js";
import type { SessionIdentity, SessionRegistry, Verdict } from "./session-registry.js";

type Refusal = (Verdict & { kind: "refuse" })["reason"];

export const REFUSALS: Readonly<Record<Refusal, { readonly status: LoginFailureStatus; readonly reason: string }>> = {
  sessionDoesNotExist: { status: LOGIN_STATUS_SESSION_DOES_NOT_EXIST, reason: "there is no session of this TSIH" },
  otherSessionType: {
    status: LOGIN_STATUS_CANNOT_INCLUDE_IN_SESSION,
    reason: "the session of this TSIH is of the other SessionType",
  },
  tooManyConnections: { status: LOGIN_STATUS_TOO_MANY_CONNECTIONS, reason: "the session has all its connections" },
  outOfResources: {
    status: LOGIN_STATUS_OUT_OF_RESOURCES,
    reason: "there are as many sessions or connections as there can be",
  },
};

/** Nothing but text is ever exchanged on a discovery session. */
const DISCOVERY_LIMITS: SessionLimits = {
  ...SESSION_LIMITS_DEFAULT,
  maxRecvDataSegmentLength: LOGIN_DATA_SEGMENT_LENGTH_MAX,
};

export interface LoginContextOptions {
  readonly configuration: Configuration;
  readonly registry: SessionRegistry;
  readonly entrance: Entrance;
  readonly redirections: Redirections;
  readonly isChallengeOutstanding: (challenge: Uint8Array) => boolean;
}

export function createLoginContext(options: LoginContextOptions): LoginContext {
  return {
    resolveTarget: (query) => resolveTarget(options, query),
    resolveRedirect: (query) => resolveRedirect(options, query),
    resolveDiscovery: (query) => resolveDiscovery(options, query),
    randomBytes,
    isChallengeOutstanding: options.isChallengeOutstanding,
  };
}

/** The nexus of a session that came through this entrance (see SessionIdentity for an unnamed discovery session). */
export function identityOf(
  { initiatorName, isid, targetName }: Pick<DiscoveryQuery, "initiatorName" | "isid" | "targetName">,
  { portal, host, port }: Entrance,
): SessionIdentity {
  return targetName === undefined
    ? { initiatorName, isid, targetName: "", portalGroup: formatPortalAddress({ host, port }) }
    : { initiatorName, isid, targetName, portalGroup: portal.tag };
}

function resolveTarget(options: LoginContextOptions, query: TargetQuery): LoginDecision {
  const { configuration, registry, entrance, redirections } = options;
  const portalGroupTag = entrance.portal.tag;
  const access = judgeAccess(configuration, query.targetName, portalGroupTag, query.initiatorName);
  if (access.kind === "notFound") return refuse(LOGIN_STATUS_NOT_FOUND, "there is no such target here");
  if (access.kind === "forbidden") return refuse(LOGIN_STATUS_AUTHORIZATION_FAILURE, "not one of its initiators");
  const { target, auth } = access.grant;
  const rerouting = redirections.judge(query, entrance, access.grant);
  if (rerouting?.kind === "unavailable") return refuse(LOGIN_STATUS_SERVICE_UNAVAILABLE, rerouting.reason);
  if (rerouting !== undefined && (auth === null || rerouting.beforeAuthentication)) return redirect(rerouting);
  const verdict = registry.judge(identityOf(query, entrance), "Normal", query.tsih, query.cid);
  if (verdict.kind === "refuse") return { kind: "refuse", ...REFUSALS[verdict.reason] };
  return {
    kind: "accept",
    auth: authRequirement(auth),
    limits: sessionLimits(target.session),
    portalGroupTag,
    ...(target.alias === null ? {} : { alias: target.alias }),
    ...(rerouting === undefined ? {} : { isRedirected: true }),
    ...(query.tsih !== 0 && "session" in verdict ? { joins: verdict.session.agreement } : {}),
  };
}

function resolveRedirect(options: LoginContextOptions, query: TargetQuery): Redirect | undefined {
  const { configuration, entrance, redirections } = options;
  const access = judgeAccess(configuration, query.targetName, entrance.portal.tag, query.initiatorName);
  // What else has changed meanwhile is found out at the end of the login.
  if (access.kind !== "granted") return undefined;
  const rerouting = redirections.judge(query, entrance, access.grant);
  return rerouting?.kind === "redirect" ? redirect(rerouting) : undefined;
}

function redirect({ kind, address, permanent }: Redirect): Redirect {
  return { kind, address, permanent };
}

function resolveDiscovery(options: LoginContextOptions, query: DiscoveryQuery): LoginDecision {
  const { configuration, registry, entrance } = options;
  const { targetName, initiatorName } = query;
  if (targetName !== undefined) {
    const access = judgeAccess(configuration, targetName, entrance.portal.tag, initiatorName);
    if (access.kind === "notFound") return refuse(LOGIN_STATUS_NOT_FOUND, "there is no such target here");
    if (access.kind === "forbidden") return refuse(LOGIN_STATUS_AUTHORIZATION_FAILURE, "not one of its initiators");
  }
  const verdict = registry.judge(identityOf(query, entrance), "Discovery", query.tsih, query.cid);
  if (verdict.kind === "refuse") return { kind: "refuse", ...REFUSALS[verdict.reason] };
  return {
    kind: "accept",
    auth: authRequirement(configuration.discoveryAuth),
    limits: DISCOVERY_LIMITS,
    portalGroupTag: entrance.portal.tag,
    ...(query.tsih !== 0 && "session" in verdict ? { joins: verdict.session.agreement } : {}),
  };
}

function refuse(status: LoginFailureStatus, reason: string): LoginDecision {
  return { kind: "refuse", status, reason };
}

function authRequirement(auth: AuthConfiguration | null): AuthRequirement {
  if (auth === null) return { kind: "none" };
  return { kind: "chap", users: auth.chap, ...(auth.mutual === null ? {} : { mutual: auth.mutual }) };
}

/**
 * What this target negotiates: the defaults, what is configured, and never more than the data plane takes: data segments and
 * unsolicited data that fit into one slice.
 */
export function sessionLimits(settings: SessionSettings): SessionLimits {
  const wished = { ...SESSION_LIMITS_DEFAULT, ...settings };
  return {
    ...wished,
    maxRecvDataSegmentLength: Math.min(wished.maxRecvDataSegmentLength, MAX_RECV_DATA_SEGMENT_LENGTH),
    firstBurstLength: Math.min(wished.firstBurstLength, SLICE_BYTES_MAX),
  };
}
