import assert from "node:assert/strict";
import { test } from "node:test";
import { Bench, type BenchOptions, hex, u32 } from "./bench.js";

const READ_CAPACITY_10 = [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0];

function readCapacity16(options: BenchOptions, allocationLength = 32): string {
  return hex(new Bench(options).run([0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, ...u32(allocationLength), 0, 0]).data);
}

test("READ CAPACITY(10) tells the last LBA and the block length", () => {
  assert.equal(hex(new Bench({ blocks: 4096 }).run(READ_CAPACITY_10).data), "00000fff00000200");
  assert.equal(hex(new Bench({ blocks: 7, blockLengthBytes: 4096 }).run(READ_CAPACITY_10).data), "0000000600001000");
});

test("READ CAPACITY(10) sends those with more than 2^32 blocks to READ CAPACITY(16)", () => {
  assert.equal(hex(new Bench({ blocks: 2 ** 32 - 1 }).run(READ_CAPACITY_10).data), "fffffffe00000200");
  assert.equal(hex(new Bench({ blocks: 2 ** 32 }).run(READ_CAPACITY_10).data), "ffffffff00000200");
  assert.equal(hex(new Bench({ blocks: 2 ** 44 }).run(READ_CAPACITY_10).data), "ffffffff00000200");
});

test("READ CAPACITY(16): a thin unit has LBPME and LBPRZ; eight blocks of 512 bytes are a physical one", () => {
  assert.equal(
    readCapacity16({ blocks: 4096, thin: true }),
    "0000000000000fff 00000200 00 03 c000".replaceAll(" ", "") + "00".repeat(16),
  );
  assert.equal(
    readCapacity16({ blocks: 4096, thin: false }),
    "0000000000000fff 00000200 00 03 0000".replaceAll(" ", "") + "00".repeat(16),
  );
});

test("READ CAPACITY(16): blocks of 4096 bytes, and 2^44 blocks", () => {
  assert.equal(
    readCapacity16({ blocks: 256, blockLengthBytes: 4096 }),
    "00000000000000ff 00001000 00 00 c000".replaceAll(" ", "") + "00".repeat(16),
  );
  assert.equal(readCapacity16({ blocks: 2 ** 44 }).slice(0, 24), "00000fffffffffff00000200");
});

test("READ CAPACITY(16) takes every allocation length", () => {
  const whole = readCapacity16({});
  for (const length of [0, 1, 2, 8, 15, 31, 32, 33, 0xffff_ffff]) {
    assert.equal(readCapacity16({}, length), whole.slice(0, 2 * length));
  }
});
