import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { inspect } from "node:util";
import { Secret } from "../../../../control/config/secret.js";
import {
  CHAP_ALGORITHMS_DEFAULT,
  CHAP_BINARY_LENGTH_MAX,
  type ChapCredential,
  challengeInitiator,
  decodeBinary,
  encodeBinary,
  verifyInitiator,
} from "../../../../control/login/chap.js";
import {
  LOGIN_STATUS_AUTHENTICATION_FAILURE,
  LOGIN_STATUS_INITIATOR_ERROR,
  LOGIN_STATUS_MISSING_PARAMETER,
} from "../../../../dataplane/wire/login-response.js";
import fc from "../../../support/fast-check.js";

const HASHES: Readonly<Record<number, string>> = { 5: "md5", 6: "sha1", 7: "sha256", 8: "sha3-256" };

/** RFC 1994 section 4.1, independently of the code under test. */
function response(algorithm: number, identifier: number, secret: string, challenge: Uint8Array): Buffer {
  return createHash(HASHES[algorithm]!)
    .update(Buffer.concat([Buffer.from([identifier]), Buffer.from(secret), challenge]))
    .digest();
}

const credential = (user: string, secret: string): ChapCredential => ({
  user,
  secret: new Secret(Buffer.from(secret)),
});

const ALICE = credential("alice", "alice has a secret");
const BOB = credential("bob", "and so has bob....");
const TARGET = credential("target", "prove it, target");

const sentOf = (algorithm: number, challenge = Buffer.alloc(16, 0x5a)) => ({ algorithm, identifier: 0xc3, challenge });
const never = () => false;

function verify(
  keys: Readonly<Record<string, string>>,
  options: { algorithm?: number; mutual?: ChapCredential; outstanding?: (challenge: Uint8Array) => boolean } = {},
) {
  const sent = sentOf(options.algorithm ?? 5);
  return verifyInitiator(
    new Map(Object.entries(keys)),
    sent,
    [ALICE, BOB],
    options.mutual,
    options.outstanding ?? never,
  );
}

const aliceAnswers = (algorithm = 5, encode: (bytes: Buffer) => string = (bytes) => `0x${bytes.toString("hex")}`) => ({
  CHAP_N: "alice",
  CHAP_R: encode(response(algorithm, 0xc3, "alice has a secret", Buffer.alloc(16, 0x5a))),
});

test("MD5 over identifier, secret, challenge: a vector computed by other means", () => {
  // printf '\x01' 'secretsecret' and the bytes 00..0f, through md5sum.
  const challenge = Buffer.from("000102030405060708090a0b0c0d0e0f", "hex");
  const sent = { algorithm: 5, identifier: 1, challenge };
  const users = [credential("u", "secretsecret")];
  const vector = "0x226dc576c33f04ff9c3a200ffe35f442";
  const good = verifyInitiator(
    new Map([
      ["CHAP_N", "u"],
      ["CHAP_R", vector],
    ]),
    sent,
    users,
    undefined,
    never,
  );
  assert.deepEqual(good, { kind: "authenticated", user: "u", answers: [] });
});

for (const algorithm of [5, 6, 7, 8]) {
  test(`CHAP_A=${algorithm}: the right response is accepted, any changed byte of it is not`, () => {
    assert.equal(verify(aliceAnswers(algorithm), { algorithm }).kind, "authenticated");
    const right = response(algorithm, 0xc3, "alice has a secret", Buffer.alloc(16, 0x5a));
    for (let index = 0; index < right.length; index++) {
      const wrong = Buffer.from(right);
      wrong[index]! ^= 0x01;
      const result = verify({ CHAP_N: "alice", CHAP_R: encodeBinary(wrong) }, { algorithm });
      assert.equal(result.kind === "failure" && result.status, LOGIN_STATUS_AUTHENTICATION_FAILURE);
    }
  });
}

