import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_NOP_OUT } from "../../../../dataplane/wire/bhs.js";
import {
  INVALID_FINAL,
  INVALID_IMMEDIATE,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "../../../../dataplane/wire/invalid.js";
import { NopOutPdu } from "../../../../dataplane/wire/nop-out.js";
import { flag, golden, ITT, LENGTHS, LUN, testPdu, u32 } from "./twin.js";

testPdu({
  name: "NOP-Out (11.18)",
  create: (view, offset) => new NopOutPdu(view, offset),
  opcode: OPCODE_NOP_OUT,
  diagram: {
    immediate: flag(0, 1),
    final: flag(1, 0),
    ...LENGTHS,
    ...LUN,
    ...ITT,
    targetTransferTag: u32(20),
    cmdSN: u32(24),
    expStatSN: u32(28),
  },
  cleared: { final: true, initiatorTaskTag: 0xffffffff, targetTransferTag: 0xffffffff },
  valid: { initiatorTaskTag: 7 },
  invalid: [
    [{ final: false }, INVALID_FINAL],
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    [{ initiatorTaskTag: 0xffffffff }, INVALID_IMMEDIATE],
    [{ initiatorTaskTag: 0xffffffff, targetTransferTag: 1 }, INVALID_IMMEDIATE],
  ],
  stillValid: [
    { immediate: true },
    { initiatorTaskTag: 0xffffffff, immediate: true },
    { initiatorTaskTag: 0xffffffff, immediate: true, targetTransferTag: 0 },
    { targetTransferTag: 1 },
    { dataSegmentLength: 0xffffff },
  ],
});

test("NOP-Out: answer to a ping of the target, golden bytes", () => {
  const nop = new NopOutPdu(
    golden(`
      40 80 0000  00 000000  0000000000000000  ffffffff   # immediate
      00000abc  00000006  00000007  00000000000000000000000000000000
    `),
  );
  assert.equal(nop.invalid(), VALID);
  assert.equal(nop.describe(), "NOP-Out I F itt=0xffffffff ttt=0x00000abc lun=0 cmdSN=6 expStatSN=7");
});
