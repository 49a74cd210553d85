import assert from "node:assert/strict";
import { test } from "node:test";
import { assertInvalidFieldInCdb, Bench, hex, u16, u32 } from "./bench.js";

const PLIST = 0x10;
const GLIST = 0x08;

const readDefectData10 = (request: number, length: number) => [0x37, 0, request, 0, 0, 0, 0, ...u16(length), 0];
const readDefectData12 = (request: number, length: number, index = 0) => [
  0xb7,
  request,
  ...u32(index),
  ...u32(length),
  0,
  0,
];

test("READ DEFECT DATA: the lists that are asked for are there, and empty, in every format", () => {
  const bench = new Bench();
  for (const lists of [0, PLIST, GLIST, PLIST | GLIST]) {
    for (let format = 0; format < 6; format++) {
      const request = lists | format;
      const told = request.toString(16).padStart(2, "0");
      assert.equal(hex(bench.run(readDefectData10(request, 0xffff)).data), `00${told}0000`);
      for (const index of [0, 1, 0xffff_ffff]) {
        assert.equal(hex(bench.run(readDefectData12(request, 0xffff_ffff, index)).data), `00${told}000000000000`);
      }
    }
  }
});

test("READ DEFECT DATA: formats that are a vendor's own, or reserved", () => {
  const bench = new Bench();
  for (const format of [6, 7]) {
    assertInvalidFieldInCdb(bench.run(readDefectData10(PLIST | format, 4)), "2.2");
    assertInvalidFieldInCdb(bench.run(readDefectData12(PLIST | format, 8)), "1.2");
  }
});

test("READ DEFECT DATA takes every allocation length", () => {
  const bench = new Bench();
  for (const length of [0, 1, 3, 4, 5]) {
    assert.equal(hex(bench.run(readDefectData10(GLIST, length)).data), "00080000".slice(0, 2 * length));
  }
  for (const length of [0, 1, 7, 8, 9]) {
    assert.equal(hex(bench.run(readDefectData12(GLIST, length)).data), "0008000000000000".slice(0, 2 * length));
  }
});
