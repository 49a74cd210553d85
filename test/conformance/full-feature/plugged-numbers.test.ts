/** Commands that are aborted before they have come count as received (RFC 7143 sections 7.11, 11.6.1); the window is no wider for it (4.2.2.1). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { testUnitReady } from "../../support/cdb.js";
import { ABORT_TASK, FUNCTION_COMPLETE, TASK_DOES_NOT_EXIST } from "../../support/task-management.js";
import { startTarget } from "./fixture.js";

const target = startTarget();

test("numbers ahead of a gap can be given up as far as the window goes, and no further", async () => {
  const initiator = await target.login();
  await initiator.ping();
  const { expCmdSN, maxCmdSN } = initiator;
  const width = maxCmdSN - expCmdSN + 1;
  const responses: number[] = [];
  for (let ahead = 1; ahead < 2 * width; ahead++) {
    const fields = { referencedTaskTag: 0x10000 + ahead, refCmdSN: expCmdSN + ahead, cmdSN: expCmdSN + ahead + 1 };
    responses.push((await initiator.taskManagement(ABORT_TASK, fields)).response);
  }
  const expected = responses.map((_, at) => (at < width - 1 ? FUNCTION_COMPLETE : TASK_DOES_NOT_EXIST));
  assert.deepEqual(responses, expected);
  assert.deepEqual([initiator.expCmdSN, initiator.maxCmdSN], [expCmdSN, maxCmdSN]);

  // The command that was missing comes: all that was given up is behind us, and the window is as wide as before.
  initiator.session.cmdSN = expCmdSN;
  await initiator.command({ cdb: testUnitReady() });
  await initiator.ping();
  assert.deepEqual([initiator.expCmdSN, initiator.maxCmdSN], [expCmdSN + width, maxCmdSN + width]);
  initiator.session.cmdSN = expCmdSN + width;
  await initiator.command({ cdb: testUnitReady() });
});

test("so can commands that have come ahead of a gap", async () => {
  const initiator = await target.login();
  await initiator.ping();
  const { expCmdSN, maxCmdSN } = initiator;
  initiator.session.cmdSN = expCmdSN + 1;
  for (let ahead = 1; ahead <= 8; ahead++) {
    const held = await initiator.start({ cdb: testUnitReady() });
    const fields = { referencedTaskTag: held.initiatorTaskTag, refCmdSN: held.cmdSN, cmdSN: held.cmdSN + 1 };
    assert.equal((await initiator.taskManagement(ABORT_TASK, fields)).response, FUNCTION_COMPLETE);
    initiator.forget(held);
  }
  assert.deepEqual([initiator.expCmdSN, initiator.maxCmdSN], [expCmdSN, maxCmdSN]);
  initiator.session.cmdSN = expCmdSN;
  await initiator.command({ cdb: testUnitReady() });
  await initiator.ping();
  assert.deepEqual([initiator.expCmdSN, initiator.maxCmdSN], [expCmdSN + 9, maxCmdSN + 9]);
});
