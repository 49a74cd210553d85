import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import { inspect } from "node:util";
import { Secret } from "../../../../control/config/secret.js";
import type { ChapCredential } from "../../../../control/login/chap.js";
import type {
  AuthRequirement,
  DiscoveryQuery,
  JoinedSession,
  LoginContext,
  Redirect,
  TargetQuery,
} from "../../../../control/login/context.js";
import {
  challengeOf,
  LOGIN_PDUS_MAX,
  LOGIN_SEGMENT_LENGTH_MAX,
  LOGIN_START,
  LOGIN_TEXT_BYTES_MAX,
  type LoginState,
  refuseCompleted,
  step,
} from "../../../../control/login/machine.js";
import type { LoginEvent } from "../../../../control/login/messages.js";
import { NEGOTIATION_KEYS_MAX } from "../../../../control/login/negotiation.js";
import {
  CONNECTION_DEFAULTS,
  SESSION_DEFAULTS,
  SESSION_LIMITS_DEFAULT,
  type SessionLimits,
} from "../../../../control/login/parameters.js";
import * as status from "../../../../dataplane/wire/login-response.js";
import fc from "../../../support/fast-check.js";
import {
  ACCEPT,
  type Accept,
  assertComplete,
  assertGoesOn,
  assertRefused,
  contextOf,
  DISCOVERY,
  INITIATOR,
  Initiator,
  NAMES,
  outcomeOf,
  REQUEST,
  requestOf,
  TARGET,
  type Wish,
} from "./initiator.js";

const credential = (user: string, secret: string): ChapCredential => ({
  user,
  secret: new Secret(Buffer.from(secret)),
});
const ALICE_SECRET = "alice has a secret";
const TARGET_SECRET = "prove it, target";
const CHAP: AuthRequirement = {
  kind: "chap",
  users: [credential("bob", "and bob another one"), credential("alice", ALICE_SECRET)],
  mutual: credential("ringlun", TARGET_SECRET),
  algorithms: [5],
};

const accepting = (accept: Partial<Accept>) => new Initiator(contextOf({ decision: { ...ACCEPT, ...accept } }));
const limited = (limits: Partial<SessionLimits>) => accepting({ limits: { ...SESSION_LIMITS_DEFAULT, ...limits } });

const SECURITY = { csg: 0 } as const;
const TO_OPERATIONAL = { csg: 0, nsg: 1, transit: true } as const;
const SECURITY_TO_FULL_FEATURE = { csg: 0, nsg: 3, transit: true } as const;
const OPERATIONAL = { csg: 1 } as const;
const TO_FULL_FEATURE = { csg: 1, nsg: 3, transit: true } as const;

const md5 = (identifier: number, secret: string, challenge: Buffer) =>
  createHash("md5")
    .update(Buffer.concat([Buffer.from([identifier]), Buffer.from(secret), challenge]))
    .digest("hex");

describe("a login without authentication", () => {
  test("in a single exchange (Appendix B)", () => {
    const initiator = new Initiator();
    const outcome = initiator.send({ ...TO_FULL_FEATURE, text: `${NAMES}MaxBurstLength=65536\0HeaderDigest=CRC32C\0` });
    const result = assertComplete(outcome);
    assert.deepEqual(outcome.lines, [
      "TargetPortalGroupTag=1",
      "MaxBurstLength=65536",
      "HeaderDigest=CRC32C",
      "MaxRecvDataSegmentLength=262144",
    ]);
    assert.deepEqual(
      { ...result, response: { ...result.response, text: "" } },
      {
        sessionType: "Normal",
        initiatorName: INITIATOR,
        targetName: TARGET,
        isid: "00023d000001",
        tsih: 0,
        cid: 7,
        authentication: { method: "None" },
        session: { ...SESSION_DEFAULTS, maxBurstLength: 65536 },
        connection: { ...CONNECTION_DEFAULTS, headerDigest: "CRC32C", maxRecvDataSegmentLength: 262144 },
        expCmdSN: 500,
        expStatSN: 40,
        statSN: 40,
        nextStatSN: 41,
        response: {
          transit: true,
          continued: false,
          csg: 1,
          nsg: 3,
          versionMax: 0,
          versionActive: 0,
          isid: "00023d000001",
          tsih: 0,
          initiatorTaskTag: 0x1234,
          statSN: 40,
          expCmdSN: 500,
          maxCmdSN: 500,
          status: 0,
          text: "",
        },
      },
    );
    assert.equal(initiator.state.name, "LOGGED_IN");
  });

  test("through both stages, with AuthMethod=None", () => {
    const initiator = new Initiator();
    const first = initiator.send({ ...TO_OPERATIONAL, text: `${NAMES}AuthMethod=CHAP,None\0InitiatorAlias=Höst\0` });
    assert.deepEqual(first.lines, ["TargetPortalGroupTag=1", "AuthMethod=None"]);
    const response = assertGoesOn(first);
    assert.deepEqual([response.transit, response.csg, response.nsg], [true, 0, 1]);
    const second = initiator.send({ ...OPERATIONAL, text: "InitialR2T=No\0" });
    assert.deepEqual(second.lines, ["InitialR2T=No", "MaxRecvDataSegmentLength=262144"]);
    assert.equal(assertGoesOn(second).transit, false);
    const third = initiator.send({ ...TO_FULL_FEATURE, text: "ImmediateData=No\0" });
    assert.deepEqual(third.lines, ["ImmediateData=No"]);
    const result = assertComplete(third);
    assert.deepEqual([result.session.initialR2T, result.session.immediateData], [false, false]);
  });

  test("security without a proposal is skipped (6.3.1): only TargetPortalGroupTag", () => {
    const outcome = new Initiator().send({ ...TO_OPERATIONAL, text: NAMES });
    assert.deepEqual(outcome.lines, ["TargetPortalGroupTag=1"]);
    assert.equal(assertGoesOn(outcome).transit, true);
  });

  test("straight from security to full feature, if the defaults suit", () => {
    const result = assertComplete(new Initiator().send({ ...SECURITY_TO_FULL_FEATURE, text: NAMES }));
    assert.deepEqual(result.session, SESSION_DEFAULTS);
    assert.deepEqual(result.connection, CONNECTION_DEFAULTS);
    assert.equal(result.response.csg, 0);
  });

  test("if they do not, the target selects the operational stage instead (6.3)", () => {
    const initiator = limited({ immediateData: false });
    const response = assertGoesOn(initiator.send({ ...SECURITY_TO_FULL_FEATURE, text: NAMES }));
    assert.deepEqual([response.transit, response.nsg], [true, 1]);
    const asked = initiator.send(TO_FULL_FEATURE);
    assert.equal(assertGoesOn(asked).transit, false);
    assert.deepEqual(asked.lines, ["MaxRecvDataSegmentLength=262144", "ImmediateData=No"]);
    const done = initiator.send({ ...TO_FULL_FEATURE, text: "ImmediateData=No\0" });
    assert.equal(assertComplete(done).session.immediateData, false);
    assert.deepEqual(done.lines, []);
  });

  test("an offer of the target that stays unanswered ends the login", () => {
    const initiator = limited({ maxBurstLength: 8192 });
    assertGoesOn(initiator.send({ ...TO_FULL_FEATURE, text: NAMES }));
    assertRefused(initiator.send(TO_FULL_FEATURE), status.LOGIN_STATUS_INITIATOR_ERROR, /unanswered/);
  });

  test("T=0 is never answered with T=1, and a later T=1 is", () => {
    const initiator = new Initiator();
    assert.equal(assertGoesOn(initiator.send({ ...SECURITY, text: `${NAMES}AuthMethod=None\0` })).transit, false);
    assert.equal(assertGoesOn(initiator.send(TO_OPERATIONAL)).transit, true);
    assert.equal(assertGoesOn(initiator.send(OPERATIONAL)).transit, false);
    assertComplete(initiator.send(TO_FULL_FEATURE));
  });

  test("an alias is told in a Normal session, once, and not before the authentication is over (13.6)", () => {
    const alias = "Dämo";
    const direct = accepting({ alias }).send({ ...TO_FULL_FEATURE, text: NAMES });
    assert.deepEqual(direct.lines, [
      "TargetPortalGroupTag=1",
      `TargetAlias=${alias}`,
      "MaxRecvDataSegmentLength=262144",
    ]);
    const initiator = accepting({ alias });
    assert.deepEqual(initiator.send({ ...SECURITY, text: NAMES }).lines, ["TargetPortalGroupTag=1"]);
    // Section 6.3.1: what leaves the stage where security is skipped "only contains the TargetPortalGroupTag key".
    assert.deepEqual(initiator.send(TO_OPERATIONAL).lines, []);
    assert.deepEqual(initiator.send(OPERATIONAL).lines, [`TargetAlias=${alias}`, "MaxRecvDataSegmentLength=262144"]);
    assert.deepEqual(initiator.send(TO_FULL_FEATURE).lines, []);
    assert.deepEqual(accepting({ alias }).send({ ...SECURITY_TO_FULL_FEATURE, text: NAMES }).lines, [
      "TargetPortalGroupTag=1",
      `TargetAlias=${alias}`,
    ]);
    assert.doesNotMatch(
      accepting({ alias })
        .send({ ...TO_FULL_FEATURE, text: DISCOVERY })
        .lines.join(),
      /Alias/,
    );
  });
});

