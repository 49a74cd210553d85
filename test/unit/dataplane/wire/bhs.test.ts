import assert from "node:assert/strict";
import { test } from "node:test";
import { BHS_LENGTH, opcodeName, Pdu, paddedLength, TargetPdu } from "../../../../dataplane/wire/bhs.js";
import { describeInvalid, INVALID_OPCODE, VALID } from "../../../../dataplane/wire/invalid.js";
import { LUN_UNKNOWN } from "../../../../dataplane/wire/lun.js";
import { golden, hexOf } from "./twin.js";

test("paddedLength rounds up to words", () => {
  assert.deepEqual([0, 1, 3, 4, 5, 0xffffff].map(paddedLength), [0, 4, 4, 4, 8, 0x1000000]);
});

test("a plain Pdu reads what all headers share, and knows the assigned opcodes", () => {
  // Section 11.2.1.2, vendor-specific codes left out.
  const assigned = [0, 1, 2, 3, 4, 5, 6, 0x10, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x31, 0x32, 0x3f];
  const pdu = new Pdu(new DataView(new ArrayBuffer(BHS_LENGTH)));
  const names = new Set<string>();
  for (let opcode = 0; opcode <= 0x3f; opcode++) {
    pdu.opcode = opcode;
    assert.equal(pdu.invalid(), assigned.includes(opcode) ? VALID : INVALID_OPCODE, opcode.toString(16));
    assert.equal(/^opcode 0x/.test(opcodeName(opcode)), !assigned.includes(opcode));
    names.add(pdu.describe());
  }
  assert.equal(names.size, 64);
});

test("the opcode does not touch the I bit, nor the I bit the opcode", () => {
  const pdu = new Pdu(golden("ff".repeat(BHS_LENGTH)));
  pdu.opcode = 0x21;
  assert.equal(pdu.view.getUint8(0), 0xe1);
  pdu.immediate = false;
  assert.equal(pdu.view.getUint8(0), 0xa1);
  assert.equal(pdu.opcode, 0x21);
});

test("a DataSegmentLength that would spill into TotalAHSLength is refused", () => {
  const pdu = new Pdu(new DataView(new ArrayBuffer(BHS_LENGTH)));
  pdu.totalAHSLength = 0xff;
  pdu.dataSegmentLength = 0xffffff;
  assert.equal(pdu.dataSegmentLength, 0xffffff);
  assert.throws(() => {
    pdu.dataSegmentLength = 0x1000000;
  }, RangeError);
  assert.throws(() => {
    pdu.dataSegmentLength = -1;
  }, RangeError);
  assert.equal(pdu.totalAHSLength, 0xff);
  assert.equal(pdu.headerLength, 48 + 1020);
});

test("describe() shows what is there, and numbers as wide as they are on the wire", () => {
  const pdu = new Pdu(golden("00".repeat(BHS_LENGTH)));
  pdu.opcode = 0x07;
  assert.equal(pdu.describe(), "opcode 0x07 itt=0x00000000");
  pdu.immediate = true;
  pdu.final = true;
  pdu.totalAHSLength = 1;
  pdu.dataSegmentLength = 1;
  pdu.initiatorTaskTag = 0xffffffff;
  assert.equal(pdu.describe(), "opcode 0x07 I F itt=0xffffffff totalAHSLength=1 dataSegmentLength=1");
});

test("lun encodes and decodes the eight bytes", () => {
  const pdu = new Pdu(golden("ff".repeat(BHS_LENGTH)));
  assert.equal(pdu.lun, LUN_UNKNOWN);
  pdu.lun = 0x1234;
  assert.equal(hexOf(pdu.view).slice(16, 32), "5234000000000000");
  assert.equal(pdu.lun, 0x1234);
});

test("clear() of a plain Pdu leaves 48 zero bytes", () => {
  const pdu = new Pdu(golden("ff".repeat(BHS_LENGTH))).clear();
  assert.equal(hexOf(pdu.view), "00".repeat(BHS_LENGTH));
});

test("one TargetPdu stamps the numbers of any target PDU", () => {
  const view = new DataView(new ArrayBuffer(2 * BHS_LENGTH));
  const stamp = new TargetPdu(view).at(BHS_LENGTH);
  stamp.statSN = 0xffffffff;
  stamp.expCmdSN = 0x80000000;
  stamp.maxCmdSN = 1;
  assert.equal(hexOf(view).slice(2 * (BHS_LENGTH + 24), 2 * (BHS_LENGTH + 36)), "ffffffff8000000000000001");
});

test("views work over shared memory", () => {
  const pdu = new TargetPdu(new DataView(new SharedArrayBuffer(BHS_LENGTH))).clear();
  pdu.statSN = 0xfffffffe;
  assert.equal(pdu.statSN, 0xfffffffe);
});

test("every reason has its own text", () => {
  const texts = new Set<string>();
  for (let code = VALID; code <= 34; code++) texts.add(describeInvalid(code));
  assert.equal(texts.size, 35);
  assert.equal(describeInvalid(34), "unknown reason 34");
  assert.doesNotMatch(describeInvalid(33), /unknown/);
});
