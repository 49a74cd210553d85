/**
 * Random logins by an initiator that keeps to RFC 7143, or breaks one rule: after the first kind both ends hold the same parameters, and
 * every answer is one that the initiator's own reading of chapter 13 allows; the second ends with 0200h. Text comes in any number of PDUs.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LoginResult } from "../../../../control/login/messages.js";
import { type Digest, SESSION_LIMITS_DEFAULT, type SessionLimits } from "../../../../control/login/parameters.js";
import type { TaskReporting } from "../../../../dataplane/messages.js";
import fc from "../../../support/fast-check.js";
import { ACCEPT, contextOf, INITIATOR, Initiator, type Outcome, TARGET, type Wish } from "./initiator.js";

type Pair = readonly [key: string, value: string];
type Value = number | boolean | string;

interface Numeric {
  readonly kind: "minimum" | "maximum";
  readonly range: readonly [number, number];
  readonly initial: number;
}

/** Chapter 13 once more, by hand: default, range, result function. */
const NUMERIC: Readonly<Record<string, Numeric>> = {
  MaxConnections: { kind: "minimum", range: [1, 65535], initial: 1 },
  MaxBurstLength: { kind: "minimum", range: [512, 16777215], initial: 262144 },
  FirstBurstLength: { kind: "minimum", range: [512, 16777215], initial: 65536 },
  DefaultTime2Wait: { kind: "maximum", range: [0, 3600], initial: 2 },
  DefaultTime2Retain: { kind: "minimum", range: [0, 3600], initial: 20 },
  MaxOutstandingR2T: { kind: "minimum", range: [1, 65535], initial: 1 },
  ErrorRecoveryLevel: { kind: "minimum", range: [0, 2], initial: 0 },
  iSCSIProtocolLevel: { kind: "minimum", range: [0, 31], initial: 1 },
};
const BOOLEAN: Readonly<Record<string, { readonly kind: "AND" | "OR"; readonly initial: boolean }>> = {
  InitialR2T: { kind: "OR", initial: true },
  ImmediateData: { kind: "AND", initial: true },
  DataPDUInOrder: { kind: "OR", initial: true },
  DataSequenceInOrder: { kind: "OR", initial: true },
};
const LIST: Readonly<Record<string, { readonly values: readonly string[]; readonly initial: string }>> = {
  HeaderDigest: { values: ["CRC32C", "None"], initial: "None" },
  DataDigest: { values: ["CRC32C", "None"], initial: "None" },
  TaskReporting: { values: ["RFC3720", "ResponseFence", "FastAbort"], initial: "RFC3720" },
};
const OBSOLETE = ["OFMarker", "IFMarker", "OFMarkInt", "IFMarkInt"];
const UNKNOWN = ["X-com.example.colour", "Y1", "Z.z"];

/** What an initiator believes. */
class Belief {
  readonly values = new Map<string, Value>(
    [NUMERIC, BOOLEAN, LIST].flatMap((table) => Object.entries(table).map(([key, { initial }]) => [key, initial])),
  );

  /** The target's answer to what we have offered. */
  answered(key: string, offer: string, answer: string, limits: Readonly<Record<string, unknown>>): void {
    const limit = limits[key.charAt(0).toLowerCase() + key.slice(1)];
    const what = `${key}=${offer} is answered ${answer}`;
    if (OBSOLETE.includes(key)) return assert.equal(answer, "Reject", what);
    if (UNKNOWN.includes(key)) return assert.equal(answer, "NotUnderstood", what);
    const withoutUnsolicited = this.values.get("InitialR2T") === true && this.values.get("ImmediateData") === false;
    if (answer === "Irrelevant") return assert.ok(key === "FirstBurstLength" && withoutUnsolicited, what);
    const numeric = NUMERIC[key];
    const boolean = BOOLEAN[key];
    if (numeric !== undefined) {
      const number = offer === "" ? Number.NaN : Number(offer);
      const isLegal = Number.isInteger(number) && number >= numeric.range[0] && number <= numeric.range[1];
      if (!isLegal || answer === "Reject") return assert.ok(!isLegal && answer === "Reject", what);
      assert.match(answer, /^(0|[1-9][0-9]*)$/);
      const bound = Number(limit);
      const isResult =
        numeric.kind === "minimum" ? +answer <= number && +answer <= bound : +answer === Math.max(number, bound);
      assert.ok(isResult && +answer >= numeric.range[0], what);
      this.values.set(key, Number(answer));
    } else if (boolean !== undefined) {
      const isLegal = offer === "Yes" || offer === "No";
      if (!isLegal) return assert.equal(answer, "Reject", what);
      assert.ok(answer === "Yes" || answer === "No");
      // One side is enough for a No of AND and for a Yes of OR.
      if (offer === (boolean.kind === "AND" ? "No" : "Yes")) assert.equal(answer, offer, what);
      this.values.set(key, answer === "Yes");
    } else {
      const supported: readonly string[] = limit as readonly string[];
      const selected = offer.split(",").find((value) => supported.includes(value));
      assert.equal(answer, selected ?? "Reject", what);
      if (selected !== undefined) this.values.set(key, selected);
    }
  }

