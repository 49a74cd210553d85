/** What the login machine asks, answered from the configuration and the registry for the connections of one portal. */
import { randomBytes } from "node:crypto";
import { MAX_RECV_DATA_SEGMENT_LENGTH, SLICE_BYTES_MAX } from "../dataplane/limits.js";
import {
  LOGIN_STATUS_AUTHORIZATION_FAILURE,
  LOGIN_STATUS_CANNOT_INCLUDE_IN_SESSION,
  LOGIN_STATUS_NOT_FOUND,
  LOGIN_STATUS_OUT_OF_RESOURCES,
  LOGIN_STATUS_SESSION_DOES_NOT_EXIST,
  LOGIN_STATUS_TOO_MANY_CONNECTIONS,
} from "../dataplane/wire/login-response.js";
import { judgeAccess } from "./access.js";
import { formatPortalAddress } from "./config/portal-address.js";
import type { AuthConfiguration, Configuration, SessionSettings } from "./config/schema.js";
import { LOGIN_DATA_SEGMENT_LENGTH_MAX } from "./limits.js";
import type { AuthRequirement, DiscoveryQuery, LoginContext, LoginDecision, TargetQuery } from "./login/context.js";
import { SESSION_LIMITS_DEFAULT, type SessionLimits } from "./login/parameters.js";
import type { LoginFailureStatus } from "./login/status.js";
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

/** One connection's way in. */
export interface Entrance {
  /** Of the portal that it came through. */
  readonly portalGroupTag: number;
  /** Our address and port as the peer knows them: `192.0.2.1:3260`. */
  readonly localAddress: string;
}

export interface LoginContextOptions {
  readonly configuration: Configuration;
  readonly registry: SessionRegistry;
  readonly entrance: Entrance;
  readonly isChallengeOutstanding: (challenge: Uint8Array) => boolean;
}

export function createLoginContext(options: LoginContextOptions): LoginContext {
  return {
    resolveTarget: (query) => resolveTarget(options, query),
    resolveDiscovery: (query) => resolveDiscovery(options, query),
    randomBytes,
    isChallengeOutstanding: options.isChallengeOutstanding,
  };
}

/** The nexus of a session that came through this entrance (see SessionIdentity for an unnamed discovery session). */
export function identityOf(
  { initiatorName, isid, targetName }: Pick<DiscoveryQuery, "initiatorName" | "isid" | "targetName">,
  { portalGroupTag, localAddress }: Entrance,
): SessionIdentity {
  return targetName === undefined
    ? { initiatorName, isid, targetName: "", portalGroup: localAddress }
    : { initiatorName, isid, targetName, portalGroup: portalGroupTag };
}

function resolveTarget({ configuration, registry, entrance }: LoginContextOptions, query: TargetQuery): LoginDecision {
  const { portalGroupTag } = entrance;
  const access = judgeAccess(configuration, query.targetName, portalGroupTag, query.initiatorName);
  if (access.kind === "notFound") return refuse(LOGIN_STATUS_NOT_FOUND, "there is no such target here");
  if (access.kind === "forbidden") return refuse(LOGIN_STATUS_AUTHORIZATION_FAILURE, "not one of its initiators");
  const { target, auth } = access.grant;
  if (target.redirect !== null) {
    const { to, permanent } = target.redirect;
    return { kind: "redirect", address: formatPortalAddress(to), permanent };
  }
  const verdict = registry.judge(identityOf(query, entrance), "Normal", query.tsih, query.cid);
  if (verdict.kind === "refuse") return { kind: "refuse", ...REFUSALS[verdict.reason] };
  return {
    kind: "accept",
    auth: authRequirement(auth),
    limits: sessionLimits(target.session),
    portalGroupTag,
    ...(target.alias === null ? {} : { alias: target.alias }),
    ...(query.tsih !== 0 && "session" in verdict ? { joins: verdict.session.agreement } : {}),
  };
}

function resolveDiscovery(options: LoginContextOptions, query: DiscoveryQuery): LoginDecision {
  const { configuration, registry, entrance } = options;
  const { targetName, initiatorName } = query;
  if (targetName !== undefined) {
    const access = judgeAccess(configuration, targetName, entrance.portalGroupTag, initiatorName);
    if (access.kind === "notFound") return refuse(LOGIN_STATUS_NOT_FOUND, "there is no such target here");
    if (access.kind === "forbidden") return refuse(LOGIN_STATUS_AUTHORIZATION_FAILURE, "not one of its initiators");
  }
  const verdict = registry.judge(identityOf(query, entrance), "Discovery", query.tsih, query.cid);
  if (verdict.kind === "refuse") return { kind: "refuse", ...REFUSALS[verdict.reason] };
  return {
    kind: "accept",
    auth: authRequirement(configuration.discoveryAuth),
    limits: DISCOVERY_LIMITS,
    portalGroupTag: entrance.portalGroupTag,
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
