import assert from "node:assert/strict";
import { test } from "node:test";
import { ratesBetween } from "../../../../control/http/rates.js";
import {
  ERRORS,
  IN_FLIGHT,
  READ_BYTES,
  READ_TIMES,
  READS,
  WRITE_TIMES,
  WRITES,
} from "../../../../dataplane/statistics.js";

test("what rose, by the second; what is, as it is", () => {
  const before = new Float64Array(200);
  const now = new Float64Array(200);
  before[READS] = 100;
  now[READS] = 300;
  now[READ_BYTES] = 4096;
  now[IN_FLIGHT] = 7;
  now[ERRORS + 5] = 3;
  now[ERRORS + 6] = 1;
  const { reads, readBytes, writes, inFlight, errors, readLatency } = ratesBetween(before, now, 2);
  assert.deepEqual([reads, readBytes, writes, inFlight, errors, readLatency], [100, 2048, 0, 7, 2, null]);
});

test("percentiles stand in the bucket of their command", () => {
  const now = new Float64Array(200);
  now[READS] = 100;
  now[WRITES] = 1;
  now[READ_TIMES] = 100 * 150;
  // 98 commands of 64 to 128 us, two of 1.024 to 2.048 ms.
  now[READ_TIMES + 1 + 1] = 98;
  now[READ_TIMES + 1 + 5] = 2;
  now[WRITE_TIMES + 1] = 1;
  const { readLatency, writeLatency } = ratesBetween(new Float64Array(), now, 1);
  assert.equal(readLatency?.mean, 0.00015);
  assert.ok(readLatency.p50 > 0.000064 && readLatency.p50 < 0.000128);
  assert.ok(readLatency.p99 > 0.001024 && readLatency.p99 <= 0.002048);
  assert.ok(writeLatency !== null && writeLatency.p99 <= 0.000064);
});

test("of what is idle only the commands in flight are told", () => {
  const block = new Float64Array(200).fill(3);
  assert.deepEqual(ratesBetween(block, block, 1), {
    ...{ reads: 0, writes: 0, others: 0, errors: 0, readBytes: 0, writtenBytes: 0, inFlight: 3 },
    ...{ readLatency: null, writeLatency: null },
  });
});

test("a counter that begins anew is no negative rate", () => {
  const before = new Float64Array(200).fill(10);
  assert.equal(ratesBetween(before, new Float64Array(200), 1).reads, 0);
});
