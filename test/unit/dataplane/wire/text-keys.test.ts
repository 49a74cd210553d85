import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeText,
  describeText,
  encodeText,
  KEY_LENGTH_MAX,
  type KeyValue,
  SIMPLE_VALUE_LENGTH_MAX,
  TEXT_KEY_CHARACTER,
  TEXT_KEY_EMPTY,
  TEXT_KEY_TOO_LONG,
  TEXT_LENGTH_GUARANTEED,
  TEXT_UNTERMINATED,
  TEXT_VALID,
  TEXT_VALUE_NOT_UTF8,
  TEXT_VALUE_TOO_LONG,
  TEXT_WITHOUT_SEPARATOR,
  textPartLength,
} from "../../../../dataplane/wire/text-keys.js";
import fc from "../../../support/fast-check.js";

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, "latin1"));

const KEY_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-+@_#";
const key = fc.string({ unit: fc.constantFrom(...KEY_CHARACTERS), minLength: 1, maxLength: KEY_LENGTH_MAX });
const value = fc
  .string({ unit: "binary", maxLength: 300 })
  .filter((text) => !text.includes("\0") && text.isWellFormed());
const pairs = fc.array(fc.record({ key, value }, { noNullPrototype: true }), { maxLength: 40 });

/** The naive twin: splits strings. */
function split(text: string): KeyValue[] {
  return text
    .split("\0")
    .slice(0, -1)
    .map((pair) => ({ key: pair.slice(0, pair.indexOf("=")), value: pair.slice(pair.indexOf("=") + 1) }));
}

test("pairs survive the round trip, and encode as the twin would", () => {
  fc.assert(
    fc.property(pairs, (list) => {
      const bytes = encodeText(list);
      const text = list.map(({ key, value }) => `${key}=${value}\0`).join("");
      assert.equal(Buffer.from(bytes).toString("hex"), Buffer.from(text, "utf8").toString("hex"));
      const decoded = decodeText(bytes);
      assert.deepEqual(decoded, { reason: TEXT_VALID, pairs: list });
      assert.deepEqual(decoded, { reason: TEXT_VALID, pairs: split(text) });
    }),
  );
});

test("golden text: order, repeated keys, empty values, '=' in a value, UTF-8, byte order mark", () => {
  const text = "TargetName=iqn.a\0TargetAddress=[::1]:3260,1\0TargetAddress=x\0A=\0B==b=\0X#K=1\0C=ü\0D=\ufeff\0";
  assert.deepEqual(decodeText(Buffer.from(text, "utf8")), {
    reason: TEXT_VALID,
    pairs: [
      { key: "TargetName", value: "iqn.a" },
      { key: "TargetAddress", value: "[::1]:3260,1" },
      { key: "TargetAddress", value: "x" },
      { key: "A", value: "" },
      { key: "B", value: "=b=" },
      { key: "X#K", value: "1" },
      { key: "C", value: "ü" },
      { key: "D", value: "\ufeff" },
    ],
  });
  assert.deepEqual(decodeText(new Uint8Array(0)), { reason: TEXT_VALID, pairs: [] });
});

const LONGEST_KEY = "K".repeat(KEY_LENGTH_MAX);

/** [text, reason]. */
const FAULTS: readonly (readonly [string, number])[] = [
  ["A", TEXT_UNTERMINATED],
  ["A=", TEXT_UNTERMINATED],
  ["A=b", TEXT_UNTERMINATED],
  [`${LONGEST_KEY}`, TEXT_UNTERMINATED],
  ["A\0", TEXT_WITHOUT_SEPARATOR],
  ["\0", TEXT_WITHOUT_SEPARATOR],
  ["A\0B=c\0", TEXT_WITHOUT_SEPARATOR],
  ["=\0", TEXT_KEY_EMPTY],
  ["=b\0", TEXT_KEY_EMPTY],
  [`${LONGEST_KEY}K=b\0`, TEXT_KEY_TOO_LONG],
  [`${LONGEST_KEY}K`, TEXT_KEY_TOO_LONG],
  ["K".repeat(100_000), TEXT_KEY_TOO_LONG],
  ["A b=c\0", TEXT_KEY_CHARACTER],
  ["A\n=c\0", TEXT_KEY_CHARACTER],
  ["\x80=c\0", TEXT_KEY_CHARACTER],
  ["A~=c\0", TEXT_KEY_CHARACTER],
  [`A=${"b".repeat(TEXT_LENGTH_GUARANTEED + 1)}\0`, TEXT_VALUE_TOO_LONG],
  ["A=\xff\0", TEXT_VALUE_NOT_UTF8],
  ["A=\xc3\0", TEXT_VALUE_NOT_UTF8],
  ["A=\xed\xa0\x80\0", TEXT_VALUE_NOT_UTF8],
];

