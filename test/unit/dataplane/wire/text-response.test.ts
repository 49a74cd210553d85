import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_TEXT_RESPONSE } from "../../../../dataplane/wire/bhs.js";
import {
  INVALID_CONTINUE,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_TARGET_TRANSFER_TAG,
  INVALID_TOTAL_AHS_LENGTH,
} from "../../../../dataplane/wire/invalid.js";
import { TextResponsePdu } from "../../../../dataplane/wire/text-response.js";
import { flag, ITT, LENGTHS, LUN, NUMBERS, testPdu, u32 } from "./twin.js";

testPdu({
  name: "Text Response (11.11)",
  create: (view, offset) => new TextResponsePdu(view, offset),
  opcode: OPCODE_TEXT_RESPONSE,
  diagram: {
    final: flag(1, 0),
    continue: flag(1, 1),
    ...LENGTHS,
    ...LUN,
    ...ITT,
    targetTransferTag: u32(20),
    ...NUMBERS,
  },
  cleared: { targetTransferTag: 0xffffffff },
  valid: { initiatorTaskTag: 7, final: true },
  invalid: [
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    [{ initiatorTaskTag: 0xffffffff }, INVALID_INITIATOR_TASK_TAG],
    [{ continue: true }, INVALID_CONTINUE],
    [{ targetTransferTag: 0 }, INVALID_TARGET_TRANSFER_TAG],
    [{ final: false }, INVALID_TARGET_TRANSFER_TAG],
  ],
  stillValid: [
    { final: false, targetTransferTag: 0 },
    { final: false, continue: true, targetTransferTag: 1 },
  ],
});

test("Text Response: describe()", () => {
  const response = new TextResponsePdu(new DataView(new ArrayBuffer(48))).clear();
  response.continue = true;
  response.targetTransferTag = 5;
  assert.equal(
    response.describe(),
    "Text Response itt=0x00000000 C ttt=0x00000005 lun=0 statSN=0 expCmdSN=0 maxCmdSN=0",
  );
});
