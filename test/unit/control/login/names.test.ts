import assert from "node:assert/strict";
import { test } from "node:test";
import { normalizeName } from "../../../../control/login/names.js";

test("names are compared in lower case and in one composition (4.2.7.2)", () => {
  assert.equal(normalizeName("iqn.2026-11.io.ringlun:Demo"), "iqn.2026-11.io.ringlun:demo");
  assert.equal(normalizeName("eui.02004567A425678D"), "eui.02004567a425678d");
  assert.equal(normalizeName("iqn.2026-11.io.ringlun:e\u0301"), "iqn.2026-11.io.ringlun:\u00e9");
  assert.equal(normalizeName("iqn.2026-11.io.ringlun:\uff21"), "iqn.2026-11.io.ringlun:a");
  assert.equal(normalizeName("iqn.2026-11.io.ringlun:STRA\u00dfE\u00ad"), "iqn.2026-11.io.ringlun:strasse");
  // Nothing that is configured is called so, but asked for it may be.
  assert.equal(normalizeName("iqn.2026-11.io.ringlun:\u{1f600}"), "iqn.2026-11.io.ringlun:\u{1f600}");
});

test("a name is not empty, not longer than 223 bytes, and without white space or control characters (4.2.7.1)", () => {
  assert.equal(normalizeName("x".repeat(223)), "x".repeat(223));
  const invalid = [
    "",
    "\u200b",
    "x".repeat(224),
    "\u00e9".repeat(112),
    "iqn.a b",
    "iqn.a\tb",
    "iqn.\u00a0",
    "iqn.a=b",
    "iqn.\u05d0",
  ];
  for (const name of invalid) assert.equal(normalizeName(name), undefined, JSON.stringify(name));
});
