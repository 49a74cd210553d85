/** ABORT TASK (RFC 7143 sections 11.5.1, 11.6.1, 7.11). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import {
  OPCODE_NOP_OUT,
  OPCODE_R2T,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
  type ReceivedPdu,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import {
  ABORT_TASK,
  ABORT_TASK_SET,
  FUNCTION_COMPLETE,
  FUNCTION_REJECTED,
  TASK_DOES_NOT_EXIST,
} from "../../support/task-management.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

describe("ABORT TASK (RFC 7143 section 11.6.1)", () => {
  const target = startTarget();
  const noUnsolicitedData = { ImmediateData: "No", InitialR2T: "Yes" };

  async function abort(initiator: RawInitiator, task: RawTask, fields = {}): Promise<ReceivedPdu> {
    return initiator.taskManagement(ABORT_TASK, {
      referencedTaskTag: task.initiatorTaskTag,
      refCmdSN: task.cmdSN,
      lun: Buffer.from(task.lun),
      ...fields,
    });
  }

  it("of a task that waits for its data: it is gone, and nothing of it is written", async () => {
    const initiator = await target.login(noUnsolicitedData);
    const before = await initiator.good({ cdb: read10(0, 8), read: 4096 });
    const task = await initiator.start({ cdb: write10(0, 8), write: pattern(4096, 1), leaveR2Ts: true });
    const r2t = await initiator.expect(OPCODE_R2T);
    const response = await abort(initiator, task);
    assert.equal(response.response, FUNCTION_COMPLETE);
    assert.ok(response.bhs.subarray(36).every((byte) => byte === 0));
    // Data that was on its way is dropped without a word, and without effect.
    await initiator.answerR2T(task, r2t);
    await initiator.ping();
    assert.ok((await initiator.good({ cdb: read10(0, 8), read: 4096 })).equals(before));
    // The tag is free.
    const fields = { initiatorTaskTag: task.initiatorTaskTag };
    await initiator.good({ cdb: testUnitReady(), fields });
  });

  it("of a task whose unsolicited data is on its way", async () => {
    const initiator = await target.login({ InitialR2T: "No" });
    const task = await initiator.start({
      cdb: write10(0, 16),
      write: pattern(8192, 2),
      immediateLength: 4096,
      unsolicitedLength: 4096,
      fields: { flags: 0x21 },
    });
    assert.equal((await abort(initiator, task)).response, FUNCTION_COMPLETE);
    await initiator.sendDataOut(task, 4096, 4096, TAG_NONE);
    await initiator.ping();
    await initiator.good({ cdb: testUnitReady() });
  });

  it("the window opens again", async () => {
    const initiator = await target.login(noUnsolicitedData);
    const task = await initiator.start({ cdb: write10(0, 8), write: pattern(4096, 1), leaveR2Ts: true });
    const { maxCmdSN } = await initiator.expect(OPCODE_R2T);
    assert.equal((await abort(initiator, task)).maxCmdSN, maxCmdSN + 1);
  });

  it("of a READ in progress: no data of it comes after the response", async () => {
    const initiator = await target.login({ MaxRecvDataSegmentLength: "8192" });
    for (let i = 0; i < 20; i++) {
      const task = await initiator.start({ cdb: read10(0, 16_384), read: 16_384 * BLOCK_BYTES });
      const { response } = await abort(initiator, task);
      // On a busy machine it may have ended before the request came, and its response be on its way or still to go.
      if (task.end === undefined || response !== TASK_DOES_NOT_EXIST) assert.equal(response, FUNCTION_COMPLETE);
      initiator.forget(task);
      // A late Data-In would be one of no command: the initiator would say so.
      await initiator.good({ cdb: read10(0, 8), read: 4096 });
    }
  });

  it("of a task that has ended", async () => {
    const initiator = await target.login();
    const { task } = await initiator.command({ cdb: testUnitReady() });
    assert.equal((await abort(initiator, task)).response, TASK_DOES_NOT_EXIST);
  });

  it("of a task that never was", async () => {
    const initiator = await target.login();
    for (const refCmdSN of [initiator.session.cmdSN - 10, initiator.session.cmdSN + 100_000, 0, 0x80000000]) {
      const response = await initiator.taskManagement(ABORT_TASK, {
        referencedTaskTag: 0x999,
        refCmdSN: refCmdSN >>> 0,
      });
      assert.equal(response.response, TASK_DOES_NOT_EXIST);
    }
    // Its own number, and one that was not sent yet, are no reference to a task before it.
    const { cmdSN } = initiator.session;
    for (const refCmdSN of [cmdSN, cmdSN + 1]) {
      const response = await initiator.taskManagement(ABORT_TASK, { referencedTaskTag: 0x999, refCmdSN });
      assert.equal(response.response, TASK_DOES_NOT_EXIST);
    }
    await initiator.good({ cdb: testUnitReady() });
  });

  it("of a task that has not arrived: its CmdSN counts as received, and it is ignored when it comes (section 7.11)", async () => {
    const initiator = await target.login();
    const refCmdSN = initiator.session.cmdSN;
    initiator.session.cmdSN = refCmdSN + 1;
    const behind = await initiator.start({ cdb: testUnitReady() });
    const response = await initiator.taskManagement(ABORT_TASK, { referencedTaskTag: 0x777, refCmdSN });
    assert.equal(response.response, FUNCTION_COMPLETE);
    assert.equal((await initiator.finish(behind)).status, 0);
    await initiator.send({
      opcode: OPCODE_SCSI_COMMAND,
      lun: 0,
      cdb: testUnitReady(),
      cmdSN: refCmdSN,
      initiatorTaskTag: 0x777,
    });
    const { expCmdSN, maxCmdSN } = await initiator.ping();
    assert.equal(expCmdSN, refCmdSN + 2);
    assert.equal(maxCmdSN - expCmdSN + 1, 256);
  });

  it("of a task that is held: those behind it do not wait for it", async () => {
    const initiator = await target.login();
    const cmdSN = initiator.session.cmdSN;
    initiator.session.cmdSN = cmdSN + 1;
    const held = await initiator.start({ cdb: write10(0, 8), write: pattern(4096) });
    const behind = await initiator.start({ cdb: testUnitReady() });
    assert.equal((await abort(initiator, held)).response, FUNCTION_COMPLETE);
    const missing = await initiator.start({ cdb: testUnitReady(), fields: { cmdSN } });
    for (const task of [missing, behind]) assert.equal((await initiator.finish(task)).status, 0);
    const { expCmdSN, maxCmdSN } = await initiator.ping();
    assert.deepEqual([expCmdSN - cmdSN, maxCmdSN - expCmdSN + 1], [3, 256]);
  });

  it("of a request other than a SCSI command that is held", async () => {
    const initiator = await target.login();
    const cmdSN = initiator.session.cmdSN;
    await initiator.send({
      opcode: OPCODE_NOP_OUT,
      targetTransferTag: TAG_NONE,
      cmdSN: cmdSN + 1,
      initiatorTaskTag: 0x555,
    });
    initiator.session.cmdSN = cmdSN + 2;
    const response = await initiator.taskManagement(ABORT_TASK, { referencedTaskTag: 0x555, refCmdSN: cmdSN + 1 });
    assert.equal(response.response, FUNCTION_COMPLETE);
    await initiator.good({ cdb: testUnitReady(), fields: { cmdSN } });
    const { expCmdSN, maxCmdSN } = await initiator.ping();
    assert.deepEqual([expCmdSN - cmdSN, maxCmdSN - expCmdSN + 1], [2, 256]);
  });

  it("of an immediate command: RefCmdSN is that of the request itself (section 11.5.5)", async () => {
    const initiator = await target.login(noUnsolicitedData);
    const task = await initiator.start({ cdb: write10(0, 8), write: pattern(4096), immediate: true, leaveR2Ts: true });
    await initiator.expect(OPCODE_R2T);
    assert.equal((await abort(initiator, task, { refCmdSN: initiator.session.cmdSN })).response, FUNCTION_COMPLETE);
    await initiator.good({ cdb: testUnitReady() });
  });

  it("with another LUN than the task's: no such task (section 4.2.5.3)", async () => {
    const initiator = await target.login(noUnsolicitedData);
    const task = await initiator.start({ cdb: write10(0, 8), write: pattern(4096), leaveR2Ts: true });
    const r2t = await initiator.expect(OPCODE_R2T);
    assert.equal((await abort(initiator, task, { lun: 5 })).response, TASK_DOES_NOT_EXIST);
    await initiator.answerR2T(task, r2t);
    assert.equal((await initiator.finish(task)).status, 0);
  });

  it("of another session's task: there is none of this tag here", async () => {
    const [one, other] = [await target.login(noUnsolicitedData), await target.login()];
    const task = await one.start({
      cdb: write10(0, 8),
      write: pattern(4096),
      leaveR2Ts: true,
      fields: { initiatorTaskTag: 0x321 },
    });
    const r2t = await one.expect(OPCODE_R2T);
    const response = await other.taskManagement(ABORT_TASK, { referencedTaskTag: 0x321, refCmdSN: 0 });
    assert.equal(response.response, TASK_DOES_NOT_EXIST);
    await one.answerR2T(task, r2t);
    assert.equal((await one.finish(task)).status, 0);
  });

  it("of a task management function: rejected (section 11.5.1)", async () => {
    const initiator = await target.login(noUnsolicitedData);
    const task = await initiator.start({ cdb: write10(0, 8), write: pattern(4096), leaveR2Ts: true });
    const r2t = await initiator.expect(OPCODE_R2T);
    // It waits for the data.
    const tag = await initiator.sendTaskManagement(ABORT_TASK_SET);
    const response = await initiator.taskManagement(ABORT_TASK, {
      referencedTaskTag: tag,
      refCmdSN: initiator.session.cmdSN,
    });
    assert.equal(response.response, FUNCTION_REJECTED);
    await initiator.answerR2T(task, r2t);
    const end = await initiator.expect(OPCODE_TASK_MANAGEMENT_RESPONSE);
    assert.deepEqual([end.initiatorTaskTag, end.response], [tag, FUNCTION_COMPLETE]);
  });

  it("not immediate: it acts in its turn", async () => {
    const initiator = await target.login(noUnsolicitedData);
    const task = await initiator.start({ cdb: write10(0, 8), write: pattern(4096), leaveR2Ts: true });
    await initiator.expect(OPCODE_R2T);
    const cmdSN = initiator.session.cmdSN;
    await initiator.sendTaskManagement(ABORT_TASK, {
      immediate: false,
      referencedTaskTag: task.initiatorTaskTag,
      refCmdSN: task.cmdSN,
      cmdSN: cmdSN + 1,
    });
    await initiator.ping();
    await initiator.send({ opcode: OPCODE_SCSI_COMMAND, lun: 0, cdb: testUnitReady(), cmdSN });
    await initiator.expect(OPCODE_SCSI_RESPONSE);
    assert.equal((await initiator.expect(OPCODE_TASK_MANAGEMENT_RESPONSE)).response, FUNCTION_COMPLETE);
  });
});
