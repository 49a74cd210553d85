import assert from "node:assert/strict";
import { test } from "node:test";
import { BUFFERED_LUNS_MAX } from "../../../../dataplane/limits.js";
import { assertInvalidFieldInCdb, assertSense, Bench, hex, type Outcome, u16, u32, u64 } from "./bench.js";

const DATA = 0x02;
const DESCRIPTOR = 0x03;
const ECHO = 0x0a;
const ECHO_DESCRIPTOR = 0x0b;
const CAPACITY = 4096;

function u24(value: number): number[] {
  return u32(value).slice(1);
}

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + 1) & 0xff);
}

interface WriteOptions {
  readonly id?: number;
  readonly offset?: number;
  readonly length?: number;
  readonly lun?: number;
}

function write(bench: Bench, mode: number, data: Uint8Array, options: WriteOptions = {}): Outcome {
  const { id = 0, offset = 0, length = data.length, lun = 0 } = options;
  return bench.run([0x3b, mode, id, ...u24(offset), ...u24(length), 0], { dataOut: data, lun });
}

function read10(bench: Bench, mode: number, length = 0xff_ffff, id = 0, offset = 0, lun = 0): Outcome {
  return bench.run([0x3c, mode, id, ...u24(offset), ...u24(length), 0], { lun });
}

function read16(bench: Bench, mode: number, length = 0xffff_ffff, id = 0, offset: number | bigint = 0): Outcome {
  return bench.run([0x9b, mode, ...u64(offset), ...u32(length), id, 0]);
}

test("the echo buffer returns what was written last, no more than was written and no more than is asked for", () => {
  const bench = new Bench();
  for (const data of [pattern(1), pattern(300), pattern(CAPACITY), pattern(5)]) {
    assert.equal(write(bench, ECHO, data).status, "good");
    assert.equal(hex(read10(bench, ECHO).data), hex(data));
    assert.equal(hex(read16(bench, ECHO).data), hex(data));
  }
  for (const length of [0, 1, 4, 5, 6]) {
    assert.equal(hex(read10(bench, ECHO, length).data), hex(pattern(Math.min(5, length))));
    assert.equal(hex(read16(bench, ECHO, length).data), hex(pattern(Math.min(5, length))));
  }
});

test("BUFFER ID and BUFFER OFFSET do not count in echo modes", () => {
  const bench = new Bench();
  assert.equal(write(bench, ECHO, pattern(9), { id: 0x55, offset: 0xff_ffff }).status, "good");
  assert.equal(hex(read10(bench, ECHO, 100, 7, 0x12_3456).data), hex(pattern(9)));
  assert.equal(hex(read16(bench, ECHO, 100, 7, 2n ** 64n - 1n).data), hex(pattern(9)));
});

test("an echo buffer that nobody has written to is COMMAND SEQUENCE ERROR, also after an empty WRITE BUFFER", () => {
  const bench = new Bench({ luns: [0, 1] });
  assertSense(read10(bench, ECHO), 5, 0x2c, 0);
  assert.equal(write(bench, ECHO, pattern(0)).status, "good");
  assertSense(read16(bench, ECHO), 5, 0x2c, 0);
  assert.equal(write(bench, ECHO, pattern(4)).status, "good");
  assertSense(read10(bench, ECHO, 4, 0, 0, 1), 5, 0x2c, 0);
});

test("more than the echo buffer holds is refused, and changes nothing", () => {
  const bench = new Bench();
  assert.equal(write(bench, ECHO, pattern(8)).status, "good");
  assertInvalidFieldInCdb(write(bench, ECHO, new Uint8Array(CAPACITY + 1)), "6");
  assertInvalidFieldInCdb(write(bench, ECHO, new Uint8Array(8), { length: 0xff_ffff }), "6");
  assertSense(write(bench, ECHO, new Uint8Array(7), { length: 8 }), 5, 0x1a, 0);
  assert.equal(hex(read10(bench, ECHO).data), hex(pattern(8)));
});

