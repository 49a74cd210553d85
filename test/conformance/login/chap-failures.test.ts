import assert from "node:assert/strict";
import { test } from "node:test";
import { STAGE_OPERATIONAL } from "../../support/raw-initiator.js";
import { ALICE, BOB, type Challenged, challenged, chapConfig, ONE_WAY, SECURITY, TARGET } from "./chap-fixture.js";
import { goesOn, refused, STATUS_AUTHENTICATION_FAILURE, startTarget } from "./fixture.js";

const target = startTarget(chapConfig());

/** The answer is given with the wish to go on, as initiators do. */
async function isRefused(answer: (step: Challenged) => Record<string, string>, targetName?: string) {
  const step = await challenged(target, targetName === undefined ? {} : { targetName });
  const options = { ...SECURITY, nextStage: STAGE_OPERATIONAL, keys: answer(step) };
  return refused(step.initiator, options, STATUS_AUTHENTICATION_FAILURE);
}

test("RFC 7143 12.1.3: wrong secret, wrong user, another's response, wrong length: 0201h, all alike", async () => {
  const responses = [
    await isRefused(({ response }) => ({ CHAP_N: ALICE.user, CHAP_R: response("something else") })),
    await isRefused(({ response }) => ({ CHAP_N: "mallory", CHAP_R: response(ALICE.secret) })),
    await isRefused(({ response }) => ({ CHAP_N: "mallory", CHAP_R: response("") })),
    await isRefused(({ response }) => ({ CHAP_N: ALICE.user, CHAP_R: response(BOB.secret) })),
    await isRefused(({ response }) => ({ CHAP_N: "Alice", CHAP_R: response(ALICE.secret) })),
    await isRefused(() => ({ CHAP_N: ALICE.user, CHAP_R: "0x00" })),
    await isRefused(({ response }) => ({ CHAP_N: ALICE.user, CHAP_R: `${response(ALICE.secret)}00` })),
    await isRefused(({ response }) => ({ CHAP_N: ALICE.user, CHAP_R: response(ALICE.secret).slice(0, -2) })),
  ];
  for (const { data } of responses) assert.equal(data.length, 0);
});

test("RFC 7143 9.2.1: the target's own secret is nobody else's: 0201h", async () => {
  await isRefused(({ response }) => ({ CHAP_N: TARGET.user, CHAP_R: response(TARGET.secret) }));
  await isRefused(({ response }) => ({ CHAP_N: ALICE.user, CHAP_R: response(TARGET.secret) }));
});

test("RFC 7143 12.1.3: the target is to prove itself and cannot: 0201h", async () => {
  const answer = ({ response }: Challenged) => ({
    CHAP_N: ALICE.user,
    CHAP_R: response(ALICE.secret),
    CHAP_I: "1",
    CHAP_C: "0x0102030405060708090a0b0c0d0e0f10",
  });
  await isRefused(answer, ONE_WAY);
});

test("RFC 7143 9.2: who failed to authenticate gets no proof of the target's", async () => {
  const response = await isRefused(({ response }) => ({
    CHAP_N: ALICE.user,
    CHAP_R: response("something else"),
    CHAP_I: "1",
    CHAP_C: "0x0102030405060708090a0b0c0d0e0f10",
  }));
  assert.ok(!response.keys.has("CHAP_R"));
});

test("RFC 7143 11.13.5: there is no second attempt on a connection; a new one may succeed", async () => {
  await isRefused(({ response }) => ({ CHAP_N: ALICE.user, CHAP_R: response("something else") }));
  const step = await challenged(target);
  await goesOn(step.initiator, { ...SECURITY, keys: { CHAP_N: ALICE.user, CHAP_R: step.response(ALICE.secret) } });
});

test("RFC 1994 2.3: an answer to an earlier challenge is none to this one: 0201h", async () => {
  const earlier = await challenged(target);
  const recorded = earlier.response(ALICE.secret);
  await goesOn(earlier.initiator, { ...SECURITY, keys: { CHAP_N: ALICE.user, CHAP_R: recorded } });
  await isRefused(() => ({ CHAP_N: ALICE.user, CHAP_R: recorded }));
});