test("each fault has its reason, and the offset of its pair", () => {
  for (const [text, reason] of FAULTS) {
    const name = JSON.stringify(text.slice(0, 80));
    assert.deepEqual(decodeText(bytesOf(text)), { reason, offset: 0 }, name);
    assert.deepEqual(decodeText(bytesOf(`G=1\0${text}`)), { reason, offset: 4 }, name);
    assert.doesNotMatch(describeText(reason), /unknown/);
  }
  assert.equal(describeText(TEXT_VALID), "valid");
  assert.equal(describeText(99), "unknown reason 99");
});

test("the longest key and the longest value pass, in bytes and not in characters", () => {
  assert.equal(decodeText(bytesOf(`${LONGEST_KEY}=b\0`)).reason, TEXT_VALID);
  assert.equal(encodeText([{ key: LONGEST_KEY, value: "" }]).length, KEY_LENGTH_MAX + 2);
  assert.equal(decodeText(bytesOf(`A=${"b".repeat(TEXT_LENGTH_GUARANTEED)}\0`)).reason, TEXT_VALID);
  const simple = (text: string) => decodeText(encodeText([{ key: "A", value: text }]), SIMPLE_VALUE_LENGTH_MAX).reason;
  assert.equal(simple("b".repeat(255)), TEXT_VALID);
  assert.equal(simple("b".repeat(256)), TEXT_VALUE_TOO_LONG);
  assert.equal(simple("ü".repeat(127)), TEXT_VALID);
  assert.equal(simple("ü".repeat(128)), TEXT_VALUE_TOO_LONG);
});

test("any bytes are decoded or refused, and a cut never turns into another meaning", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const decoded = decodeText(bytes);
      if (decoded.reason !== TEXT_VALID) {
        assert.ok(decoded.offset >= 0 && decoded.offset < bytes.length);
        assert.doesNotMatch(describeText(decoded.reason), /unknown|^valid/);
      } else {
        assert.deepEqual(Buffer.from(encodeText(decoded.pairs)), Buffer.from(bytes));
      }
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(pairs, fc.nat(), (list, where) => {
      const bytes = encodeText(list);
      const cut = bytes.subarray(0, bytes.length === 0 ? 0 : where % bytes.length);
      const decoded = decodeText(cut);
      if (decoded.reason === TEXT_VALID) assert.deepEqual(decoded.pairs, list.slice(0, decoded.pairs.length));
      else assert.equal(decoded.reason, TEXT_UNTERMINATED);
    }),
  );
});

/** Counts the bytes that `indexOf` walks over. */
class CountingBytes extends Uint8Array {
  static walked = 0;
  override indexOf(element: number, from = 0): number {
    const found = super.indexOf(element, from);
    CountingBytes.walked += (found < 0 ? this.length : found + 1) - from;
    return found;
  }
}

test("the work is linear in the bytes, however many pairs they hold", () => {
  for (const text of ["A=\0".repeat(20_000), `A=${"b".repeat(60)}\0`.repeat(1000), "A=".repeat(30_000)]) {
    CountingBytes.walked = 0;
    decodeText(CountingBytes.from(Buffer.from(text, "latin1")), Number.MAX_SAFE_INTEGER);
    assert.ok(CountingBytes.walked <= text.length, `${CountingBytes.walked} steps for ${text.length} bytes`);
  }
});

test("text in shared memory decodes", () => {
  const shared = new Uint8Array(new SharedArrayBuffer(4));
  shared.set(bytesOf("A=b\0"));
  assert.deepEqual(decodeText(shared), { reason: TEXT_VALID, pairs: [{ key: "A", value: "b" }] });
});

test("what cannot be sent is refused", () => {
  for (const bad of ["", "A=B", "A\0", "A b", "ü", "K".repeat(64)]) {
    assert.throws(() => encodeText([{ key: bad, value: "" }]), RangeError, bad);
  }
  assert.throws(() => encodeText([{ key: "A", value: "b\0C=d" }]), RangeError);
});

test("a text is cut behind a pair where one fits, so that each part may be parsed by itself", () => {
  const text = "A=1\0Bc=23\0";
  assert.deepEqual(
    [1, 3, 4, 5, 9, 10, 11].map((lengthMax) => textPartLength(text, lengthMax)),
    [1, 3, 4, 4, 4, 10, 10],
  );
  assert.equal(textPartLength("", 512), 0);
});