  /** The target's own proposal. We take what it wants: @returns our answer. */
  proposed(key: string, offer: string): string {
    const answer = LIST[key] === undefined ? offer : offer.split(",")[0]!;
    const isNumber = NUMERIC[key] !== undefined;
    assert.ok(isNumber || BOOLEAN[key] !== undefined || LIST[key] !== undefined, `${key} is proposed`);
    this.values.set(key, isNumber ? Number(answer) : BOOLEAN[key] === undefined ? answer : answer === "Yes");
    return answer;
  }
}

/** An initiator that sends text in pieces, and collects an answer that comes in pieces. */
class Conversation {
  readonly #initiator: Initiator;
  readonly #cuts: () => number;

  constructor(limits: SessionLimits, cuts: () => number) {
    this.#initiator = new Initiator(contextOf({ decision: { ...ACCEPT, limits, alias: "disk" } }));
    this.#cuts = cuts;
  }

  get isOver(): boolean {
    return this.#initiator.state.name !== "IN_LOGIN" && this.#initiator.state.name !== "XPT_UP";
  }

  /** One logical request. @returns the last outcome, and the text of all. */
  ask(text: string, flags: Wish): { readonly outcome: Outcome; readonly pairs: readonly Pair[] } {
    let rest = Buffer.from(text);
    for (;;) {
      const length = Math.min(this.#cuts(), 8192);
      if (rest.length <= length) break;
      const { transit: _, nsg: __, ...stage } = flags;
      const outcome = this.#initiator.send({ ...stage, continued: true, text: rest.subarray(0, length) });
      if (this.isOver) return { outcome, pairs: [] };
      assert.deepEqual([outcome.response?.text.length, outcome.response?.transit], [0, false]);
      rest = rest.subarray(length);
    }
    let outcome = this.#initiator.send({ ...flags, text: rest });
    const parts = [outcome.response!.text];
    while (outcome.response!.continued) {
      outcome = this.#initiator.send(flags);
      parts.push(outcome.response!.text);
    }
    const pairs = Buffer.concat(parts).toString().split("\0");
    assert.equal(pairs.pop(), "");
    return {
      outcome,
      pairs: pairs.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]),
    };
  }
}

const encode = (pairs: readonly Pair[]) => pairs.map(([key, value]) => `${key}=${value}\0`).join("");

const number = fc.oneof(
  fc.constantFrom("0", "1", "2", "3", "511", "512", "4096", "65536", "262144", "16777215", "16777216", "3600", "0x400"),
  fc.nat({ max: 20_000_000 }).map(String),
  fc.constantFrom("-1", "1.5", "many", "", "99999999999999999999"),
);
const offers: readonly fc.Arbitrary<Pair>[] = [
  ...Object.keys(NUMERIC).map((key) => fc.tuple(fc.constant(key), number)),
  ...Object.keys(BOOLEAN).map((key) => fc.tuple(fc.constant(key), fc.constantFrom("Yes", "No", "yes", ""))),
  ...Object.entries(LIST).map(([key, { values }]) =>
    fc.tuple(
      fc.constant(key),
      fc.array(fc.constantFrom(...values, "Other"), { minLength: 1, maxLength: 4 }).map((list) => list.join(",")),
    ),
  ),
  ...[...OBSOLETE, ...UNKNOWN].map((key) => fc.tuple(fc.constant(key), fc.constantFrom("No", "1", "x".repeat(200)))),
];
/** Each key once at most, in any order, in one to three requests. */
const requests = fc
  .tuple(
    fc.shuffledSubarray(offers.map((_, index) => index)),
    fc.array(fc.nat({ max: 2 }), { minLength: offers.length, maxLength: offers.length }),
    fc.tuple(...offers),
  )
  .map(([order, places, pairs]) => {
    const split: Pair[][] = [[], [], []];
    for (const index of order) split[places[index]!]!.push(pairs[index]!);
    return split.filter((request, index) => index === 0 || request.length > 0);
  });
