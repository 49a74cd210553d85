/** LOGICAL UNIT RESETs of several sessions that end each other's tasks (RFC 7143 section 4.2.3.3): each task ends once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import { OPCODE_R2T, OPCODE_TASK_MANAGEMENT_RESPONSE } from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { LOGICAL_UNIT_RESET } from "../../support/task-management.js";
import { pattern, startTarget } from "./fixture.js";

const target = startTarget();

async function logIn(): Promise<RawInitiator> {
  const initiator = await target.login({ ImmediateData: "No", InitialR2T: "Yes" });
  await initiator.command({ cdb: testUnitReady() });
  return initiator;
}

/** A WRITE that waits for its data. */
async function beginWrite(initiator: RawInitiator, immediate = false): Promise<RawTask> {
  const task = await initiator.start({ cdb: write10(0, 8), write: pattern(4096), leaveR2Ts: true, immediate });
  await initiator.expect(OPCODE_R2T);
  return task;
}

test("a reset that ends a task for which another reset waits, which ends one for which a third waits", async () => {
  const [first, second, third] = [await logIn(), await logIn(), await logIn()];
  // Sent before the reset, and not older than it: the reset leaves it alone. The immediate one it ends, when its data has come.
  const spared = await beginWrite(first);
  const ended = await beginWrite(first, true);
  const firstTag = await first.sendTaskManagement(LOGICAL_UNIT_RESET, { cmdSN: spared.cmdSN });
  const waiting = await beginWrite(second);
  const secondTag = await second.sendTaskManagement(LOGICAL_UNIT_RESET);
  await second.ping().catch(() => {});
  const thirdTag = await third.sendTaskManagement(LOGICAL_UNIT_RESET);
  for (const [initiator, tag] of [
    [third, thirdTag],
    [second, secondTag],
    [first, firstTag],
  ] as const) {
    let pdu = await initiator.receive();
    while (pdu.opcode !== OPCODE_TASK_MANAGEMENT_RESPONSE) pdu = await initiator.receive();
    assert.deepEqual([pdu.initiatorTaskTag, pdu.response], [tag, 0]);
  }
  for (const task of [spared, ended]) first.forget(task);
  second.forget(waiting);
  for (const initiator of [first, second, third]) {
    assert.equal((await initiator.command({ cdb: testUnitReady() })).status, 2);
    await initiator.good({ cdb: read10(0, 1), read: 512 });
  }
});
