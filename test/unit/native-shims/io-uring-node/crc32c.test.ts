import assert from "node:assert/strict";
import { test } from "node:test";
import { CRC32C_JOB_WORDS, crc32c, crc32cBatch, crc32cBy, crc32cImplementations, SystemError } from "io-uring-node";
import fc from "../../../support/fast-check.js";

/** CRC32C bit by bit: the definition, slow. */
function naive(bytes: Uint8Array, seed = 0): number {
  let crc = ~seed >>> 0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) === 1 ? 0x82f6_3b78 : 0);
  }
  return ~crc >>> 0;
}

/** Bytes without a pattern, the same in every run. */
function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(new SharedArrayBuffer(length));
  for (let at = 0, state = 1; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

const implementations = crc32cImplementations();

// The words as the digest goes on the wire, RFC 7143 appendix A.4.
const readCommand = Buffer.alloc(48);
readCommand.set([0x01, 0xc0]);
readCommand.set([0x14, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0, 0, 0, 2], 16);
const EXAMPLES: [string, Uint8Array, string][] = [
  ["32 bytes of zeroes", Buffer.alloc(32), "aa36918a"],
  ["32 bytes of ones", Buffer.alloc(32, 0xff), "43aba862"],
  ["32 bytes of incrementing 00..1f", Buffer.from(Array.from({ length: 32 }, (_, at) => at)), "4e79dd46"],
  ["32 bytes of decrementing 1f..00", Buffer.from(Array.from({ length: 32 }, (_, at) => 31 - at)), "5cdb3f11"],
  ["a SCSI Read (10) Command PDU", readCommand, "563a96d9"],
];

for (const implementation of implementations) {
  test(`${implementation} gives the digests of RFC 7143 appendix A.4`, () => {
    for (const [name, bytes, expected] of EXAMPLES) {
      const digest = Buffer.alloc(4);
      digest.writeUInt32LE(crc32cBy(implementation, bytes));
      assert.equal(digest.toString("hex"), expected, name);
    }
  });

  test(`${implementation} agrees with the definition at every short length, alignment and seed`, () => {
    const bytes = noise(2200);
    for (let length = 0; length < 2048; length += length < 300 ? 1 : 7) {
      const range = bytes.subarray(length % 67, (length % 67) + length);
      const seed = Math.imul(length, 0x9e37_79b1) >>> 0;
      assert.equal(crc32cBy(implementation, range, seed), naive(range, seed), `length ${length}`);
    }
  });

  test(`${implementation} agrees with the definition on long ranges`, () => {
    const bytes = noise(300_000);
    for (const length of [4095, 4096, 4097, 12_288, 14_335, 14_336, 14_337, 15_104, 65_536, 262_144, 299_993]) {
      const range = bytes.subarray(7, 7 + length);
      assert.equal(crc32cBy(implementation, range, 0xffff_ffff), naive(range, 0xffff_ffff), `length ${length}`);
    }
  });
}

test("the table is always there, last", () => {
  assert.equal(implementations.at(-1), "table");
  assert.throws(
    () => crc32cBy("abacus", readCommand),
    (error) => error instanceof SystemError && error.code === "EOPNOTSUPP",
  );
});

test("a range cut anywhere has the CRC of the whole, whichever implementation does which part", () => {
  const bytes = noise(40_000);
  const implementation = fc.constantFrom(...implementations);
  fc.assert(
    fc.property(fc.nat(40_000), fc.nat(40_000), implementation, implementation, (one, other, first, second) => {
      const [cut, end] = one < other ? [one, other] : [other, one];
      const joined = crc32cBy(second, bytes.subarray(cut, end), crc32cBy(first, bytes.subarray(0, cut)));
      assert.equal(joined, crc32c(bytes.subarray(0, end)));
    }),
    { numRuns: 300 },
  );
});

test("a batch computes each job from its own seed and touches only the results", () => {
  const arena = noise(70_000);
  const jobs = new Uint32Array(5 * CRC32C_JOB_WORDS);
  jobs.set([0, 48, 0, 1]);
  jobs.set([48, 0, 0xdead_beef, 1], 4);
  jobs.set([69_999, 1, 0xffff_ffff, 1], 8);
  jobs.set([3, 65_536, 5, 1], 12);
  jobs.set([1, 1, 1, 1], 16);
  const before = arena.slice();
  crc32cBatch(arena, jobs, 4);
  for (let at = 0; at < 16; at += 4) {
    const [offset, length, seed, result] = jobs.subarray(at, at + 4) as unknown as [number, number, number, number];
    assert.equal(result, naive(arena.subarray(offset, offset + length), seed));
  }
  assert.deepEqual([...jobs.subarray(16)], [1, 1, 1, 1], "the fifth job is beyond count");
  assert.deepEqual(arena, before);
  crc32cBatch(arena, jobs, 0);
});

test("a batch with a job out of bounds computes nothing", () => {
  const arena = noise(100);
  for (const [offset, length] of [
    [0, 101],
    [100, 1],
    [0xffff_ffff, 1],
    [1, 0xffff_ffff],
  ] as const) {
    const jobs = new Uint32Array([0, 10, 0, 7, offset, length, 0, 7]);
    assert.throws(() => crc32cBatch(arena, jobs, 2), RangeError);
    assert.equal(jobs[3], 7);
  }
  assert.throws(() => crc32cBatch(arena, new Uint32Array(7), 2), RangeError);
  assert.throws(() => crc32cBatch(arena, new Float64Array(8) as unknown as Uint32Array, 2), TypeError);
  assert.throws(() => crc32cBatch("arena" as unknown as Uint8Array, new Uint32Array(8), 2), TypeError);
});
