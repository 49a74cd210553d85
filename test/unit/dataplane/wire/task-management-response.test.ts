import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_TASK_MANAGEMENT_RESPONSE } from "../../../../dataplane/wire/bhs.js";
import {
  INVALID_DATA_SEGMENT_LENGTH,
  INVALID_FINAL,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_RESPONSE,
  INVALID_TOTAL_AHS_LENGTH,
} from "../../../../dataplane/wire/invalid.js";
import {
  FUNCTION_RESPONSE_REJECTED,
  TaskManagementResponsePdu,
} from "../../../../dataplane/wire/task-management-response.js";
import { flag, ITT, LENGTHS, NUMBERS, testPdu, u8, u24 } from "./twin.js";

testPdu({
  name: "Task Management Function Response (11.6)",
  create: (view, offset) => new TaskManagementResponsePdu(view, offset),
  opcode: OPCODE_TASK_MANAGEMENT_RESPONSE,
  diagram: {
    final: flag(1, 0),
    response: u8(2),
    ...LENGTHS,
    additionalResponseInformation: u24(8),
    ...ITT,
    ...NUMBERS,
  },
  cleared: { final: true },
  valid: { initiatorTaskTag: 7 },
  invalid: [
    [{ final: false }, INVALID_FINAL],
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    [{ dataSegmentLength: 1 }, INVALID_DATA_SEGMENT_LENGTH],
    [{ initiatorTaskTag: 0xffffffff }, INVALID_INITIATOR_TASK_TAG],
    [{ response: 8 }, INVALID_RESPONSE],
    [{ response: 254 }, INVALID_RESPONSE],
  ],
  stillValid: [{ response: 6 }, { response: 7 }, { response: 255 }],
});

test("Task Management Function Response: describe()", () => {
  const response = new TaskManagementResponsePdu(new DataView(new ArrayBuffer(48))).clear();
  response.response = FUNCTION_RESPONSE_REJECTED;
  assert.equal(
    response.describe(),
    "Task Management Function Response F itt=0x00000000 response=255 statSN=0 expCmdSN=0 maxCmdSN=0",
  );
  response.additionalResponseInformation = 0x162903;
  assert.match(response.describe(), / response=255 information=0x162903 statSN=0 /);
});
