/** What RFC 7144 adds in sessions of iSCSIProtocolLevel 2: functions that ask, and I_T NEXUS RESET (SAM-5). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { testUnitReady, write10 } from "../../support/cdb.js";
import { OPCODE_R2T, parseSense } from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import {
  I_T_NEXUS_RESET,
  LOGICAL_UNIT_RESET,
  LUN_DOES_NOT_EXIST,
  QUERY_ASYNCHRONOUS_EVENT,
  QUERY_TASK,
  QUERY_TASK_SET,
} from "../../support/task-management.js";
import { pattern, startTarget } from "./fixture.js";

/** "Function complete" is no, "function succeeded" is yes. */
const NO = 0;
const YES = 7;
const NOT_SUPPORTED = 5;
const RESERVATION_CONFLICT = 0x18;
const RESERVE_6 = [0x16, 0, 0, 0, 0, 0];

describe("RFC 7144: iSCSIProtocolLevel 2", () => {
  const target = startTarget({ workers: 2, luns: { 0: "disk", 1: "other" } });
  const keys = { iSCSIProtocolLevel: "2", ImmediateData: "No", InitialR2T: "Yes" };

  async function beginWrite(initiator: RawInitiator, lun = 0): Promise<RawTask> {
    const task = await initiator.start({ cdb: write10(0, 8), lun, write: pattern(4096), leaveR2Ts: true });
    task.r2ts.push(await initiator.expect(OPCODE_R2T));
    return task;
  }

  async function end(initiator: RawInitiator, task: RawTask): Promise<void> {
    await initiator.answerR2T(task, task.r2ts[0]!);
    assert.equal((await initiator.finish(task)).status, 0);
  }

  it("QUERY TASK: whether a task is there", async () => {
    const initiator = await target.login(keys);
    const task = await beginWrite(initiator);
    const ask = async (fields = {}) => {
      const named = { referencedTaskTag: task.initiatorTaskTag, refCmdSN: task.cmdSN };
      const pdu = await initiator.taskManagement(QUERY_TASK, { ...named, ...fields });
      assert.ok(pdu.bhs.subarray(8, 16).every((byte) => byte === 0));
      return pdu.response;
    };
    assert.equal(await ask(), YES);
    assert.equal(await ask({ immediate: false }), YES);
    assert.equal(await ask({ lun: 1 }), NO);
    assert.equal(await ask({ referencedTaskTag: task.initiatorTaskTag + 1000 }), NO);
    assert.equal(await ask({ lun: 9 }), LUN_DOES_NOT_EXIST);
    await end(initiator, task);
    assert.equal(await ask(), NO);
  });

  it("QUERY TASK: one that has not come is none, and its CmdSN is not taken", async () => {
    const initiator = await target.login(keys);
    const { cmdSN } = initiator.session;
    initiator.session.cmdSN++;
    const answer = await initiator.taskManagement(QUERY_TASK, { referencedTaskTag: 0x4711, refCmdSN: cmdSN });
    assert.deepEqual([answer.response, answer.expCmdSN], [NO, cmdSN]);
    await initiator.good({ cdb: testUnitReady(), fields: { cmdSN } });
  });

  it("QUERY TASK SET: whether the nexus has tasks on the unit", async () => {
    const [initiator, third] = [await target.login(keys), await target.login(keys)];
    const ask = async (asking: RawInitiator, lun: number) =>
      (await asking.taskManagement(QUERY_TASK_SET, { lun })).response;
    assert.equal(await ask(initiator, 0), NO);
    const task = await beginWrite(initiator);
    assert.deepEqual([await ask(initiator, 0), await ask(initiator, 1), await ask(third, 0)], [YES, NO, NO]);
    assert.equal(await ask(initiator, 7), LUN_DOES_NOT_EXIST);
    await end(initiator, task);
    assert.equal(await ask(initiator, 0), NO);
  });

  it("QUERY ASYNCHRONOUS EVENT: the next unit attention, which stays pending, and whether there are more", async () => {
    const [initiator, third] = [await target.login(keys), await target.login(keys)];
    const ask = async (lun = 0) => {
      const pdu = await initiator.taskManagement(QUERY_ASYNCHRONOUS_EVENT, { lun });
      return [pdu.response, pdu.bhs.subarray(8, 12).toString("hex")];
    };
    assert.deepEqual(await ask(), [NO, "00000000"]);
    assert.equal((await third.taskManagement(LOGICAL_UNIT_RESET)).response, 0);
    // UADE DEPTH one; UNIT ATTENTION, BUS DEVICE RESET FUNCTION OCCURRED.
    assert.deepEqual(await ask(), [YES, "16290300"]);
    assert.deepEqual(await ask(), [YES, "16290300"]);
    assert.deepEqual(await ask(1), [NO, "00000000"]);
    assert.equal((await initiator.taskManagement(I_T_NEXUS_RESET)).response, 0);
    assert.deepEqual(await ask(), [YES, "26290300"]);
    assert.deepEqual(await ask(1), [YES, "16290700"]);
    assert.equal((await initiator.command({ cdb: testUnitReady() })).status, 2);
    assert.deepEqual(await ask(), [YES, "16290700"]);
    assert.deepEqual(await ask(9), [LUN_DOES_NOT_EXIST, "00000000"]);
  });

  it("I_T NEXUS RESET: all tasks of the session end, what it holds by RESERVE too; it is told, others are not", async () => {
    const [initiator, third] = [await target.login(keys), await target.login(keys)];
    await initiator.good({ cdb: Buffer.from(RESERVE_6) });
    assert.equal((await third.command({ cdb: testUnitReady() })).status, RESERVATION_CONFLICT);
    const tasks = [await beginWrite(initiator, 0), await beginWrite(initiator, 1)];
    const theirs = await beginWrite(third, 1);
    const pending = initiator.taskManagement(I_T_NEXUS_RESET, { lun: 9 });
    // Standard semantics: the response waits for the data (RFC 7143 section 4.2.3.3).
    for (const task of tasks) await initiator.answerR2T(task, task.r2ts[0]!);
    assert.equal((await pending).response, 0);
    for (const task of tasks) initiator.forget(task);
    for (const lun of [0, 1]) {
      const { key, asc, ascq } = parseSense((await initiator.command({ cdb: testUnitReady(), lun })).sense);
      assert.deepEqual([key, asc, ascq], [6, 0x29, 0x07]);
      await initiator.good({ cdb: testUnitReady(), lun });
    }
    await third.good({ cdb: testUnitReady() });
    await end(third, theirs);
  });

  it("SCSI Command: PRI is taken, whatever it is", async () => {
    for (const level of ["1", "2"]) {
      const initiator = await target.login({ iSCSIProtocolLevel: level });
      const header = Buffer.alloc(48);
      for (const priority of [0x10, 0xf0]) {
        const task = await initiator.start({ cdb: testUnitReady(), fields: {} });
        assert.equal((await initiator.finish(task)).status, 0);
        header.writeUInt8(0x01, 0);
        header.writeUInt8(0xc1, 1);
        header.writeUInt8(priority, 2);
        header.writeUInt32BE(0x7000 + priority, 16);
        header.writeUInt32BE(initiator.session.cmdSN++, 24);
        header.writeUInt32BE(initiator.expStatSN ?? 0, 28);
        await initiator.send(header);
        const response = await initiator.receive();
        assert.deepEqual([response.initiatorTaskTag, response.status], [0x7000 + priority, 0]);
      }
    }
  });

  it("below level 2 none of it is there", async () => {
    for (const level of ["1", "0"]) {
      const initiator = await target.login({ ...keys, iSCSIProtocolLevel: level });
      for (const taskFunction of [QUERY_TASK, QUERY_TASK_SET, I_T_NEXUS_RESET, QUERY_ASYNCHRONOUS_EVENT]) {
        const pdu = await initiator.taskManagement(taskFunction);
        assert.equal(pdu.response, NOT_SUPPORTED);
        assert.ok(pdu.bhs.subarray(8, 16).every((byte) => byte === 0));
      }
      await initiator.good({ cdb: testUnitReady() });
    }
  });
});
