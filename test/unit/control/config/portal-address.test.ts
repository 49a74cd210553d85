import assert from "node:assert/strict";
import test from "node:test";
import { formatPortalAddress, parsePortalAddress } from "../../../../control/config/portal-address.js";
import fc from "../../../support/fast-check.js";

const addresses: readonly (readonly [text: string, host: string, port: number])[] = [
  ["127.0.0.1:3260", "127.0.0.1", 3260],
  ["127.0.0.1", "127.0.0.1", 77],
  ["0.0.0.0:1", "0.0.0.0", 1],
  ["[::1]:3260", "::1", 3260],
  ["[::1]", "::1", 77],
  ["[0:0:0:0:0:0:0:1]:65535", "::1", 65_535],
  ["[2001:DB8:0::000A]", "2001:db8::a", 77],
  ["[::ffff:192.0.2.1]", "::ffff:192.0.2.1", 77],
  ["[fe80::1%eth0]:3260", "fe80::1%eth0", 3260],
  ["Storage.Example:860", "storage.example", 860],
  ["a", "a", 77],
  ["xn--bcher-kva.example", "xn--bcher-kva.example", 77],
  ["1and1.example", "1and1.example", 77],
];

for (const [text, host, port] of addresses) {
  test(`address: ${text}`, () => {
    assert.deepEqual(parsePortalAddress(text, 77), { ok: true, address: { host, port } });
  });
}

const mistakes: readonly (readonly [text: string, reason: RegExp])[] = [
  ["", /neither an IPv4 address nor a host name/],
  [":3260", /neither an IPv4 address nor a host name/],
  ["256.0.0.1", /neither/],
  ["1.2.3", /neither/],
  ["127.0.0.01", /neither/],
  ["3260", /neither/],
  ["-a.example", /neither/],
  ["a_b.example", /neither/],
  ["a..example", /neither/],
  ["a.example.", /neither/],
  [`${"a".repeat(64)}.example`, /neither/],
  [`${"a.".repeat(127)}a`, /neither/],
  ["a b", /neither/],
  ["b\u00fccher.example", /neither/],
  ["::1", /IPv6 address without brackets: write it as \[::1\]:3260/],
  ["::1:3260", /without brackets/],
  ["2001:db8::1", /without brackets/],
  ["1:2:3", /not an address: write host:port/],
  ["[::1", /not an address/],
  ["[::1]3260", /not an address/],
  ["http://host", /"\/\/host" is not a port/],
  ["[127.0.0.1]", /not an IPv6 address: only these stand in brackets/],
  ["[]", /not an IPv6 address/],
  ["[::g]", /not an IPv6 address/],
  ["host:", /"" is not a port: write 1 to 65535/],
  ["host:0", /"0" is not a port/],
  ["host:65536", /"65536" is not a port/],
  ["host:-1", /"-1" is not a port/],
  ["host:1e3", /"1e3" is not a port/],
  ["host: 80", /" 80" is not a port/],
];

for (const [text, reason] of mistakes) {
  test(`no address: ${JSON.stringify(text.slice(0, 40))}`, () => {
    const parse = parsePortalAddress(text, 77);
    assert(!parse.ok, JSON.stringify(parse));
    assert.match(parse.reason, reason);
  });
}

test("what is formatted is read back", () => {
  const texts = fc.oneof(
    fc.ipV4(),
    fc.ipV6().map((address) => `[${address}]`),
    fc.domain(),
  );
  fc.assert(
    fc.property(texts, fc.option(fc.integer({ min: 1, max: 65_535 })), (text, port) => {
      const parse = parsePortalAddress(port === null ? text : `${text}:${port}`, 77);
      assert(parse.ok, `${text}: ${JSON.stringify(parse)}`);
      assert.equal(parse.address.port, port ?? 77);
      assert.deepEqual(parsePortalAddress(formatPortalAddress(parse.address), 1), parse);
    }),
  );
});

test("any text is an address or has a reason not to be", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      const parse = parsePortalAddress(text, 77);
      if (parse.ok) assert.deepEqual(parsePortalAddress(formatPortalAddress(parse.address), 1), parse);
      else assert.ok(parse.reason.length > 0);
    }),
    { numRuns: 2000 },
  );
});