test("the first of the initiator's algorithms that we support is chosen (6.2.1), its challenge as long as its response", () => {
  let calls = 0;
  const random = (count: number) => {
    calls++;
    return new Uint8Array(count).fill(0xa0 + calls);
  };
  const lengths: Readonly<Record<number, number>> = { 5: 16, 6: 20, 7: 32, 8: 32 };
  const cases: readonly (readonly [string, readonly number[], number])[] = [
    ["5", [8, 7, 6, 5], 5],
    ["5,6,7,8", [8, 7, 6, 5], 5],
    ["7,5,8", [8, 7, 6, 5], 7],
    ["8,7,6", [6, 7], 7],
    ["8,7,6,5", [5], 5],
    ["0x6,0x5", [8, 7, 6, 5], 6],
    // 255 bytes are the most for a value of a list, not for the list (section 6.1).
    [`${"200,".repeat(100)}7`, [8, 7, 6, 5], 7],
    ["99,5", [8, 7, 6, 5], 5],
  ];
  for (const [offered, ours, chosen] of cases) {
    calls = 0;
    const result = challengeInitiator(offered, ours, random);
    assert.equal(result.kind, "challenged", offered);
    if (result.kind !== "challenged") return;
    assert.equal(result.sent.algorithm, chosen, offered);
    assert.equal(result.sent.identifier, 0xa1);
    assert.deepEqual(result.sent.challenge, new Uint8Array(lengths[chosen]!).fill(0xa2));
    assert.deepEqual(result.answers, [
      { key: "CHAP_A", value: String(chosen) },
      { key: "CHAP_I", value: String(0xa1) },
      { key: "CHAP_C", value: `0x${"a2".repeat(lengths[chosen]!)}` },
    ]);
  }
});

test("this Node has all four algorithms", () => assert.deepEqual(CHAP_ALGORITHMS_DEFAULT, [8, 7, 6, 5]));

test("no common algorithm is an authentication failure, a list without a number a protocol error", () => {
  const statusOf = (offered: string, ours = CHAP_ALGORITHMS_DEFAULT) => {
    const result = challengeInitiator(offered, ours, (count) => new Uint8Array(count));
    return result.kind === "failure" ? result.status : undefined;
  };
  assert.equal(statusOf("5", [8]), LOGIN_STATUS_AUTHENTICATION_FAILURE);
  assert.equal(statusOf("9,10"), LOGIN_STATUS_AUTHENTICATION_FAILURE);
  assert.equal(statusOf("9", [9]), LOGIN_STATUS_AUTHENTICATION_FAILURE);
  for (const list of ["", ",", "MD5", "5;7", "05", "5 ,MD5"]) {
    assert.equal(statusOf(list), LOGIN_STATUS_INITIATOR_ERROR, list);
  }
  assert.equal(statusOf("9,MD5"), LOGIN_STATUS_AUTHENTICATION_FAILURE);
  for (const list of ["5,", ",5", "MD5,5", "5 ,5"]) assert.equal(statusOf(list), undefined, list);
});

test("responses come in hexadecimal of either case and in base64", () => {
  const forms = [
    (bytes: Buffer) => `0X${bytes.toString("hex").toUpperCase()}`,
    (bytes: Buffer) => `0b${bytes.toString("base64")}`,
    (bytes: Buffer) => `0B${bytes.toString("base64")}`,
  ];
  for (const form of forms) assert.equal(verify(aliceAnswers(5, form)).kind, "authenticated");
});

