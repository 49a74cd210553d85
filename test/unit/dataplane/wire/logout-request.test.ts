import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_LOGOUT_REQUEST } from "../../../../dataplane/wire/bhs.js";
import {
  INVALID_DATA_SEGMENT_LENGTH,
  INVALID_FINAL,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_REASON,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "../../../../dataplane/wire/invalid.js";
import { LOGOUT_REASON_CLOSE_CONNECTION, LogoutRequestPdu } from "../../../../dataplane/wire/logout-request.js";
import { bits, flag, golden, ITT, LENGTHS, testPdu, u16, u32 } from "./twin.js";

testPdu({
  name: "Logout Request (11.14)",
  create: (view, offset) => new LogoutRequestPdu(view, offset),
  opcode: OPCODE_LOGOUT_REQUEST,
  diagram: {
    immediate: flag(0, 1),
    final: flag(1, 0),
    reasonCode: bits(1, 1, 7),
    ...LENGTHS,
    ...ITT,
    cid: u16(20),
    cmdSN: u32(24),
    expStatSN: u32(28),
  },
  cleared: { final: true },
  valid: { initiatorTaskTag: 7 },
  invalid: [
    [{ final: false }, INVALID_FINAL],
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    [{ dataSegmentLength: 1 }, INVALID_DATA_SEGMENT_LENGTH],
    [{ initiatorTaskTag: 0xffffffff }, INVALID_INITIATOR_TASK_TAG],
    [{ reasonCode: 3 }, INVALID_REASON],
    [{ reasonCode: 127 }, INVALID_REASON],
  ],
  stillValid: [{ reasonCode: 1 }, { reasonCode: 2, cid: 0xffff }, { immediate: true }],
});

test("Logout Request: close the connection, golden bytes", () => {
  const request = new LogoutRequestPdu(
    golden(`
      46 81 0000  00 000000  0000000000000000  0000002c   # immediate
      0001 0000  00000006  00000008  00000000000000000000000000000000
    `),
  );
  assert.equal(request.invalid(), VALID);
  assert.equal(request.reasonCode, LOGOUT_REASON_CLOSE_CONNECTION);
  assert.equal(request.describe(), "Logout Request I F itt=0x0000002c reason=1 cid=1 cmdSN=6 expStatSN=8");
});
