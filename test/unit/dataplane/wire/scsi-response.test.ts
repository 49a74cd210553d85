import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_SCSI_RESPONSE } from "../../../../dataplane/wire/bhs.js";
import {
  INVALID_EXP_DATA_SN,
  INVALID_FINAL,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_RESIDUAL_FLAGS,
  INVALID_RESPONSE,
  INVALID_SENSE_MISSING,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "../../../../dataplane/wire/invalid.js";
import { SCSI_STATUS_CHECK_CONDITION, ScsiResponsePdu } from "../../../../dataplane/wire/scsi-response.js";
import { SenseDataSegment } from "../../../../dataplane/wire/sense-data-segment.js";
import { flag, golden, ITT, LENGTHS, NUMBERS, testPdu, u8, u16, u32 } from "./twin.js";

testPdu({
  name: "SCSI Response (11.4)",
  create: (view, offset) => new ScsiResponsePdu(view, offset),
  opcode: OPCODE_SCSI_RESPONSE,
  diagram: {
    final: flag(1, 0),
    bidirectionalReadOverflow: flag(1, 3),
    bidirectionalReadUnderflow: flag(1, 4),
    overflow: flag(1, 5),
    underflow: flag(1, 6),
    response: u8(2),
    status: u8(3),
    ...LENGTHS,
    statusQualifier: u16(8),
    ...ITT,
    snackTag: u32(20),
    ...NUMBERS,
    expDataSN: u32(36),
    bidirectionalReadResidualCount: u32(40),
    residualCount: u32(44),
  },
  cleared: { final: true },
  valid: { initiatorTaskTag: 7 },
  invalid: [
    [{ final: false }, INVALID_FINAL],
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    [{ initiatorTaskTag: 0xffffffff }, INVALID_INITIATOR_TASK_TAG],
    [{ response: 0x02 }, INVALID_RESPONSE],
    [{ response: 0x7f }, INVALID_RESPONSE],
    [{ response: 0x01, expDataSN: 1 }, INVALID_EXP_DATA_SN],
    [{ overflow: true, underflow: true }, INVALID_RESIDUAL_FLAGS],
    [{ bidirectionalReadOverflow: true, bidirectionalReadUnderflow: true }, INVALID_RESIDUAL_FLAGS],
    [{ status: 0x02 }, INVALID_SENSE_MISSING],
  ],
  stillValid: [
    { status: 0x02, dataSegmentLength: 20 },
    { status: 0x28 },
    { expDataSN: 1 },
    { overflow: true, bidirectionalReadUnderflow: true },
    { underflow: true, bidirectionalReadOverflow: true },
    // "Status and Flag fields are undefined and MUST be ignored" (11.4.3).
    { response: 0x01, status: 0x02, overflow: true, underflow: true },
    { response: 0x80 },
    { response: 0xff },
  ],
});

test("SCSI Response: CHECK CONDITION with sense data, golden bytes", () => {
  const view = golden(`
    21 82 00 02  00 000014  0000000000000000  0000002a   # U, CHECK CONDITION; 20 bytes; task 42
    00000000  00000007  00000006  00000025               # no SNACK tag; StatSN 7, ExpCmdSN 6, MaxCmdSN 37
    00000000  00000000  00001000                         # residual 4096
    0012 70 00 05 00000000 0a 00000000 24 00 00 000000   # 18 bytes of sense: ILLEGAL REQUEST, INVALID FIELD IN CDB
  `);
  const response = new ScsiResponsePdu(view);
  assert.equal(response.invalid(), VALID);
  assert.equal(response.status, SCSI_STATUS_CHECK_CONDITION);
  assert.equal(response.underflow && !response.overflow, true);
  assert.equal(response.residualCount, 4096);
  assert.equal(
    response.describe(),
    "SCSI Response F itt=0x0000002a dataSegmentLength=20 response=0x00 status=0x02 U=4096" +
      " statSN=7 expCmdSN=6 maxCmdSN=37 expDataSN=0",
  );
  const segment = new SenseDataSegment(view).at(48, response.dataSegmentLength);
  assert.equal(segment.invalid(), VALID);
  assert.equal(segment.senseLength, 18);
  assert.equal(view.getUint8(segment.senseOffset + 12), 0x24);
  assert.equal(segment.responseDataLength, 0);
});

test("SCSI Response: describe() names residuals of both directions and the SNACK tag", () => {
  const response = new ScsiResponsePdu(new DataView(new ArrayBuffer(48))).clear();
  response.overflow = true;
  response.residualCount = 1;
  response.bidirectionalReadOverflow = true;
  response.bidirectionalReadUnderflow = true;
  response.bidirectionalReadResidualCount = 2;
  response.snackTag = 3;
  assert.match(response.describe(), / O=1 o=2 u=2 .* snackTag=0x00000003$/);
});
