import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Configuration } from "../../../control/config/schema.js";
import { Secret } from "../../../control/config/secret.js";
import type { DiscoveryQuery, LoginContext, TargetQuery } from "../../../control/login/context.js";
import { checkLimits } from "../../../control/login/negotiation.js";
import { createLoginContext, sessionLimits } from "../../../control/login-context.js";
import { Redirections } from "../../../control/redirection.js";
import { SessionRegistry } from "../../../control/session-registry.js";
import {
  LOGIN_STATUS_AUTHORIZATION_FAILURE,
  LOGIN_STATUS_NOT_FOUND,
  LOGIN_STATUS_OUT_OF_RESOURCES,
  LOGIN_STATUS_SESSION_DOES_NOT_EXIST,
  LOGIN_STATUS_TOO_MANY_CONNECTIONS,
} from "../../../dataplane/wire/login-response.js";
import { AGREEMENT, configuration, DETAILS, INITIATOR, TARGET, target } from "./support/fixtures.js";

const ENTRANCE = {
  portal: { tag: 1, address: { host: "0.0.0.0", port: 3260 } },
  host: "192.0.2.1",
  port: 3260,
};
const QUERY: TargetQuery = { initiatorName: INITIATOR, targetName: TARGET, isid: "800000000001", tsih: 0, cid: 0 };
const UNNAMED: DiscoveryQuery = { ...QUERY, targetName: undefined };
const CREDENTIAL = { user: "alice", secret: new Secret(Buffer.from("0123456789abcdef")) };
const AUTH = { chap: [CREDENTIAL], mutual: { user: "target", secret: new Secret(Buffer.from("fedcba9876543210")) } };

function contextOf(changes: Partial<Configuration> = {}, registry = new SessionRegistry(0)): LoginContext {
  const inForce = configuration("/nowhere", changes);
  const redirections = new Redirections({
    registry,
    outOfService: { hasPortal: () => false, hasTarget: () => false },
    configuration: () => inForce,
    portals: () => [ENTRANCE.portal],
  });
  return createLoginContext({
    configuration: inForce,
    registry,
    entrance: ENTRANCE,
    redirections,
    isChallengeOutstanding: () => false,
  });
}

function statusOf(decision: ReturnType<LoginContext["resolveTarget"]>): number | string {
  return decision.kind === "refuse" ? decision.status : decision.kind;
}

/** A registry in which QUERY's nexus has a session with CID 0. */
function occupied(sessionsMax?: number) {
  const registry = new SessionRegistry(0, sessionsMax);
  const identity = { initiatorName: INITIATOR, isid: QUERY.isid, targetName: TARGET, portalGroup: 1 };
  const session = registry.open(identity, 0, AGREEMENT, []);
  registry.addConnection(session.sessionId, 0, DETAILS);
  return { registry, tsih: session.tsih };
}

describe("a target", () => {
  test("is accepted with its portal group, its alias and its limits", () => {
    const decision = contextOf({
      targets: [target({ alias: "VM", session: { maxBurstLength: 65536 } })],
    }).resolveTarget(QUERY);
    assert.equal(decision.kind, "accept");
    if (decision.kind !== "accept") return;
    assert.equal(decision.portalGroupTag, 1);
    assert.equal(decision.alias, "VM");
    assert.equal(decision.limits.maxBurstLength, 65536);
    assert.deepEqual(decision.auth, { kind: "none" });
    assert.equal("joins" in decision, false);
  });

  test("asks for CHAP where that is configured, and proves itself where it can", () => {
    const decision = contextOf({ targets: [target({ auth: AUTH })] }).resolveTarget(QUERY);
    assert.deepEqual(decision.kind === "accept" && decision.auth, {
      kind: "chap",
      users: [CREDENTIAL],
      mutual: AUTH.mutual,
    });
  });

  test("that is not there, or not at this portal, is not found", () => {
    assert.equal(statusOf(contextOf().resolveTarget({ ...QUERY, targetName: "iqn.x" })), LOGIN_STATUS_NOT_FOUND);
    const elsewhere = contextOf({ targets: [target({ portalGroups: [2] })] });
    assert.equal(statusOf(elsewhere.resolveTarget(QUERY)), LOGIN_STATUS_NOT_FOUND);
  });

  test("lets only those on its list in, before it redirects them", () => {
    const redirect = { to: [{ host: "2001:db8::7", port: 3260 }], permanent: true, beforeAuthentication: false };
    const closed = contextOf({ targets: [target({ initiators: [], redirect })] });
    assert.equal(statusOf(closed.resolveTarget(QUERY)), LOGIN_STATUS_AUTHORIZATION_FAILURE);
    assert.deepEqual(contextOf({ targets: [target({ redirect })] }).resolveTarget(QUERY), {
      kind: "redirect",
      address: "[2001:db8::7]:3260",
      permanent: true,
    });
  });

  test("says where it has moved to once the initiator has proved who it is, or before, as configured", () => {
    const redirect = { to: [{ host: "192.0.2.7", port: 3260 }], permanent: false, beforeAuthentication: false };
    const after = contextOf({ targets: [target({ auth: AUTH, redirect })] });
    const decision = after.resolveTarget(QUERY);
    assert.equal(decision.kind === "accept" && decision.isRedirected, true);
    const moved = { kind: "redirect", address: "192.0.2.7:3260", permanent: false };
    assert.deepEqual(after.resolveRedirect(QUERY), moved);
    const before = contextOf({
      targets: [target({ auth: AUTH, redirect: { ...redirect, beforeAuthentication: true } })],
    });
    assert.deepEqual(before.resolveTarget(QUERY), moved);
  });
});

