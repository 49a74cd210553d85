import assert from "node:assert/strict";
import { test } from "node:test";
import { assertInvalidFieldInCdb, assertSense, Bench, fromHex, hex, type Outcome, u16 } from "./bench.js";

const PF = 0x10;
const SELFTEST = 0x04;
const EIO = -5;

function send(bench: Bench, flags: number, list = "", length = list.length / 2): Outcome {
  return bench.run([0x1d, flags, 0, ...u16(length), 0], { dataOut: fromHex(list) });
}

function receive(bench: Bench, flags: number, page: number, length = 0xffff): Outcome {
  return bench.run([0x1c, flags, page, ...u16(length), 0]);
}

test("the default self-test reads the first block", () => {
  const bench = new Bench({ blockLengthBytes: 4096 });
  for (const flags of [SELFTEST, SELFTEST | PF, SELFTEST | 0x03]) {
    assert.equal(send(bench, flags).status, "good");
    assert.deepEqual(bench.operations, ["storeRead 0 1"]);
  }
});

test("a medium that cannot be read fails it", () => {
  const bench = new Bench();
  bench.failures.set("storeRead", EIO);
  assertSense(send(bench, SELFTEST), 4, 0x3e, 0x03);
});

test("a self-test takes no parameters, and other self-tests are not there", () => {
  const bench = new Bench();
  assertInvalidFieldInCdb(send(bench, SELFTEST, "00000000"), "3");
  for (let code = 1; code < 8; code++) {
    for (const flags of [0, SELFTEST]) assertInvalidFieldInCdb(send(bench, (code << 5) | flags), "1.7");
  }
  assert.deepEqual(bench.operations, []);
});

test("a self-test waits for a buffer if need be", () => {
  const bench = new Bench();
  assert.equal(bench.run([0x1d, SELFTEST, 0, 0, 0, 0], { buffersMissing: 2 }).status, "good");
});

test("page 00h may be sent, and nothing else", () => {
  const bench = new Bench();
  assert.equal(send(bench, PF).status, "good");
  assert.equal(send(bench, 0).status, "good");
  assert.equal(send(bench, PF, "00000000").status, "good");
  assertInvalidFieldInCdb(send(bench, 0, "00000000"), "1.4");
  for (const page of ["01", "3f", "40", "ff"]) {
    const sense = assertSense(send(bench, PF, `${page}000000`), 5, 0x26, 0);
    assert.equal(sense.fieldPointer, "list 0");
  }
  assert.equal(assertSense(send(bench, PF, "0000ffff"), 5, 0x26, 0).fieldPointer, "list 2");
  for (const list of ["00", "000000", "0000000000"]) assertSense(send(bench, PF, list), 5, 0x1a, 0);
  assertSense(send(bench, PF, "0000", 4), 5, 0x1a, 0);
  assertSense(send(bench, PF, "00000000", 0xffff), 5, 0x1a, 0);
});

test("RECEIVE DIAGNOSTIC RESULTS lists the pages, with PCV and without", () => {
  const bench = new Bench();
  for (const [flags, page] of [
    [1, 0],
    [0, 0],
    [0, 0x40],
  ] as const) {
    assert.equal(hex(receive(bench, flags, page).data), "0000000100");
  }
  for (const length of [0, 1, 4, 5]) assert.equal(receive(bench, 1, 0, length).data.length, length);
  for (const page of [0x01, 0x3f, 0x40, 0xff]) assertInvalidFieldInCdb(receive(bench, 1, page), "2");
});