describe("sessions and names", () => {
  test("the context is asked once, with normalized names and the header's identifiers", () => {
    const queries: DiscoveryQuery[] = [];
    const ask = (query: DiscoveryQuery) => {
      queries.push(query);
      return ACCEPT;
    };
    const context = contextOf({ resolveTarget: ask, resolveDiscovery: () => assert.fail("no discovery") });
    const initiator = new Initiator(context);
    const text = "InitiatorName=iqn.1994-05.org.example:HOST\0TargetName=iqn.2026-11.io.ringlun:Demo\0";
    initiator.send({ ...OPERATIONAL, text });
    initiator.send(TO_FULL_FEATURE);
    assert.deepEqual(queries, [{ initiatorName: INITIATOR, targetName: TARGET, isid: REQUEST.isid, tsih: 0, cid: 7 }]);
  });

  test("Discovery, unnamed and named (7.4.2)", () => {
    const queries: DiscoveryQuery[] = [];
    const context = contextOf({
      resolveTarget: () => assert.fail("no target"),
      resolveDiscovery: (query) => {
        queries.push(query);
        return ACCEPT;
      },
    });
    const first = new Initiator(context).send({ ...TO_FULL_FEATURE, text: DISCOVERY });
    // Section 6.3.1: "for all session types".
    assert.deepEqual(first.lines, ["TargetPortalGroupTag=1", "MaxRecvDataSegmentLength=262144"]);
    const result = assertComplete(first);
    assert.deepEqual([result.sessionType, result.targetName], ["Discovery", undefined]);
    const second = new Initiator(context).send({ ...TO_FULL_FEATURE, text: `${DISCOVERY}TargetName=${TARGET}\0` });
    assert.equal(second.lines[0], "TargetPortalGroupTag=1");
    assert.equal(assertComplete(second).targetName, TARGET);
    assert.deepEqual(
      queries.map(({ targetName }) => targetName),
      [undefined, TARGET],
    );
  });

  test("Discovery with keys of data transfer: Irrelevant", () => {
    const outcome = new Initiator().send({ ...TO_FULL_FEATURE, text: `${DISCOVERY}MaxBurstLength=512\0` });
    assert.ok(outcome.lines.includes("MaxBurstLength=Irrelevant"));
    assertComplete(outcome);
  });

  test("missing names: 0207h", () => {
    for (const stage of [TO_OPERATIONAL, TO_FULL_FEATURE, SECURITY, OPERATIONAL]) {
      for (const text of ["", `TargetName=${TARGET}\0`, `InitiatorName=${INITIATOR}\0`, "SessionType=Discovery\0"]) {
        assertRefused(new Initiator().send({ ...stage, text }), status.LOGIN_STATUS_MISSING_PARAMETER);
      }
    }
  });

  test("names that are none: 0200h; a session type that does not exist: 0209h", () => {
    for (const text of [
      `InitiatorName=\0TargetName=${TARGET}\0`,
      `InitiatorName=${"x".repeat(224)}\0TargetName=${TARGET}\0`,
      `InitiatorName=a b\0TargetName=${TARGET}\0`,
      `InitiatorName=${INITIATOR}\0TargetName=\0`,
    ]) {
      assertRefused(new Initiator().send({ ...TO_FULL_FEATURE, text }), status.LOGIN_STATUS_INITIATOR_ERROR);
    }
    for (const type of ["", "discovery", "Normal,Discovery"]) {
      assertRefused(
        new Initiator().send({ ...TO_FULL_FEATURE, text: `${NAMES}SessionType=${type}\0` }),
        status.LOGIN_STATUS_SESSION_TYPE_NOT_SUPPORTED,
      );
    }
    assertComplete(new Initiator().send({ ...TO_FULL_FEATURE, text: `${NAMES}SessionType=Normal\0` }));
  });

  test("names after the first request, and another session type: 0200h", () => {
    for (const text of [`TargetName=${TARGET}\0`, "SessionType=Normal\0"]) {
      const initiator = new Initiator();
      assertGoesOn(initiator.send({ ...SECURITY, text: DISCOVERY }));
      assertRefused(initiator.send({ ...SECURITY, text }), status.LOGIN_STATUS_INITIATOR_ERROR);
    }
    const initiator = new Initiator();
    assertGoesOn(initiator.send({ ...SECURITY, text: NAMES }));
    assertGoesOn(initiator.send({ ...SECURITY, text: "SessionType=Normal\0" }));
    assertRefused(initiator.send({ ...SECURITY, text: "SessionType=Normal\0" }), status.LOGIN_STATUS_INITIATOR_ERROR);
  });

  test("every refusal of the context goes out as it is", () => {
    for (const code of [
      status.LOGIN_STATUS_AUTHORIZATION_FAILURE,
      status.LOGIN_STATUS_NOT_FOUND,
      status.LOGIN_STATUS_TARGET_REMOVED,
      status.LOGIN_STATUS_TOO_MANY_CONNECTIONS,
      status.LOGIN_STATUS_CANNOT_INCLUDE_IN_SESSION,
      status.LOGIN_STATUS_SESSION_DOES_NOT_EXIST,
      status.LOGIN_STATUS_TARGET_ERROR,
      status.LOGIN_STATUS_SERVICE_UNAVAILABLE,
      status.LOGIN_STATUS_OUT_OF_RESOURCES,
    ] as const) {
      const context = contextOf({ decision: { kind: "refuse", status: code, reason: "because" } });
      for (const text of [NAMES, DISCOVERY]) {
        const outcome = new Initiator(context).send({ ...TO_FULL_FEATURE, text });
        assertRefused(outcome, code, /^because$/);
        assert.equal(outcome.response?.text.length, 0);
      }
    }
  });

  test("redirection carries the address (11.13.5)", () => {
    for (const permanent of [false, true]) {
      const context = contextOf({ decision: { kind: "redirect", address: "[2001:db8::1]:3260", permanent } });
      const outcome = new Initiator(context).send({ ...TO_OPERATIONAL, text: NAMES });
      assertRefused(
        outcome,
        permanent ? status.LOGIN_STATUS_TARGET_MOVED_PERMANENTLY : status.LOGIN_STATUS_TARGET_MOVED_TEMPORARILY,
      );
      assert.deepEqual(outcome.lines, ["TargetAddress=[2001:db8::1]:3260"]);
    }
  });
});

