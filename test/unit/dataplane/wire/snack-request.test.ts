import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_SNACK_REQUEST } from "../../../../dataplane/wire/bhs.js";
import {
  INVALID_BEG_RUN,
  INVALID_DATA_SEGMENT_LENGTH,
  INVALID_FINAL,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_RUN_LENGTH,
  INVALID_SNACK_TAG,
  INVALID_SNACK_TYPE,
  INVALID_TARGET_TRANSFER_TAG,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "../../../../dataplane/wire/invalid.js";
import { SNACK_TYPE_DATA_ACK, SnackRequestPdu } from "../../../../dataplane/wire/snack-request.js";
import { bits, flag, golden, ITT, LENGTHS, LUN, testPdu, u32 } from "./twin.js";

const NO_TASK = { initiatorTaskTag: 0xffffffff };

testPdu({
  name: "SNACK Request (11.16)",
  create: (view, offset) => new SnackRequestPdu(view, offset),
  opcode: OPCODE_SNACK_REQUEST,
  diagram: {
    final: flag(1, 0),
    type: bits(1, 4, 4),
    ...LENGTHS,
    ...LUN,
    ...ITT,
    targetTransferTag: u32(20),
    expStatSN: u32(28),
    begRun: u32(40),
    runLength: u32(44),
  },
  cleared: { final: true, initiatorTaskTag: 0xffffffff, targetTransferTag: 0xffffffff },
  valid: { initiatorTaskTag: 7 },
  invalid: [
    [{ final: false }, INVALID_FINAL],
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    [{ dataSegmentLength: 1 }, INVALID_DATA_SEGMENT_LENGTH],
    [{ type: 4 }, INVALID_SNACK_TYPE],
    [{ type: 15 }, INVALID_SNACK_TYPE],
    [{ type: 0, ...NO_TASK }, INVALID_INITIATOR_TASK_TAG],
    [{ type: 0, targetTransferTag: 1 }, INVALID_TARGET_TRANSFER_TAG],
    [{ type: 1 }, INVALID_INITIATOR_TASK_TAG],
    [{ type: 1, ...NO_TASK, targetTransferTag: 1 }, INVALID_TARGET_TRANSFER_TAG],
    [{ type: 2, targetTransferTag: 1 }, INVALID_INITIATOR_TASK_TAG],
    [{ type: 2, ...NO_TASK }, INVALID_TARGET_TRANSFER_TAG],
    [{ type: 2, ...NO_TASK, targetTransferTag: 1, runLength: 1 }, INVALID_RUN_LENGTH],
    [{ type: 3, ...NO_TASK, targetTransferTag: 1 }, INVALID_INITIATOR_TASK_TAG],
    [{ type: 3, targetTransferTag: 0 }, INVALID_SNACK_TAG],
    [{ type: 3 }, INVALID_SNACK_TAG],
    [{ type: 3, targetTransferTag: 1, begRun: 1 }, INVALID_BEG_RUN],
    [{ type: 3, targetTransferTag: 1, runLength: 1 }, INVALID_RUN_LENGTH],
  ],
  stillValid: [
    { type: 0, begRun: 0xffffffff, runLength: 0xffffffff },
    { type: 1, ...NO_TASK, begRun: 5, runLength: 2 },
    { type: 2, ...NO_TASK, targetTransferTag: 0, begRun: 5 },
    { type: 3, targetTransferTag: 1 },
  ],
});

test("SNACK Request: DataACK, golden bytes", () => {
  const snack = new SnackRequestPdu(
    golden(`
      10 82 0000  00 000000  0001000000000000  ffffffff   # LUN and tag of the Data-In
      00000abc  00000000  00000007  0000000000000000
      00000010  00000000                                  # all before DataSN 16 has arrived
    `),
  );
  assert.equal(snack.invalid(), VALID);
  assert.equal(snack.type, SNACK_TYPE_DATA_ACK);
  assert.equal(
    snack.describe(),
    "SNACK Request F itt=0xffffffff type=2 tag=0x00000abc lun=1 begRun=16 runLength=0 expStatSN=7",
  );
});

test("SNACK Request: the SNACK tag is where the Target Transfer Tag is", () => {
  const snack = new SnackRequestPdu(new DataView(new ArrayBuffer(48))).clear();
  snack.snackTag = 5;
  assert.equal(snack.targetTransferTag, 5);
  assert.equal(snack.snackTag, 5);
});
