import assert from "node:assert/strict";
import { test } from "node:test";
import { byteRate, commandRate, elapsed, latency, percent, plural, size } from "../../../../control/page/format.js";

test("rates have three digits and the unit that fits", () => {
  assert.deepEqual([0, 999, 1000, 1234, 12_345, 123_456, 999_499, 999_950, 2.5e9, 3e15].map(byteRate), [
    "0 B/s",
    "999 B/s",
    "1 kB/s",
    "1.23 kB/s",
    "12.3 kB/s",
    "123 kB/s",
    "999 kB/s",
    "1.00 MB/s",
    "2.50 GB/s",
    "3000 TB/s",
  ]);
  assert.deepEqual([0, 0.5, 7, 9.996, 450_123].map(commandRate), ["0", "0.50", "7", "10.0", "450k"]);
});

test("times are told in what they are about", () => {
  assert.deepEqual([undefined, Number.NaN, 0.000_064, 0.001_234, 0.25, 2.1, 75].map(latency), [
    "–",
    "–",
    "64 µs",
    "1.23 ms",
    "250 ms",
    "2.10 s",
    "75 s",
  ]);
  assert.deepEqual([-5, 12_000, 300_000, 3_600_000 * 5 + 60_000 * 7, 86_400_000 * 3 + 3_600_000 * 4].map(elapsed), [
    "0 s",
    "12 s",
    "5 min",
    "5 h 7 min",
    "3 d 4 h",
  ]);
});

test("sizes are powers of 1024, as they are configured", () => {
  assert.deepEqual([512, 64 * 2 ** 30, 1.5 * 2 ** 40].map(size), ["512 B", "64 GiB", "1.50 TiB"]);
});

test("parts and numbers of things", () => {
  assert.equal(percent(0.427), "43 %");
  assert.deepEqual(
    [0, 1, 2].map((count) => plural(count, "session")),
    ["0 sessions", "1 session", "2 sessions"],
  );
});
