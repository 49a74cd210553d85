import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_TEXT_REQUEST } from "../../../../dataplane/wire/bhs.js";
import {
  INVALID_CONTINUE,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "../../../../dataplane/wire/invalid.js";
import { TextRequestPdu } from "../../../../dataplane/wire/text-request.js";
import { flag, golden, ITT, LENGTHS, LUN, testPdu, u32 } from "./twin.js";

testPdu({
  name: "Text Request (11.10)",
  create: (view, offset) => new TextRequestPdu(view, offset),
  opcode: OPCODE_TEXT_REQUEST,
  diagram: {
    immediate: flag(0, 1),
    final: flag(1, 0),
    continue: flag(1, 1),
    ...LENGTHS,
    ...LUN,
    ...ITT,
    targetTransferTag: u32(20),
    cmdSN: u32(24),
    expStatSN: u32(28),
  },
  cleared: { targetTransferTag: 0xffffffff },
  valid: { initiatorTaskTag: 7, final: true },
  invalid: [
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    [{ initiatorTaskTag: 0xffffffff }, INVALID_INITIATOR_TASK_TAG],
    [{ continue: true }, INVALID_CONTINUE],
  ],
  stillValid: [{ final: false }, { final: false, continue: true }, { targetTransferTag: 1 }, { immediate: true }],
});

test("Text Request: SendTargets=All, golden bytes", () => {
  const request = new TextRequestPdu(
    golden(`
      04 80 0000  00 000010  0000000000000000  00000001   # F; 16 bytes
      ffffffff  00000002  00000003  00000000000000000000000000000000
      53656e64546172676574733d416c6c00                    # SendTargets=All
    `),
  );
  assert.equal(request.invalid(), VALID);
  assert.equal(
    request.describe(),
    "Text Request F itt=0x00000001 dataSegmentLength=16 ttt=0xffffffff lun=0 cmdSN=2 expStatSN=3",
  );
  request.final = false;
  request.continue = true;
  assert.match(request.describe(), /=16 C ttt/);
});