test("unknown user, another user's response and a response of the wrong length fail alike", () => {
  const { CHAP_R } = aliceAnswers();
  const answers = [
    { CHAP_N: "mallory", CHAP_R },
    { CHAP_N: "bob", CHAP_R },
    { CHAP_N: "alice", CHAP_R: CHAP_R.slice(0, -2) },
    { CHAP_N: "alice", CHAP_R: `${CHAP_R}00` },
    // What the dummy computation for unknown users gives.
    { CHAP_N: "mallory", CHAP_R: encodeBinary(response(5, 0xc3, "\0".repeat(16), Buffer.alloc(16, 0x5a))) },
  ];
  for (const keys of answers) {
    const result = verify(keys);
    assert.equal(result.kind === "failure" && result.status, LOGIN_STATUS_AUTHENTICATION_FAILURE);
    assert.match(result.kind === "failure" ? result.reason : "", /^CHAP: unknown user or wrong secret: "/);
  }
});

test("keys that do not fit the step: missing ones 0207h, malformed ones 0200h (9.2)", () => {
  const { CHAP_R } = aliceAnswers();
  const statusOf = (keys: Readonly<Record<string, string>>) => {
    const result = verify(keys, { mutual: TARGET });
    return result.kind === "failure" ? result.status : undefined;
  };
  const good = { CHAP_N: "alice", CHAP_R };
  // The reflection attack of section 9.2: a challenge of its own, but no response.
  assert.equal(statusOf({ CHAP_N: "alice", CHAP_I: "1", CHAP_C: "0x11" }), LOGIN_STATUS_MISSING_PARAMETER);
  assert.equal(statusOf({ CHAP_R }), LOGIN_STATUS_MISSING_PARAMETER);
  assert.equal(statusOf({}), LOGIN_STATUS_MISSING_PARAMETER);
  assert.equal(statusOf({ ...good, CHAP_I: "1" }), LOGIN_STATUS_MISSING_PARAMETER);
  assert.equal(statusOf({ ...good, CHAP_C: "0x11" }), LOGIN_STATUS_MISSING_PARAMETER);
  const malformed = [
    { ...good, CHAP_N: "" },
    { ...good, CHAP_N: "x".repeat(256) },
    { ...good, CHAP_R: "" },
    { ...good, CHAP_R: "12345" },
    { ...good, CHAP_R: "0x" },
    { ...good, CHAP_R: "0xzz" },
    { ...good, CHAP_R: `0x${"00".repeat(CHAP_BINARY_LENGTH_MAX + 1)}` },
    { ...good, CHAP_I: "256", CHAP_C: "0x11" },
    { ...good, CHAP_I: "x", CHAP_C: "0x11" },
    { ...good, CHAP_I: "1", CHAP_C: "" },
    { ...good, CHAP_I: "1", CHAP_C: `0x${"00".repeat(CHAP_BINARY_LENGTH_MAX + 1)}` },
  ];
  for (const keys of malformed) assert.equal(statusOf(keys), LOGIN_STATUS_INITIATOR_ERROR, inspect(keys));
});

for (const algorithm of [5, 6, 7, 8]) {
  test(`CHAP_A=${algorithm}: the target proves itself with its own name and secret`, () => {
    const challenge = Buffer.from("a challenge of the initiator's");
    for (const CHAP_C of [encodeBinary(challenge), `0b${challenge.toString("base64")}`]) {
      const keys = { ...aliceAnswers(algorithm), CHAP_I: "0x7", CHAP_C };
      assert.deepEqual(verify(keys, { algorithm, mutual: TARGET }), {
        kind: "authenticated",
        user: "alice",
        answers: [
          { key: "CHAP_N", value: "target" },
          { key: "CHAP_R", value: encodeBinary(response(algorithm, 7, "prove it, target", challenge)) },
        ],
      });
    }
  });
}

test("a challenge of 1 byte and one of 1024 bytes are answered", () => {
  for (const length of [1, CHAP_BINARY_LENGTH_MAX]) {
    const keys = { ...aliceAnswers(), CHAP_I: "0", CHAP_C: encodeBinary(new Uint8Array(length).fill(1)) };
    assert.equal(verify(keys, { mutual: TARGET }).kind, "authenticated");
  }
});

function assertAuthenticationFailure(result: ReturnType<typeof verify>, reason: RegExp): void {
  assert.equal(result.kind, "failure");
  if (result.kind !== "failure") return;
  assert.equal(result.status, LOGIN_STATUS_AUTHENTICATION_FAILURE);
  assert.match(result.reason, reason);
}

test("an initiator that wants the target's proof is refused where there is none", () => {
  assertAuthenticationFailure(verify({ ...aliceAnswers(), CHAP_I: "1", CHAP_C: "0x11" }), /no credential/);
});

test("an initiator that does not ask for the target's proof gets none", () => {
  assert.deepEqual(verify(aliceAnswers(), { mutual: TARGET }), { kind: "authenticated", user: "alice", answers: [] });
});

test("our own challenge, sent back as the initiator's, is refused (9.2.1)", () => {
  for (const CHAP_C of [`0x${"5a".repeat(16)}`, `0b${Buffer.alloc(16, 0x5a).toString("base64")}`]) {
    const keys = { ...aliceAnswers(), CHAP_I: "1", CHAP_C };
    assertAuthenticationFailure(verify(keys, { mutual: TARGET }), /reflects/);
  }
});

test("a challenge that we have outstanding on another connection is refused (9.2.1 d)", () => {
  const other = Buffer.from("sent on another one");
  const outstanding = (challenge: Uint8Array) => other.equals(challenge);
  const keys = { ...aliceAnswers(), CHAP_I: "1", CHAP_C: encodeBinary(other) };
  assertAuthenticationFailure(verify(keys, { mutual: TARGET, outstanding }), /reflects/);
  assert.equal(verify(keys, { mutual: TARGET }).kind, "authenticated");
});

test("one secret in both directions is refused, whether or not the target is asked to prove itself (9.2.1)", () => {
  const mutual = credential("target", "alice has a secret");
  assertAuthenticationFailure(verify(aliceAnswers(), { mutual }), /target's own secret/);
  assertAuthenticationFailure(verify({ ...aliceAnswers(), CHAP_I: "1", CHAP_C: "0x11" }, { mutual }), /own secret/);
});

test("what comes of a login shows no secret, however it is printed", () => {
  const results = [
    verify(aliceAnswers(), { mutual: TARGET }),
    verify({ CHAP_N: "alice", CHAP_R: "0x00" }, { mutual: TARGET }),
    verify({ ...aliceAnswers(), CHAP_I: "1", CHAP_C: "0x11" }, { mutual: credential("t", "alice has a secret") }),
    ALICE,
  ];
  for (const result of results) {
    const printed = `${JSON.stringify(result)}${inspect(result, { depth: 9, showHidden: true })}`;
    assert.doesNotMatch(printed, /alice has a secret|prove it, target|616c6963652068/);
  }
});

test("binary values: hexadecimal of odd length begins with a single digit (6.1)", () => {
  const decoded = (text: string) => {
    const bytes = decodeBinary(text, 4);
    return bytes && Buffer.from(bytes).toString("hex");
  };
  assert.equal(decoded("0x1"), "01");
  assert.equal(decoded("0x123"), "0123");
  assert.equal(decoded("0x00000001"), "00000001");
  assert.equal(decoded("0xfFfFfFfF"), "ffffffff");
  assert.equal(decoded("0bAAAA"), "000000");
  assert.equal(decoded("0bAAAAAQ=="), "00000001");
  const invalid = [
    "",
    "0",
    "0x",
    "0b",
    "0x1g",
    "0x 1",
    "0x100000000",
    "0x0000000001",
    "0bA",
    "0bAA",
    "0bAA=",
    "0bAA===",
  ];
  for (const text of [...invalid, "0bAB==", "0bAAAAAAA=", "0bA-__", "0bAA==AA==", "0b====", "ff", "12", "0x1\n"]) {
    assert.equal(decoded(text), undefined, text);
  }
});

test("binary values come back as they were, in both encodings", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: CHAP_BINARY_LENGTH_MAX }), (bytes) => {
      const base64 = `0b${Buffer.from(bytes).toString("base64")}`;
      for (const text of [encodeBinary(bytes), base64]) {
        assert.deepEqual(Buffer.from(decodeBinary(text, CHAP_BINARY_LENGTH_MAX)!), Buffer.from(bytes));
        if (bytes.length > 1) assert.equal(decodeBinary(text, bytes.length - 1), undefined);
      }
    }),
  );
});

test("arbitrary replies never authenticate and never throw", () => {
  const value = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.stringMatching(/^0[xXbB][0-9a-fA-F+/=]*$/));
  fc.assert(
    fc.property(
      fc.dictionary(fc.constantFrom("CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C"), fc.oneof(value, fc.constant("alice"))),
      (keys) => {
        assert.equal(verify(keys, { mutual: TARGET }).kind, "failure");
      },
    ),
  );
});
