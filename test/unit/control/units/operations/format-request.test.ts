/** FORMAT UNIT's CDB and parameter list, byte by byte (SBC-4, FORMAT UNIT command). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { judgeFormat } from "../../../../../control/units/operations/format-request.js";
import type { ScsiAnswer } from "../../../../../dataplane/messages.js";
import fc from "../../../../support/fast-check.js";

const THIN = { blockLengthBytes: 512, thin: true };
const THICK = { blockLengthBytes: 512, thin: false };

const FMTDATA = 0x10;
const LONGLIST = 0x20;
const CMPLST = 0x08;

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(" ", ""), "hex"));
}

function judge(flags: number, list = "", { unit = THIN, fastFormat = 0 } = {}) {
  return judgeFormat(Uint8Array.of(0x04, flags, 0, 0, fastFormat, 0), fromHex(list), unit);
}

function sense(asc: number, ascq: number, senseKeySpecific?: number): ScsiAnswer {
  return { kind: "sense", senseKey: 5, asc, ascq, ...(senseKeySpecific === undefined ? {} : { senseKeySpecific }) };
}

function assertRefused(request: ReturnType<typeof judge>, answer: ScsiAnswer): void {
  assert.deepEqual(request, { kind: "refused", answer });
}

function erasing(isImmediate = false) {
  return { kind: "work", work: { kind: "erase" }, isImmediate, allowsExit: false };
}

function writing(pattern: string, isImmediate = false) {
  const work = { kind: "overwrite", pattern, passes: 1, invert: false };
  return { kind: "work", work, isImmediate, allowsExit: false };
}

test("without FMTDATA there is no list, and what concerns lists is ignored", () => {
  for (const flags of [0, LONGLIST, CMPLST, LONGLIST | CMPLST]) assert.deepEqual(judge(flags), erasing());
  // All other combinations are reserved. Bit pointer 2, byte 1.
  assertRefused(judge(0x01), sense(0x24, 0, 0xca_0001));
});

test("short and long headers with an empty defect list, in every format of addresses", () => {
  for (const format of [0, 1, 2, 3, 4, 5]) {
    for (const complete of [0, CMPLST]) {
      assert.deepEqual(judge(FMTDATA | complete | format, "00 00 0000"), erasing());
      assert.deepEqual(judge(FMTDATA | LONGLIST | complete | format, "00 82 00 00 00000000"), erasing(true));
    }
  }
  for (const format of [6, 7]) assertRefused(judge(FMTDATA | format, "00000000"), sense(0x24, 0, 0xca_0001));
});

test("IMMED, and options that a medium without defects takes as they come", () => {
  assert.deepEqual(judge(FMTDATA, "00 02 0000"), erasing(true));
  // FOV, DPRY, DCRT, STPF; and the obsolete bit.
  assert.deepEqual(judge(FMTDATA, "00 f4 0000"), erasing());
});

test("options without FOV, vendor specific ones and reserved bits are pointed at", () => {
  assertRefused(judge(FMTDATA, "00 40 0000"), sense(0x26, 0, 0x8e_0001));
  assertRefused(judge(FMTDATA, "00 08 0000"), sense(0x26, 0, 0x8b_0001));
  assertRefused(judge(FMTDATA, "00 81 0000"), sense(0x26, 0, 0x88_0001));
  assertRefused(judge(FMTDATA, "80 80 0000"), sense(0x26, 0, 0x8f_0000));
  assertRefused(judge(FMTDATA | LONGLIST, "00 80 01 00 00000000"), sense(0x26, 0, 0x88_0002));
});

test("protection information is refused by name", () => {
  // PROTECTION FIELD USAGE, P_I_INFORMATION, PROTECTION INTERVAL EXPONENT.
  assertRefused(judge(FMTDATA, "01 80 0000"), sense(0x26, 0, 0x88_0000));
  assertRefused(judge(FMTDATA | LONGLIST, "00 80 00 10 00000000"), sense(0x26, 0, 0x8c_0003));
  assertRefused(judge(FMTDATA | LONGLIST, "00 80 00 03 00000000"), sense(0x26, 0, 0x89_0003));
});

test("a defect list that is not empty is refused", () => {
  assertRefused(judge(FMTDATA, "00 80 0004 00000000"), sense(0x26, 0, 0x80_0002));
  assertRefused(judge(FMTDATA | LONGLIST, "00 80 00 00 00010000"), sense(0x26, 0, 0x80_0004));
});

test("an initialization pattern of one byte up to a block; zeroes are what erasing leaves", () => {
  assert.deepEqual(judge(FMTDATA, "00 8a 0000 00 01 0002 55aa"), writing("55aa", true));
  assert.deepEqual(judge(FMTDATA | LONGLIST, "00 88 00 00 00000000 00 01 0001 ff"), writing("ff"));
  assert.deepEqual(judge(FMTDATA, `00 88 0000 00 01 0200 ${"33".repeat(512)}`), writing("33".repeat(512)));
  assert.deepEqual(judge(FMTDATA, "00 88 0000 00 01 0004 00000000"), erasing());
  // Type 0: the default pattern, which needs none.
  assert.deepEqual(judge(FMTDATA, "00 88 0000 00 00 0000"), erasing());
});

test("patterns of other lengths and types are refused, and SI, which promises what no file can keep", () => {
  assertRefused(judge(FMTDATA, "00 88 0000 00 00 0001 ff"), sense(0x26, 0, 0x80_0006));
  assertRefused(judge(FMTDATA, "00 88 0000 00 01 0000"), sense(0x26, 0, 0x80_0006));
  assertRefused(judge(FMTDATA, `00 88 0000 00 01 0201 ${"33".repeat(513)}`), sense(0x26, 0, 0x80_0006));
  assertRefused(judge(FMTDATA, "00 88 0000 00 02 0001 ff"), sense(0x26, 0, 0x80_0005));
  assertRefused(judge(FMTDATA, "00 88 0000 20 01 0001 ff"), sense(0x26, 0, 0x8d_0004));
});

test("lists that end too early are refused", () => {
  for (const [flags, list] of [
    [FMTDATA, ""],
    [FMTDATA, "00 00 00"],
    [FMTDATA | LONGLIST, "00 00 0000 000000"],
    [FMTDATA, "00 88 0000 00 01 00"],
    [FMTDATA, "00 88 0000 00 01 0002 ff"],
  ] as const) {
    assertRefused(judge(flags, list), sense(0x1a, 0));
  }
});

test("FFMT 01b is for units that lose their data without being written", () => {
  assert.deepEqual(judge(0, "", { fastFormat: 1 }), erasing());
  assertRefused(judge(0, "", { fastFormat: 1, unit: THICK }), sense(0x26, 0x13));
  assertRefused(judge(FMTDATA, "00 88 0000 00 01 0001 ff", { fastFormat: 1 }), sense(0x26, 0x13));
  assert.deepEqual(judge(0, "", { unit: THICK }), erasing());
});

test("any list comes to a refusal or to work that the unit can do", () => {
  const property = fc.property(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(0x10, 0x30), (list, flags) => {
    const request = judgeFormat(Uint8Array.of(0x04, flags, 0, 0, 0, 0), list, THIN);
    if (request.kind === "refused") assert.ok(request.answer.kind === "sense" && request.answer.senseKey === 5);
    else if (request.work.kind === "overwrite") assert.ok(request.work.pattern.length <= 1024);
  });
  fc.assert(property, { numRuns: 2000 });
});
