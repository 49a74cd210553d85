import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_DATA_OUT, RESERVED_TAG } from "../../../../dataplane/wire/bhs.js";
import { DataOutPdu } from "../../../../dataplane/wire/data-out.js";
import { INVALID_INITIATOR_TASK_TAG, INVALID_TOTAL_AHS_LENGTH, VALID } from "../../../../dataplane/wire/invalid.js";
import { flag, golden, ITT, LENGTHS, LUN, testPdu, u32 } from "./twin.js";

testPdu({
  name: "SCSI Data-Out (11.7)",
  create: (view, offset) => new DataOutPdu(view, offset),
  opcode: OPCODE_DATA_OUT,
  diagram: {
    final: flag(1, 0),
    ...LENGTHS,
    ...LUN,
    ...ITT,
    targetTransferTag: u32(20),
    expStatSN: u32(28),
    dataSN: u32(36),
    bufferOffset: u32(40),
  },
  cleared: { targetTransferTag: 0xffffffff },
  valid: { initiatorTaskTag: 7 },
  invalid: [
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    [{ initiatorTaskTag: 0xffffffff }, INVALID_INITIATOR_TASK_TAG],
  ],
  // "initiators and targets MUST be able to properly receive 0-length data segments" (11.7.7).
  stillValid: [{ dataSegmentLength: 0 }, { final: true }, { targetTransferTag: 0 }, { bufferOffset: 0xffffffff }],
});

test("SCSI Data-Out: last of the answer to an R2T, golden bytes", () => {
  const data = new DataOutPdu(
    golden(`
      05 80 0000  00 001fff  0001000000000000  0000002a   # F, 8191 bytes for LUN 1
      00000abc  00000000  00000007  00000000              # Target Transfer Tag, ExpStatSN
      00000003  00006000  00000000                        # fourth PDU, at 24576
    `),
  );
  assert.equal(data.invalid(), VALID);
  assert.equal(
    data.describe(),
    "SCSI Data-Out F itt=0x0000002a dataSegmentLength=8191 ttt=0x00000abc lun=1 dataSN=3 bufferOffset=24576 expStatSN=7",
  );
  data.targetTransferTag = RESERVED_TAG;
  assert.match(data.describe(), / unsolicited dataSN=3 /);
});
