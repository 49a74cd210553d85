import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_R2T } from "../../../../dataplane/wire/bhs.js";
import {
  INVALID_DATA_SEGMENT_LENGTH,
  INVALID_DESIRED_DATA_TRANSFER_LENGTH,
  INVALID_FINAL,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_TARGET_TRANSFER_TAG,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "../../../../dataplane/wire/invalid.js";
import { R2tPdu } from "../../../../dataplane/wire/r2t.js";
import { flag, golden, ITT, LENGTHS, LUN, NUMBERS, testPdu, u32 } from "./twin.js";

testPdu({
  name: "R2T (11.8)",
  create: (view, offset) => new R2tPdu(view, offset),
  opcode: OPCODE_R2T,
  diagram: {
    final: flag(1, 0),
    ...LENGTHS,
    ...LUN,
    ...ITT,
    targetTransferTag: u32(20),
    ...NUMBERS,
    r2tSN: u32(36),
    bufferOffset: u32(40),
    desiredDataTransferLength: u32(44),
  },
  cleared: { final: true },
  valid: { initiatorTaskTag: 7, desiredDataTransferLength: 1 },
  invalid: [
    [{ final: false }, INVALID_FINAL],
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    [{ dataSegmentLength: 1 }, INVALID_DATA_SEGMENT_LENGTH],
    [{ initiatorTaskTag: 0xffffffff }, INVALID_INITIATOR_TASK_TAG],
    [{ targetTransferTag: 0xffffffff }, INVALID_TARGET_TRANSFER_TAG],
    [{ desiredDataTransferLength: 0 }, INVALID_DESIRED_DATA_TRANSFER_LENGTH],
  ],
});

test("R2T: golden bytes", () => {
  const r2t = new R2tPdu(
    golden(`
      31 80 0000  00 000000  4100000000000000  0000002a   # LUN 256, flat addressing
      00000abc  00000007  00000006  00000025              # tag; StatSN 7, ExpCmdSN 6, MaxCmdSN 37
      00000002  00010000  00040000                        # third R2T: 262144 bytes from 65536
    `),
  );
  assert.equal(r2t.invalid(), VALID);
  assert.equal(
    r2t.describe(),
    "R2T F itt=0x0000002a ttt=0x00000abc lun=256 r2tSN=2 bufferOffset=65536 desiredDataTransferLength=262144" +
      " statSN=7 expCmdSN=6 maxCmdSN=37",
  );
});
