import assert from "node:assert/strict";
import test from "node:test";
import {
  isNamePattern,
  matchesPattern,
  parseIscsiName,
  parseNamePattern,
} from "../../../../control/config/iscsi-name.js";
import fc from "../../../support/fast-check.js";

function normal(text: string): string {
  const parse = parseIscsiName(text);
  assert(parse.ok, `${text}: ${JSON.stringify(parse)}`);
  return parse.name;
}

function reason(text: string): string {
  const parse = parseIscsiName(text);
  assert(!parse.ok, `${text} was accepted`);
  return parse.reason;
}

test("the examples of RFC 7143 section 4.2.7 are names", () => {
  for (const name of [
    "iqn.2001-04.com.example:storage:diskarrays-sn-a8675309",
    "iqn.2001-04.com.example",
    "iqn.2001-04.com.example:storage.tape1.sys1.xyz",
    "iqn.2001-04.com.example:storage.disk2.sys1.xyz",
  ]) {
    assert.equal(normal(name), name);
  }
  assert.equal(normal("eui.02004567A425678D"), "eui.02004567a425678d");
  assert.equal(normal("naa.52004567BA64678D"), "naa.52004567ba64678d");
  assert.equal(normal("naa.62004567BA64678D0123456789ABCDEF"), "naa.62004567ba64678d0123456789abcdef");
});

test("names that initiators use are names", () => {
  for (const name of [
    "iqn.1993-08.org.debian:01:abc",
    "iqn.1991-05.com.microsoft:my_host.example",
    "iqn.2007-10.com.github:sahlberg:libiscsi:iscsi-inq",
    "iqn.2008-11.org.linux-kvm:123e4567-e89b-42d3-a456-426614174000",
    "iqn.2026-11.io.ringlun:\u00e4\u00f6\u00fc.\u6771\u4eac",
  ]) {
    assert.equal(normal(name), name);
  }
});

test("names that mean the same become the same (section 4.2.7.2)", () => {
  const expected = "iqn.2026-11.io.ringlun:\u00e4k";
  // Capitals; a decomposed letter; KELVIN SIGN and a full-width K.
  for (const text of [
    "IQN.2026-11.IO.Ringlun:\u00c4K",
    "iqn.2026-11.io.ringlun:a\u0308k",
    "iqn.2026-11.io.ringlun:\u00e4\u212a",
    "iqn.2026-11.io.ringlun:\u00e4\uff2b",
  ]) {
    assert.equal(normal(text), expected);
  }
});

test("a name has at most 223 bytes of UTF-8", () => {
  const head = "iqn.2026-11.io.ringlun:";
  assert.equal(Buffer.byteLength(normal(head + "x".repeat(200))), 223);
  assert.match(reason(head + "x".repeat(201)), /^is 224 bytes long/);
  normal(`${head}${"\u00e4".repeat(100)}`);
  assert.match(reason(`${head}x${"\u00e4".repeat(100)}`), /^is 224 bytes long/);
});

test("what is no name is refused with the reason", () => {
  assert.match(reason(""), /begins with iqn\., eui\. or naa\.$/);
  assert.match(reason("disk"), /begins with iqn\., eui\. or naa\.$/);
  assert.match(reason("iqn."), /not of the form iqn\.YYYY-MM/);
  assert.match(reason("iqn.2026-1.com.example"), /not of the form/);
  assert.match(reason("iqn.26-11.com.example"), /not of the form/);
  assert.match(reason("iqn.2026-11"), /not of the form/);
  assert.match(reason("iqn.2026-00.com.example"), /month "00": write 01 to 12$/);
  assert.match(reason("iqn.2026-13.com.example"), /month "13"/);
  for (const domain of ["com..example", ".com", "com.", "-com.example", "com.example-", "com.ex_ample"]) {
    assert.match(reason(`iqn.2026-11.${domain}`), /where a reversed domain name belongs/, domain);
  }
  assert.match(reason("eui.02004567A425678"), /not eui\. and 16 hexadecimal digits/);
  assert.match(reason("eui.02004567A425678G"), /not eui\./);
  assert.match(reason("naa.52004567BA64678D0"), /not naa\. and 16 or 32 hexadecimal digits/);
});