describe("a connection that joins a session", () => {
  const joins: JoinedSession = {
    parameters: { ...SESSION_DEFAULTS, maxBurstLength: 4096, errorRecoveryLevel: 2, maxConnections: 2 },
    authentication: { method: "None" },
  };
  const asJoining = { tsih: 9 } as const;

  test("takes its session's parameters over, and says its own", () => {
    const initiator = accepting({ joins });
    const text = `${NAMES}DataDigest=CRC32C\0SessionType=Normal\0`;
    const result = assertComplete(initiator.send({ ...TO_FULL_FEATURE, ...asJoining, text }));
    assert.deepEqual(result.session, joins.parameters);
    assert.equal(result.connection.dataDigest, "CRC32C");
    assert.equal(result.tsih, 9);
    assert.equal(result.response.tsih, 9);
  });

  test("may not negotiate the session's", () => {
    const outcome = accepting({ joins }).send({ ...OPERATIONAL, ...asJoining, text: `${NAMES}MaxBurstLength=512\0` });
    assertRefused(outcome, status.LOGIN_STATUS_INITIATOR_ERROR, /leading/);
  });

  test("acknowledges no command and opens no window while it logs in, also across 0xffffffff", () => {
    for (const cmdSN of [70000, 3, 65536, 0xffffffff]) {
      const { response } = accepting({ joins }).send({ ...OPERATIONAL, ...asJoining, cmdSN, text: NAMES });
      assert.equal(response?.expCmdSN, (cmdSN - 65536) >>> 0);
      assert.equal(response?.maxCmdSN, (cmdSN - 65537) >>> 0);
    }
  });

  test("must authenticate as the session did (9.2)", () => {
    const asAlice: JoinedSession = { ...joins, authentication: { method: "CHAP", user: "alice" } };
    for (const wish of [TO_FULL_FEATURE, TO_OPERATIONAL, SECURITY_TO_FULL_FEATURE]) {
      const outcome = accepting({ joins: asAlice }).send({ ...wish, ...asJoining, text: NAMES });
      assertRefused(outcome, status.LOGIN_STATUS_AUTHENTICATION_FAILURE, /differently/);
    }
    for (const [user, secret, isSame] of [
      ["alice", ALICE_SECRET, true],
      ["bob", "and bob another one", false],
    ] as const) {
      const initiator = accepting({ joins: asAlice, auth: CHAP });
      const outcome = authenticate(initiator, user, secret, asJoining);
      if (isSame) assert.equal(assertGoesOn(outcome).transit, true);
      else assertRefused(outcome, status.LOGIN_STATUS_AUTHENTICATION_FAILURE, /differently/);
    }
  });

  test("a context that confuses joining with not joining is a programmer's error", () => {
    assert.throws(() => accepting({ joins }).send({ ...TO_FULL_FEATURE, text: NAMES }));
    assert.throws(() => accepting({}).send({ ...TO_FULL_FEATURE, ...asJoining, text: NAMES }));
  });
});

/** The whole of CHAP, with the request to transit in the last step. */
function authenticate(initiator: Initiator, user: string, secret: string, fields: Wish = {}, more = "") {
  assertGoesOn(initiator.send({ ...SECURITY, ...fields, text: `${NAMES}AuthMethod=CHAP,None\0` }));
  const { lines } = initiator.send({ ...SECURITY, ...fields, text: "CHAP_A=5\0" });
  const [identifier, challenge] = challengeIn(lines);
  const text = `CHAP_N=${user}\0CHAP_R=0x${md5(identifier, secret, challenge)}\0${more}`;
  return initiator.send({ ...TO_OPERATIONAL, ...fields, text });
}

function challengeIn(lines: readonly string[]): [number, Buffer] {
  const value = (key: string) => lines.find((line) => line.startsWith(`${key}=`))!.slice(key.length + 1);
  return [Number(value("CHAP_I")), Buffer.from(value("CHAP_C").slice(2), "hex")];
}

describe("a redirection after authentication (11.13.5)", () => {
  const MOVED: Redirect = { kind: "redirect", address: "192.0.2.7:3260", permanent: false };
  const MUTUAL = "CHAP_I=9\0CHAP_C=0b/+8=\0";
  /** With what it is asked. */
  const redirecting = (to: Redirect | undefined, asked: TargetQuery[] = []) =>
    new Initiator(
      contextOf({
        decision: { ...ACCEPT, auth: CHAP, isRedirected: true },
        resolveRedirect: (query) => {
          asked.push(query);
          return to;
        },
      }),
    );

  test("takes the place of the answer to the initiator's proof", () => {
    const asked: TargetQuery[] = [];
    const outcome = authenticate(redirecting(MOVED, asked), "alice", ALICE_SECRET);
    assertRefused(outcome, status.LOGIN_STATUS_TARGET_MOVED_TEMPORARILY, /redirected to 192/);
    assert.deepEqual(outcome.lines, ["TargetAddress=192.0.2.7:3260"]);
    assert.deepEqual(asked, [{ initiatorName: INITIATOR, targetName: TARGET, isid: "00023d000001", tsih: 0, cid: 7 }]);
  });

  test("waits for the target's own proof to be sent, however far the initiator wants to go", () => {
    for (const fields of [{}, SECURITY_TO_FULL_FEATURE]) {
      const initiator = redirecting(MOVED);
      const proof = authenticate(initiator, "alice", ALICE_SECRET, fields, MUTUAL);
      assert.equal(assertGoesOn(proof).nsg, 1);
      assert.deepEqual(
        proof.lines.map((line) => line.split("=")[0]),
        ["CHAP_N", "CHAP_R"],
      );
      const outcome = initiator.send(TO_FULL_FEATURE);
      assertRefused(outcome, status.LOGIN_STATUS_TARGET_MOVED_TEMPORARILY);
      assert.deepEqual(outcome.lines, ["TargetAddress=192.0.2.7:3260"]);
    }
  });

  test("is not told to who has not proved anything", () => {
    const asked: TargetQuery[] = [];
    const outcome = authenticate(redirecting(MOVED, asked), "alice", "something else....");
    assertRefused(outcome, status.LOGIN_STATUS_AUTHENTICATION_FAILURE);
    assert.deepEqual([outcome.lines, asked], [[], []]);
  });

  test("that has become needless is none", () => {
    const initiator = redirecting(undefined);
    assert.equal(assertGoesOn(authenticate(initiator, "alice", ALICE_SECRET)).transit, true);
    assertComplete(initiator.send(TO_FULL_FEATURE));
  });
});

