import assert from "node:assert/strict";
import { test } from "node:test";
import { BHS_LENGTH, FLAG_FINAL, OPCODE_DATA_IN } from "../../../../dataplane/wire/bhs.js";
import { DataInPdu, FLAG_ACKNOWLEDGE, FLAG_STATUS } from "../../../../dataplane/wire/data-in.js";
import {
  INVALID_INITIATOR_TASK_TAG,
  INVALID_RESIDUAL_FLAGS,
  INVALID_STATUS,
  INVALID_STATUS_WITHOUT_FINAL,
  INVALID_TARGET_TRANSFER_TAG,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "../../../../dataplane/wire/invalid.js";
import { FLAG_OVERFLOW, FLAG_UNDERFLOW } from "../../../../dataplane/wire/scsi-response.js";
import { flag, golden, hexOf, ITT, LENGTHS, LUN, NUMBERS, testPdu, u8, u32 } from "./twin.js";

testPdu({
  name: "SCSI Data-In (11.7)",
  create: (view, offset) => new DataInPdu(view, offset),
  opcode: OPCODE_DATA_IN,
  diagram: {
    final: flag(1, 0),
    acknowledge: flag(1, 1),
    overflow: flag(1, 5),
    underflow: flag(1, 6),
    hasStatus: flag(1, 7),
    status: u8(3),
    ...LENGTHS,
    ...LUN,
    ...ITT,
    targetTransferTag: u32(20),
    ...NUMBERS,
    dataSN: u32(36),
    bufferOffset: u32(40),
    residualCount: u32(44),
  },
  cleared: { targetTransferTag: 0xffffffff },
  valid: { initiatorTaskTag: 7, final: true, hasStatus: true },
  invalid: [
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    [{ initiatorTaskTag: 0xffffffff }, INVALID_INITIATOR_TASK_TAG],
    [{ acknowledge: true }, INVALID_TARGET_TRANSFER_TAG],
    [{ final: false }, INVALID_STATUS_WITHOUT_FINAL],
    [{ overflow: true, underflow: true }, INVALID_RESIDUAL_FLAGS],
    [{ status: 0x02 }, INVALID_STATUS],
    [{ status: 0x08 }, INVALID_STATUS],
    [{ status: 0x18 }, INVALID_STATUS],
  ],
  stillValid: [
    { acknowledge: true, targetTransferTag: 0 },
    { status: 0x04 },
    { status: 0x10 },
    { status: 0x14 },
    // Without S these have no meaning (11.7.3).
    { hasStatus: false, final: false, status: 0x02, overflow: true, underflow: true },
  ],
});

const LAST_DATA_IN = `
  25 83 00 00  00 000200  0000000000000000  0000002a   # F U S, GOOD; 512 bytes; task 42
  ffffffff  00000007  00000006  00000025               # StatSN 7, ExpCmdSN 6, MaxCmdSN 37
  00000001  00000e00  00000200                         # second PDU, at 3584; 512 bytes missing
`;

test("SCSI Data-In: last one with status and residual, golden bytes", () => {
  const view = golden(LAST_DATA_IN);
  const data = new DataInPdu(view);
  assert.equal(data.invalid(), VALID);
  assert.equal(
    data.describe(),
    "SCSI Data-In F itt=0x0000002a dataSegmentLength=512 dataSN=1 bufferOffset=3584 status=0x00 statSN=7 U=512" +
      " expCmdSN=6 maxCmdSN=37",
  );

  const written = new DataInPdu(golden("a5".repeat(BHS_LENGTH))).clear();
  written.flags = FLAG_FINAL | FLAG_UNDERFLOW | FLAG_STATUS;
  written.dataSegmentLength = 512;
  written.initiatorTaskTag = 42;
  written.statSN = 7;
  written.expCmdSN = 6;
  written.maxCmdSN = 37;
  written.dataSN = 1;
  written.bufferOffset = 3584;
  written.residualCount = 512;
  assert.equal(hexOf(written.view), hexOf(view));
});

test("SCSI Data-In: describe() shows tag and LUN only with A, and overflow", () => {
  const data = new DataInPdu(golden(LAST_DATA_IN));
  data.flags = FLAG_FINAL | FLAG_ACKNOWLEDGE | FLAG_OVERFLOW | FLAG_STATUS;
  data.targetTransferTag = 9;
  data.lun = 3;
  assert.match(data.describe(), / A ttt=0x00000009 lun=3 .* O=512 /);
  data.flags = 0;
  assert.doesNotMatch(data.describe(), /ttt|status|O=/);
});
