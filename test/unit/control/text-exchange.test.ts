import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { TEXT_LENGTH_MAX } from "../../../control/limits.js";
import { TextExchange, type TextOutcome, type TextPart } from "../../../control/text-exchange.js";
import { RESERVED_TAG } from "../../../dataplane/wire/bhs.js";
import fc from "../../support/fast-check.js";

const PART: TextPart = {
  initiatorTaskTag: 7,
  immediate: false,
  targetTransferTag: RESERVED_TAG,
  final: true,
  continued: false,
  text: "SendTargets=All\0",
};

function responded(outcome: TextOutcome): Extract<TextOutcome, { kind: "respond" }> {
  assert.equal(outcome.kind, "respond");
  return outcome as Extract<TextOutcome, { kind: "respond" }>;
}

test("a short answer goes out whole", () => {
  const exchange = new TextExchange((text) => `got ${text}`, 512);
  assert.deepEqual(exchange.step(PART), {
    kind: "respond",
    text: "got SendTargets=All\0",
    final: true,
    continued: false,
    targetTransferTag: RESERVED_TAG,
  });
});

describe("a request in parts", () => {
  test("is answered when it is whole", () => {
    const seen: string[] = [];
    const exchange = new TextExchange((text) => {
      seen.push(text);
      return "A=1\0";
    }, 512);
    const first = responded(exchange.step({ ...PART, text: "Send", continued: true, final: false }));
    assert.deepEqual([first.text, first.final, first.continued], ["", false, false]);
    const second = responded(
      exchange.step({
        ...PART,
        text: "Targets",
        continued: true,
        final: false,
        targetTransferTag: first.targetTransferTag,
      }),
    );
    assert.notEqual(second.targetTransferTag, RESERVED_TAG);
    const last = responded(exchange.step({ ...PART, text: "=All\0", targetTransferTag: second.targetTransferTag }));
    assert.deepEqual(seen, ["SendTargets=All\0"]);
    assert.deepEqual([last.text, last.final], ["A=1\0", true]);
  });

  test("is dropped when a new one begins (section 11.10.4)", () => {
    const exchange = new TextExchange((text) => text, 512);
    const first = responded(exchange.step({ ...PART, text: "half", continued: true, final: false }));
    assert.equal(responded(exchange.step(PART)).text, PART.text);
    const stale = exchange.step({ ...PART, targetTransferTag: first.targetTransferTag });
    assert.deepEqual(stale, { kind: "reject", reason: "invalidField" });
  });

  test("may be as long as the limit, and not one byte longer", () => {
    for (const [length, kind] of [
      [TEXT_LENGTH_MAX, "respond"],
      [TEXT_LENGTH_MAX + 1, "reject"],
    ] as const) {
      const exchange = new TextExchange(() => "", 512);
      const first = responded(exchange.step({ ...PART, text: "x".repeat(60_000), continued: true, final: false }));
      const outcome = exchange.step({
        ...PART,
        text: "x".repeat(length - 60_000),
        targetTransferTag: first.targetTransferTag,
      });
      assert.equal(outcome.kind, kind);
    }
  });
});

describe("what is refused", () => {
  test("C and F together", () => {
    const outcome = new TextExchange(() => "", 512).step({ ...PART, continued: true });
    assert.deepEqual(outcome, { kind: "reject", reason: "protocolError" });
  });

  test("a Target Transfer Tag that was never given out", () => {
    const outcome = new TextExchange(() => "", 512).step({ ...PART, targetTransferTag: 1 });
    assert.deepEqual(outcome, { kind: "reject", reason: "invalidField" });
  });

  test("a Target Transfer Tag with another task's tag", () => {
    const exchange = new TextExchange(() => "x".repeat(600), 512);
    const { targetTransferTag } = responded(exchange.step(PART));
    const outcome = exchange.step({ ...PART, initiatorTaskTag: 8, targetTransferTag, text: "" });
    assert.deepEqual(outcome, { kind: "reject", reason: "invalidField" });
  });

  test("another I bit than the sequence began with", () => {
    const exchange = new TextExchange(() => "x".repeat(600), 512);
    const { targetTransferTag } = responded(exchange.step(PART));
    const outcome = exchange.step({ ...PART, immediate: true, targetTransferTag, text: "" });
    assert.deepEqual(outcome, { kind: "reject", reason: "invalidField" });
  });

  test("text while ours is not finished", () => {
    const exchange = new TextExchange(() => "x".repeat(600), 512);
    const { targetTransferTag } = responded(exchange.step(PART));
    assert.deepEqual(exchange.step({ ...PART, targetTransferTag }), { kind: "reject", reason: "protocolError" });
    const again = exchange.step({ ...PART, targetTransferTag, text: "" });
    assert.deepEqual(again, { kind: "reject", reason: "invalidField" }, "the exchange was reset");
  });

  test("what the answer's maker refuses", () => {
    assert.deepEqual(new TextExchange(() => undefined, 512).step(PART), { kind: "reject", reason: "protocolError" });
  });
});

test("a request that is not final is never answered finally (section 11.11.1)", () => {
  const exchange = new TextExchange(() => "A=1\0", 512);
  const first = responded(exchange.step({ ...PART, final: false }));
  assert.deepEqual([first.text, first.final, first.continued], ["A=1\0", false, false]);
  const last = responded(exchange.step({ ...PART, text: "", targetTransferTag: first.targetTransferTag }));
  assert.deepEqual([last.text, last.final, last.targetTransferTag], ["", true, RESERVED_TAG]);
});

test("a sequence has one request", () => {
  const exchange = new TextExchange(() => "A=1\0", 512);
  const { targetTransferTag } = responded(exchange.step({ ...PART, final: false }));
  const outcome = exchange.step({ ...PART, targetTransferTag });
  assert.deepEqual(outcome, { kind: "reject", reason: "protocolError" });
});

test("tags skip the reserved one where they wrap", () => {
  const exchange = new TextExchange(() => "x".repeat(2000), 512, 0xfffffffd);
  const tags: number[] = [];
  let tag = RESERVED_TAG;
  for (let n = 0; n < 3; n++) {
    const outcome = responded(exchange.step({ ...PART, text: n === 0 ? PART.text : "", targetTransferTag: tag }));
    tag = outcome.targetTransferTag;
    tags.push(tag);
  }
  assert.deepEqual(tags, [0xfffffffe, 0, 1]);
});

test("any answer arrives whole, in parts that fit, cut between pairs where a pair fits", () => {
  const pair = fc.string({ unit: "grapheme-ascii", maxLength: 700 }).map((text) => `${text.replaceAll("\0", "")}\0`);
  fc.assert(
    fc.property(fc.array(pair, { maxLength: 12 }), fc.integer({ min: 512, max: 1024 }), (pairs, limit) => {
      const answer = pairs.join("");
      const exchange = new TextExchange(() => answer, limit);
      let received = "";
      let part = PART;
      for (;;) {
        const outcome = responded(exchange.step(part));
        assert.ok(outcome.text.length <= limit);
        received += outcome.text;
        assert.equal(outcome.final, outcome.targetTransferTag === RESERVED_TAG);
        assert.equal(outcome.continued, !outcome.final);
        if (outcome.final) break;
        assert.ok(outcome.text.length > 0);
        if (pairs.every(({ length }) => length <= limit)) assert.ok(outcome.text.endsWith("\0"));
        part = { ...PART, text: "", targetTransferTag: outcome.targetTransferTag };
      }
      assert.equal(received, answer);
    }),
  );
});
