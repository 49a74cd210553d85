import assert from "node:assert/strict";
import { test } from "node:test";
import { STAGE_OPERATIONAL, STAGE_SECURITY } from "../../support/raw-initiator.js";
import { ALICE, challengeOf, chapConfig, SECURITY } from "./chap-fixture.js";
import {
  goesOn,
  hasTransit,
  NAMES,
  nextStageOf,
  refused,
  STATUS_AUTHENTICATION_FAILURE,
  STATUS_INITIATOR_ERROR,
  startTarget,
  TO_FULL_FEATURE,
} from "./fixture.js";

const OPEN = "iqn.2026-11.io.ringlun:open";
const target = startTarget(chapConfig({ targets: `- { name: "${OPEN}", portalGroups: [1], luns: { 0: disk } }` }));
const OPEN_NAMES = { ...NAMES, TargetName: OPEN };

test("RFC 7143 6.2.1, 6.3.2: the first method that is supported and allowed for this target", async () => {
  for (const [AuthMethod, answer, names] of [
    ["CHAP", "CHAP", NAMES],
    ["None,CHAP", "CHAP", NAMES],
    ["KRB5,SRP,Z-com.example.auth,CHAP,None", "CHAP", NAMES],
    ["None", "None", OPEN_NAMES],
    ["CHAP,None", "None", OPEN_NAMES],
  ] as const) {
    const { keys } = await goesOn(await target.connect(), { ...SECURITY, keys: { ...names, AuthMethod } });
    assert.equal(keys.get("AuthMethod"), answer, AuthMethod);
  }
});

test("RFC 7143 6.3.2, 7.12: none of them: Reject, and 0201h", async () => {
  for (const [AuthMethod, names] of [
    ["None", NAMES],
    ["KRB5,SRP", NAMES],
    ["chap", NAMES],
    ["", NAMES],
    ["CHAP", OPEN_NAMES],
  ] as const) {
    const options = { ...SECURITY, keys: { ...names, AuthMethod } };
    const { keys } = await refused(await target.connect(), options, STATUS_AUTHENTICATION_FAILURE, AuthMethod);
    assert.equal(keys.get("AuthMethod"), "Reject");
  }
});

test("RFC 7143 6.2: Reject, Irrelevant and NotUnderstood are no methods to propose: 0200h", async () => {
  for (const AuthMethod of ["Reject", "Irrelevant", "NotUnderstood"]) {
    for (const names of [NAMES, OPEN_NAMES]) {
      const options = { ...SECURITY, keys: { ...names, AuthMethod } };
      const { data } = await refused(await target.connect(), options, STATUS_INITIATOR_ERROR, AuthMethod);
      assert.equal(data.length, 0);
    }
  }
});

test("RFC 7143 6.3.1: who skips SecurityNegotiation where it is required: 0201h", async () => {
  for (const options of [TO_FULL_FEATURE, { stage: STAGE_OPERATIONAL }]) {
    await refused(await target.connect(), { ...options, keys: NAMES }, STATUS_AUTHENTICATION_FAILURE);
  }
});

test("RFC 7143 6.3.1: where it is not, a request to go on without a method is granted", async () => {
  const options = { ...SECURITY, nextStage: STAGE_OPERATIONAL, keys: OPEN_NAMES };
  const response = await goesOn(await target.connect(), options);
  assert.deepEqual([hasTransit(response), nextStageOf(response)], [true, STAGE_OPERATIONAL]);
  assert.deepEqual([...response.keys], [["TargetPortalGroupTag", "1"]]);
});

test("RFC 7143 6.3.2, 12.1: where it is, the target proposes CHAP, and the first step comes with the answer", async () => {
  const leaveToTarget = async () => {
    const initiator = await target.connect();
    const response = await goesOn(initiator, { stage: STAGE_SECURITY, nextStage: STAGE_OPERATIONAL, keys: NAMES });
    assert.equal(hasTransit(response), false);
    assert.equal(response.keys.get("AuthMethod"), "CHAP");
    return initiator;
  };
  const initiator = await leaveToTarget();
  const { keys } = await goesOn(initiator, { ...SECURITY, keys: { AuthMethod: "CHAP", CHAP_A: "5" } });
  assert.deepEqual([...keys.keys()], ["CHAP_A", "CHAP_I", "CHAP_C"]);

  const declining = { ...SECURITY, nextStage: STAGE_OPERATIONAL, keys: { AuthMethod: "Reject" } };
  await refused(await leaveToTarget(), declining, STATUS_AUTHENTICATION_FAILURE);
  const insisting = { ...SECURITY, nextStage: STAGE_OPERATIONAL };
  await refused(await leaveToTarget(), insisting, STATUS_AUTHENTICATION_FAILURE);
  // Section 6.2.1: a value not proposed; section 6.2: a key that everybody has to understand. And an answer is not answered.
  for (const AuthMethod of ["None", "None,CHAP", "CHAP,None", "NotUnderstood", ""]) {
    const options = { ...SECURITY, nextStage: STAGE_OPERATIONAL, keys: { AuthMethod, CHAP_A: "5" } };
    const { data } = await refused(await leaveToTarget(), options, STATUS_INITIATOR_ERROR, AuthMethod);
    assert.equal(data.length, 0);
  }
});

test("RFC 7143 6.3: no way around: the stage does not change before the authentication is done", async () => {
  const initiator = await target.connect();
  const transit = { ...SECURITY, nextStage: STAGE_OPERATIONAL };
  assert.equal(hasTransit(await goesOn(initiator, { ...transit, keys: { ...NAMES, AuthMethod: "CHAP" } })), false);
  const { keys } = await goesOn(initiator, { ...transit, keys: { CHAP_A: "5" } });
  assert.ok(keys.has("CHAP_C"));
  await refused(initiator, TO_FULL_FEATURE, STATUS_INITIATOR_ERROR);

  const patient = await target.connect();
  await goesOn(patient, { ...SECURITY, keys: { ...NAMES, AuthMethod: "CHAP" } });
  const { response } = await challengeOf(patient);
  const answer = { CHAP_N: ALICE.user, CHAP_R: response(ALICE.secret) };
  assert.equal(hasTransit(await goesOn(patient, { ...transit, keys: answer })), true);
});
