/**
 * CHAP as iSCSI uses it (RFC 7143 sections 12.1.3 and 9.2.1; the response is RFC 1994's).
 *
 *     I -> T   CHAP_A=<A1,A2...>
 *     T -> I   CHAP_A=<A> CHAP_I=<I> CHAP_C=<C>
 *     I -> T   CHAP_N=<N> CHAP_R=<R>  [CHAP_I=<I'> CHAP_C=<C'>, if the target is to prove itself too]
 *     T -> I   [CHAP_N=<N'> CHAP_R=<R'>]
 *
 * Secrets pass through here as `ChapSecret`, whose bytes are read only to compute a response; no error, log line or
 * property of a state holds them.
 */
import { createHash, getHashes, timingSafeEqual } from "node:crypto";
import {
  LOGIN_STATUS_AUTHENTICATION_FAILURE,
  LOGIN_STATUS_MISSING_PARAMETER,
} from "../../dataplane/wire/login-response.js";
import { type KeyValue, SIMPLE_VALUE_LENGTH_MAX } from "../../dataplane/wire/text-keys.js";
import { parseNumber } from "./keys.js";
import { failure, type LoginFailure, protocolError } from "./status.js";

/** Hides its bytes from printing and serialising (control/config's Secret is one). */
export interface ChapSecret {
  bytes(): Uint8Array;
}

export interface ChapCredential {
  /** CHAP_N. */
  readonly user: string;
  readonly secret: ChapSecret;
}

interface ChapAlgorithm {
  /** node:crypto's name. */
  readonly hash: string;
  /** Of the response; challenges are made as long. Bytes. */
  readonly length: number;
}

/** By CHAP_A number: IANA's registry of PPP authentication algorithms. */
const ALGORITHMS: ReadonlyMap<number, ChapAlgorithm> = new Map([
  [5, { hash: "md5", length: 16 }],
  [6, { hash: "sha1", length: 20 }],
  [7, { hash: "sha256", length: 32 }],
  [8, { hash: "sha3-256", length: 32 }],
]);

const HASHES = new Set(getHashes());

/** All that this build of Node can compute. */
export const CHAP_ALGORITHMS_DEFAULT: readonly number[] = [8, 7, 6, 5].filter((number) =>
  HASHES.has(algorithmOf(number).hash),
);

/** Section 12.1.3: the binary length of C and R "MUST NOT exceed 1024 bytes". */
export const CHAP_BINARY_LENGTH_MAX = 1024;
const IDENTIFIER_MAX = 255;

/** Computed with where the user does not exist, so that its absence takes as long as a wrong secret. */
const NOBODY: ChapSecret = { bytes: () => new Uint8Array(16) };

/** What we sent, until the initiator has answered it. */
export interface ChapChallenge {
  readonly algorithm: number;
  readonly identifier: number;
  readonly challenge: Uint8Array;
}

/** The keys of a request, by name. */
export type KeyMap = ReadonlyMap<string, string>;

/** CHAP_A has arrived: choose, and challenge. */
export function challengeInitiator(
  chapA: string,
  algorithms: readonly number[],
  randomBytes: (count: number) => Uint8Array,
): { readonly kind: "challenged"; readonly sent: ChapChallenge; readonly answers: KeyValue[] } | LoginFailure {
  const offered = parseAlgorithms(chapA);
  if (offered.length === 0) return protocolError("CHAP_A is not a list of numbers");
  // "the first value that it supports (and is allowed to use for the specific originator)" (section 6.2.1).
  const algorithm = offered.find((number) => algorithms.includes(number) && ALGORITHMS.has(number));
  if (algorithm === undefined) return failure(LOGIN_STATUS_AUTHENTICATION_FAILURE, "no CHAP algorithm in common");
  const [identifier = 0] = randomBytes(1);
  const challenge = Uint8Array.from(randomBytes(algorithmOf(algorithm).length));
  return {
    kind: "challenged",
    sent: { algorithm, identifier, challenge },
    answers: [
      { key: "CHAP_A", value: String(algorithm) },
      { key: "CHAP_I", value: String(identifier) },
      { key: "CHAP_C", value: encodeBinary(challenge) },
    ],
  };
}

/** The initiator's answer has arrived: is it who it says, and what is our own answer to it? */
export function verifyInitiator(
  keys: KeyMap,
  sent: ChapChallenge,
  users: readonly ChapCredential[],
  mutual: ChapCredential | undefined,
  isChallengeOutstanding: (challenge: Uint8Array) => boolean,
): { readonly kind: "authenticated"; readonly user: string; readonly answers: KeyValue[] } | LoginFailure {
  const reply = parseReply(keys);
  if ("kind" in reply) return reply;

  // One computation for every reply, whether the user is known or not.
  const credential = users.find(({ user }) => user === reply.name);
  const expected = respond(sent, credential?.secret ?? NOBODY);
  const matches = expected.length === reply.response.length && timingSafeEqual(expected, reply.response);
  if (!matches || credential === undefined) {
    return failure(LOGIN_STATUS_AUTHENTICATION_FAILURE, `CHAP: unknown user or wrong secret: ${quote(reply.name)}`);
  }
  // Section 9.2.1: a response that we would have given ourselves "MUST be treated as an authentication failure": it
  // shows one secret in both directions.
  if (mutual !== undefined && timingSafeEqual(respond(sent, mutual.secret), expected)) {
    return failure(LOGIN_STATUS_AUTHENTICATION_FAILURE, `CHAP: ${quote(reply.name)} has the target's own secret`);
  }
  if (reply.challenge === undefined) return { kind: "authenticated", user: credential.user, answers: [] };

  if (mutual === undefined) {
    return failure(LOGIN_STATUS_AUTHENTICATION_FAILURE, "CHAP: the target has no credential to prove itself with");
  }
  // Section 9.2.1: "Originators MUST NOT reuse the CHAP challenge sent by the responder ... Responders MUST check for
  // this condition and close the iSCSI TCP connection if it occurs", on this connection and, item d, on any other.
  const { challenge } = reply.challenge;
  if (Buffer.compare(challenge, sent.challenge) === 0 || isChallengeOutstanding(challenge)) {
    return failure(LOGIN_STATUS_AUTHENTICATION_FAILURE, "CHAP: the initiator reflects a challenge of this target");
  }
  const response = respond({ algorithm: sent.algorithm, ...reply.challenge }, mutual.secret);
  return {
    kind: "authenticated",
    user: credential.user,
    answers: [
      { key: "CHAP_N", value: mutual.user },
      { key: "CHAP_R", value: encodeBinary(response) },
    ],
  };
}

