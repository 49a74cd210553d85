/**
 * Random negotiation sequences of one session (RFC 7143 sections 6.2, 6.4, 11.10, 11.11), against what an initiator expects of them: keys
 * whole or cut anywhere, F as it likes, sequences given up in the middle, and now and then a rule broken.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "../../support/fast-check.js";
import {
  decodeKeys,
  encodeKeys,
  FLAG_CONTINUE,
  FLAG_FINAL,
  OPCODE_REJECT,
  OPCODE_TEXT_REQUEST,
  OPCODE_TEXT_RESPONSE,
  type ReceivedPdu,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { startTarget } from "../login/fixture.js";

const target = startTarget();
const RUNS = 60;
const TEXT_MAX = 4000;
const LENGTH_MIN = 512;
const PROTOCOL_ERROR = 4;
const INVALID_FIELD = 9;

type Pair = readonly [key: string, value: string];
type Flaw = "none" | "twice" | "login key" | "no NUL" | "stale tag" | "text while the answer goes on";

interface Request {
  readonly pairs: readonly Pair[];
  /** Lengths of the pieces, as far as they go. */
  readonly cuts: readonly number[];
  readonly final: boolean;
  readonly flaw: Flaw;
  /** Afterwards a new sequence begins, whether this one is over or not. */
  readonly isLast: boolean;
}

const unknown = fc.tuple(
  fc.nat({ max: 400 }).map((number) => `X-com.example.${String(number).padEnd(30, "x")}`),
  fc.nat({ max: 40 }).map((length) => "v".repeat(length)),
);
const known: fc.Arbitrary<Pair> = fc.oneof(
  fc.constant<Pair>(["InitiatorAlias", "A host"]),
  fc.constantFrom(LENGTH_MIN, 1000, 8192, 65536).map((length): Pair => ["MaxRecvDataSegmentLength", String(length)]),
  fc.constant<Pair>(["IFMarker", "No"]),
);
const request: fc.Arbitrary<Request> = fc.record({
  pairs: fc.uniqueArray(fc.oneof({ weight: 6, arbitrary: unknown }, { weight: 1, arbitrary: known }), {
    maxLength: 30,
    selector: ([key]) => key,
  }),
  cuts: fc.array(fc.oneof(fc.integer({ min: 1, max: 50 }), fc.constant(TEXT_MAX)), { maxLength: 4 }),
  final: fc.boolean(),
  flaw: fc.oneof(
    { weight: 8, arbitrary: fc.constant<Flaw>("none") },
    {
      weight: 2,
      arbitrary: fc.constantFrom<Flaw>("twice", "login key", "no NUL", "stale tag", "text while the answer goes on"),
    },
  ),
  isLast: fc.boolean(),
});

/** What the initiator knows of its session. */
class Sequences {
  readonly #initiator: RawInitiator;
  readonly #tag = 0x77;
  /** What it has declared that is in force, and what will be when the sequence is over. */
  #length = 8192;
  #declared: number | undefined;
  #keys = new Set<string>();
  #targetTransferTag = TAG_NONE;

  constructor(initiator: RawInitiator) {
    this.#initiator = initiator;
  }

