import assert from "node:assert/strict";
import { test } from "node:test";
import { SEGMENT_BYTES_MAX, TcpFlow } from "../../../../control/capture/tcp-flow.js";

const INITIATOR = { host: "192.0.2.1", port: 0x8001 };
const TARGET = { host: "198.51.100.7", port: 3260 };

const hex = (...lines: string[]): string => lines.join("").replaceAll(" ", "");

test("a PDU from the initiator, IPv4: every byte of the headers", () => {
  const flow = new TcpFlow(INITIATOR, TARGET);
  const segments = flow.segments(true, 0, 48, 48);
  assert.deepEqual(
    segments.map(({ header, ...rest }) => ({ ...rest, header: header.toString("hex") })),
    [
      {
        from: 0,
        length: 48,
        originalLength: 14 + 20 + 20 + 48,
        header: hex(
          "020000000002 020000000001 0800",
          // 4500 + 0058 + 4000 + 4006 + c000 + 0201 + c633 + 6407 = 2b199h; folded b19bh; complemented 4e64h.
          "45 00 0058 0000 4000 40 06 4e64 c0000201 c6336407",
          "8001 0cbc 00000001 00000001 50 18 ffff 0000 0000",
        ),
      },
    ],
  );
});

test("numbers go on in both directions, and acknowledge what the other has sent", () => {
  const flow = new TcpFlow(INITIATOR, TARGET);
  const numbers = (isReceived: boolean, position: number, length: number): number[] => {
    const [segment] = flow.segments(isReceived, position, length, length);
    return [segment!.header.readUInt32BE(14 + 20 + 4), segment!.header.readUInt32BE(14 + 20 + 8)];
  };
  assert.deepEqual(numbers(true, 0, 48), [1, 1]);
  assert.deepEqual(numbers(false, 0, 100), [1, 49]);
  assert.deepEqual(numbers(true, 48, 48), [49, 101]);
  // 1,000 bytes were left out.
  assert.deepEqual(numbers(false, 1100, 52), [1101, 97]);
  assert.deepEqual(numbers(true, 96, 48), [97, 1153]);
});

test("across 2^32", () => {
  const flow = new TcpFlow(INITIATOR, TARGET);
  const [before] = flow.segments(true, 0xffffffff - 50, 48, 48);
  assert.equal(before!.header.readUInt32BE(38), 0xffffffff - 49);
  const [next] = flow.segments(true, 0xfffffffd, 100_000, 48);
  assert.equal(next!.header.readUInt32BE(38), 0xfffffffe);
  const [, second] = flow.segments(true, 0xfffffffd, 100_000, 48);
  assert.equal(second!.header.readUInt32BE(38), SEGMENT_BYTES_MAX - 2);
});

test("a long PDU takes several packets, with and without its data", () => {
  const wireLength = 2 * SEGMENT_BYTES_MAX + 100;
  const shapes = (captured: number) =>
    new TcpFlow(INITIATOR, TARGET)
      .segments(false, 0, wireLength, captured)
      .map(({ from, length, originalLength, header }) => [from, length, originalLength - 54, header.readUInt32BE(38)]);
  assert.deepEqual(shapes(wireLength), [
    [0, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MAX, 1],
    [SEGMENT_BYTES_MAX, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MAX, 1 + SEGMENT_BYTES_MAX],
    [2 * SEGMENT_BYTES_MAX, 100, 100, 1 + 2 * SEGMENT_BYTES_MAX],
  ]);
  assert.deepEqual(
    shapes(48).map(([, length]) => length),
    [48, 0, 0],
  );
});

test("IPv6, in its short forms and with a zone", () => {
  const addresses = (initiator: string, target: string): string[] => {
    const flow = new TcpFlow({ host: initiator, port: 1 }, { host: target, port: 2 });
    const [{ header } = assert.fail()] = flow.segments(true, 0, 48, 48);
    assert.equal(header.readUInt16BE(12), 0x86dd);
    // Payload length, next header, hop limit.
    assert.equal(header.subarray(14, 22).toString("hex"), "6000000000440640");
    return [header.subarray(22, 38).toString("hex"), header.subarray(38, 54).toString("hex")];
  };
  assert.deepEqual(addresses("2001:db8::1", "::1"), [
    "20010db8000000000000000000000001",
    "00000000000000000000000000000001",
  ]);
  assert.deepEqual(addresses("fe80::1:2%eth0", "2001:db8:1:2:3:4:5:6"), [
    "fe800000000000000000000000010002",
    "20010db8000100020003000400050006",
  ]);
  assert.deepEqual(addresses("::", "1::"), ["00".repeat(16), `0001${"00".repeat(14)}`]);
});

test("an IPv4 address as a socket for both families has it is IPv4", () => {
  const flow = new TcpFlow({ host: "::ffff:192.0.2.1", port: 1 }, { host: "::ffff:198.51.100.7", port: 2 });
  const [{ header } = assert.fail()] = flow.segments(false, 0, 48, 48);
  assert.equal(header.readUInt16BE(12), 0x0800);
  assert.equal(header.subarray(26, 34).toString("hex"), "c6336407c0000201");
});
