/** Immediate delivery: past the window, at once, and bounded (RFC 7143 sections 4.2.2.1, 11.2.1.1). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inquiry, read10, testUnitReady, write10 } from "../../support/cdb.js";
import { OPCODE_R2T, OPCODE_REJECT, type ReceivedPdu } from "../../support/pdu.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

const REASON_TOO_MANY_IMMEDIATE_COMMANDS = 6;

describe("immediate commands (RFC 7143 section 4.2.2.1)", () => {
  const target = startTarget();

  it("take no CmdSN, and do not wait for those before them", async () => {
    const initiator = await target.login();
    const cmdSN = initiator.session.cmdSN;
    initiator.session.cmdSN = cmdSN + 1;
    const held = await initiator.start({ cdb: testUnitReady() });
    const { task, status } = await initiator.command({ cdb: inquiry(), read: 255, immediate: true });
    assert.equal(status, 0);
    assert.equal(task.end?.expCmdSN, cmdSN);
    await initiator.start({ cdb: testUnitReady(), fields: { cmdSN } });
    assert.equal((await initiator.finish(held)).status, 0);
  });

  it("any CmdSN will do: it is not checked against the window", async () => {
    const initiator = await target.login();
    for (const cmdSN of [0, 1, 0x7fffffff, 0xffffffff]) {
      const { status } = await initiator.command({ cdb: testUnitReady(), immediate: true, fields: { cmdSN } });
      assert.equal(status, 0);
    }
  });

  it("writes and reads with all kinds of data transfer", async () => {
    const initiator = await target.login({ InitialR2T: "No" });
    const write = pattern(200 * BLOCK_BYTES, 1);
    await initiator.good({ cdb: write10(0, 200), write, immediate: true });
    const read = await initiator.good({ cdb: read10(0, 200), read: write.length, immediate: true });
    assert.ok(read.equals(write));
  });

  it("more at once than the target bears are rejected, and none of the others is disturbed", async () => {
    const initiator = await target.login({ ImmediateData: "No" });
    const tasks = [];
    for (let i = 0; i < 40; i++) {
      tasks.push(
        await initiator.start({ cdb: write10(i, 1), write: pattern(BLOCK_BYTES, i), immediate: true, leaveR2Ts: true }),
      );
    }
    const r2ts = new Map<number, ReceivedPdu>();
    const rejected: number[] = [];
    while (r2ts.size + rejected.length < tasks.length) {
      const pdu = await initiator.receive();
      if (pdu.opcode === OPCODE_R2T) {
        r2ts.set(pdu.initiatorTaskTag, pdu);
      } else {
        assert.equal(pdu.opcode, OPCODE_REJECT);
        assert.equal(pdu.field("reason"), REASON_TOO_MANY_IMMEDIATE_COMMANDS);
        rejected.push(pdu.data.readUInt32BE(16));
      }
    }
    // "MUST be able to handle at least one": the first ones are, the last are not.
    assert.deepEqual(
      rejected,
      tasks.slice(-rejected.length).map(({ initiatorTaskTag }) => initiatorTaskTag),
    );
    assert.ok(rejected.length > 0 && r2ts.size >= 8);
    // Ordinary commands go on meanwhile.
    await initiator.good({ cdb: testUnitReady() });
    for (const task of tasks) {
      const r2t = r2ts.get(task.initiatorTaskTag);
      if (r2t === undefined) continue;
      await initiator.answerR2T(task, r2t);
      assert.equal((await initiator.finish(task)).status, 0);
    }
    // "can the original PDU be resent? yes" (section 11.17.1).
    await initiator.good({ cdb: write10(0, 1), write: pattern(BLOCK_BYTES), immediate: true });
  });
});
