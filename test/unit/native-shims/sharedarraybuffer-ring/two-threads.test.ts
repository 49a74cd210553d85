import assert from "node:assert/strict";
import { test } from "node:test";
import { allocateRing, Consumer } from "sharedarraybuffer-ring";
import { withPeer } from "./peer.js";
import { isNumbered, numberedLength } from "./records.js";

/** Consumes and checks `records` numbered records with a sleep whenever the ring is empty. */
function consumeNumbered(consumer: Consumer, records: number, heldMax: number): void {
  let sequence = 0;
  let held = 0;
  while (sequence < records) {
    if (!consumer.next()) {
      consumer.release();
      held = 0;
      // The producer may be starting; after that it is never silent for long.
      assert.ok(consumer.wait(20_000), `no record ${sequence} after 20 s`);
      continue;
    }
    const { offset, length } = consumer;
    if (
      length !== numberedLength(sequence, consumer.lengthMaxBytes) ||
      !isNumbered(consumer.view, offset, length, sequence)
    ) {
      assert.fail(`record ${sequence} damaged: ${length} bytes at ${offset}`);
    }
    sequence++;
    if (++held === heldMax) {
      consumer.release();
      held = 0;
    }
  }
  consumer.release();
  assert.equal(consumer.next(), false);
}

test("ten million checksummed records from one thread to another through 64 KiB", async (t) => {
  const ring = allocateRing(64 * 1024);
  const records = 10_000_000;
  const startMs = performance.now();
  await withPeer({ task: "produce", ring, records }, async () => consumeNumbered(new Consumer(ring), records, 16));
  t.diagnostic(`${((performance.now() - startMs) / 1000).toFixed(1)} s`);
});

test("100,000 records through a ring that holds only a few, positions passing 2^32", async () => {
  const ring = allocateRing(512);
  const words = new Int32Array(ring);
  // The published layout: tail at byte 0, head at byte 128.
  words[0] = -64 * 1024;
  words[32] = -64 * 1024;
  const records = 100_000;
  await withPeer({ task: "produce", ring, records }, async () => consumeNumbered(new Consumer(ring), records, 1));
});
