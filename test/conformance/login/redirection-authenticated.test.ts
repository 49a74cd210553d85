/** Where a target has moved to is told once the initiator has proved who it is, or before, as the configuration says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { LoginRefusedError, type RawInitiator, STAGE_SECURITY } from "../../support/raw-initiator.js";
import { ALICE, challengeOf, SECURITY, TARGET } from "./chap-fixture.js";
import { configOf, goesOn, NAMES, refused, STATUS_AUTHENTICATION_FAILURE, startTarget } from "./fixture.js";

const AUTH =
  `auth: { chap: [{ user: "${ALICE.user}", secret: "${ALICE.secret}" }], ` +
  `mutual: { user: "${TARGET.user}", secret: "${TARGET.secret}" } }`;
const AFTER = "iqn.2026-11.io.ringlun:after";
const BEFORE = "iqn.2026-11.io.ringlun:before";
const TO = "192.0.2.7:3261";
const MOVED = 0x0101;

const target = startTarget(
  configOf({
    targets: `- name: ${AFTER}
  portalGroups: [1]
  ${AUTH}
  redirect: { to: "${TO}" }
- name: ${BEFORE}
  portalGroups: [1]
  ${AUTH}
  redirect: { to: "${TO}", beforeAuthentication: true }`,
  }),
);

async function challenged(): Promise<{ initiator: RawInitiator; response(secret: string): string }> {
  const initiator = await target.connect();
  const { keys } = await goesOn(initiator, { ...SECURITY, keys: { ...NAMES, TargetName: AFTER, AuthMethod: "CHAP" } });
  assert.equal(keys.get("TargetAddress"), undefined);
  return challengeOf(initiator);
}

test("RFC 7143 11.13.5: after the security negotiation the redirection answers the initiator's proof", async () => {
  const { initiator, response } = await challenged();
  const keys = { CHAP_N: ALICE.user, CHAP_R: response(ALICE.secret) };
  const moved = await refused(initiator, { stage: STAGE_SECURITY, nextStage: 1, keys }, MOVED);
  assert.deepEqual([...moved.keys], [["TargetAddress", TO]]);
});

test("RFC 7143 11.13.5: who has not proved who it is, is not told", async () => {
  const { initiator, response } = await challenged();
  const keys = { CHAP_N: ALICE.user, CHAP_R: response("not alice's secret at all") };
  const response2 = await refused(initiator, { stage: STAGE_SECURITY, keys }, STATUS_AUTHENTICATION_FAILURE);
  assert.equal(response2.data.length, 0);
});

test("RFC 7143 11.13.5: an initiator that wants the target's proof has it before", async () => {
  const initiator = await target.connect();
  await assert.rejects(
    initiator.login({ targetName: AFTER, chap: { ...ALICE, mutual: TARGET } }),
    (error) => error instanceof LoginRefusedError && error.status === MOVED,
  );
  assert.equal(initiator.negotiated.get("CHAP_N"), TARGET.user);
});

test("RFC 7143 11.13.5: before the security negotiation, where that is configured", async () => {
  const keys = { ...NAMES, TargetName: BEFORE, AuthMethod: "CHAP" };
  const moved = await refused(await target.connect(), { ...SECURITY, keys }, MOVED);
  assert.deepEqual([...moved.keys], [["TargetAddress", TO]]);
});
