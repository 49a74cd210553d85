/** LOGICAL UNIT RESETs of several sessions that end each other's tasks (RFC 7143 section 4.2.3.3): each task ends once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import {
  FLAG_FINAL,
  OPCODE_R2T,
  OPCODE_TASK_MANAGEMENT_REQUEST,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { pattern, startTarget } from "./fixture.js";

const LOGICAL_UNIT_RESET = 5;

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

async function reset(initiator: RawInitiator, cmdSN?: number): Promise<number> {
  const header = await initiator.send({
    opcode: OPCODE_TASK_MANAGEMENT_REQUEST,
    immediate: true,
    flags: FLAG_FINAL | LOGICAL_UNIT_RESET,
    lun: 0,
    referencedTaskTag: TAG_NONE,
    ...(cmdSN === undefined ? {} : { cmdSN }),
  });
  return header.readUInt32BE(16);
}

test("a reset that ends a task for which another reset waits, which ends one for which a third waits", async () => {
  const [first, second, third] = [await logIn(), await logIn(), await logIn()];
  // Sent before the reset, and not older than it: the reset leaves it alone. The immediate one it ends, when its data has come.
  const spared = await beginWrite(first);
  const ended = await beginWrite(first, true);
  const firstTag = await reset(first, spared.cmdSN);
  const waiting = await beginWrite(second);
  const secondTag = await reset(second);
  await second.ping().catch(() => {});
  const thirdTag = await reset(third);
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