describe("CHAP", () => {
  test("one-way, step by step (12.1.3, Appendix B)", () => {
    const initiator = accepting({ auth: CHAP, alias: "Demo" });
    const first = initiator.send({ ...TO_OPERATIONAL, text: `${NAMES}AuthMethod=KRB5,CHAP,None\0` });
    assert.deepEqual(first.lines, ["TargetPortalGroupTag=1", "AuthMethod=CHAP"]);
    assert.equal(assertGoesOn(first).transit, false);
    const second = initiator.send({ ...TO_OPERATIONAL, text: "CHAP_A=7,5\0" });
    assert.equal(assertGoesOn(second).transit, false);
    assert.deepEqual(second.lines, ["CHAP_A=5", "CHAP_I=1", `CHAP_C=0x${"02".repeat(16)}`]);
    const response = md5(1, ALICE_SECRET, Buffer.alloc(16, 2));
    const third = initiator.send({ ...TO_OPERATIONAL, text: `CHAP_N=alice\0CHAP_R=0x${response}\0` });
    assert.equal(assertGoesOn(third).transit, true);
    assert.deepEqual(third.lines, []);
    const fourth = initiator.send(TO_FULL_FEATURE);
    assert.equal(fourth.lines[0], "TargetAlias=Demo");
    const result = assertComplete(fourth);
    assert.deepEqual(result.authentication, { method: "CHAP", user: "alice" });
  });

  test("mutual: the target answers in the same step", () => {
    const initiator = accepting({ auth: CHAP });
    const outcome = authenticate(initiator, "alice", ALICE_SECRET, {}, "CHAP_I=9\0CHAP_C=0b/+8=\0");
    assert.deepEqual(outcome.lines, [
      "CHAP_N=ringlun",
      `CHAP_R=0x${md5(9, TARGET_SECRET, Buffer.from("ffef", "hex"))}`,
    ]);
    assert.equal(assertGoesOn(outcome).transit, true);
  });

  test("the response may come without T, the transition later", () => {
    const initiator = accepting({ auth: CHAP });
    assert.equal(
      assertGoesOn(authenticate(initiator, "alice", ALICE_SECRET, { transit: false, nsg: 0 })).transit,
      false,
    );
    assert.equal(assertGoesOn(initiator.send(TO_OPERATIONAL)).transit, true);
  });

  test("wrong secret, unknown user: 0201h, and nothing tells them apart on the wire", () => {
    const wrong = authenticate(accepting({ auth: CHAP }), "alice", "something else....");
    const unknown = authenticate(accepting({ auth: CHAP }), "mallory", ALICE_SECRET);
    assertRefused(wrong, status.LOGIN_STATUS_AUTHENTICATION_FAILURE);
    assertRefused(unknown, status.LOGIN_STATUS_AUTHENTICATION_FAILURE);
    assert.deepEqual(wrong.response, unknown.response);
  });

  test("skipping the stage, or offering no CHAP: 0201h", () => {
    const refused = (wish: Wish) =>
      assertRefused(accepting({ auth: CHAP }).send(wish), status.LOGIN_STATUS_AUTHENTICATION_FAILURE);
    refused({ ...TO_FULL_FEATURE, text: NAMES });
    refused({ ...OPERATIONAL, text: NAMES });
    for (const methods of ["None", "", "chap", "KRB5,SRP", "KRB5,Reject"]) {
      const outcome = accepting({ auth: CHAP }).send({ ...TO_OPERATIONAL, text: `${NAMES}AuthMethod=${methods}\0` });
      assertRefused(outcome, status.LOGIN_STATUS_AUTHENTICATION_FAILURE);
      // Section 6.3.2: "it MUST answer with Reject".
      assert.deepEqual(outcome.lines, ["AuthMethod=Reject"]);
    }
  });

  test("a reserved value for a method: 0200h (6.2)", () => {
    for (const method of ["Reject", "Irrelevant", "NotUnderstood"]) {
      const outcome = accepting({ auth: CHAP }).send({ ...TO_OPERATIONAL, text: `${NAMES}AuthMethod=${method}\0` });
      assertRefused(outcome, status.LOGIN_STATUS_INITIATOR_ERROR, /reserved/);
      assert.deepEqual(outcome.lines, []);
    }
  });

  test("CHAP is not chosen where nobody could pass it", () => {
    const outcome = new Initiator().send({ ...TO_OPERATIONAL, text: `${NAMES}AuthMethod=CHAP\0` });
    assertRefused(outcome, status.LOGIN_STATUS_AUTHENTICATION_FAILURE);
  });

  test("an initiator that leaves the proposal to the target gets one (6.3.2)", () => {
    for (const wish of [TO_OPERATIONAL, SECURITY_TO_FULL_FEATURE]) {
      const initiator = accepting({ auth: CHAP });
      const proposed = initiator.send({ ...wish, text: NAMES });
      assert.deepEqual(proposed.lines, ["TargetPortalGroupTag=1", "AuthMethod=CHAP"]);
      assert.equal(assertGoesOn(proposed).transit, false);
      const { lines } = initiator.send({ ...SECURITY, text: "AuthMethod=CHAP\0CHAP_A=5\0" });
      assert.equal(lines[0], "CHAP_A=5");
      const response = md5(...([challengeIn(lines)[0], ALICE_SECRET, challengeIn(lines)[1]] as const));
      const outcome = initiator.send({ ...wish, text: `CHAP_N=alice\0CHAP_R=0x${response}\0` });
      if (wish.nsg === 1) assert.equal(assertGoesOn(outcome).nsg, 1);
      else assertComplete(outcome);
    }
    for (const [text, code] of [
      ["", status.LOGIN_STATUS_AUTHENTICATION_FAILURE],
      ["InitiatorAlias=a\0", status.LOGIN_STATUS_AUTHENTICATION_FAILURE],
      ["AuthMethod=Reject\0", status.LOGIN_STATUS_AUTHENTICATION_FAILURE],
      ["AuthMethod=None\0", status.LOGIN_STATUS_INITIATOR_ERROR],
      ["AuthMethod=None,CHAP\0", status.LOGIN_STATUS_INITIATOR_ERROR],
      ["AuthMethod=NotUnderstood\0", status.LOGIN_STATUS_INITIATOR_ERROR],
    ] as const) {
      const initiator = accepting({ auth: CHAP });
      initiator.send({ ...TO_OPERATIONAL, text: NAMES });
      const outcome = initiator.send({ ...TO_OPERATIONAL, text });
      assertRefused(outcome, code);
      assert.deepEqual(outcome.lines, [], "an answer is not answered");
    }
  });

  test("without T, the target waits for the initiator's proposal", () => {
    const initiator = accepting({ auth: CHAP });
    assert.deepEqual(initiator.send({ ...SECURITY, text: NAMES }).lines, ["TargetPortalGroupTag=1"]);
    assert.deepEqual(initiator.send({ ...SECURITY, text: "AuthMethod=CHAP\0" }).lines, ["AuthMethod=CHAP"]);
  });

  test("keys out of step: 0200h or 0207h (9.2)", () => {
    const afterNames = () => {
      const initiator = accepting({ auth: CHAP });
      assertGoesOn(initiator.send({ ...SECURITY, text: NAMES }));
      return initiator;
    };
    const afterMethod = () => {
      const initiator = afterNames();
      assertGoesOn(initiator.send({ ...SECURITY, text: "AuthMethod=CHAP\0" }));
      return initiator;
    };
    const afterChallenge = () => {
      const initiator = afterMethod();
      assertGoesOn(initiator.send({ ...SECURITY, text: "CHAP_A=5\0" }));
      return initiator;
    };
    const afterAll = () => {
      const initiator = accepting({ auth: CHAP });
      assertGoesOn(authenticate(initiator, "alice", ALICE_SECRET, { transit: false, nsg: 0 }));
      return initiator;
    };
    const error = status.LOGIN_STATUS_INITIATOR_ERROR;
    const missing = status.LOGIN_STATUS_MISSING_PARAMETER;
    const cases: readonly (readonly [() => Initiator, string, number])[] = [
      [afterNames, "CHAP_A=5\0", error],
      [afterNames, "CHAP_N=alice\0CHAP_R=0x00\0", error],
      [afterNames, "AuthMethod=CHAP\0CHAP_R=0x00\0", missing],
      [afterMethod, "", missing],
      [afterMethod, "CHAP_N=alice\0CHAP_R=0x00\0", missing],
      [afterMethod, "CHAP_A=5\0CHAP_N=alice\0", error],
      [afterMethod, "CHAP_A=x\0", error],
      [afterMethod, "CHAP_A=9\0", status.LOGIN_STATUS_AUTHENTICATION_FAILURE],
      [afterMethod, "AuthMethod=CHAP\0", error],
      [afterChallenge, "", missing],
      [afterChallenge, "CHAP_N=alice\0", missing],
      [afterChallenge, "CHAP_N=alice\0CHAP_I=1\0CHAP_C=0x01\0", missing],
      [afterChallenge, "CHAP_A=5\0", error],
      [afterChallenge, `CHAP_N=alice\0CHAP_R=0x${"00".repeat(16)}\0SRP_U=alice\0`, error],
      [afterNames, "SRP_U=alice\0TargetAuth=No\0", error],
      [afterChallenge, "CHAP_N=alice\0CHAP_R=nonsense\0", error],
      [afterAll, "CHAP_I=1\0CHAP_C=0x00\0", error],
      [afterAll, "AuthMethod=None\0", error],
    ];
    for (const [prepare, text, code] of cases) assertRefused(prepare().send({ ...SECURITY, text }), code);
  });

  test("challenges that are outstanding can be seen, and only those", () => {
    const initiator = accepting({ auth: CHAP });
    assert.equal(challengeOf(initiator.state), undefined);
    initiator.send({ ...SECURITY, text: `${NAMES}AuthMethod=CHAP\0` });
    assert.equal(challengeOf(initiator.state), undefined);
    initiator.send({ ...SECURITY, text: "CHAP_A=5\0" });
    assert.deepEqual(challengeOf(initiator.state), new Uint8Array(16).fill(2));
    initiator.send({ ...SECURITY, text: `CHAP_N=alice\0CHAP_R=0x${md5(1, ALICE_SECRET, Buffer.alloc(16, 2))}\0` });
    assert.equal(challengeOf(initiator.state), undefined);
  });

  test("a challenge reflected from another connection is refused (9.2.1 d)", () => {
    const waiting = accepting({ auth: CHAP });
    waiting.send({ ...SECURITY, text: `${NAMES}AuthMethod=CHAP\0` });
    waiting.send({ ...SECURITY, text: "CHAP_A=5\0" });
    const stolen = Buffer.from(challengeOf(waiting.state)!);
    let random = 100;
    const context = contextOf({
      decision: { ...ACCEPT, auth: CHAP },
      randomBytes: (count) => new Uint8Array(count).fill(random++),
      isChallengeOutstanding: (challenge) => stolen.equals(challenge),
    });
    const more = `CHAP_I=1\0CHAP_C=0x${stolen.toString("hex")}\0`;
    const outcome = authenticate(new Initiator(context), "alice", ALICE_SECRET, {}, more);
    assertRefused(outcome, status.LOGIN_STATUS_AUTHENTICATION_FAILURE, /reflects/);
    assert.equal(outcome.response?.text.length, 0);
  });

  test("no state and no action shows a secret, however it is printed", () => {
    const printed: unknown[] = [];
    const initiator = accepting({ auth: CHAP });
    const send = initiator.send.bind(initiator);
    initiator.send = (wish) => {
      const outcome = send(wish);
      printed.push(outcome, initiator.state, JSON.stringify(initiator.state));
      return outcome;
    };
    authenticate(initiator, "alice", ALICE_SECRET, {}, "CHAP_I=1\0CHAP_C=0x01\0");
    printed.push(authenticate(accepting({ auth: CHAP }), "alice", "something else....").closed);
    assert.ok(printed.length > 9);
    assert.doesNotMatch(inspect(printed, { depth: 20, showHidden: true }), /alice has a|prove it|bob another/);
  });
});