  async run({ pairs, cuts, final, flaw, isLast }: Request): Promise<void> {
    const again = pairs.find(([key]) => this.#keys.has(key));
    let text = encodeKeys(pairs as [string, string][]);
    if (flaw === "twice") text = Buffer.concat([text, encodeKeys([["X-a", "1"]]), encodeKeys([["X-a", "1"]])]);
    if (flaw === "login key") text = Buffer.concat([text, encodeKeys({ MaxBurstLength: "512" })]);
    if (flaw === "no NUL") text = Buffer.concat([text, Buffer.from("X-a=1")]);
    if (flaw === "stale tag") {
      await this.#send(text, final ? FLAG_FINAL : 0, 0x7fffffff);
      return this.#rejected(INVALID_FIELD);
    }
    const isRefused = again !== undefined || ["twice", "login key", "no NUL"].includes(flaw);
    let rest = text;
    for (const cut of cuts) {
      if (rest.length <= cut) break;
      await this.#send(rest.subarray(0, cut), FLAG_CONTINUE, this.#targetTransferTag);
      const response = await this.#receive(false);
      assert.deepEqual(
        [response.data.length, response.flags & FLAG_CONTINUE],
        [0, 0],
        "a part is answered with nothing",
      );
      rest = rest.subarray(cut);
    }
    await this.#send(rest, final ? FLAG_FINAL : 0, this.#targetTransferTag);
    if (isRefused) return this.#rejected(PROTOCOL_ERROR);

    const parts: Buffer[] = [];
    let response = await this.#receive(final);
    parts.push(response.data);
    while (response.flags & FLAG_CONTINUE) {
      if (flaw === "text while the answer goes on") {
        await this.#send(encodeKeys({ "X-b": "1" }), FLAG_FINAL, this.#targetTransferTag);
        return this.#rejected(PROTOCOL_ERROR);
      }
      await this.#send(Buffer.alloc(0), final ? FLAG_FINAL : 0, this.#targetTransferTag);
      response = await this.#receive(final);
      parts.push(response.data);
    }
    assert.equal(response.final, final, "F is answered with F, once all is said");
    this.#judge(pairs, decodeKeys(Buffer.concat(parts)));
    for (const [key] of pairs) this.#keys.add(key);
    if (response.final) this.#over();
    else if (isLast) this.#anew();
    await this.#ping();
  }

  #judge(pairs: readonly Pair[], answers: ReadonlyMap<string, string>): void {
    const expected = new Map<string, string>();
    for (const [key, value] of pairs) {
      if (key.startsWith("X-")) expected.set(key, "NotUnderstood");
      if (key === "IFMarker") expected.set(key, "Reject");
      if (key !== "MaxRecvDataSegmentLength") continue;
      this.#declared = Number(value);
      // The target's own, said again: there is no answer to a declaration.
      expected.set(key, answers.get(key) ?? "");
    }
    assert.deepEqual([...answers], [...expected]);
  }

  #over(): void {
    this.#length = this.#declared ?? this.#length;
    this.#anew();
  }

  /** The next request is the first of a sequence; what was declared in one that was not over counts for nothing. */
  #anew(): void {
    this.#declared = undefined;
    this.#keys.clear();
    this.#targetTransferTag = TAG_NONE;
  }

  /** How much of a ping comes back says which MaxRecvDataSegmentLength is in force (section 11.19). */
  async #ping(): Promise<void> {
    const { data } = await this.#initiator.ping(Buffer.alloc(2000, 0x5a));
    assert.equal(data.length, Math.min(2000, this.#length));
  }

  async #send(data: Buffer, flags: number, targetTransferTag: number): Promise<void> {
    const header = { opcode: OPCODE_TEXT_REQUEST, initiatorTaskTag: this.#tag, flags, targetTransferTag };
    await this.#initiator.send(header, data);
  }

  async #receive(mayEnd: boolean): Promise<ReceivedPdu> {
    const response = await this.#initiator.expect(OPCODE_TEXT_RESPONSE);
    assert.equal(response.initiatorTaskTag, this.#tag);
    assert.equal(response.final, response.targetTransferTag === TAG_NONE);
    assert.ok(mayEnd || !response.final, "no F in answer to F=0");
    assert.ok(response.data.length <= this.#length);
    this.#targetTransferTag = response.targetTransferTag;
    return response;
  }

  async #rejected(reason: number): Promise<void> {
    const reject = await this.#initiator.expect(OPCODE_REJECT);
    assert.equal(reject.field("reason"), reason);
    // Section 7.3: its CmdSN was not taken.
    this.#initiator.session.cmdSN--;
    assert.equal(reject.expCmdSN, this.#initiator.session.cmdSN);
    this.#anew();
    await this.#ping();
  }
}

test("whatever comes in a negotiation sequence is answered once, in parts that fit, and takes effect at its end", async () => {
  const property = fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 8 }), async (requests) => {
    const initiator = await target.login();
    const sequences = new Sequences(initiator);
    for (const each of requests) await sequences.run(each);
    initiator.destroy();
  });
  await fc.assert(property, { numRuns: RUNS });
});
