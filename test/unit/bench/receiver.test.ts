import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { InitiatorError } from "../../../bench/initiator/errors.js";
import { type PduSink, Receiver } from "../../../bench/initiator/receiver.js";
import { Arena } from "../../../dataplane/arena.js";
import fc from "../../support/fast-check.js";
import {
  buildHeader,
  OPCODE_DATA_IN,
  OPCODE_NOP_IN,
  OPCODE_R2T,
  OPCODE_SCSI_RESPONSE,
  wirePdu,
} from "../../support/pdu.js";

const CAPACITY = 8192;

interface Sent {
  readonly opcode: number;
  readonly tag: number;
  readonly data: Buffer;
}

/** Puts together again what the receiver took apart. */
class Collector implements PduSink {
  readonly pdus: Sent[] = [];
  readonly #arena: Arena;
  #tag = 0;
  #length = 0;
  #parts: Buffer[] = [];

  constructor(arena: Arena) {
    this.#arena = arena;
  }

  #bytes(offset: number, length: number): Buffer {
    return Buffer.from(this.#arena.bytes.slice(offset, offset + length));
  }

  dataInBegin(header: number, length: number): void {
    assert.equal(this.#parts.length, 0, "a Data-In begins within another");
    this.#tag = this.#arena.view.getUint32(header + 16);
    this.#length = length;
  }

  dataIn(offset: number, length: number): void {
    assert(length > 0);
    this.#parts.push(this.#bytes(offset, length));
  }

  dataInEnd(): void {
    const data = Buffer.concat(this.#parts);
    assert.equal(data.length, this.#length);
    this.pdus.push({ opcode: OPCODE_DATA_IN, tag: this.#tag, data });
    this.#parts = [];
  }

  pdu(opcode: number, header: number, data: number, length: number): void {
    assert.equal(this.#parts.length, 0, "a PDU within a Data-In");
    this.pdus.push({ opcode, tag: this.#arena.view.getUint32(header + 16), data: this.#bytes(data, length) });
  }
}

interface Digests {
  readonly header: boolean;
  readonly data: boolean;
}

function receiverWith(digests: Digests): { feed: (bytes: Buffer) => void; pdus: Sent[] } {
  const arena = new Arena(CAPACITY + 4096);
  const sink = new Collector(arena);
  const receiver = new Receiver(arena, CAPACITY, sink);
  receiver.headerDigest = digests.header;
  receiver.dataDigest = digests.data;
  const feed = (bytes: Buffer): void => {
    assert(bytes.length <= receiver.freeLength, "the receiver has no room");
    arena.bytes.set(bytes, receiver.freeOffset);
    receiver.received(bytes.length);
  };
  return { feed, pdus: sink.pdus };
}

function wireOf({ opcode, tag, data }: Sent, digests: Digests): Buffer {
  const flags = 0x80;
  return wirePdu(buildHeader({ opcode, flags, initiatorTaskTag: tag, dataSegmentLength: data.length }), data, digests);
}

const sent = fc.record({
  opcode: fc.constantFrom(OPCODE_DATA_IN, OPCODE_DATA_IN, OPCODE_SCSI_RESPONSE, OPCODE_NOP_IN, OPCODE_R2T),
  tag: fc.nat(0xffffff),
  // Data-In may be longer than the whole buffer.
  data: fc
    .oneof(fc.constant(0), fc.nat(64), fc.nat(5000), fc.constant(4096))
    .map((length) => Buffer.alloc(length, 0xa5)),
});
const digestsOn = fc.record({ header: fc.boolean(), data: fc.boolean() });

describe("Receiver", () => {
  test("gives out the PDUs that were sent, however the stream is cut", () => {
    fc.assert(
      fc.property(
        fc.array(sent, { maxLength: 12 }),
        digestsOn,
        fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1 }),
        (messages, digests, cuts) => {
          const filled = messages.map((message, index) => ({
            ...message,
            data: Buffer.from(message.data.map((_, at) => (at * 31 + index) & 0xff)),
          }));
          const stream = Buffer.concat(filled.map((message) => wireOf(message, digests)));
          const { feed, pdus } = receiverWith(digests);
          for (let at = 0, cut = 0; at < stream.length; cut++) {
            const length = Math.min(cuts[cut % cuts.length]!, stream.length - at);
            feed(stream.subarray(at, at + length));
            at += length;
          }
          assert.deepEqual(pdus, filled);
        },
      ),
    );
  });

  test("every single cut of a Data-In with padding and both digests", () => {
    const digests = { header: true, data: true };
    const message = { opcode: OPCODE_DATA_IN, tag: 7, data: Buffer.from("seven b") };
    const stream = wireOf(message, digests);
    for (let cut = 1; cut < stream.length; cut++) {
      const { feed, pdus } = receiverWith(digests);
      feed(stream.subarray(0, cut));
      feed(stream.subarray(cut));
      assert.deepEqual(pdus, [message], `cut at ${cut}`);
    }
  });

  test("a Data-In longer than the buffer passes through it", () => {
    const digests = { header: false, data: true };
    const message = { opcode: OPCODE_DATA_IN, tag: 1, data: Buffer.alloc(3 * CAPACITY + 5, 0x3c) };
    const stream = wireOf(message, digests);
    const { feed, pdus } = receiverWith(digests);
    for (let at = 0; at < stream.length; at += CAPACITY - 100) feed(stream.subarray(at, at + CAPACITY - 100));
    assert.deepEqual(pdus, [message]);
  });

  test("a flipped bit anywhere is a digest error, or at least no other PDU", () => {
    const digests = { header: true, data: true };
    const stream = wireOf({ opcode: OPCODE_DATA_IN, tag: 9, data: Buffer.alloc(64, 1) }, digests);
    for (let at = 0; at < stream.length; at++) {
      // Bytes 4 to 7 hold the lengths, byte 0 the opcode: with them wrong, the receiver waits for more or refuses first.
      const damaged = Buffer.from(stream);
      damaged[at]! ^= 0x10;
      const { feed } = receiverWith(digests);
      const lengths = (at >= 4 && at < 8) || at === 0;
      if (!lengths) assert.throws(() => feed(damaged), /digest error/, `byte ${at}`);
    }
  });

  test("an AHS, which a target never sends, is refused", () => {
    const { feed } = receiverWith({ header: false, data: false });
    assert.throws(() => feed(buildHeader({ opcode: OPCODE_NOP_IN, totalAHSLength: 1 })), InitiatorError);
  });

  test("a PDU that does not fit is refused instead of waited for", () => {
    const { feed } = receiverWith({ header: false, data: false });
    const header = buildHeader({ opcode: OPCODE_NOP_IN, dataSegmentLength: CAPACITY });
    assert.throws(() => feed(Buffer.concat([header, Buffer.alloc(CAPACITY - header.length)])), InitiatorError);
  });
});
