/** Captures on shards that are played by the test: it writes their records. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { allocateRing, Producer } from "sharedarraybuffer-ring";
import { type Capture, type CaptureOptions, Captures } from "../../../../control/capture/captures.js";
import {
  CAPTURE_AT_US,
  CAPTURE_CONNECTION,
  CAPTURE_DROPPED,
  CAPTURE_HEADER_BYTES,
  CAPTURE_INDEX,
  CAPTURE_NUMBER,
  CAPTURE_POSITION,
  CAPTURE_RECEIVED,
  CAPTURE_SENT,
  CAPTURE_WIRE_LENGTH,
} from "../../../../dataplane/capture/record.js";
import { allocateCounters, COUNTER } from "../../../../dataplane/counters.js";
import type { CaptureSelection } from "../../../../dataplane/messages.js";
import { type CaptureFile, readPcapng } from "../../../support/pcapng-reader.js";

const WHO = {
  initiatorName: "iqn.2026-11.io.ringlun:initiator",
  initiatorAddress: "192.0.2.1:40000",
  targetName: "iqn.2026-11.io.ringlun:vm",
  portalAddress: "192.0.2.9:3260",
  sessionId: 3,
  tsih: 4,
  cid: 1,
  received: 0,
  sent: 0,
};

const OPTIONS: CaptureOptions = {
  isWhole: true,
  sessionId: null,
  unitIndex: null,
  description: "all sessions",
  seconds: null,
  bytesMax: null,
  isOver: () => false,
};

class PlayedShards {
  readonly count = 2;
  readonly selections: (CaptureSelection | null)[] = [];
  readonly #rings = [allocateRing(4096), allocateRing(4096)];
  readonly #counters = [allocateCounters(), allocateCounters()];
  readonly #producers = this.#rings.map((ring) => new Producer(ring));

  captured(shard: number) {
    return this.#rings[shard];
  }

  counters(shard: number) {
    return this.#counters[shard];
  }

  capture(selection: CaptureSelection | null): void {
    this.selections.push(selection);
  }

  get number(): number {
    return this.selections[0]!.number;
  }

  drop(shard: number, count: number): void {
    new Float64Array(this.#counters[shard]!)[COUNTER.capture_dropped_pdus]! += count;
  }

  introduce(shard: number, index: number, number = this.number): void {
    this.#write(shard, CAPTURE_CONNECTION, index, number, {}, Buffer.from(JSON.stringify(WHO)));
  }

  pdu(shard: number, index: number, numbers: { position: number; dropped?: number; isSent?: boolean }, bytes: Buffer) {
    this.#write(shard, numbers.isSent ? CAPTURE_SENT : CAPTURE_RECEIVED, index, this.number, numbers, bytes);
  }

  #write(
    shard: number,
    kind: number,
    index: number,
    number: number,
    { position = 0, dropped = 0 }: { position?: number; dropped?: number },
    bytes: Buffer,
  ): void {
    const record = Buffer.alloc(CAPTURE_HEADER_BYTES + bytes.length);
    record[0] = kind;
    record.writeUInt16BE(index, CAPTURE_INDEX);
    record.writeUInt32BE(number, CAPTURE_NUMBER);
    record.writeDoubleBE(0, CAPTURE_AT_US);
    record.writeUInt32BE(position, CAPTURE_POSITION);
    record.writeUInt32BE(bytes.length, CAPTURE_WIRE_LENGTH);
    record.writeUInt32BE(dropped, CAPTURE_DROPPED);
    record.set(bytes, CAPTURE_HEADER_BYTES);
    assert(this.#producers[shard]!.write(record), "the ring has room");
  }
}

const PDU = Buffer.alloc(48, 1);

async function read(capture: Capture): Promise<CaptureFile> {
  const parts: Buffer[] = [];
  for await (const part of capture.blocks()) parts.push(part);
  return readPcapng(Buffer.concat(parts));
}

test("packets of all shards, each on an interface of its own, with who it was and what was lost before", async () => {
  const shards = new PlayedShards();
  shards.drop(1, 100);
  const captures = new Captures(shards);
  const capture = captures.begin(OPTIONS)!;
  assert.deepEqual(shards.selections, [{ number: 1, isWhole: true, sessionId: null, unitIndex: null }]);
  shards.introduce(0, 7);
  shards.pdu(0, 7, { position: 0 }, PDU);
  shards.pdu(0, 7, { position: 0, isSent: true }, PDU);
  shards.introduce(1, 7);
  shards.pdu(1, 7, { position: 48, dropped: 1 }, PDU);
  shards.pdu(1, 7, { position: 200, dropped: 3 }, PDU);
  shards.drop(1, 5);
  capture.end();
  const { interfaces, packets, statistics } = await read(capture);
  assert.equal(interfaces, 3);
  const introduction = `session 3 (TSIH 4), CID 1: ${WHO.initiatorName} at ${WHO.targetName}`;
  assert.deepEqual(
    packets.map(({ interfaceId, isInbound, comment, dropped, sequence }) => [
      interfaceId,
      isInbound,
      comment,
      dropped,
      sequence,
    ]),
    [
      [0, true, introduction, 0, 1],
      [0, false, "", 0, 1],
      [1, true, introduction, 1, 49],
      [1, true, "", 2, 201],
    ],
  );
  // Two more were lost after the last packet.
  assert.deepEqual(statistics, [
    { received: 2, dropped: 0 },
    { received: 7, dropped: 5 },
    // Logins.
    { received: 0, dropped: 0 },
  ]);
  assert.deepEqual(shards.selections.slice(1), [null]);
});

test("what an earlier capture has left in the ring is none of this one's", async () => {
  const shards = new PlayedShards();
  const captures = new Captures(shards);
  captures.begin(OPTIONS)!.close();
  shards.introduce(0, 1);
  shards.pdu(0, 1, { position: 0 }, PDU);
  const capture = captures.begin(OPTIONS)!;
  capture.end();
  assert.deepEqual((await read(capture)).packets, []);
});

test("one at a time: the next begins when the reader of the one before has all, or is gone", async () => {
  const captures = new Captures(new PlayedShards());
  const first = captures.begin(OPTIONS)!;
  assert.equal(captures.begin(OPTIONS), undefined);
  first.end();
  assert.equal(captures.begin(OPTIONS), undefined);
  await read(first);
  const second = captures.begin(OPTIONS)!;
  // Its reader goes before it has begun.
  second.close();
  assert.equal(await captures.end(), false);
  assert.notEqual(captures.begin(OPTIONS), undefined);
});

test("it ends with what it is of, and what was written before is in it", async () => {
  const shards = new PlayedShards();
  let isOver = false;
  const capture = new Captures(shards).begin({ ...OPTIONS, isOver: () => isOver })!;
  shards.introduce(0, 1);
  shards.pdu(0, 1, { position: 0 }, PDU);
  isOver = true;
  assert.equal((await read(capture)).packets.length, 1);
});

test("it ends before the file is longer than it may be", async () => {
  const shards = new PlayedShards();
  const whole = new Captures(new PlayedShards()).begin(OPTIONS)!;
  whole.end();
  let empty = 0;
  for await (const part of whole.blocks()) empty += part.length;
  // 48 bytes of a PDU have 54 of headers; block and options take 44, the introduction 96 more.
  const bytesMax = empty + 500;
  const capture = new Captures(shards).begin({ ...OPTIONS, bytesMax })!;
  shards.introduce(0, 1);
  for (let i = 0; i < 10; i++) shards.pdu(0, 1, { position: 48 * i }, PDU);
  let length = 0;
  const parts: Buffer[] = [];
  for await (const part of capture.blocks()) {
    parts.push(part);
    length += part.length;
  }
  assert(length <= bytesMax && length > bytesMax - 200, `${length} of ${bytesMax}`);
  const { packets, statistics } = readPcapng(Buffer.concat(parts));
  assert(packets.length >= 1 && packets.length <= 3);
  assert.equal(statistics.length, 3);
});
