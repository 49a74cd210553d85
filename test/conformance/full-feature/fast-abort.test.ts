/** TaskReporting=FastAbort (RFC 7143 sections 4.2.3.4, 4.2.3.5, 11.9.1): nobody waits for data, and those who would send some are told. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import {
  OPCODE_ASYNC_MESSAGE,
  OPCODE_DATA_OUT,
  OPCODE_NOP_IN,
  OPCODE_NOP_OUT,
  OPCODE_R2T,
  OPCODE_REJECT,
  type ReceivedPdu,
  TAG_NONE,
} from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { TARGET_NAME } from "../../support/target.js";
import { ABORT_TASK_SET, LOGICAL_UNIT_RESET } from "../../support/task-management.js";
import { pattern, startTarget } from "./fixture.js";

const TASK_TERMINATION = 5;

const keys = { ImmediateData: "No", InitialR2T: "Yes", MaxConnections: "4" };
const fast = { ...keys, TaskReporting: "FastAbort,ResponseFence,RFC3720" };

for (const workers of [1, 2]) {
  describe(`FastAbort multi-task abort semantics (RFC 7143 section 4.2.3.4), ${workers} shard(s)`, () => {
    const target = startTarget({ workers, luns: { 0: "disk", 1: "other", 5: "disk" }, session: "maxConnections: 4" });

    async function beginWrite(initiator: RawInitiator, lun = 0, lba = 0): Promise<RawTask> {
      const task = await initiator.start({ cdb: write10(lba, 8), lun, write: pattern(4096, 9), leaveR2Ts: true });
      task.r2ts.push(await initiator.expect(OPCODE_R2T));
      return task;
    }

    async function join(first: RawInitiator, cid: number): Promise<RawInitiator> {
      const connection = await RawInitiator.connect(target.running.port, { session: first.session });
      await connection.login({ targetName: TARGET_NAME, cid });
      connection.immediateData = false;
      return connection;
    }

    async function isTold(initiator: RawInitiator, lun: number): Promise<ReceivedPdu> {
      const message = await initiator.expect(OPCODE_ASYNC_MESSAGE);
      assert.deepEqual([message.field("asyncEvent"), message.lun[1]], [TASK_TERMINATION, lun]);
      return message;
    }

    async function acknowledge(initiator: RawInitiator, { lun }: ReceivedPdu): Promise<void> {
      await initiator.send({
        opcode: OPCODE_NOP_OUT,
        immediate: true,
        lun,
        initiatorTaskTag: TAG_NONE,
        targetTransferTag: TAG_NONE,
      });
    }

    it("ABORT TASK SET: does not wait for data; on the connection that asks nothing is said", async () => {
      const initiator = await target.login(fast);
      const before = await initiator.good({ cdb: read10(0, 8), read: 4096 });
      const task = await beginWrite(initiator);
      assert.equal((await initiator.taskManagement(ABORT_TASK_SET)).response, 0);
      assert.equal(initiator.others.length, 0);
      initiator.forget(task);
      assert.ok((await initiator.good({ cdb: read10(0, 8), read: 4096 })).equals(before));
    });

    it("LOGICAL UNIT RESET: the other connections of the session and of FastAbort sessions are told, LUN by LUN", async () => {
      const asking = await target.login(fast);
      const beside = await join(asking, 1);
      const idle = await join(asking, 2);
      const thirds = [await target.login(fast), await target.login(fast), await target.login(fast)];
      const standard = [await target.login(keys), await target.login(keys)];
      await beginWrite(asking, 0);
      await beginWrite(beside, 5, 8);
      for (const third of thirds) {
        await beginWrite(third, 0, 16);
        await beginWrite(third, 0, 24);
        await beginWrite(third, 5, 32);
        await beginWrite(third, 1);
      }
      for (const other of standard) await beginWrite(other, 0, 40);
      const pending = asking.taskManagement(LOGICAL_UNIT_RESET);
      await acknowledge(beside, await isTold(beside, 5));
      // Its Login Response comes before the response, which is fenced.
      await idle.answerPing(await idle.expect(OPCODE_NOP_IN));
      assert.equal((await pending).response, 0);
      for (const third of thirds) {
        const luns = [await third.expect(OPCODE_ASYNC_MESSAGE), await third.expect(OPCODE_ASYNC_MESSAGE)].map(
          ({ lun }) => lun[1],
        );
        assert.deepEqual(luns.sort(), [0, 5]);
        // Nothing about the other unit, and nothing twice.
        await third.ping();
      }
      for (const other of [...standard, asking, idle]) await other.ping();
    });

    it("the Target Transfer Tags stay valid until the message is acknowledged", async () => {
      const [asking, third] = [await target.login(fast), await target.login(fast)];
      const task = await beginWrite(third);
      const tag = task.r2ts[0]!.targetTransferTag;
      assert.equal((await asking.taskManagement(LOGICAL_UNIT_RESET)).response, 0);
      const message = await isTold(third, 0);
      third.forget(task);
      assert.equal((await third.command({ cdb: testUnitReady() })).status, 2);
      // The Initiator Task Tag is free; data with the old Target Transfer Tag is still none of the new task's, and no error.
      const fields = { initiatorTaskTag: task.initiatorTaskTag };
      const next = await third.start({ cdb: write10(0, 8), write: pattern(4096, 2), leaveR2Ts: true, fields });
      next.r2ts.push(await third.expect(OPCODE_R2T));
      const stale = {
        opcode: OPCODE_DATA_OUT,
        flags: 0x80,
        lun: 0,
        targetTransferTag: tag,
        dataSN: 0,
        bufferOffset: 0,
      };
      await third.send({ ...stale, ...fields }, pattern(4096, 1));
      await third.ping();
      await acknowledge(third, message);
      await third.send({ ...stale, ...fields }, pattern(4096, 1));
      await third.expect(OPCODE_REJECT);
      await third.answerR2T(next, next.r2ts[0]!);
      assert.equal((await third.finish(next)).status, 0);
      assert.ok((await third.good({ cdb: read10(0, 8), read: 4096 })).equals(pattern(4096, 2)));
    });

    it("asked for by a session of standard semantics: FastAbort sessions are told all the same (section 4.2.3.5)", async () => {
      const [asking, third] = [await target.login(keys), await target.login(fast)];
      await beginWrite(third);
      assert.equal((await asking.taskManagement(LOGICAL_UNIT_RESET)).response, 0);
      await acknowledge(third, await isTold(third, 0));
      assert.equal((await third.command({ cdb: testUnitReady() })).status, 2);
    });
  });
}