const digests = fc.subarray<Digest>(["CRC32C", "None"], { minLength: 1 });
const limits: fc.Arbitrary<SessionLimits> = fc
  .record({
    maxConnections: fc.constantFrom(1, 4),
    initialR2T: fc.boolean(),
    immediateData: fc.boolean(),
    maxBurstLength: fc.constantFrom(512, 65536, 1048576),
    firstBurstLength: fc.constantFrom(512, 65536, 262144),
    maxOutstandingR2T: fc.constantFrom(1, 4),
    defaultTime2Wait: fc.constantFrom(0, 2, 5),
    defaultTime2Retain: fc.constantFrom(0, 20, 3600),
    errorRecoveryLevel: fc.constantFrom(0, 1, 2),
    taskReporting: fc.subarray<TaskReporting>(["RFC3720", "ResponseFence", "FastAbort"], { minLength: 1 }),
    iSCSIProtocolLevel: fc.constantFrom(1, 2),
    headerDigest: digests,
    dataDigest: digests,
  })
  .map((some) => ({ ...SESSION_LIMITS_DEFAULT, ...some }));
/** Lengths of the pieces that text is cut into. */
const cuts = fc.array(fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constant(8192)), { minLength: 1, maxLength: 6 });

const NAMES: readonly Pair[] = [
  ["InitiatorName", INITIATOR],
  ["TargetName", TARGET],
];
const OPERATIONAL: Wish = { csg: 1 };
const TO_FULL_FEATURE: Wish = { csg: 1, nsg: 3, transit: true };
const EXCHANGES_MAX = 8;

/** Cuts as they are given, and then none: a login has no more than 64 requests. */
function cutter(lengths: readonly number[]): () => number {
  const left = [...lengths];
  return () => left.shift() ?? 8192;
}

interface Met {
  readonly belief: Belief;
  readonly result: LoginResult | undefined;
  readonly outcome: Outcome;
}

/** Sends all requests, the last of them with T, and goes on until the login is over. */
function logIn(limits: SessionLimits, requests: readonly (readonly Pair[])[], lengths: readonly number[]): Met {
  const conversation = new Conversation(limits, cutter(lengths));
  const belief = new Belief();
  const said = new Set<string>();
  let offered: readonly Pair[] = [];
  let answers: readonly Pair[] = [];
  for (let index = 0; index < requests.length + EXCHANGES_MAX; index++) {
    offered = requests[index] ?? [];
    const introduced = index === 0 ? NAMES : [];
    const flags = index + 1 < requests.length ? OPERATIONAL : TO_FULL_FEATURE;
    const { outcome, pairs } = conversation.ask(encode([...introduced, ...offered, ...answers]), flags);
    if (outcome.closed !== undefined) return { belief, result: undefined, outcome };
    const open = new Map(offered);
    const next: Pair[] = [];
    // What others depend on is settled first, whatever the order.
    const late = ["FirstBurstLength", "MaxOutstandingR2T"];
    const inOrder = [...pairs.filter(([key]) => !late.includes(key)), ...pairs.filter(([key]) => late.includes(key))];
    for (const [key, value] of inOrder) {
      const offer = open.get(key);
      open.delete(key);
      if (offer !== undefined) belief.answered(key, offer, value, { ...limits });
      else if (!["TargetPortalGroupTag", "TargetAlias", "MaxRecvDataSegmentLength"].includes(key)) {
        next.push([key, belief.proposed(key, value)]);
      }
      assert.ok(offer !== undefined || !said.has(key), `${key} again`);
      said.add(key);
    }
    assert.deepEqual([...open.keys()], [], "each offer is answered");
    if (outcome.result !== undefined) {
      assert.deepEqual(next, [], "nothing is asked with the final response");
      return { belief, result: outcome.result, outcome };
    }
    answers = next;
  }
  return assert.fail("the login never ends");
}

