/** Initiator Task Tags name tasks for as long as these live, and no longer (RFC 7143 sections 4.2.2.1, 4.2.5.3, 11.2.1.8). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inquiry, read10, testUnitReady, write10 } from "../../support/cdb.js";
import { OPCODE_R2T, OPCODE_REJECT, OPCODE_SCSI_COMMAND, OPCODE_SCSI_RESPONSE, TAG_NONE } from "../../support/pdu.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

const REASON_TASK_IN_PROGRESS = 7;

describe("Initiator Task Tag (RFC 7143 section 11.2.1.8)", () => {
  const target = startTarget();

  it("may be used again as soon as the task has ended", async () => {
    const initiator = await target.login();
    for (const initiatorTaskTag of [0, 1, 0x80000000, 0xfffffffe]) {
      for (let i = 0; i < 3; i++) {
        const { status } = await initiator.command({
          cdb: read10(0, 32),
          read: 32 * BLOCK_BYTES,
          fields: { initiatorTaskTag },
        });
        assert.equal(status, 0);
      }
    }
  });

  it("of a task in progress: the second command is rejected, and the first goes on", async () => {
    const initiator = await target.login({ ImmediateData: "No" });
    const write = pattern(BLOCK_BYTES, 1);
    const task = await initiator.start({ cdb: write10(0, 1), write, leaveR2Ts: true });
    const r2t = await initiator.expect(OPCODE_R2T);
    const cmdSN = initiator.session.cmdSN;
    const again = await initiator.send({
      opcode: OPCODE_SCSI_COMMAND,
      flags: 0xc1,
      lun: 0,
      cdb: inquiry(),
      expectedDataTransferLength: 255,
      initiatorTaskTag: task.initiatorTaskTag,
    });
    const reject = await initiator.expect(OPCODE_REJECT);
    assert.equal(reject.field("reason"), REASON_TASK_IN_PROGRESS);
    assert.ok(reject.data.equals(again));
    // The gap is plugged by another command with that number (section 7.3).
    assert.equal(reject.expCmdSN, cmdSN);
    initiator.session.cmdSN = cmdSN;
    await initiator.answerR2T(task, r2t);
    assert.equal((await initiator.finish(task)).status, 0);
    await initiator.good({ cdb: testUnitReady() });
    assert.ok((await initiator.good({ cdb: read10(0, 1), read: BLOCK_BYTES })).equals(write));
  });

  it("the reserved tag names no task: a command with it is a format error (section 7.7)", async () => {
    const initiator = await target.login();
    await initiator.send({ opcode: OPCODE_SCSI_COMMAND, lun: 0, cdb: testUnitReady(), initiatorTaskTag: TAG_NONE });
    assert.deepEqual(await initiator.receiveUntilClosed(), []);
  });

  it("hundreds of tasks, tags that collide in any table", async () => {
    const initiator = await target.login();
    const tasks = [];
    for (let i = 0; i < 200; i++) {
      const initiatorTaskTag = (i * 0x01000000 + (i >> 8)) >>> 0;
      if (initiatorTaskTag === TAG_NONE) continue;
      tasks.push(await initiator.start({ cdb: read10(i, 8), read: 8 * BLOCK_BYTES, fields: { initiatorTaskTag } }));
    }
    for (const task of tasks) assert.equal((await initiator.finish(task)).status, 0);
  });

  it("tags are a session's own: two sessions use the same ones", async () => {
    const [one, other] = [await target.login(), await target.login()];
    const fields = { initiatorTaskTag: 77 };
    const tasks = [
      await one.start({ cdb: read10(0, 128), read: 65_536, fields }),
      await other.start({ cdb: inquiry(), read: 255, fields }),
    ];
    assert.equal((await one.finish(tasks[0]!)).data.length, 65_536);
    assert.ok((await other.finish(tasks[1]!)).data.length < 256);
    await one.send({ opcode: OPCODE_SCSI_COMMAND, lun: 0, cdb: testUnitReady() });
    await one.expect(OPCODE_SCSI_RESPONSE);
  });
});
