import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeTransportId, encodeTransportId } from "../../../../../control/units/reservations/transport-id.js";
import { fromHex, hex, textTransportId } from "./fixture.js";

const NAME = "iqn.2026-11.io.ringlun:a";

function decode(text: string, offset = 0, end = text.length / 2) {
  return decodeTransportId(fromHex(text), offset, end);
}

test("a port is name, separator, ISID, and NULs up to a multiple of four", () => {
  // 24 + 5 + 12 bytes and one NUL: 42, so 44.
  const expected = `4500002c${Buffer.from(`${NAME},i,0x00023d000001`).toString("hex")}000000`;
  assert.equal(hex(encodeTransportId({ initiatorName: NAME, isid: "00023d000001" })), expected);
  assert.deepEqual(decode(expected), { ok: true, lengthBytes: 48, initiatorName: NAME, isid: "00023d000001" });
});

test("the shortest name has an additional length of 20, the longest one of 244", () => {
  assert.equal(encodeTransportId({ initiatorName: "x", isid: "000000000000" })[3], 20);
  const longest = `iqn.2026-11.io.ringlun:${"a".repeat(200)}`;
  assert.equal(longest.length, 223);
  const bytes = encodeTransportId({ initiatorName: longest, isid: "ffffffffffff" });
  assert.equal(bytes.length, 248);
  assert.deepEqual(decodeTransportId(bytes, 0, 248), {
    ok: true,
    lengthBytes: 248,
    initiatorName: longest,
    isid: "ffffffffffff",
  });
});

test("a device has no ISID", () => {
  assert.deepEqual(decode(textTransportId(0x05, NAME)), { ok: true, lengthBytes: 32, initiatorName: NAME, isid: null });
});

test("names and ISIDs are brought to the form in which they are compared", () => {
  const parsed = decode(textTransportId(0x45, "IQN.2026-11.io.RINGLUN:A,i,0x23D00000A"));
  assert.deepEqual(parsed, { ok: true, lengthBytes: 44, initiatorName: NAME, isid: "00023d00000a" });
});

test("what stands behind the first NUL does not count", () => {
  const bytes = fromHex(textTransportId(0x05, "iqn.2026-11.io:x"));
  bytes[bytes.length - 1] = 0x41;
  assert.deepEqual(decodeTransportId(bytes, 0, bytes.length), {
    ok: true,
    lengthBytes: 24,
    initiatorName: "iqn.2026-11.io:x",
    isid: null,
  });
});

test("what is wrong is told with its place", () => {
  const good = textTransportId(0x45, `${NAME},i,0x00023d000001`);
  for (const [why, text, byte] of [
    ["another protocol", textTransportId(0x46, `${NAME},i,0x1`), 0],
    ["a reserved format", textTransportId(0x85, NAME), 0],
    ["reserved bits", textTransportId(0x55, `${NAME},i,0x1`), 0],
    ["an additional length below 20", `05000010${"00".repeat(16)}`, 2],
    ["an additional length that is no multiple of four", `05000015${"61".repeat(20)}00`, 2],
    ["an end within it", good.slice(0, -2), 2],
    ["an end within its header", "4500", 0],
    ["no NUL", `05000014${"61".repeat(20)}`, 4],
    ["no name", `05000014${"00".repeat(20)}`, 4],
    ["a port without a separator", textTransportId(0x45, NAME), 4],
    ["an ISID that is not hexadecimal", textTransportId(0x45, `${NAME},i,0x00023g000001`), 4],
    ["an ISID that is too long", textTransportId(0x45, `${NAME},i,0x0000023d000001`), 4],
    ["no ISID", textTransportId(0x45, `${NAME},i,0x`), 4],
  ] as const) {
    assert.deepEqual(decode(text), { ok: false, byte }, why);
  }
  assert.deepEqual(decode(`00000000${good.slice(0, -2)}`, 4), { ok: false, byte: 6 });
});
