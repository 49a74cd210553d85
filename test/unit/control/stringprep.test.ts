import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { mapName, prohibitedIn, unassignedIn } from "../../../control/stringprep.js";
import fc from "../../support/fast-check.js";

/** First and last of what Unicode 3.2 has something in, but for surrogates and private use. */
const CODE_POINTS = [
  [0x0, 0xd7ff],
  [0xe000, 0x2ffff],
  [0xe0000, 0xe01ff],
] as const;
/** Ideographs whose compositions were wrong in Unicode 3.2, and have been put right since (Unicode Corrigendum 4). */
const CORRECTED = new Set([0x2f868, 0x2f874, 0x2f91f, 0x2f95f, 0x2f9bf]);

test("every code point becomes what RFC 3722 says (the tables of Python's stringprep module, and Unicode 3.2)", () => {
  const outcomes: string[] = [];
  for (const [first, last] of CODE_POINTS) {
    for (let code = first; code <= last; code++) {
      if (CORRECTED.has(code)) continue;
      const text = `x${String.fromCodePoint(code)}x`;
      const name = mapName(text);
      outcomes.push(unassignedIn(text) !== undefined ? "?" : prohibitedIn(name) !== undefined ? "!" : name);
    }
  }
  // The same of Python 3.11: "?" for in_table_a1; else B.1, map_table_b2, unicodedata.ucd_3_2_0.normalize("NFKC"), and "!" for what is
  // of C.1.1 to C.9, D.1, or prohibited ASCII other than the underscore. Small letters that Unicode 3.2 did not have, which map_table_b3
  // takes from the Unicode of today, are left out of it.
  const digest = createHash("sha256").update(outcomes.join("\n")).digest("hex");
  assert.equal(digest, "9dc07b5637c925fa3692d7a3eb62473c7dc4379622fe08b0af3b9d3cd97db7bd");
});

test("what differs in case alone becomes the same", () => {
  for (const [one, other] of [
    ["STRASSE", "stra\u00dfe"],
    ["\u03a3\u0391\u03a3", "\u03c3\u03b1\u03c2"],
    ["\u0130", "i\u0307"],
    ["\u1f88", "\u1f00\u03b9"],
    ["\ufb03", "FFI"],
    ["\u212a", "K"],
  ] as const) {
    assert.equal(mapName(one), mapName(other));
  }
  // These do not.
  assert.notEqual(mapName("\u0131"), mapName("I"));
});

test("what does not show is no part of a name", () => {
  assert.equal(mapName("a\u00adb\u200bc\u200dd\ufe0fe\ufeff"), "abcde");
});

test("a mapped name is mapped to itself", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const name = mapName(text);
      if (unassignedIn(text) === undefined) assert.equal(mapName(name), name);
    }),
    { numRuns: 500 },
  );
});
