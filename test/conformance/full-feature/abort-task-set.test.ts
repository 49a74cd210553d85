/** ABORT TASK SET and CLEAR TASK SET (RFC 7143 sections 4.2.3.2, 4.2.3.3, 11.5.1, 11.6.1). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import {
  OPCODE_DATA_OUT,
  OPCODE_R2T,
  OPCODE_SCSI_RESPONSE,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { FUNCTION_COMPLETE, LUN_DOES_NOT_EXIST } from "../../support/task-management.js";
import { pattern, startTarget } from "./fixture.js";

describe("ABORT TASK SET and CLEAR TASK SET (RFC 7143 section 4.2.3.3)", () => {
  const target = startTarget({ luns: { 0: "disk", 1: "other" } });
  const noUnsolicitedData = { ImmediateData: "No", InitialR2T: "Yes" };

  async function expectResponse(initiator: RawInitiator, tag: number, response = FUNCTION_COMPLETE): Promise<void> {
    const pdu = await initiator.expect(OPCODE_TASK_MANAGEMENT_RESPONSE);
    assert.deepEqual([pdu.initiatorTaskTag, pdu.response], [tag, response]);
  }

  for (const [name, taskFunction] of [
    ["ABORT TASK SET", 2],
    ["CLEAR TASK SET", 4],
  ] as const) {
    it(`${name}: the response waits for the data of all R2Ts, and then no task answers`, async () => {
      const initiator = await target.login(noUnsolicitedData);
      const before = await initiator.good({ cdb: read10(0, 32), read: 16_384 });
      const tasks = [];
      const r2ts = [];
      for (let i = 0; i < 4; i++) {
        tasks.push(await initiator.start({ cdb: write10(i * 8, 8), write: pattern(4096, i), leaveR2Ts: true }));
        r2ts.push(await initiator.expect(OPCODE_R2T));
      }
      const tag = await initiator.sendTaskManagement(taskFunction);
      for (let i = 0; i < 4; i++) {
        // "MUST wait for responses on all affected Target Transfer Tags": nothing comes but the echo.
        await initiator.ping();
        // "The issuing initiator SHOULD terminate (i.e., by setting the F bit to 1) these response sequences": with or without data.
        if (i % 2 === 0) {
          await initiator.answerR2T(tasks[i]!, r2ts[i]!);
        } else {
          await initiator.send({
            opcode: OPCODE_DATA_OUT,
            lun: 0,
            initiatorTaskTag: tasks[i]!.initiatorTaskTag,
            targetTransferTag: r2ts[i]!.targetTransferTag,
          });
        }
      }
      await expectResponse(initiator, tag);
      for (const task of tasks) initiator.forget(task);
      assert.ok((await initiator.good({ cdb: read10(0, 32), read: 16_384 })).equals(before), "nothing was written");
      const { expCmdSN, maxCmdSN } = await initiator.ping();
      assert.equal(maxCmdSN - expCmdSN + 1, 256);
    });

    it(`${name}: without tasks it is complete at once`, async () => {
      const initiator = await target.login();
      await expectResponse(initiator, await initiator.sendTaskManagement(taskFunction));
    });

    it(`${name}: waits for commands before it that have not come (section 4.2.3.3, b)`, async () => {
      const initiator = await target.login();
      const { cmdSN } = initiator.session;
      initiator.session.cmdSN = cmdSN + 2;
      const tag = await initiator.sendTaskManagement(taskFunction);
      await initiator.ping();
      const second = await initiator.start({ cdb: write10(0, 8), write: pattern(4096), fields: { cmdSN: cmdSN + 1 } });
      // One that is sent after it is none of its tasks.
      const later = await initiator.start({ cdb: testUnitReady() });
      await initiator.ping();
      const first = await initiator.start({ cdb: testUnitReady(), fields: { cmdSN } });
      const tags: number[] = [];
      while (!tags.includes(tag) || !tags.includes(later.initiatorTaskTag)) {
        tags.push((await initiator.receive()).initiatorTaskTag);
      }
      // Nothing more comes before an echo.
      const echo = await initiator.ping();
      assert.equal(echo.expCmdSN, cmdSN + 3);
      // Tasks that were done by then have answered before; none of them answers after the function.
      const after = tags.slice(tags.indexOf(tag) + 1);
      assert.ok(!after.includes(first.initiatorTaskTag) && !after.includes(second.initiatorTaskTag));
      for (const task of [first, second, later]) initiator.forget(task);
    });

    it(`${name}: of one unit and of one session only`, async () => {
      const [initiator, third] = [await target.login(noUnsolicitedData), await target.login(noUnsolicitedData)];
      const write = pattern(4096, 1);
      const elsewhere = await initiator.start({ cdb: write10(0, 8), lun: 1, write, leaveR2Ts: true });
      const r2t = await initiator.expect(OPCODE_R2T);
      const theirs = await third.start({ cdb: write10(0, 8), write, leaveR2Ts: true });
      const theirR2t = await third.expect(OPCODE_R2T);
      await expectResponse(initiator, await initiator.sendTaskManagement(taskFunction));
      await initiator.answerR2T(elsewhere, r2t);
      assert.equal((await initiator.finish(elsewhere)).status, 0);
      await third.answerR2T(theirs, theirR2t);
      assert.equal((await third.finish(theirs)).status, 0);
      await third.good({ cdb: testUnitReady() });
    });

    it(`${name}: no such LUN`, async () => {
      const initiator = await target.login();
      await expectResponse(initiator, await initiator.sendTaskManagement(taskFunction, { lun: 9 }), LUN_DOES_NOT_EXIST);
    });

    it(`${name}, not immediate: leaves the commands behind it alone`, async () => {
      const initiator = await target.login();
      const { cmdSN } = initiator.session;
      initiator.session.cmdSN = cmdSN + 1;
      // It is held first, and with it the command that follows it in CmdSN order.
      const behind = await initiator.start({ cdb: testUnitReady() });
      const tag = await initiator.sendTaskManagement(taskFunction, { immediate: false, cmdSN });
      await expectResponse(initiator, tag);
      const response = await initiator.expect(OPCODE_SCSI_RESPONSE);
      assert.deepEqual([response.initiatorTaskTag, response.status], [behind.initiatorTaskTag, 0]);
    });
  }

  it("a READ that was answered keeps its answer, one in progress has none after the response", async () => {
    const initiator = await target.login({ MaxRecvDataSegmentLength: "65536" });
    for (let i = 0; i < 10; i++) {
      const tasks = [];
      for (let j = 0; j < 8; j++) tasks.push(await initiator.start({ cdb: read10(j * 64, 2048), read: 1 << 20 }));
      const response = await initiator.taskManagement(2);
      assert.equal(response.response, FUNCTION_COMPLETE);
      for (const task of tasks) initiator.forget(task);
      await initiator.good({ cdb: read10(0, 8), read: 4096 });
    }
  });

  it("the connection may be dropped while the function waits", async () => {
    const initiator = await target.login(noUnsolicitedData);
    await initiator.start({ cdb: write10(0, 8), write: pattern(4096), leaveR2Ts: true });
    await initiator.expect(OPCODE_R2T);
    await initiator.sendTaskManagement(2);
    await initiator.sendTaskManagement(4, { cmdSN: initiator.session.cmdSN + 5 });
    await initiator.ping();
    initiator.destroy();
    await (await target.login()).good({ cdb: testUnitReady() });
  });

  it("more functions at once than the target bears are rejected", async () => {
    const initiator = await target.login(noUnsolicitedData);
    const task = await initiator.start({ cdb: write10(0, 8), write: pattern(4096), leaveR2Ts: true });
    const r2t = await initiator.expect(OPCODE_R2T);
    const tags: number[] = [];
    for (let i = 0; i < 40; i++) tags.push(await initiator.sendTaskManagement(2));
    const rejected: number[] = [];
    for (let i = 0; i < 8; i++) {
      const pdu = await initiator.expect(OPCODE_TASK_MANAGEMENT_RESPONSE);
      assert.equal(pdu.response, 255);
      rejected.push(pdu.initiatorTaskTag);
    }
    assert.deepEqual(rejected, tags.slice(32));
    await initiator.answerR2T(task, r2t);
    const completed = new Set<number>();
    for (let i = 0; i < 32; i++) {
      const pdu = await initiator.expect(OPCODE_TASK_MANAGEMENT_RESPONSE);
      assert.equal(pdu.response, FUNCTION_COMPLETE);
      completed.add(pdu.initiatorTaskTag);
    }
    assert.deepEqual(completed, new Set(tags.slice(0, 32)));
  });
});
