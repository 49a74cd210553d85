import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Transmitter } from "../../../bench/initiator/transmitter.js";
import { Arena } from "../../../dataplane/arena.js";
import fc from "../../support/fast-check.js";
import { buildHeader, OPCODE_DATA_OUT, OPCODE_SCSI_COMMAND, wirePdu } from "../../support/pdu.js";
import { RingStub } from "../../support/ring-stub.js";

const DATA_BYTES = 65536;

function setUp(): { arena: Arena; stub: RingStub; transmitter: Transmitter; data: number } {
  const arena = new Arena(Transmitter.arenaBytes + DATA_BYTES + 8192);
  const data = arena.take(DATA_BYTES, 8);
  for (let at = 0; at < DATA_BYTES; at++) arena.bytes[data + at] = (at * 131) & 0xff;
  return { arena, stub: new RingStub(arena), transmitter: new Transmitter(arena), data };
}

const pdu = fc.record({
  tag: fc.nat(),
  at: fc.nat(1000).map((word) => word * 4),
  words: fc.oneof(fc.constant(0), fc.nat(200)),
});

describe("Transmitter", () => {
  test("one send holds all PDUs with their digests, whatever the kernel takes of it at once", () => {
    fc.assert(
      fc.property(
        fc.array(pdu, { minLength: 1, maxLength: 20 }),
        fc.record({ header: fc.boolean(), data: fc.boolean() }),
        fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }),
        (pdus, digests, portions) => {
          const { arena, stub, transmitter, data } = setUp();
          transmitter.headerDigest = digests.header;
          transmitter.dataDigest = digests.data;
          const expected: Buffer[] = [];
          for (const { tag, at, words } of pdus) {
            const length = words * 4;
            const opcode = length > 0 ? OPCODE_DATA_OUT : OPCODE_SCSI_COMMAND;
            const header = buildHeader({ opcode, initiatorTaskTag: tag, dataSegmentLength: length });
            arena.bytes.set(header, transmitter.header);
            transmitter.add(data + at, length);
            expected.push(wirePdu(header, Buffer.from(arena.bytes.slice(data + at, data + at + length)), digests));
          }
          assert(transmitter.queue(stub.ring, 3, 2, 0));
          const went: Buffer[] = [];
          for (let portion = 0, more = true; more; portion++) {
            assert(transmitter.busy);
            const taken = stub.queued!.subarray(0, portions[portion % portions.length]);
            went.push(taken);
            more = transmitter.sent(taken.length, stub.ring, 3, 2, 0);
          }
          assert(!transmitter.busy);
          assert.deepEqual(Buffer.concat(went), Buffer.concat(expected));
        },
      ),
    );
  });

  test("is empty after a send, and says so", () => {
    const { arena, stub, transmitter } = setUp();
    assert.equal(transmitter.queue(stub.ring, 3, 2, 0), false);
    for (let use = 1; use <= 3; use++) {
      arena.bytes.set(buildHeader({ opcode: OPCODE_SCSI_COMMAND, initiatorTaskTag: use }), transmitter.header);
      transmitter.add(0, 0);
      assert.equal(transmitter.queue(stub.ring, 3, 2, 0), true);
      assert.equal(stub.queued!.readUInt32BE(16), use);
      assert.equal(transmitter.sent(48, stub.ring, 3, 2, 0), false);
      assert.equal(transmitter.queue(stub.ring, 3, 2, 0), false);
    }
  });

  test("room ends before the iovecs do", () => {
    const { arena, stub, transmitter, data } = setUp();
    transmitter.headerDigest = transmitter.dataDigest = true;
    let count = 0;
    for (; transmitter.room; count++) {
      arena.bytes.set(buildHeader({ opcode: OPCODE_DATA_OUT, dataSegmentLength: 8 }), transmitter.header);
      transmitter.add(data, 8);
    }
    assert(count > 0 && 2 * count + 1 <= 1024);
    transmitter.queue(stub.ring, 3, 2, 0);
    assert.equal(stub.queued!.length, count * (48 + 4 + 8 + 4));
  });
});