/** RFC 1994 section 4.1: the hash over identifier, secret and challenge, in this order. */
export function respond({ algorithm, identifier, challenge }: ChapChallenge, secret: ChapSecret): Uint8Array {
  return createHash(algorithmOf(algorithm).hash)
    .update(Uint8Array.of(identifier))
    .update(secret.bytes())
    .update(challenge)
    .digest();
}

const REPLY_KEYS: ReadonlySet<string> = new Set(["CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C"]);

interface ChapReply {
  readonly name: string;
  readonly response: Uint8Array;
  /** The initiator's own challenge, if the target is to prove itself. */
  readonly challenge: { readonly identifier: number; readonly challenge: Uint8Array } | undefined;
}

/**
 * Section 9.2: keys that do not fit the step are answered with "Initiator Error" or "Missing Parameter"; a missing CHAP_R
 * above all, or an initiator could have its challenge answered without answering ours.
 */
function parseReply(keys: KeyMap): ChapReply | LoginFailure {
  for (const key of keys.keys()) {
    if (!REPLY_KEYS.has(key)) return protocolError(`${key} does not answer a challenge`);
  }
  const name = keys.get("CHAP_N");
  const chapR = keys.get("CHAP_R");
  const chapI = keys.get("CHAP_I");
  const chapC = keys.get("CHAP_C");
  if (name === undefined || chapR === undefined) {
    return failure(LOGIN_STATUS_MISSING_PARAMETER, "CHAP_N and CHAP_R must answer the challenge");
  }
  if (name.length === 0 || Buffer.byteLength(name) > SIMPLE_VALUE_LENGTH_MAX) {
    return protocolError(`CHAP_N is empty or longer than ${SIMPLE_VALUE_LENGTH_MAX} bytes`);
  }
  const response = decodeBinary(chapR, CHAP_BINARY_LENGTH_MAX);
  if (response === undefined) return protocolError("CHAP_R is not a binary value of at most 1024 bytes");
  if (chapI === undefined && chapC === undefined) return { name, response, challenge: undefined };
  if (chapI === undefined || chapC === undefined) {
    return failure(LOGIN_STATUS_MISSING_PARAMETER, "CHAP_I and CHAP_C go together");
  }
  const identifier = parseNumber(chapI);
  if (identifier === undefined || identifier > IDENTIFIER_MAX) return protocolError("CHAP_I is not one byte");
  const challenge = decodeBinary(chapC, CHAP_BINARY_LENGTH_MAX);
  if (challenge === undefined) return protocolError("CHAP_C is not a binary value of 1 to 1024 bytes");
  return { name, response, challenge: { identifier, challenge } };
}

/** Section 6.2.1: whoever "does not understand any particular value in a list, it MUST ignore it". */
function parseAlgorithms(text: string): readonly number[] {
  return text
    .split(",")
    .map(parseNumber)
    .filter((number) => number !== undefined);
}

/** A binary-value (RFC 7143 section 6.1) in hexadecimal. */
export function encodeBinary(bytes: Uint8Array): string {
  return `0x${Buffer.from(bytes).toString("hex")}`;
}

/**
 * A binary-value of 1 to `lengthMax` bytes from a hex-constant or a base64-constant; undefined if it is none. Decimal
 * constants say nothing of their length and are not admitted for keys that leave it open (section 6.1).
 */
export function decodeBinary(text: string, lengthMax: number): Uint8Array | undefined {
  const digits = text.slice(2);
  switch (text.slice(0, 2)) {
    case "0x":
    case "0X": {
      if (digits.length > 2 * lengthMax || !/^[0-9a-fA-F]+$/.test(digits)) return undefined;
      // An odd count of digits has "a byte-length of (the integer part of) (n + 1)/2": the first byte is one digit.
      return Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, "hex");
    }
    case "0b":
    case "0B": {
      if (digits.length > 4 * Math.ceil(lengthMax / 3)) return undefined;
      const bytes = Buffer.from(digits, "base64");
      // Node skips what is not base64: only what comes out again unchanged was base64 in RFC 4648's canonical form.
      const canonical = bytes.length > 0 && bytes.length <= lengthMax && bytes.toString("base64") === digits;
      return canonical ? bytes : undefined;
    }
    default:
      return undefined;
  }
}

function algorithmOf(number: number): ChapAlgorithm {
  const algorithm = ALGORITHMS.get(number);
  if (algorithm === undefined) throw new Error(`CHAP algorithm ${number} does not exist`);
  return algorithm;
}

/** What a peer calls itself, fit for a log line. */
function quote(name: string): string {
  return JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}...` : name);
}