test("characters that stringprep never puts out are refused", () => {
  for (const character of " !\"#$%&'()*+,/;<=>?@[\\]^`{|}~\0\t\n\u007f\u0080\u00a0\u202e\u2028\u3000\u3002\ue000\ud800") {
    assert.match(reason(`iqn.2026-11.io.ringlun:a${character}b`), /^has ".+" in it/s, JSON.stringify(character));
  }
});

test("characters that are written from right to left are refused, and those that Unicode 3.2 did not have", () => {
  for (const character of "\u05d0\u0627\u{1f600}\u0220\u1e9e") {
    const text = `iqn.2026-11.io.ringlun:a${character}b`;
    if (character === "\u0220") normal(text);
    else assert.match(reason(text), /^has ".+" in it/, JSON.stringify(character));
  }
});

test("capital letters that had no small ones in Unicode 3.2 stay what they are", () => {
  for (const character of "\u10a0\u13a0\u04c0") {
    const text = `iqn.2026-11.io.ringlun:a${character}b`;
    assert.equal(normal(text), text);
  }
});

test("normal form is a fixed point, and anything else is refused", () => {
  const texts = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: "grapheme" }).map((text) => `iqn.2026-11.io.ringlun:${text}`),
    fc.string().map((text) => `IQN.2026-11.${text}`),
  );
  fc.assert(
    fc.property(texts, (text) => {
      const parse = parseIscsiName(text);
      if (!parse.ok) return;
      assert.deepEqual(parseIscsiName(parse.name), parse);
      assert.ok(Buffer.byteLength(parse.name) <= 223);
      assert.doesNotMatch(parse.name, /[A-Z\s=,\0]/);
    }),
    { numRuns: 500 },
  );
});

test("a pattern is a name with * and ? in it, in the normal form of names", () => {
  const pattern = (text: string) => {
    const parse = parseNamePattern(text);
    return parse.ok ? parse.name : parse.reason;
  };
  for (const text of [
    "*",
    "iqn.1998-01.com.VMware:*",
    "i*",
    "?qn.2001-04.com.example",
    "naa.6200*",
    "eui.????????????????",
  ]) {
    assert.equal(pattern(text), text.toLowerCase());
    assert.ok(isNamePattern(text));
  }
  assert.equal(pattern("iqn.2001-04.com.EXAMPLE"), "iqn.2001-04.com.example");
  assert.match(pattern("iqn.2001-04.com.example:a b*"), /^has " " in it, which is in no iSCSI name$/);
  assert.match(pattern("esx*"), /^fits no iSCSI name/);
  assert.match(pattern("alice"), /^is not an iSCSI name/);
  assert.match(pattern(`iqn.*${"x".repeat(220)}`), /^is 225 bytes long/);
});

test("a star stands for any characters, a question mark for one", () => {
  const name = "iqn.1993-08.org.debian:01:abc";
  for (const pattern of [
    name,
    "*",
    "iqn.*",
    "*abc",
    "*debian*",
    "iqn.1993-0?.org.debian:01:a?c",
    "**a**b**c",
    "*:*:*",
  ]) {
    assert.ok(matchesPattern(pattern, name), pattern);
  }
  for (const pattern of [
    "",
    "iqn",
    "iqn.*x",
    "*debian",
    "iqn.1993-08.org.debian:01:ab?d",
    `${name}?`,
    "*abc?",
    "*?z*",
  ]) {
    assert.ok(!matchesPattern(pattern, name), pattern);
  }
  assert.ok(matchesPattern("*\u{1d4b6}?", "iqn.\u{1d4b6}\u{1d4b7}"), "a character is a code point");
});

test("patterns mean what the same regular expressions mean, and cost little", () => {
  const part = fc.constantFrom("a", "b", "*", "?", "a*");
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 8 }),
      fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 10 }),
      (parts, name) => {
        const pattern = parts.join("");
        const expression = new RegExp(`^${pattern.replaceAll("*", ".*").replaceAll("?", ".")}$`);
        assert.equal(matchesPattern(pattern, name), expression.test(name), `${pattern} ${name}`);
      },
    ),
  );
  assert.ok(!matchesPattern(`${"*a".repeat(100)}b`, "a".repeat(223)));
});