describe("the rules of all requests", () => {
  const inOperational = () => {
    const initiator = new Initiator();
    assertGoesOn(initiator.send({ ...OPERATIONAL, text: NAMES }));
    return initiator;
  };

  test("what identifies the login must not change (6.3, 11.12.4 to 11.12.7)", () => {
    const changes: readonly Wish[] = [
      { initiatorTaskTag: 0x1235 },
      { isid: "00023d000002" },
      { tsih: 1 },
      { cid: 8 },
      { versionMax: 1 },
      { versionMin: 1 },
    ];
    for (const change of changes) {
      const outcome = inOperational().send({ ...OPERATIONAL, ...change });
      assertRefused(outcome, status.LOGIN_STATUS_INITIATOR_ERROR, /changes during login/);
      assert.equal(outcome.response?.initiatorTaskTag, REQUEST.initiatorTaskTag);
    }
    assertGoesOn(inOperational().send({ ...OPERATIONAL, cmdSN: 501, expStatSN: 0 }));
  });

  test("a version range without 0: 0205h, and the version that we have", () => {
    for (const versionMin of [1, 255]) {
      const outcome = new Initiator().send({ ...TO_FULL_FEATURE, versionMin, versionMax: 255, text: NAMES });
      assertRefused(outcome, status.LOGIN_STATUS_UNSUPPORTED_VERSION);
      assert.deepEqual([outcome.response?.versionMax, outcome.response?.versionActive], [0, 0]);
    }
    const newer = new Initiator().send({ ...TO_FULL_FEATURE, versionMax: 3, text: NAMES });
    assert.equal(assertComplete(newer).response.versionActive, 0);
  });

  test("stages in their order only (6.3)", () => {
    const starts: readonly Wish[] = [
      { csg: 2 },
      { csg: 3 },
      { csg: 3, nsg: 3, transit: true },
      { csg: 0, nsg: 0, transit: true },
      { csg: 0, nsg: 2, transit: true },
      { csg: 1, nsg: 0, transit: true },
      { csg: 1, nsg: 1, transit: true },
      { csg: 1, nsg: 2, transit: true },
    ];
    for (const start of starts) {
      assertRefused(new Initiator().send({ ...start, text: NAMES }), status.LOGIN_STATUS_INITIATOR_ERROR, /stage/);
    }
    assertRefused(inOperational().send(SECURITY), status.LOGIN_STATUS_INITIATOR_ERROR, /stage 0 in stage 1/);
    const inSecurity = new Initiator();
    assertGoesOn(inSecurity.send({ ...SECURITY, text: NAMES }));
    assertRefused(inSecurity.send(OPERATIONAL), status.LOGIN_STATUS_INITIATOR_ERROR, /stage 1 in stage 0/);
  });

  test("NSG says nothing while T is 0", () => {
    for (const nsg of [0, 1, 2, 3]) assertGoesOn(new Initiator().send({ ...OPERATIONAL, nsg, text: NAMES }));
  });

  test("keys of another stage: 0200h", () => {
    assertRefused(
      new Initiator().send({ ...SECURITY, text: `${NAMES}MaxBurstLength=512\0` }),
      status.LOGIN_STATUS_INITIATOR_ERROR,
      /not for the security stage/,
    );
    assertRefused(
      new Initiator().send({ ...OPERATIONAL, text: `${NAMES}AuthMethod=None\0` }),
      status.LOGIN_STATUS_INITIATOR_ERROR,
      /not for the operational stage/,
    );
  });

  test("a key once in the whole login, whatever the stage", () => {
    const initiator = new Initiator();
    assertGoesOn(initiator.send({ ...TO_OPERATIONAL, text: `${NAMES}InitiatorAlias=a\0` }));
    const outcome = initiator.send({ ...OPERATIONAL, text: "InitiatorAlias=a\0" });
    assertRefused(outcome, status.LOGIN_STATUS_INITIATOR_ERROR, /InitiatorAlias is sent twice/);
    const twice = new Initiator().send({ ...OPERATIONAL, text: `${NAMES}InitiatorName=${INITIATOR}\0` });
    assertRefused(twice, status.LOGIN_STATUS_INITIATOR_ERROR, /InitiatorName is sent twice/);
  });

  test("text that is no text: 0200h", () => {
    const texts = [
      "InitiatorName",
      "InitiatorName=x",
      "=x\0",
      "\0",
      `${NAMES}A B=1\0`,
      `${NAMES}X-${"a".repeat(62)}=1\0`,
    ];
    for (const text of [...texts, Buffer.from([...Buffer.from(`${NAMES}X-a=`), 0xff, 0])]) {
      assertRefused(new Initiator().send({ ...OPERATIONAL, text }), status.LOGIN_STATUS_INITIATOR_ERROR);
    }
  });

  test("StatSN starts at the initiator's ExpStatSN and counts, across 0xffffffff (11.13.4)", () => {
    const initiator = new Initiator();
    const numbers = [
      initiator.send({ ...SECURITY, expStatSN: 0xffffffff, text: NAMES }).response?.statSN,
      initiator.send({ ...TO_OPERATIONAL, expStatSN: 0 }).response?.statSN,
      initiator.send({ ...OPERATIONAL, expStatSN: 1 }).response?.statSN,
    ];
    assert.deepEqual(numbers, [0xffffffff, 0, 1]);
    const result = assertComplete(initiator.send(TO_FULL_FEATURE));
    assert.deepEqual([result.statSN, result.response.statSN, result.nextStatSN], [2, 2, 3]);
    const last = new Initiator().send({ ...TO_FULL_FEATURE, expStatSN: 0xffffffff, text: NAMES });
    assert.deepEqual([assertComplete(last).statSN, assertComplete(last).nextStatSN], [0xffffffff, 0]);
  });

  test("the leading login's CmdSN is ExpCmdSN throughout (11.12.8)", () => {
    for (const cmdSN of [0, 123, 0xffffffff]) {
      const initiator = new Initiator();
      const first = initiator.send({ ...OPERATIONAL, cmdSN, text: NAMES }).response;
      const result = assertComplete(initiator.send({ ...TO_FULL_FEATURE, cmdSN }));
      assert.deepEqual([first?.expCmdSN, first?.maxCmdSN, result.expCmdSN], [cmdSN, cmdSN, cmdSN]);
    }
  });

  test("a completed login can still be refused by whoever sends its response", () => {
    const { response } = assertComplete(new Initiator().send({ ...TO_FULL_FEATURE, text: NAMES }));
    const refused = refuseCompleted(response, status.LOGIN_STATUS_TOO_MANY_CONNECTIONS);
    assert.deepEqual(
      [refused.transit, refused.csg, refused.nsg, refused.text.length, refused.status],
      [false, 0, 0, 0, status.LOGIN_STATUS_TOO_MANY_CONNECTIONS],
    );
    assert.equal(refused.initiatorTaskTag, response.initiatorTaskTag);
  });
});

