/** Response fences over the connections of a session (RFC 7143 sections 4.2.2.3.2 to 4.2.2.3.4, 11.6.1). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inquiry, testUnitReady } from "../../support/cdb.js";
import { OPCODE_NOP_IN, OPCODE_SCSI_RESPONSE, OPCODE_TASK_MANAGEMENT_RESPONSE, parseSense } from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import { ABORT_TASK_SET, LOGICAL_UNIT_RESET } from "../../support/task-management.js";
import { startTarget } from "./fixture.js";

for (const TaskReporting of ["RFC3720", "ResponseFence", "FastAbort"]) {
  describe(`response fences (RFC 7143 section 4.2.2.3), TaskReporting=${TaskReporting}`, () => {
    const target = startTarget({ session: "maxConnections: 4" });
    const keys = { MaxConnections: "4", TaskReporting };

    /** A session of two connections. */
    async function session(): Promise<[RawInitiator, RawInitiator]> {
      const first = await target.login(keys);
      const second = await RawInitiator.connect(target.running.port, { session: first.session });
      await second.login({ targetName: TARGET_NAME, cid: 1 });
      for (const connection of [first, second]) connection.answerPings = false;
      return [first, second];
    }

    /** The target asks for an acknowledgment, and for nothing else. */
    async function isAsked(connection: RawInitiator): Promise<void> {
      await connection.answerPing(await connection.expect(OPCODE_NOP_IN));
    }

    it("a task management response waits for what was sent before on other connections (b)", async () => {
      const [first, second] = await session();
      await first.good({ cdb: testUnitReady() });
      // Answered on the second connection, and not acknowledged there yet.
      const task = await second.start({ cdb: testUnitReady() });
      await second.finish(task);
      await first.sendTaskManagement(ABORT_TASK_SET);
      const asked = await second.expect(OPCODE_NOP_IN);
      await first.ping();
      await second.answerPing(asked);
      assert.equal((await first.expect(OPCODE_TASK_MANAGEMENT_RESPONSE)).response, 0);
      second.destroy();
    });

    it("what comes after it waits until it is acknowledged (c, d)", async () => {
      const [first, second] = await session();
      const pending = first.taskManagement(ABORT_TASK_SET);
      await isAsked(second);
      assert.equal((await pending).response, 0);
      // On either connection: the response is here, but the target does not know yet.
      const asked = await first.expect(OPCODE_NOP_IN);
      const held = await second.start({ cdb: testUnitReady() });
      const data = await second.start({ cdb: inquiry(undefined, 36), read: 36 });
      await second.ping();
      await first.answerPing(asked);
      assert.equal((await second.finish(held)).status, 0);
      assert.equal((await second.finish(data)).data.length, 36);
      second.destroy();
    });

    it("so it is with the unit attention that others have of it (a)", async () => {
      const [first, second] = await session();
      const asking = await target.login(keys);
      await first.good({ cdb: testUnitReady() });
      assert.equal((await asking.taskManagement(LOGICAL_UNIT_RESET)).response, 0);
      // The second connection has not acknowledged its Login Response, which comes before.
      const told = await first.start({ cdb: testUnitReady() });
      const asked = await second.expect(OPCODE_NOP_IN);
      await first.ping();
      await second.answerPing(asked);
      const response = await first.expect(OPCODE_SCSI_RESPONSE);
      assert.equal(response.initiatorTaskTag, told.initiatorTaskTag);
      assert.deepEqual([response.status, parseSense(response.sense).asc], [2, 0x29]);
      const behind = await first.expect(OPCODE_NOP_IN);
      const next = await second.start({ cdb: testUnitReady() });
      await second.ping();
      await first.answerPing(behind);
      assert.equal((await second.finish(next)).status, 0);
      second.destroy();
    });

    it("a connection that goes away is not waited for", async () => {
      const [first, second] = await session();
      await second.good({ cdb: testUnitReady() });
      const pending = first.taskManagement(LOGICAL_UNIT_RESET);
      await second.expect(OPCODE_NOP_IN);
      second.destroy();
      assert.equal((await pending).response, 0);
      assert.equal((await first.command({ cdb: testUnitReady() })).task.end?.opcode, OPCODE_SCSI_RESPONSE);
    });

    it("ABORT TASK of a command whose response is held: it ends without one", async () => {
      const [first, second] = await session();
      const pending = first.taskManagement(LOGICAL_UNIT_RESET);
      await isAsked(second);
      await pending;
      const asked = await first.expect(OPCODE_NOP_IN);
      const held = await second.start({ cdb: testUnitReady() });
      await second.ping();
      const aborted = await second.taskManagement(1, {
        referencedTaskTag: held.initiatorTaskTag,
        refCmdSN: held.cmdSN,
      });
      assert.deepEqual([aborted.opcode, aborted.response], [OPCODE_TASK_MANAGEMENT_RESPONSE, 0]);
      second.forget(held);
      await first.answerPing(asked);
      await second.good({ cdb: testUnitReady() });
      second.destroy();
    });
  });
}