test("whatever is negotiated, in however many pieces: both ends hold the same, and the answers are possible ones", () => {
  let completed = 0;
  fc.assert(
    fc.property(limits, requests, cuts, (limits, requests, lengths) => {
      const { belief, result, outcome } = logIn(limits, requests, lengths);
      const whole = logIn(limits, requests, []);
      assert.deepEqual([...whole.belief.values], [...belief.values], "cut or not");
      assert.equal(whole.outcome.response?.status, outcome.response?.status);
      if (result === undefined) return assert.equal(outcome.response?.status, 0x0200);
      completed++;
      const held: Readonly<Record<string, unknown>> = { ...result.session, ...result.connection };
      for (const [key, value] of belief.values) {
        assert.equal(held[key.charAt(0).toLowerCase() + key.slice(1)], value, key);
      }
      const { session } = result;
      if (!session.initialR2T || session.immediateData) assert.ok(session.firstBurstLength <= session.maxBurstLength);
      assert.ok(session.errorRecoveryLevel === 0 || session.maxOutstandingR2T === 1);
      assert.ok(session.dataPDUInOrder && session.dataSequenceInOrder);
    }),
    { numRuns: 1000 },
  );
  assert.ok(completed > 100, `${completed} of 1000 logins came to their end`);
});

/** All that is admissible, in one request: nothing is left over that could not be agreed on. */
const admissible = fc
  .tuple(
    ...Object.entries(NUMERIC).map(
      ([
        key,
        {
          range: [min, max],
        },
      ]) => fc.oneof(fc.constantFrom(min, max), fc.integer({ min, max })).map((value): Pair => [key, String(value)]),
    ),
    ...Object.keys(BOOLEAN).map((key) => fc.constantFrom<Pair>([key, "Yes"], [key, "No"])),
    ...Object.entries(LIST).map(([key, { values }]) =>
      fc.shuffledSubarray([...values], { minLength: values.length }).map((list): Pair => [key, list.join(",")]),
    ),
  )
  .chain((pairs) => fc.shuffledSubarray(pairs));

test("whatever admissible is offered in one request, in whatever order: the login comes to its end", () => {
  fc.assert(
    fc.property(limits, admissible, cuts, (limits, request, lengths) => {
      const { outcome } = logIn(limits, [request], lengths);
      assert.equal(outcome.closed, undefined);
    }),
    { numRuns: 1000 },
  );
});

/** Pairs that no initiator may send in the operational stage of a leading login. */
const misplaced: readonly Pair[] = [
  ["AuthMethod", "None"],
  ["CHAP_A", "5"],
  ["SendTargets", "All"],
  ["TargetAlias", "mine"],
  ["TargetAddress", "192.0.2.1"],
  ["TargetPortalGroupTag", "1"],
  ["MaxBurstLength", "Irrelevant"],
  ["HeaderDigest", "Reject"],
  ["X-com.example.colour", "NotUnderstood"],
  ["MaxRecvDataSegmentLength", "511"],
];
type Flaw = (requests: readonly (readonly Pair[])[], at: number) => string;
const FLAWS: Readonly<Record<string, Flaw>> = {
  "a key twice in a request": (requests, at) =>
    encode([...requests[at]!, ["DataDigest", "None"], ["DataDigest", "None"]]),
  "a key of the first request": (requests, at) => encode([...requests[at]!, requests[0]![0] ?? NAMES[0]!]),
  "no NUL at the end": (requests, at) => `${encode(requests[at]!)}DataDigest=None`,
  "two NULs": (requests, at) => `${encode(requests[at]!)}\0`,
  "no key": (requests, at) => `${encode(requests[at]!)}=None\0`,
  "a key with a space": (requests, at) => `Data Digest=None\0${encode(requests[at]!)}`,
  "a key of 64 characters": (requests, at) => `${encode(requests[at]!)}${"K".repeat(64)}=1\0`,
};

for (const [what, flawed] of [
  ...Object.entries(FLAWS),
  ...misplaced.map((pair): [string, Flaw] => [
    pair.join("="),
    (requests, at) => encode([...requests[at]!.filter(([key]) => key !== pair[0]), pair]),
  ]),
] as const) {
  test(`${what}: 0200h, however the text is cut`, () => {
    fc.assert(
      fc.property(requests, fc.nat(), cuts, (requests, place, lengths) => {
        const conversation = new Conversation(SESSION_LIMITS_DEFAULT, cutter(lengths));
        const at = place % requests.length;
        for (let index = 0; index <= at; index++) {
          const text = index === at ? flawed(requests, index) : encode(requests[index]!);
          const { outcome } = conversation.ask((index === 0 ? encode(NAMES) : "") + text, OPERATIONAL);
          assert.equal(outcome.response?.status, index === at ? 0x0200 : 0);
        }
        assert.ok(conversation.isOver);
      }),
      { numRuns: 40 },
    );
  });
}
