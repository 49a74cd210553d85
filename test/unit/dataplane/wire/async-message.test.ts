import assert from "node:assert/strict";
import { test } from "node:test";
import { ASYNC_EVENT_CONNECTION_DROP, AsyncMessagePdu } from "../../../../dataplane/wire/async-message.js";
import { OPCODE_ASYNC_MESSAGE } from "../../../../dataplane/wire/bhs.js";
import {
  INVALID_ASYNC_EVENT,
  INVALID_FINAL,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "../../../../dataplane/wire/invalid.js";
import { flag, golden, ITT, LENGTHS, LUN, NUMBERS, testPdu, u8, u16 } from "./twin.js";

testPdu({
  name: "Asynchronous Message (11.9)",
  create: (view, offset) => new AsyncMessagePdu(view, offset),
  opcode: OPCODE_ASYNC_MESSAGE,
  diagram: {
    final: flag(1, 0),
    ...LENGTHS,
    ...LUN,
    ...ITT,
    ...NUMBERS,
    asyncEvent: u8(36),
    asyncVCode: u8(37),
    parameter1: u16(38),
    parameter2: u16(40),
    parameter3: u16(42),
  },
  cleared: { final: true, initiatorTaskTag: 0xffffffff },
  valid: { asyncEvent: 1 },
  invalid: [
    [{ final: false }, INVALID_FINAL],
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    [{ initiatorTaskTag: 0 }, INVALID_INITIATOR_TASK_TAG],
    [{ asyncEvent: 6 }, INVALID_ASYNC_EVENT],
    [{ asyncEvent: 247 }, INVALID_ASYNC_EVENT],
  ],
  stillValid: [
    { asyncEvent: 0 },
    { asyncEvent: 5 },
    { asyncEvent: 248 },
    { asyncEvent: 255 },
    { dataSegmentLength: 9 },
  ],
});

test("Asynchronous Message: connection drop, golden bytes", () => {
  const message = new AsyncMessagePdu(
    golden(`
      32 80 0000  00 000000  0000000000000000  ffffffff
      00000000  00000007  00000006  00000025
      02 00 0001  0002 0014  00000000                     # connection 1, wait 2 s, retain 20 s
    `),
  );
  assert.equal(message.invalid(), VALID);
  assert.equal(message.asyncEvent, ASYNC_EVENT_CONNECTION_DROP);
  assert.equal(
    message.describe(),
    "Asynchronous Message F itt=0xffffffff event=2 vcode=0 lun=0 parameters=1,2,20 statSN=7 expCmdSN=6 maxCmdSN=37",
  );
});