test("the data buffer begins as zeroes, and keeps what is written at its offset", () => {
  const bench = new Bench();
  assert.equal(hex(read10(bench, DATA).data), "00".repeat(CAPACITY));
  assert.equal(write(bench, DATA, pattern(16), { offset: 100 }).status, "good");
  assert.equal(write(bench, DATA, pattern(3), { offset: CAPACITY - 3 }).status, "good");
  assert.equal(hex(read10(bench, DATA, 20, 0, 98).data), `0000${hex(pattern(16))}0000`);
  assert.equal(hex(read16(bench, DATA, 20, 0, 98).data), `0000${hex(pattern(16))}0000`);
  assert.equal(hex(read10(bench, DATA, 100, 0, CAPACITY - 3).data), hex(pattern(3)));
  assert.equal(read10(bench, DATA, 100, 0, CAPACITY).data.length, 0);
  assert.equal(read10(bench, DATA, 0, 0, 0).status, "good");
});

test("beyond the data buffer, or in another one, is refused", () => {
  const bench = new Bench();
  assertInvalidFieldInCdb(write(bench, DATA, pattern(2), { offset: CAPACITY - 1 }), "6");
  assertInvalidFieldInCdb(write(bench, DATA, pattern(1), { offset: CAPACITY + 1 }), "3");
  assertInvalidFieldInCdb(write(bench, DATA, pattern(1), { id: 1 }), "2");
  assertSense(write(bench, DATA, pattern(7), { length: 8 }), 5, 0x1a, 0);
  assertInvalidFieldInCdb(read10(bench, DATA, 1, 0, CAPACITY + 1), "3");
  assertInvalidFieldInCdb(read10(bench, DATA, 1, 1), "2");
  assertInvalidFieldInCdb(read16(bench, DATA, 1, 0, 2n ** 64n - 1n), "2");
  assertInvalidFieldInCdb(read16(bench, DATA, 1, 1), "14");
  assert.equal(hex(read10(bench, DATA).data), "00".repeat(CAPACITY));
});

test("descriptors tell how large the buffers are", () => {
  const bench = new Bench();
  for (const read of [read10, read16]) {
    assert.equal(hex(read(bench, DESCRIPTOR).data), "00001000");
    assert.equal(hex(read(bench, DESCRIPTOR, 4, 1).data), "00000000");
    assert.equal(hex(read(bench, ECHO_DESCRIPTOR).data), "01001000");
    assert.equal(hex(read(bench, ECHO_DESCRIPTOR, 3).data), "010010");
    assert.equal(hex(read(bench, DESCRIPTOR, 0).data), "");
  }
});

test("other modes, microcode among them, are refused", () => {
  const bench = new Bench();
  for (let mode = 0; mode < 32; mode++) {
    if (![DATA, ECHO].includes(mode)) assertInvalidFieldInCdb(write(bench, mode, pattern(4)), "1.4");
    if ([DATA, DESCRIPTOR, ECHO, ECHO_DESCRIPTOR].includes(mode)) continue;
    assertInvalidFieldInCdb(read10(bench, mode), "1.4");
    assertInvalidFieldInCdb(read16(bench, mode), "1.4");
  }
  assertInvalidFieldInCdb(bench.run([0x3c, 0x22, 0, ...u24(0), ...u24(4), 0]), "1.5");
});

test("buffers are kept for the LUNs that were written to last", () => {
  const luns = Array.from({ length: BUFFERED_LUNS_MAX + 1 }, (_, lun) => lun);
  const bench = new Bench({ luns });
  for (const lun of luns) write(bench, ECHO, Uint8Array.from(u16(lun)), { lun });
  assertSense(read10(bench, ECHO, 2, 0, 0, 0), 5, 0x2c, 0);
  for (const lun of luns.slice(1))
    assert.equal(hex(read10(bench, ECHO, 2, 0, 0, lun).data), `00${lun.toString(16).padStart(2, "0")}`);
});
