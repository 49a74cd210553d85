import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_TASK_MANAGEMENT_REQUEST } from "../../../../dataplane/wire/bhs.js";
import {
  INVALID_DATA_SEGMENT_LENGTH,
  INVALID_FINAL,
  INVALID_IMMEDIATE,
  INVALID_INITIATOR_TASK_TAG,
  INVALID_TOTAL_AHS_LENGTH,
  VALID,
} from "../../../../dataplane/wire/invalid.js";
import { FUNCTION_ABORT_TASK, TaskManagementRequestPdu } from "../../../../dataplane/wire/task-management-request.js";
import { bits, flag, golden, ITT, LENGTHS, LUN, testPdu, u32 } from "./twin.js";

testPdu({
  name: "Task Management Function Request (11.5)",
  create: (view, offset) => new TaskManagementRequestPdu(view, offset),
  opcode: OPCODE_TASK_MANAGEMENT_REQUEST,
  diagram: {
    immediate: flag(0, 1),
    final: flag(1, 0),
    function: bits(1, 1, 7),
    ...LENGTHS,
    ...LUN,
    ...ITT,
    referencedTaskTag: u32(20),
    cmdSN: u32(24),
    expStatSN: u32(28),
    refCmdSN: u32(32),
    expDataSN: u32(36),
  },
  cleared: { final: true, referencedTaskTag: 0xffffffff },
  valid: { function: 5, initiatorTaskTag: 7 },
  invalid: [
    [{ final: false }, INVALID_FINAL],
    [{ totalAHSLength: 1 }, INVALID_TOTAL_AHS_LENGTH],
    [{ dataSegmentLength: 1 }, INVALID_DATA_SEGMENT_LENGTH],
    [{ initiatorTaskTag: 0xffffffff }, INVALID_INITIATOR_TASK_TAG],
    [{ function: 8, immediate: false, referencedTaskTag: 1 }, INVALID_IMMEDIATE],
  ],
  stillValid: [
    { function: 1, referencedTaskTag: 1 },
    { function: 8, immediate: true, referencedTaskTag: 1 },
    { function: 2, immediate: true },
    { function: 9, referencedTaskTag: 1 },
    { function: 12 },
    // It names no task, whatever the tag is.
    { function: 2, referencedTaskTag: 0 },
    { function: 5, referencedTaskTag: 1 },
    { function: 7, referencedTaskTag: 0xfffffffe },
    { function: 10, referencedTaskTag: 1 },
    // Unassigned: told by the response.
    { function: 0 },
    { function: 13, referencedTaskTag: 1 },
    { function: 127 },
  ],
});

test("Task Management Function Request: ABORT TASK, golden bytes", () => {
  const abort = new TaskManagementRequestPdu(
    golden(`
      42 81 0000  00 000000  0000000000000000  0000002b   # immediate
      0000002a  00000006  00000007                        # aborts task 42
      00000005  00000000  0000000000000000                # whose CmdSN was 5
    `),
  );
  assert.equal(abort.invalid(), VALID);
  assert.equal(abort.function, FUNCTION_ABORT_TASK);
  assert.equal(
    abort.describe(),
    "Task Management Function Request I F itt=0x0000002b function=1 ABORT TASK lun=0 referencedTaskTag=0x0000002a" +
      " cmdSN=6 expStatSN=7 refCmdSN=5 expDataSN=0",
  );
  abort.function = 9;
  assert.match(abort.describe(), / function=9 QUERY TASK lun=0 /);
});
