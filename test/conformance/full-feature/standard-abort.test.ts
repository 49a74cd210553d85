/** LOGICAL UNIT RESET and target resets with standard multi-task abort semantics (RFC 7143 section 4.2.3.3). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import {
  FLAG_WRITE,
  OPCODE_NOP_IN,
  OPCODE_R2T,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
  parseSense,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import {
  ABORT_TASK_SET,
  FUNCTION_COMPLETE,
  LOGICAL_UNIT_RESET,
  TARGET_WARM_RESET,
} from "../../support/task-management.js";
import { pattern, startTarget } from "./fixture.js";

const ORDERED = 2;

async function beginWrite(initiator: RawInitiator, lba = 0): Promise<RawTask> {
  const task = await initiator.start({ cdb: write10(lba, 8), write: pattern(4096, 1 + lba), leaveR2Ts: true });
  task.r2ts.push(await initiator.expect(OPCODE_R2T));
  return task;
}

async function isComplete(initiator: RawInitiator, tag: number): Promise<void> {
  let pdu = await initiator.receive();
  // The window may have been told by itself (section 11.4.11).
  if (pdu.opcode === OPCODE_NOP_IN) pdu = await initiator.receive();
  assert.equal(pdu.opcode, OPCODE_TASK_MANAGEMENT_RESPONSE);
  assert.deepEqual([pdu.initiatorTaskTag, pdu.response], [tag, FUNCTION_COMPLETE]);
}

/** The sender of a reset is told of it, as all others are. */
async function isTold(initiator: RawInitiator): Promise<void> {
  const { status, sense } = await initiator.command({ cdb: testUnitReady() });
  assert.deepEqual([status, parseSense(sense).asc], [2, 0x29]);
}

describe("standard multi-task abort semantics (RFC 7143 section 4.2.3.3)", () => {
  const target = startTarget();
  const keys = { ImmediateData: "No", InitialR2T: "Yes" };

  for (const [name, taskFunction] of [
    ["LOGICAL UNIT RESET", LOGICAL_UNIT_RESET],
    ["TARGET WARM RESET", TARGET_WARM_RESET],
  ] as const) {
    it(`${name}: waits for the data of its sender's R2Ts, not for that of others`, async () => {
      const [initiator, third] = [await target.login(keys), await target.login(keys)];
      const before = await initiator.good({ cdb: read10(0, 32), read: 16_384 });
      const theirs = await beginWrite(third, 16);
      const tasks = [await beginWrite(initiator, 0), await beginWrite(initiator, 8)];
      const tag = await initiator.sendTaskManagement(taskFunction);
      for (const task of tasks) {
        await initiator.ping();
        await initiator.answerR2T(task, task.r2ts[0]!);
      }
      await isComplete(initiator, tag);
      for (const task of tasks) initiator.forget(task);
      // What comes for a task that is gone is dropped.
      await third.answerR2T(theirs, theirs.r2ts[0]!);
      third.forget(theirs);
      await isTold(third);
      await isTold(initiator);
      assert.ok((await initiator.good({ cdb: read10(0, 32), read: 16_384 })).equals(before), "nothing was written");
    });

    it(`${name}: goes on without data that does not come`, async () => {
      const initiator = await target.login(keys);
      const task = await beginWrite(initiator);
      const tag = await initiator.sendTaskManagement(taskFunction);
      await isComplete(initiator, tag);
      initiator.forget(task);
      await initiator.answerR2T(task, task.r2ts[0]!);
      await isTold(initiator);
    });

    it(`${name}: leaves commands alone that were sent after it`, async () => {
      const initiator = await target.login(keys);
      const task = await beginWrite(initiator);
      const tag = await initiator.sendTaskManagement(taskFunction);
      const later = await beginWrite(initiator, 8);
      await initiator.answerR2T(task, task.r2ts[0]!);
      await isComplete(initiator, tag);
      initiator.forget(task);
      await initiator.answerR2T(later, later.r2ts[0]!);
      assert.equal((await initiator.finish(later)).status, 0);
    });
  }

  it("LOGICAL UNIT RESET: waits for commands before it that have not come (b)", async () => {
    const initiator = await target.login();
    const { cmdSN } = initiator.session;
    initiator.session.cmdSN = cmdSN + 1;
    const tag = await initiator.sendTaskManagement(LOGICAL_UNIT_RESET);
    assert.equal((await initiator.ping()).expCmdSN, cmdSN);
    const missing = await initiator.start({ cdb: testUnitReady(), fields: { cmdSN } });
    let pdu = await initiator.receive();
    if (pdu.opcode !== OPCODE_TASK_MANAGEMENT_RESPONSE) pdu = await initiator.receive();
    assert.equal(pdu.initiatorTaskTag, tag);
    initiator.forget(missing);
    assert.equal((await initiator.ping()).expCmdSN, cmdSN + 1);
  });

  it("TARGET WARM RESET: takes commands before it that have not come as received (b: plugged)", async () => {
    const initiator = await target.login();
    const { cmdSN } = initiator.session;
    // One has come, and waits for the one before it.
    initiator.session.cmdSN = cmdSN + 1;
    const held = await initiator.start({ cdb: testUnitReady() });
    initiator.session.cmdSN = cmdSN + 4;
    await isComplete(initiator, await initiator.sendTaskManagement(TARGET_WARM_RESET));
    initiator.forget(held);
    const { expCmdSN, maxCmdSN } = await initiator.ping();
    assert.deepEqual([expCmdSN, maxCmdSN - expCmdSN + 1], [cmdSN + 4, 256]);
    // The late ones are duplicates now.
    await initiator.start({ cdb: testUnitReady(), fields: { cmdSN } });
    await isTold(initiator);
  });

  it("a command whose turn comes while it is only waited for its data is not executed any more", async () => {
    const initiator = await target.login({ ImmediateData: "No", InitialR2T: "No" });
    await initiator.command({ cdb: testUnitReady() });
    const first = await initiator.start({
      ...{ cdb: write10(0, 8), write: pattern(4096), leaveR2Ts: true, unsolicitedLength: 0 },
    });
    const r2t = await initiator.expect(OPCODE_R2T);
    // RESERVE(6), of all things with data that is announced.
    const second = await initiator.start({
      ...{ cdb: Buffer.from([0x16, 0, 0, 0, 0, 0]), write: pattern(512), unsolicitedLength: 0, attribute: ORDERED },
      fields: { flags: FLAG_WRITE | ORDERED },
    });
    const tag = await initiator.sendTaskManagement(ABORT_TASK_SET);
    await initiator.answerR2T(first, r2t);
    await initiator.ping();
    await initiator.sendDataOut(second, 0, 512, TAG_NONE);
    await isComplete(initiator, tag);
    for (const task of [first, second]) initiator.forget(task);
    const other = await target.login();
    await other.command({ cdb: testUnitReady() });
    assert.equal((await other.command({ cdb: testUnitReady() })).status, 0, "the unit is not reserved");
    await initiator.good({ cdb: read10(0, 1), read: 512 });
  });
});