describe("text in several PDUs", () => {
  test("C=1 is answered with an empty response, the whole with an answer (6.2)", () => {
    const initiator = new Initiator();
    const text = Buffer.from(`${NAMES}MaxBurstLength=65536\0`);
    for (let at = 0; at < 10; at++) {
      const part = assertGoesOn(initiator.send({ ...OPERATIONAL, continued: true, text: text.subarray(at, at + 1) }));
      assert.deepEqual([part.text.length, part.transit, part.continued, part.statSN], [0, false, false, 40 + at]);
    }
    const outcome = initiator.send({ ...TO_FULL_FEATURE, text: text.subarray(10) });
    assert.deepEqual(outcome.lines.slice(0, 2), ["TargetPortalGroupTag=1", "MaxBurstLength=65536"]);
    assert.equal(assertComplete(outcome).statSN, 50);
  });

  test("the machine keeps no buffer of the caller's", () => {
    const initiator = new Initiator();
    const text = Buffer.from(NAMES);
    const half = Buffer.from(text.subarray(0, 30));
    initiator.send({ ...OPERATIONAL, continued: true, text: half });
    half.fill(0);
    assert.equal(
      assertComplete(initiator.send({ ...TO_FULL_FEATURE, text: text.subarray(30) })).initiatorName,
      INITIATOR,
    );
  });

  test("C with T: 0200h (11.12.2)", () => {
    const outcome = new Initiator().send({ ...TO_FULL_FEATURE, continued: true, text: NAMES });
    assertRefused(outcome, status.LOGIN_STATUS_INITIATOR_ERROR, /C and T/);
  });

  const manyKeys = (count: number) =>
    Array.from({ length: count }, (_, index) => `X-${String(index).padStart(61, "x")}=\0`).join("");
  const NOT_UNDERSTOOD_BYTES = 63 + "=NotUnderstood\0".length;

  /** Names and so many unknown keys, whose answers take several PDUs. */
  function sendMany(initiator: Initiator, count: number, last: Wish) {
    const text = Buffer.from(NAMES + manyKeys(count));
    let at = 0;
    for (; text.length - at > LOGIN_SEGMENT_LENGTH_MAX; at += LOGIN_SEGMENT_LENGTH_MAX) {
      const part = text.subarray(at, at + LOGIN_SEGMENT_LENGTH_MAX);
      assertGoesOn(initiator.send({ ...last, transit: false, continued: true, text: part }));
    }
    return initiator.send({ ...last, text: text.subarray(at) });
  }

  test("a long answer goes out in parts, T with the last one only", () => {
    const initiator = new Initiator();
    let outcome = sendMany(initiator, 230, TO_FULL_FEATURE);
    const parts: Uint8Array[] = [];
    while (outcome.result === undefined) {
      const response = assertGoesOn(outcome);
      assert.deepEqual([response.continued, response.transit, response.text.length], [true, false, 8192]);
      parts.push(response.text);
      outcome = initiator.send(TO_FULL_FEATURE);
    }
    parts.push(outcome.result.response.text);
    assert.equal(parts.length, 3);
    assert.equal(outcome.result.response.continued, false);
    const lines = Buffer.concat(parts).toString().split("\0");
    assert.equal(lines.length, 1 + 230 + 1 + 1);
    assert.equal(lines.filter((line) => line.endsWith("=NotUnderstood")).length, 230);
    assert.equal(lines[0], "TargetPortalGroupTag=1");
    assert.equal(lines.at(-2), "MaxRecvDataSegmentLength=262144");
  });

  test("without T in the request for the last part, the stage goes on", () => {
    const initiator = new Initiator();
    sendMany(initiator, 120, TO_FULL_FEATURE);
    assert.equal(assertGoesOn(initiator.send(OPERATIONAL)).transit, false);
    assertComplete(initiator.send(TO_FULL_FEATURE));
  });

  test("text, or C, while our answer goes on: 0200h", () => {
    for (const wish of [{ text: "X-a=1\0" }, { continued: true }]) {
      const initiator = new Initiator();
      assert.equal(sendMany(initiator, 120, OPERATIONAL).response?.continued, true);
      assertRefused(initiator.send({ ...OPERATIONAL, ...wish }), status.LOGIN_STATUS_INITIATOR_ERROR, /ours goes on/);
    }
  });

  test("answers of exactly one segment, one byte less and one more", () => {
    const fixed = "TargetPortalGroupTag=1\0MaxRecvDataSegmentLength=262144\0".length;
    const count = Math.floor((LOGIN_SEGMENT_LENGTH_MAX - fixed) / NOT_UNDERSTOOD_BYTES) - 1;
    const room = LOGIN_SEGMENT_LENGTH_MAX - fixed - count * NOT_UNDERSTOOD_BYTES;
    for (const spare of [-1, 0, 1]) {
      // Two more keys, which together fill what is left.
      const lengths = [40, room + spare - 2 * "=NotUnderstood\0".length - 40];
      const filling = lengths.map((length, index) => `Y${String(index).padStart(length - 1, "y")}=\0`).join("");
      const initiator = new Initiator();
      const outcome = initiator.send({ ...TO_FULL_FEATURE, text: NAMES + manyKeys(count) + filling });
      if (spare <= 0) {
        assert.equal(assertComplete(outcome).response.text.length, LOGIN_SEGMENT_LENGTH_MAX + spare);
      } else {
        assert.equal(assertGoesOn(outcome).text.length, LOGIN_SEGMENT_LENGTH_MAX);
        assert.equal(assertComplete(initiator.send(TO_FULL_FEATURE)).response.text.length, 1);
      }
    }
  });

  test("what the target wants to add waits where it does not fit any more", () => {
    const fixed = "TargetPortalGroupTag=1\0MaxRecvDataSegmentLength=262144\0".length;
    const count = Math.floor((LOGIN_SEGMENT_LENGTH_MAX - fixed) / NOT_UNDERSTOOD_BYTES);
    const room = LOGIN_SEGMENT_LENGTH_MAX - fixed - count * NOT_UNDERSTOOD_BYTES;
    const filling = room > 16 ? `Y${"y".repeat(room - "=NotUnderstood\0".length - 1)}=\0` : "";
    const initiator = limited({ immediateData: false });
    const first = initiator.send({ ...TO_FULL_FEATURE, text: NAMES + manyKeys(count) + filling });
    assert.equal(assertGoesOn(first).transit, false);
    assert.doesNotMatch(first.lines.join(), /ImmediateData/);
    const second = initiator.send(TO_FULL_FEATURE);
    assert.deepEqual(second.lines, ["ImmediateData=No"]);
    assertComplete(initiator.send({ ...TO_FULL_FEATURE, text: "ImmediateData=No\0" }));
  });
});

