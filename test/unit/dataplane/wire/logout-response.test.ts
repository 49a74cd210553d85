import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_LOGOUT_RESPONSE } from "../../../../dataplane/wire/bhs.js";
import {
  INVALID_DATA_SEGMENT_LENGTH,
  INVALID_FINAL,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_RESPONSE,
  INVALID_TOTAL_AHS_LENGTH,
} from "../../../../dataplane/wire/invalid.js";
import { LogoutResponsePdu } from "../../../../dataplane/wire/logout-response.js";
import { flag, ITT, LENGTHS, NUMBERS, testPdu, u8, u16 } from "./twin.js";

testPdu({
  name: "Logout Response (11.15)",
  create: (view, offset) => new LogoutResponsePdu(view, offset),
  opcode: OPCODE_LOGOUT_RESPONSE,
  diagram: {
    final: flag(1, 0),
    response: u8(2),
    ...LENGTHS,
    ...ITT,
    ...NUMBERS,
    time2Wait: u16(40),
    time2Retain: u16(42),
  },
  cleared: { final: true },
  valid: { initiatorTaskTag: 7 },
  invalid: [
    [{ final: false }, INVALID_FINAL],
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    [{ dataSegmentLength: 1 }, INVALID_DATA_SEGMENT_LENGTH],
    [{ initiatorTaskTag: 0xffffffff }, INVALID_INITIATOR_TASK_TAG],
    [{ response: 4 }, INVALID_RESPONSE],
  ],
  stillValid: [{ response: 3 }, { time2Wait: 0xffff }],
});

test("Logout Response: describe()", () => {
  const response = new LogoutResponsePdu(new DataView(new ArrayBuffer(48))).clear();
  response.time2Wait = 2;
  response.time2Retain = 20;
  assert.equal(
    response.describe(),
    "Logout Response F itt=0x00000000 response=0 time2Wait=2 time2Retain=20 statSN=0 expCmdSN=0 maxCmdSN=0",
  );
});
