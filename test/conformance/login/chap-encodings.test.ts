import assert from "node:assert/strict";
import { test } from "node:test";
import { chapResponse, decodeBinary } from "../../support/chap.js";
import { ALICE, type Challenged, challenged, chapConfig, SECURITY, TARGET } from "./chap-fixture.js";
import { goesOn, refused, STATUS_INITIATOR_ERROR, startTarget } from "./fixture.js";

const target = startTarget(chapConfig());

const hexOf = (bytes: Buffer) => bytes.toString("hex");
const answerOf = ({ response }: Challenged) => ({ CHAP_N: ALICE.user, CHAP_R: response(ALICE.secret) });

test("RFC 7143 6.1: CHAP_R in hexadecimal of either case, and in base64", async () => {
  for (const encode of [
    (bytes: Buffer) => `0x${hexOf(bytes)}`,
    (bytes: Buffer) => `0X${hexOf(bytes).toUpperCase()}`,
    (bytes: Buffer) => `0b${bytes.toString("base64")}`,
    (bytes: Buffer) => `0B${bytes.toString("base64")}`,
  ]) {
    const { initiator, response } = await challenged(target);
    const CHAP_R = encode(decodeBinary(response(ALICE.secret)));
    await goesOn(initiator, { ...SECURITY, keys: { CHAP_N: ALICE.user, CHAP_R } });
  }
});

test("RFC 7143 12.1.3: challenges of 1 to 1024 bytes, in either encoding, are answered", async () => {
  for (const length of [1, 2, 16, 1023, 1024]) {
    const challenge = Buffer.alloc(length, 0xa5);
    for (const CHAP_C of [`0x${hexOf(challenge)}`, `0b${challenge.toString("base64")}`]) {
      const step = await challenged(target);
      const { keys } = await goesOn(step.initiator, { ...SECURITY, keys: { ...answerOf(step), CHAP_I: "77", CHAP_C } });
      assert.equal(keys.get("CHAP_N"), TARGET.user);
      assert.deepEqual(decodeBinary(keys.get("CHAP_R") ?? ""), chapResponse(5, 77, TARGET.secret, challenge));
    }
  }
});

test("RFC 7143 6.1: an odd number of hexadecimal digits begins with half a byte", async () => {
  const step = await challenged(target);
  const keys = { ...answerOf(step), CHAP_I: "0x4d", CHAP_C: "0x123" };
  const response = await goesOn(step.initiator, { ...SECURITY, keys });
  const expected = chapResponse(5, 77, TARGET.secret, Buffer.from("0123", "hex"));
  assert.deepEqual(decodeBinary(response.keys.get("CHAP_R") ?? ""), expected);
});

test("RFC 7143 9.2, 12.1.3: what is no binary value of at most 1024 bytes, or no identifier: 0200h", async () => {
  const tooLong = `0x${"ab".repeat(1025)}`;
  for (const wrong of [
    { CHAP_R: "" },
    { CHAP_R: "0x" },
    { CHAP_R: "0b" },
    { CHAP_R: "0xyz" },
    { CHAP_R: "0bA" },
    { CHAP_R: "12345" },
    { CHAP_R: tooLong },
    { CHAP_C: "", CHAP_I: "1" },
    { CHAP_C: "0x", CHAP_I: "1" },
    { CHAP_C: tooLong, CHAP_I: "1" },
    { CHAP_C: "0b====", CHAP_I: "1" },
    { CHAP_C: "0x12", CHAP_I: "256" },
    { CHAP_C: "0x12", CHAP_I: "-1" },
    { CHAP_C: "0x12", CHAP_I: "" },
    { CHAP_N: "" },
    { CHAP_N: "n".repeat(256) },
  ]) {
    const step = await challenged(target);
    const options = { ...SECURITY, keys: { ...answerOf(step), ...wrong } };
    await refused(step.initiator, options, STATUS_INITIATOR_ERROR, JSON.stringify(wrong).slice(0, 60));
  }
});