describe("TSIH and CID", () => {
  test("of a session that is not there", () => {
    const decision = contextOf().resolveTarget({ ...QUERY, tsih: 9 });
    assert.equal(statusOf(decision), LOGIN_STATUS_SESSION_DOES_NOT_EXIST);
    assert.equal(statusOf(contextOf().resolveDiscovery({ ...UNNAMED, tsih: 9 })), LOGIN_STATUS_SESSION_DOES_NOT_EXIST);
  });

  test("of a further connection, while sessions have one", () => {
    const { registry, tsih } = occupied();
    const decision = contextOf({}, registry).resolveTarget({ ...QUERY, tsih, cid: 1 });
    assert.equal(statusOf(decision), LOGIN_STATUS_TOO_MANY_CONNECTIONS);
  });

  test("of a connection to be reinstated: it takes over what the session has agreed on", () => {
    const { registry, tsih } = occupied();
    const decision = contextOf({}, registry).resolveTarget({ ...QUERY, tsih });
    assert.equal(decision.kind === "accept" && decision.joins, AGREEMENT);
  });

  test("of a new session where there are as many as can be", () => {
    const { registry } = occupied(1);
    const other = contextOf({}, registry).resolveTarget({ ...QUERY, isid: "800000000002" });
    assert.equal(statusOf(other), LOGIN_STATUS_OUT_OF_RESOURCES);
    assert.equal(statusOf(contextOf({}, registry).resolveTarget(QUERY)), "accept", "it takes its own place");
  });
});

describe("discovery", () => {
  test("has its own authentication", () => {
    const decision = contextOf({ discoveryAuth: { ...AUTH, mutual: null } }).resolveDiscovery(UNNAMED);
    assert.equal(decision.kind, "accept");
    if (decision.kind !== "accept") return;
    assert.deepEqual(decision.auth, { kind: "chap", users: [CREDENTIAL] });
    assert.equal(decision.portalGroupTag, 1);
    assert.equal(decision.limits.maxRecvDataSegmentLength, 8192);
  });

  test("of a named target needs access to it", () => {
    const named = contextOf().resolveDiscovery(QUERY);
    assert.equal(named.kind === "accept" && named.portalGroupTag, 1);
    const closed = contextOf({ targets: [target({ initiators: [] })] });
    assert.equal(statusOf(closed.resolveDiscovery(QUERY)), LOGIN_STATUS_AUTHORIZATION_FAILURE);
    assert.equal(statusOf(contextOf({ targets: [] }).resolveDiscovery(QUERY)), LOGIN_STATUS_NOT_FOUND);
  });
});

test("no more is negotiated than works, whatever is configured", () => {
  const limits = sessionLimits({ maxConnections: 4, errorRecoveryLevel: 2, maxRecvDataSegmentLength: 2 ** 24 - 1 });
  assert.deepEqual([limits.maxConnections, limits.errorRecoveryLevel], [4, 2]);
  assert.equal(limits.maxRecvDataSegmentLength, 262144);
  assert.equal(checkLimits(limits), undefined);
  assert.equal(sessionLimits({ maxRecvDataSegmentLength: 4096 }).maxRecvDataSegmentLength, 4096);
});
