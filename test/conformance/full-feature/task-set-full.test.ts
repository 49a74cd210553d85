/** A target that has no room for another command says so, and loses none (RFC 7143 sections 4.2.2.1, 11.4.2; SAM-5). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { testUnitReady, write10 } from "../../support/cdb.js";
import { FLAG_WRITE, OPCODE_DATA_OUT, TAG_NONE } from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { startTarget } from "./fixture.js";

const BUSY = 0x08;
const TASK_SET_FULL = 0x28;

describe("more commands than a shard takes (RFC 7143 section 4.2.2.1)", () => {
  const target = startTarget();

  /** An error is not told while unsolicited data is still to come (RFC 7143 section 11.4.2). */
  async function waitsForData(initiator: RawInitiator): Promise<void> {
    const { cmdSN } = initiator.session;
    const command = { cdb: write10(0, 16), write: Buffer.alloc(8192), immediateLength: 512, unsolicitedLength: 512 };
    const data = { opcode: OPCODE_DATA_OUT, targetTransferTag: TAG_NONE };
    const refused = await initiator.start({ ...command, fields: { flags: FLAG_WRITE | 1 } });
    const ahead = await initiator.start({ ...command, fields: { flags: FLAG_WRITE | 1, cmdSN: cmdSN + 2 } });
    const sendRest = async (task: RawTask) => {
      const { initiatorTaskTag } = task;
      await initiator.send({ ...data, initiatorTaskTag, dataSN: 0, bufferOffset: 512, flags: 0 }, Buffer.alloc(4096));
      assert.equal((await initiator.ping()).maxCmdSN, maxCmdSN, "it keeps its place in the window");
      await initiator.send({ ...data, initiatorTaskTag, dataSN: 1, bufferOffset: 4608 }, Buffer.alloc(3584));
    };
    const { expCmdSN, maxCmdSN } = await initiator.ping();
    assert.equal(expCmdSN, cmdSN + 1);
    await sendRest(refused);
    assert.deepEqual([(await initiator.finish(refused)).status, refused.end?.residual], [BUSY, 8192]);
    // Its data comes before its turn, or after.
    initiator.session.cmdSN = cmdSN + 1;
    const missing = await initiator.start({ cdb: testUnitReady() });
    initiator.session.cmdSN = cmdSN + 3;
    assert.equal((await initiator.finish(missing)).status, BUSY);
    await initiator.send({ ...data, initiatorTaskTag: ahead.initiatorTaskTag, dataSN: 0, bufferOffset: 512 });
    assert.equal((await initiator.finish(ahead)).status, BUSY);
    // Aborted, or given up, it has no answer.
    const aborted = await initiator.start({ ...command, fields: { flags: FLAG_WRITE | 1 } });
    const fields = { referencedTaskTag: aborted.initiatorTaskTag, refCmdSN: aborted.cmdSN };
    assert.equal((await initiator.taskManagement(1, fields)).response, 0);
    await initiator.send({ ...data, initiatorTaskTag: aborted.initiatorTaskTag, dataSN: 0, bufferOffset: 512 });
    initiator.forget(aborted);
    const silent = await initiator.start({ ...command, fields: { flags: FLAG_WRITE | 1 } });
    assert.equal((await initiator.finish(silent)).status, BUSY);
    const after = await initiator.ping();
    assert.deepEqual([after.expCmdSN, after.maxCmdSN - after.expCmdSN + 1], [cmdSN + 5, 256]);
  }

  /** Status Qualifier (RFC 7144): in units of 100 ms. */
  async function saysWhenToTryAgain(): Promise<void> {
    for (const [level, qualifier] of [
      ["1", 0],
      ["2", 1],
    ] as const) {
      const initiator = await target.login({ iSCSIProtocolLevel: level });
      const { status, task } = await initiator.command({ cdb: testUnitReady() });
      assert.deepEqual([status, task.end?.bhs.readUInt16BE(8)], [BUSY, qualifier]);
      initiator.destroy();
    }
  }

  it("TASK SET FULL, or BUSY for a session without tasks, in the command's turn; nothing is lost", async () => {
    const peers: RawInitiator[] = [];
    const write = Buffer.alloc(512);
    for (let i = 0; i < 17; i++) {
      const peer = await target.login();
      peers.push(peer);
      // All wait for the command before them: they need no buffers, and nobody waits for any.
      peer.session.cmdSN++;
      for (let j = 0; j < 255; j++) await peer.start({ cdb: testUnitReady() });
    }
    for (const peer of peers) await peer.ping();
    const witness = await target.login();
    const { cmdSN } = witness.session;
    const refused = await witness.command({ cdb: testUnitReady() });
    assert.deepEqual([refused.status, refused.task.end?.expCmdSN], [BUSY, cmdSN + 1]);
    const withData = await witness.command({ cdb: write10(0, 1), write });
    assert.deepEqual([withData.status, withData.residual], [BUSY, 512]);
    // Ahead of its turn it is refused when that has come.
    witness.session.cmdSN++;
    const ahead = await witness.start({ cdb: testUnitReady() });
    assert.equal((await witness.ping()).expCmdSN, cmdSN + 2);
    const missing = await witness.start({ cdb: testUnitReady(), fields: { cmdSN: cmdSN + 2 } });
    for (const task of [missing, ahead]) assert.equal((await witness.finish(task)).status, BUSY);
    const { expCmdSN, maxCmdSN } = await witness.ping();
    assert.deepEqual([expCmdSN, maxCmdSN - expCmdSN + 1], [cmdSN + 4, 256]);
    await waitsForData(witness);
    await saysWhenToTryAgain();
    // One that has tasks of its own, and room in its window for an immediate command only.
    const full = await peers[0]!.command({ cdb: testUnitReady(), immediate: true });
    assert.equal(full.status, TASK_SET_FULL);
    for (const peer of peers) peer.destroy();
  });
});
