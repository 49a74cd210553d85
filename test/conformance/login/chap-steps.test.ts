import { test } from "node:test";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { ALICE, type Challenged, challenged, chapConfig, SECURITY } from "./chap-fixture.js";
import { goesOn, NAMES, refused, STATUS_INITIATOR_ERROR, STATUS_MISSING_PARAMETER, startTarget } from "./fixture.js";

const target = startTarget(chapConfig());

async function isRefused(initiator: RawInitiator, keys: Record<string, string>, status: number): Promise<void> {
  await refused(initiator, { ...SECURITY, keys }, status, JSON.stringify(keys));
}

async function named(): Promise<RawInitiator> {
  const initiator = await target.connect();
  await goesOn(initiator, { ...SECURITY, keys: NAMES });
  return initiator;
}

async function agreed(): Promise<RawInitiator> {
  const initiator = await named();
  await goesOn(initiator, { ...SECURITY, keys: { AuthMethod: "CHAP" } });
  return initiator;
}

test("RFC 7143 9.2: keys of CHAP before a method is agreed on: 0200h", async () => {
  await isRefused(await named(), { CHAP_A: "5" }, STATUS_INITIATOR_ERROR);
  await isRefused(await named(), { CHAP_N: ALICE.user, CHAP_R: "0x00" }, STATUS_INITIATOR_ERROR);
  await isRefused(await named(), { SRP_U: ALICE.user, TargetAuth: "No" }, STATUS_INITIATOR_ERROR);
});

test("RFC 7143 9.2: then CHAP_A, and only that: else 0207h or 0200h", async () => {
  await isRefused(await agreed(), {}, STATUS_MISSING_PARAMETER);
  await isRefused(await agreed(), { CHAP_N: ALICE.user, CHAP_R: "0x00" }, STATUS_MISSING_PARAMETER);
  await isRefused(await agreed(), { CHAP_A: "5", CHAP_N: ALICE.user }, STATUS_INITIATOR_ERROR);
  await isRefused(await agreed(), { CHAP_A: "5", CHAP_I: "1", CHAP_C: "0x00" }, STATUS_INITIATOR_ERROR);
});

test("RFC 7143 9.2: then the answer to the challenge, with CHAP_R above all: else 0207h", async () => {
  const answer = ({ response }: Challenged) => ({ CHAP_N: ALICE.user, CHAP_R: response(ALICE.secret) });
  for (const [keysOf, status] of [
    [() => ({}), STATUS_MISSING_PARAMETER],
    [(step) => ({ CHAP_N: answer(step).CHAP_N }), STATUS_MISSING_PARAMETER],
    [(step) => ({ CHAP_R: answer(step).CHAP_R }), STATUS_MISSING_PARAMETER],
    // The reflection attack that section 9.2 describes.
    [() => ({ CHAP_N: ALICE.user, CHAP_I: "1", CHAP_C: "0x0102" }), STATUS_MISSING_PARAMETER],
    [(step) => ({ ...answer(step), CHAP_I: "1" }), STATUS_MISSING_PARAMETER],
    [(step) => ({ ...answer(step), CHAP_C: "0x0102" }), STATUS_MISSING_PARAMETER],
    [(step) => ({ ...answer(step), SRP_M: "0x00" }), STATUS_INITIATOR_ERROR],
    [(step) => ({ ...answer(step), CHAP_A: "5" }), STATUS_INITIATOR_ERROR],
  ] as readonly (readonly [(step: Challenged) => Record<string, string>, number])[]) {
    const step = await challenged(target);
    await isRefused(step.initiator, keysOf(step), status);
  }
});

test("RFC 7143 9.2: and nothing of the kind afterwards: 0200h", async () => {
  for (const keys of [{ CHAP_I: "1", CHAP_C: "0x0102" }, { SRP_U: "alice" }]) {
    const step = await challenged(target);
    const answer = { CHAP_N: ALICE.user, CHAP_R: step.response(ALICE.secret) };
    await goesOn(step.initiator, { ...SECURITY, keys: answer });
    await isRefused(step.initiator, keys, STATUS_INITIATOR_ERROR);
  }
});