describe("bounds", () => {
  test("10,000 keys: 0200h", () => {
    const text = Buffer.from(NAMES + Array.from({ length: 10_000 }, (_, index) => `A${index}=\0`).join(""));
    assert.ok(text.length > LOGIN_TEXT_BYTES_MAX);
    const initiator = new Initiator();
    let outcome = initiator.send({ ...OPERATIONAL, continued: true, text: text.subarray(0, 8192) });
    let sent = 8192;
    while (outcome.closed === undefined) {
      outcome = initiator.send({ ...OPERATIONAL, continued: true, text: text.subarray(sent, (sent += 8192)) });
    }
    assertRefused(outcome, status.LOGIN_STATUS_INITIATOR_ERROR, /65536 bytes/);
    assert.ok(sent <= LOGIN_TEXT_BYTES_MAX + 8192);
  });

  test("as many keys as allowed, and one more, in one request or in several", () => {
    const keys = (count: number, prefix: string) =>
      Array.from({ length: count }, (_, index) => `${prefix}${index}=\0`).join("");
    assertComplete(allOf(new Initiator(), NAMES + keys(NEGOTIATION_KEYS_MAX - 2, "A")));
    assertRefused(
      inParts(new Initiator(), NAMES + keys(NEGOTIATION_KEYS_MAX - 1, "A")),
      status.LOGIN_STATUS_INITIATOR_ERROR,
      /2731 keys/,
    );
    const initiator = new Initiator();
    assertGoesOn(initiator.send({ ...OPERATIONAL, text: `${NAMES}A=\0` }));
    assertRefused(
      inParts(initiator, keys(NEGOTIATION_KEYS_MAX - 2, "B")),
      status.LOGIN_STATUS_INITIATOR_ERROR,
      /2731 keys/,
    );
  });

  /** Sends it in as many requests as it takes. */
  function inParts(initiator: Initiator, text: string) {
    let sent = 0;
    for (; text.length - sent > LOGIN_SEGMENT_LENGTH_MAX; sent += LOGIN_SEGMENT_LENGTH_MAX) {
      const part = text.slice(sent, sent + LOGIN_SEGMENT_LENGTH_MAX);
      assertGoesOn(initiator.send({ ...OPERATIONAL, continued: true, text: part }));
    }
    return initiator.send({ ...TO_FULL_FEATURE, text: text.slice(sent) });
  }

  /** Sends it and fetches the whole answer. */
  function allOf(initiator: Initiator, text: string) {
    let outcome = inParts(initiator, text);
    while (outcome.response?.continued) outcome = initiator.send(TO_FULL_FEATURE);
    return outcome;
  }

  test("64 KiB of text pass, a byte more does not", () => {
    for (const excess of [0, 1]) {
      const initiator = new Initiator();
      // Eight segments: the last key's value takes what is left.
      const values = Array.from({ length: 8 }, (_, index) => `X-${index}=${"v".repeat(8000)}\0`).join("");
      const room = LOGIN_TEXT_BYTES_MAX + excess - NAMES.length - values.length - "X-9=\0".length;
      const text = Buffer.from(`${NAMES}${values}X-9=${"v".repeat(room)}\0`);
      assert.equal(text.length, LOGIN_TEXT_BYTES_MAX + excess);
      for (let at = 0; at < LOGIN_TEXT_BYTES_MAX - 8192; at += 8192) {
        assertGoesOn(initiator.send({ ...OPERATIONAL, continued: true, text: text.subarray(at, at + 8192) }));
      }
      const eighth = text.subarray(LOGIN_TEXT_BYTES_MAX - 8192, LOGIN_TEXT_BYTES_MAX);
      if (excess === 0) assertComplete(initiator.send({ ...TO_FULL_FEATURE, text: eighth }));
      else {
        assertGoesOn(initiator.send({ ...OPERATIONAL, continued: true, text: eighth }));
        const ninth = initiator.send({ ...TO_FULL_FEATURE, text: text.subarray(LOGIN_TEXT_BYTES_MAX) });
        assertRefused(ninth, status.LOGIN_STATUS_INITIATOR_ERROR, /65536 bytes/);
      }
    }
  });

  test("a segment of 8192 bytes passes, a longer one does not (6.3)", () => {
    const text = `${NAMES}X-a=`;
    const fill = (length: number) => `${text}${"v".repeat(length - text.length - 1)}\0`;
    assertGoesOn(new Initiator().send({ ...OPERATIONAL, text: fill(8192) }));
    assertRefused(
      new Initiator().send({ ...OPERATIONAL, text: fill(8193) }),
      status.LOGIN_STATUS_INITIATOR_ERROR,
      /8193 bytes/,
    );
  });

  test("a flood of C bits, and of empty requests, ends", () => {
    for (const [wish, prepare] of [
      [{ ...OPERATIONAL, continued: true }, ""],
      [OPERATIONAL, NAMES],
      [SECURITY, NAMES],
    ] as const) {
      const initiator = new Initiator();
      let outcome = initiator.send({ ...wish, text: prepare });
      for (let count = 1; count < LOGIN_PDUS_MAX; count++) {
        assertGoesOn(outcome);
        outcome = initiator.send(wish);
      }
      assertGoesOn(outcome);
      assertRefused(initiator.send(wish), status.LOGIN_STATUS_INITIATOR_ERROR, /64 requests/);
    }
  });
});

/** A state of every kind, and how to get there. */
const STATES: Readonly<Record<string, () => LoginState>> = {
  "S3 XPT_UP": () => LOGIN_START,
  "S4 opening, receiving": () => walk({ ...SECURITY, continued: true, text: NAMES.slice(0, 9) }),
  "S4 security, open": () => walk({ ...SECURITY, text: NAMES }),
  "S4 security, receiving": () => walk({ ...SECURITY, text: NAMES }, { ...SECURITY, continued: true, text: "Au" }),
  "S4 security, proposed": () => walkChap({ ...TO_OPERATIONAL, text: NAMES }),
  "S4 security, agreed": () => walkChap({ ...SECURITY, text: `${NAMES}AuthMethod=CHAP\0` }),
  "S4 security, challenged": () => walkChap({ ...SECURITY, text: `${NAMES}AuthMethod=CHAP\0CHAP_A=5\0` }),
  "S4 security, done": () => walk({ ...SECURITY, text: `${NAMES}AuthMethod=None\0` }),
  "S4 operational": () => walk({ ...OPERATIONAL, text: NAMES }),
  "S4 operational, sending": () => walk({ ...OPERATIONAL, text: NAMES + UNKNOWN_KEYS }),
  "S4 operational, offered": () => {
    const initiator = limited({ immediateData: false });
    assertGoesOn(initiator.send({ ...TO_FULL_FEATURE, text: NAMES }));
    return initiator.state;
  },
  "S5 LOGGED_IN": () => {
    const initiator = new Initiator();
    assertComplete(initiator.send({ ...TO_FULL_FEATURE, text: NAMES }));
    return initiator.state;
  },
  "S1 FREE": () => {
    const initiator = new Initiator();
    initiator.event({ type: "timeout" });
    return initiator.state;
  },
};

const UNKNOWN_KEYS = Array.from({ length: 120 }, (_, index) => `X-${String(index).padStart(60, "x")}=\0`).join("");

function walk(...wishes: readonly Wish[]): LoginState {
  const initiator = new Initiator();
  for (const wish of wishes) assertGoesOn(initiator.send(wish));
  return initiator.state;
}

function walkChap(wish: Wish): LoginState {
  const initiator = accepting({ auth: CHAP });
  assertGoesOn(initiator.send(wish));
  return initiator.state;
}

const EVENTS: Readonly<Record<string, LoginEvent>> = {
  "first request": { type: "request", request: requestOf({ ...SECURITY, text: NAMES }) },
  "single request": { type: "request", request: requestOf({ ...TO_FULL_FEATURE, text: NAMES }) },
  "empty, security": { type: "request", request: requestOf(SECURITY) },
  "empty, to operational": { type: "request", request: requestOf(TO_OPERATIONAL) },
  "empty, operational": { type: "request", request: requestOf(OPERATIONAL) },
  "empty, to full feature": { type: "request", request: requestOf(TO_FULL_FEATURE) },
  "in parts, security": { type: "request", request: requestOf({ ...SECURITY, continued: true, text: "thMethod" }) },
  method: { type: "request", request: requestOf({ ...SECURITY, text: "AuthMethod=CHAP,None\0" }) },
  algorithms: { type: "request", request: requestOf({ ...SECURITY, text: "CHAP_A=5\0" }) },
  "answer of the offer": { type: "request", request: requestOf({ ...TO_FULL_FEATURE, text: "ImmediateData=No\0" }) },
  "other tag": { type: "request", request: requestOf({ ...OPERATIONAL, initiatorTaskTag: 1 }) },
  "other PDU": { type: "otherPdu", opcode: 1 },
  "malformed PDU": { type: "malformedPdu", reason: "nonsense" },
  timeout: { type: "timeout" },
  disconnect: { type: "disconnect" },
  refuse: { type: "refuse", status: status.LOGIN_STATUS_SERVICE_UNAVAILABLE, reason: "shutting down" },
};

/** What becomes of it: "+" goes on, "T" goes on into another stage, "=" stays as it is, else a status, or T5, T6, T7. */
function become(before: LoginState, event: LoginEvent): string {
  const { state, actions } = step(before, event, contextOf());
  const { response, closed, result } = outcomeOf(actions);
  if (actions.length === 0) {
    assert.equal(state, before);
    return "=";
  }
  if (result !== undefined) {
    assert.equal(state.name, "LOGGED_IN");
    return "T5";
  }
  if (closed !== undefined) {
    assert.equal(state.name, "FREE");
    const close = actions.at(-1);
    const transition = close?.type === "close" ? close.transition : "";
    assert.equal(transition, before.name === "XPT_UP" && response === undefined ? "T6" : "T7");
    return response === undefined ? transition : response.status.toString(16).padStart(4, "0");
  }
  assert.equal(state.name, "IN_LOGIN");
  assert.equal(response?.status, 0);
  return response?.transit ? "T" : "+";
}

