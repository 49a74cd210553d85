import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_NOP_IN } from "../../../../dataplane/wire/bhs.js";
import {
  INVALID_DATA_SEGMENT_LENGTH,
  INVALID_FINAL,
  INVALID_TARGET_TRANSFER_TAG,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "../../../../dataplane/wire/invalid.js";
import { NopInPdu } from "../../../../dataplane/wire/nop-in.js";
import { flag, golden, ITT, LENGTHS, LUN, NUMBERS, testPdu, u32 } from "./twin.js";

testPdu({
  name: "NOP-In (11.19)",
  create: (view, offset) => new NopInPdu(view, offset),
  opcode: OPCODE_NOP_IN,
  diagram: { final: flag(1, 0), ...LENGTHS, ...LUN, ...ITT, targetTransferTag: u32(20), ...NUMBERS },
  cleared: { final: true, initiatorTaskTag: 0xffffffff, targetTransferTag: 0xffffffff },
  valid: { initiatorTaskTag: 7 },
  invalid: [
    [{ final: false }, INVALID_FINAL],
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    // Section 7.7 names it: a valid ITT and also a valid TTT.
    [{ targetTransferTag: 1 }, INVALID_TARGET_TRANSFER_TAG],
    [{ initiatorTaskTag: 0xffffffff, dataSegmentLength: 1 }, INVALID_DATA_SEGMENT_LENGTH],
    [{ initiatorTaskTag: 0xffffffff, targetTransferTag: 1, dataSegmentLength: 1 }, INVALID_DATA_SEGMENT_LENGTH],
  ],
  stillValid: [
    { dataSegmentLength: 0xffffff },
    { initiatorTaskTag: 0xffffffff },
    { initiatorTaskTag: 0xffffffff, targetTransferTag: 0 },
  ],
});

test("NOP-In: ping of the target, golden bytes", () => {
  const nop = new NopInPdu(
    golden(`
      20 80 0000  00 000000  0000000000000000  ffffffff
      00000abc  00000007  00000006  00000025  000000000000000000000000
    `),
  );
  assert.equal(nop.invalid(), VALID);
  assert.equal(nop.describe(), "NOP-In F itt=0xffffffff ttt=0x00000abc lun=0 statSN=7 expCmdSN=6 maxCmdSN=37");
});
