import { test } from "node:test";
import { ALICE, type Challenged, challenged, chapConfig, SECURITY } from "./chap-fixture.js";
import { goesOn, refused, STATUS_AUTHENTICATION_FAILURE, startTarget } from "./fixture.js";

const target = startTarget(chapConfig());

/** A right answer, and a challenge for the target. */
function mutual(step: Challenged, challenge: string) {
  const answer = { CHAP_N: ALICE.user, CHAP_R: step.response(ALICE.secret) };
  return { ...SECURITY, keys: { ...answer, CHAP_I: "1", CHAP_C: challenge } };
}

test("RFC 7143 9.2.1: the target's own challenge, sent back to it, in whichever encoding: 0201h", async () => {
  for (const encoding of ["hex", "base64"] as const) {
    const step = await challenged(target);
    const challenge = `${encoding === "hex" ? "0x" : "0b"}${step.challenge.toString(encoding)}`;
    await refused(step.initiator, mutual(step, challenge), STATUS_AUTHENTICATION_FAILURE);
  }
});

test("RFC 7143 9.2.1 d: a challenge that the target has outstanding on another connection: 0201h", async () => {
  const other = await challenged(target);
  const step = await challenged(target);
  const challenge = `0x${other.challenge.toString("hex")}`;
  await refused(step.initiator, mutual(step, challenge), STATUS_AUTHENTICATION_FAILURE);
  // The other login is none the worse for it.
  await goesOn(other.initiator, mutual(other, "0x0102030405060708090a0b0c0d0e0f10"));
});
