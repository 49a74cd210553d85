import assert from "node:assert/strict";
import { test } from "node:test";
import { ALICE, challenged, chapConfig, SECURITY } from "./chap-fixture.js";
import {
  goesOn,
  NAMES,
  refused,
  STATUS_AUTHENTICATION_FAILURE,
  STATUS_INITIATOR_ERROR,
  startTarget,
} from "./fixture.js";

const target = startTarget(chapConfig());

test("RFC 7143 12.1.3, 6.2.1: CHAP_A: the first of the initiator's algorithms that is supported", async () => {
  for (const [algorithms, chosen] of [
    ["5", 5],
    ["7,5", 7],
    ["5,6,7,8", 5],
    ["8,7,6,5", 8],
    ["200,99,6", 6],
    ["0x7,5", 7],
    [`${"200,".repeat(100)}6`, 6],
    // "If an acceptor does not understand any particular value in a list, it MUST ignore it."
    ["5,", 5],
    ["MD5,Z-com.example.hash,05,6", 6],
  ] as const) {
    const { algorithm, challenge, initiator, response } = await challenged(target, { algorithms });
    assert.equal(algorithm, chosen, algorithms);
    assert.ok(challenge.length >= 16 && challenge.length <= 1024);
    await goesOn(initiator, { ...SECURITY, keys: { CHAP_N: ALICE.user, CHAP_R: response(ALICE.secret) } });
  }
});

async function isRefused(algorithms: string, status: number): Promise<void> {
  const initiator = await target.connect();
  await goesOn(initiator, { ...SECURITY, keys: { ...NAMES, AuthMethod: "CHAP" } });
  await refused(initiator, { ...SECURITY, keys: { CHAP_A: algorithms } }, status, algorithms);
}

test("RFC 7143 12.1.3: none that is supported: 0201h", async () => {
  for (const algorithms of ["9", "0", "128,255", "1,2,3,4", "9,MD5"])
    await isRefused(algorithms, STATUS_AUTHENTICATION_FAILURE);
});

test("RFC 7143 9.2: a list without a number: 0200h", async () => {
  for (const algorithms of ["", "MD5", ",", "5;6", "-5"]) await isRefused(algorithms, STATUS_INITIATOR_ERROR);
});

test("RFC 7143 9.2.1: no challenge is used twice, nor an identifier on purpose", async () => {
  const challenges = new Set<string>();
  const identifiers = new Set<number>();
  for (let login = 0; login < 40; login++) {
    const { initiator, challenge, identifier } = await challenged(target);
    challenges.add(challenge.toString("hex"));
    identifiers.add(identifier);
    initiator.destroy();
  }
  assert.equal(challenges.size, 40);
  assert.ok(identifiers.size > 1);
});
