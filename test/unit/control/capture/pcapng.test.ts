/** Blocks against bytes put together by hand from draft-ietf-opsawg-pcapng. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DIRECTION_INBOUND,
  droppedOf,
  enhancedPacket,
  interfaceDescription,
  interfaceStatistics,
  sectionHeader,
} from "../../../../control/capture/pcapng.js";

const hex = (...lines: string[]): string => lines.join("").replaceAll(" ", "");

test("Section Header Block (section 4.1)", () => {
  const block = sectionHeader({ os: "Linux", application: "rl", comment: "all" });
  assert.equal(
    block.toString("hex"),
    hex(
      "0a0d0d0a 3c000000",
      "4d3c2b1a 0100 0000 ffffffffffffffff",
      "0100 0300 616c6c00",
      "0300 0500 4c696e7578000000",
      "0400 0200 726c0000",
      "0000 0000",
      "3c000000",
    ),
  );
});

test("Interface Description Block (section 4.2): Ethernet, no limit of length, nanoseconds", () => {
  const block = interfaceDescription({ name: "s0", description: "d" });
  assert.equal(
    block.toString("hex"),
    hex(
      "01000000 30000000",
      "0100 0000 00000000",
      "0200 0200 73300000",
      "0300 0100 64000000",
      "0900 0100 09000000",
      "0000 0000",
      "30000000",
    ),
  );
});

const PACKET = {
  interfaceId: 1,
  atNs: 0x1122334455667788n,
  direction: DIRECTION_INBOUND,
  parts: [Buffer.from("0102", "hex"), Buffer.from("030405", "hex")],
  originalLength: 1000,
  dropped: 0,
  comment: "",
};

test("Enhanced Packet Block (section 4.3): time in two words, captured and original length, padding, direction", () => {
  assert.equal(
    enhancedPacket(PACKET).toString("hex"),
    hex(
      "06000000 34000000",
      "01000000 44332211 88776655 05000000 e8030000",
      "0102030405 000000",
      "0200 0400 01000000",
      "0000 0000",
      "34000000",
    ),
  );
});

test("Enhanced Packet Block: a comment, and how many were dropped before it", () => {
  const block = enhancedPacket({ ...PACKET, parts: [], dropped: 258, comment: "hello" }).toString("hex");
  assert.equal(
    block.slice(2 * 28),
    hex("0100 0500 68656c6c6f000000", "0200 0400 01000000", "0400 0800 0201000000000000", "0000 0000", "44000000"),
  );
});

test("Interface Statistics Block (section 4.6), and its count of dropped packets read back", () => {
  const block = interfaceStatistics({ interfaceId: 2, startNs: 1n, endNs: 0x100000002n, received: 7, dropped: 3 });
  assert.equal(
    block.toString("hex"),
    hex(
      "05000000 4c000000",
      "02000000 01000000 02000000",
      "0200 0800 00000000 01000000",
      "0300 0800 01000000 02000000",
      "0400 0800 0700000000000000",
      "0500 0800 0300000000000000",
      "0000 0000",
      "4c000000",
    ),
  );
  assert.equal(droppedOf(block), 3);
  assert.equal(droppedOf(enhancedPacket(PACKET)), undefined);
});