describe("every event in every state", () => {
  // Columns are EVENTS in their order. The first request of a login in S3 is T4 followed by what the cell says.
  // biome-ignore format: a table
  const TABLE: Readonly<Record<string, string>> = {
    //                          first single  sec  toOp   op  toFF  part meth algo offer  tag other malf time disc refuse
    "S3 XPT_UP":               "+    T5    0207 0207  0207 0207  +    0207 0207 0207  0207 T6   T6   T6  T6  T6",
    "S4 opening, receiving":   "0207 0200  0200 0200  0200 0200  +    0207 0207 0200  0200 020b 0200 T7  T7  0301",
    "S4 security, open":       "0200 0200  +    T     0200 0200  +    +    0200 0200  0200 020b 0200 T7  T7  0301",
    "S4 security, receiving":  "0200 0200  0200 0200  0200 0200  +    +    +    0200  0200 020b 0200 T7  T7  0301",
    "S4 security, proposed":   "0200 0200  0201 0201  0200 0200  +    0200 0200 0200  0200 020b 0200 T7  T7  0301",
    "S4 security, agreed":     "0200 0200  0207 0207  0200 0200  +    0200 +    0200  0200 020b 0200 T7  T7  0301",
    "S4 security, challenged": "0200 0200  0207 0207  0200 0200  +    0200 0200 0200  0200 020b 0200 T7  T7  0301",
    "S4 security, done":       "0200 0200  +    T     0200 0200  +    0200 0200 0200  0200 020b 0200 T7  T7  0301",
    "S4 operational":          "0200 0200  0200 0200  +    T5    0200 0200 0200 T5    0200 020b 0200 T7  T7  0301",
    "S4 operational, sending": "0200 0200  0200 0200  +    T5    0200 0200 0200 0200  0200 020b 0200 T7  T7  0301",
    "S4 operational, offered": "0200 0200  0200 0200  +    T5    0200 0200 0200 T5    0200 020b 0200 T7  T7  0301",
    "S5 LOGGED_IN":            "=    =     =    =     =    =     =    =    =    =     =    =    =    =   =   =",
    "S1 FREE":                 "=    =     =    =     =    =     =    =    =    =     =    =    =    =   =   =",
  };

  for (const [name, reach] of Object.entries(STATES)) {
    test(name, () => {
      const expected = TABLE[name]!.split(/ +/);
      const events = Object.entries(EVENTS);
      assert.equal(expected.length, events.length);
      const got = events.map(([, event]) => become(reach(), event));
      assert.deepEqual(
        Object.fromEntries(events.map(([event], index) => [event, got[index]])),
        Object.fromEntries(events.map(([event], index) => [event, expected[index]])),
      );
    });
  }
});

describe("whatever arrives", () => {
  const u16 = fc.oneof(fc.constantFrom(0, 7), fc.nat(0xffff));
  const u32 = fc.oneof(fc.constantFrom(0, 0xffffffff, 0x1234), fc.integer({ min: 0, max: 0xffffffff }));
  const key = fc.constantFrom(
    ...["AuthMethod", "CHAP_A", "CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C", "InitiatorName", "TargetName", "SessionType"],
    ...["MaxBurstLength", "FirstBurstLength", "HeaderDigest", "ImmediateData", "MaxRecvDataSegmentLength", "X-a"],
    ...["SendTargets", "TargetAlias", "IFMarker", "MaxOutstandingR2T", "ErrorRecoveryLevel", "__proto__", "toString"],
  );
  const value = fc.oneof(
    fc.constantFrom("CHAP", "None", "CHAP,None", "5", "alice", "Yes", "No", "512", "0x01", "Discovery", "Normal"),
    fc.constantFrom(INITIATOR, TARGET, "Reject", "NotUnderstood", "CRC32C,None"),
    fc.string(),
  );
  const pairs = fc
    .array(fc.tuple(key, value), { maxLength: 8 })
    .map((list) => list.map(([name, text]) => `${name}=${text.replaceAll("\0", "")}\0`).join(""));
  const text = fc.oneof(
    { weight: 6, arbitrary: pairs.map((text) => Buffer.from(text)) },
    { weight: 3, arbitrary: pairs.map((text) => Buffer.from(NAMES + text)) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 9000 }) },
    { weight: 1, arbitrary: fc.nat(9000).map((length) => new Uint8Array(length).fill(0x41)) },
  );
  const mostly = <T>(usual: T, other: fc.Arbitrary<T>) =>
    fc.oneof({ weight: 12, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other });
  const stage = fc.constantFrom<Wish>(
    ...[SECURITY, TO_OPERATIONAL, SECURITY_TO_FULL_FEATURE, OPERATIONAL, TO_FULL_FEATURE],
    { csg: 2 },
    { csg: 3, nsg: 3, transit: true },
    { csg: 0, nsg: 2, transit: true },
  );
  const request = fc
    .tuple(
      stage,
      fc.record({
        continued: mostly(false, fc.boolean()),
        versionMax: mostly(0, fc.nat(255)),
        versionMin: mostly(0, fc.nat(255)),
        isid: mostly(REQUEST.isid, fc.constant("80aabbccddee")),
        tsih: mostly(0, u16),
        cid: mostly(7, u16),
        initiatorTaskTag: mostly(REQUEST.initiatorTaskTag, u32),
        cmdSN: u32,
        expStatSN: u32,
        text,
      }),
    )
    .map(([flags, fields]): LoginEvent => ({ type: "request", request: requestOf({ ...fields, ...flags }) }));
  const event = fc.oneof(
    { weight: 30, arbitrary: request },
    {
      weight: 1,
      arbitrary: fc.constantFrom<LoginEvent>(
        { type: "otherPdu", opcode: 0x3f },
        { type: "malformedPdu", reason: "" },
        { type: "timeout" },
        { type: "disconnect" },
        { type: "refuse", status: status.LOGIN_STATUS_OUT_OF_RESOURCES, reason: "" },
      ),
    },
  );

  const joins: JoinedSession = { parameters: SESSION_DEFAULTS, authentication: { method: "None" } };
  const resolve =
    (accept: Partial<Accept>) =>
    ({ tsih }: DiscoveryQuery): Accept => ({ ...ACCEPT, ...accept, ...(tsih === 0 ? {} : { joins }) });
  const contexts: readonly LoginContext[] = [
    {},
    { auth: CHAP, alias: "a" },
    { limits: { ...SESSION_LIMITS_DEFAULT, maxBurstLength: 1024, headerDigest: ["CRC32C"] as const } },
  ].map((accept) => contextOf({ resolveTarget: resolve(accept), resolveDiscovery: resolve(accept) }));

  test("no event throws; a login ends within its bounds; responses keep the rules", () => {
    fc.assert(
      fc.property(fc.constantFrom(...contexts), fc.array(event, { maxLength: 80 }), (context, events) => {
        let state: LoginState = LOGIN_START;
        let first: number | undefined;
        let answered = 0;
        let received = 0;
        for (const event of events) {
          const before: LoginState = state;
          const { state: after, actions } = step(before, event, context);
          state = after;
          if (before.name === "LOGGED_IN" || before.name === "FREE") {
            assert.deepEqual(actions, []);
            continue;
          }
          if (event.type === "request") {
            first ??= event.request.expStatSN;
            received++;
          }
          const { response, closed, result } = outcomeOf(actions);
          assert.equal(state.name === "FREE", closed !== undefined);
          assert.equal(state.name === "LOGGED_IN", result !== undefined);
          if (response === undefined) continue;
          assert.ok(response.text.length <= LOGIN_SEGMENT_LENGTH_MAX);
          assert.equal(response.statSN, (first! + answered++) >>> 0);
          assert.ok(!(response.continued && response.transit));
          if (response.status !== 0) continue;
          assert.ok(event.type === "request");
          assert.equal(response.csg, event.request.csg);
          if (response.transit) {
            assert.ok(event.request.transit);
            assert.ok(response.nsg > response.csg && response.nsg <= event.request.nsg && response.nsg !== 2);
          }
          assert.equal(result !== undefined, response.transit && response.nsg === 3);
          if (event.request.continued) assert.equal(response.text.length, 0);
        }
        assert.ok(received <= LOGIN_PDUS_MAX + 1);
      }),
      { numRuns: 3000 },
    );
  });

  test("a client that never finishes is cut off", () => {
    const quiet = fc.constantFrom<Wish>(
      SECURITY,
      { ...SECURITY, continued: true },
      { ...SECURITY, text: "X-a=1\0" },
      { ...SECURITY, continued: true, text: "X-b=1\0" },
    );
    fc.assert(
      fc.property(fc.infiniteStream(quiet), (wishes) => {
        const initiator = new Initiator();
        initiator.send({ ...SECURITY, text: NAMES });
        let count = 1;
        for (const wish of wishes) {
          if (initiator.state.name !== "IN_LOGIN") break;
          initiator.send(wish);
          count++;
        }
        assert.equal(initiator.state.name, "FREE");
        assert.ok(count <= LOGIN_PDUS_MAX + 1);
      }),
      { numRuns: 50 },
    );
  });
});
