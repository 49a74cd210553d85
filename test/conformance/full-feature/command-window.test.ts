/** CmdSN, ExpCmdSN, MaxCmdSN (RFC 7143 section 4.2.2.1). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import {
  FLAG_FINAL,
  type HeaderFields,
  OPCODE_NOP_IN,
  OPCODE_NOP_OUT,
  OPCODE_R2T,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  TAG_NONE,
} from "../../support/pdu.js";
import { SessionNumbers } from "../../support/raw-connection.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

describe("command window (RFC 7143 section 4.2.2.1)", () => {
  const target = startTarget();

  const testUnit = (fields: Partial<HeaderFields>): HeaderFields => ({
    opcode: OPCODE_SCSI_COMMAND,
    flags: FLAG_FINAL | 1,
    lun: 0,
    cdb: testUnitReady(),
    ...fields,
  });

  /** The numbers of the moment, from the echo of an immediate ping: whatever was sent before has been looked at. */
  async function numbers(initiator: RawInitiator): Promise<{ expCmdSN: number; maxCmdSN: number }> {
    const { expCmdSN, maxCmdSN } = await initiator.ping();
    return { expCmdSN, maxCmdSN };
  }

  /** Sends commands with these CmdSNs, tags 1000 + CmdSN, and returns the tags of the responses in the order in which they come. */
  async function send(initiator: RawInitiator, cmdSNs: readonly number[], responses: number): Promise<number[]> {
    for (const cmdSN of cmdSNs) {
      await initiator.send(testUnit({ cmdSN, initiatorTaskTag: (1000 + cmdSN) >>> 0 }));
    }
    const tags: number[] = [];
    for (let i = 0; i < responses; i++) tags.push((await initiator.expect(OPCODE_SCSI_RESPONSE)).initiatorTaskTag);
    return tags;
  }

  it("each command is acknowledged by its response at the latest, and the window moves with it", async () => {
    const initiator = await target.login();
    const first = initiator.session.cmdSN;
    const { maxCmdSN } = await numbers(initiator);
    assert.ok(maxCmdSN >= first + 31, "a window that is worth the name");
    for (let i = 0; i < 3; i++) {
      const { task } = await initiator.command({ cdb: testUnitReady() });
      assert.equal(task.end?.expCmdSN, first + i + 1);
      assert.equal(task.end?.maxCmdSN, maxCmdSN + i + 1);
    }
  });

  it("commands ahead of their turn are held, and delivered in order", async () => {
    const initiator = await target.login();
    const at = initiator.session.cmdSN;
    await send(initiator, [at + 2, at + 1, at + 4], 0);
    assert.equal((await numbers(initiator)).expCmdSN, at, "a gap is not acknowledged");
    assert.deepEqual(await send(initiator, [at], 3), [1000 + at, 1001 + at, 1002 + at]);
    assert.equal((await numbers(initiator)).expCmdSN, at + 3);
    assert.deepEqual(await send(initiator, [at + 3], 2), [1003 + at, 1004 + at]);
    initiator.session.cmdSN = at + 5;
    await initiator.good({ cdb: testUnitReady() });
  });

  it("requests of every kind are held", async () => {
    const initiator = await target.login();
    const at = initiator.session.cmdSN;
    const ping = pattern(100, 1);
    await initiator.send({ opcode: OPCODE_NOP_OUT, targetTransferTag: TAG_NONE, cmdSN: at + 2 }, ping);
    await initiator.send({ ...testUnit({}), cmdSN: at + 1 });
    await initiator.send({ opcode: OPCODE_NOP_OUT, targetTransferTag: TAG_NONE, cmdSN: at });
    assert.equal((await initiator.expect(OPCODE_NOP_IN)).data.length, 0);
    await initiator.expect(OPCODE_SCSI_RESPONSE);
    assert.ok((await initiator.expect(OPCODE_NOP_IN)).data.equals(ping));
  });

  it("outside the window, and duplicates: silently ignored", async () => {
    const initiator = await target.login();
    await initiator.good({ cdb: testUnitReady() });
    const at = initiator.session.cmdSN;
    const before = await numbers(initiator);
    // One before, one far before, one beyond, one far beyond.
    await send(initiator, [at - 1, at - 1000, before.maxCmdSN + 1, before.maxCmdSN + 100_000, at + 2 ** 31], 0);
    assert.deepEqual(await numbers(initiator), before);
    // The last in the window is taken, and so is no duplicate of it.
    await send(initiator, [before.maxCmdSN, before.maxCmdSN, at + 1, at + 1], 0);
    assert.deepEqual(await numbers(initiator), before);
    assert.deepEqual(await send(initiator, [at], 2), [1000 + at, 1001 + at]);
    await send(initiator, [at, at + 1], 0);
    assert.equal((await numbers(initiator)).expCmdSN, at + 2);
  });

  it("a duplicate with immediate and unsolicited data leaves no trace", async () => {
    const initiator = await target.login();
    const write = pattern(4096, 1);
    await initiator.good({ cdb: write10(0, 8), write });
    const cmdSN = initiator.session.cmdSN - 1;
    await initiator.start({ cdb: write10(0, 8), write: pattern(4096, 2), fields: { cmdSN } });
    await initiator.ping();
    assert.ok((await initiator.good({ cdb: read10(0, 8), read: 4096 })).equals(write));
  });

  it("the window closes when it is full, ignores what is beyond it, and reopens as commands end", async () => {
    const initiator = await target.login({ ImmediateData: "No" });
    const { expCmdSN, maxCmdSN } = await numbers(initiator);
    const width = maxCmdSN - expCmdSN + 1;
    const tasks = [];
    for (let i = 0; i < width; i++) {
      tasks.push(await initiator.start({ cdb: write10(i, 1), write: pattern(BLOCK_BYTES, i), leaveR2Ts: true }));
    }
    await initiator.send(testUnit({ initiatorTaskTag: 0xdead }));
    await initiator.send({
      opcode: OPCODE_NOP_OUT,
      immediate: true,
      targetTransferTag: TAG_NONE,
      initiatorTaskTag: 0xbeef,
    });
    const r2ts = new Map<number, Awaited<ReturnType<RawInitiator["receive"]>>>();
    for (let pdu = await initiator.receive(); ; pdu = await initiator.receive()) {
      if (pdu.opcode === OPCODE_NOP_IN) {
        assert.equal(pdu.initiatorTaskTag, 0xbeef);
        assert.equal(pdu.expCmdSN, maxCmdSN + 1);
        assert.equal(pdu.maxCmdSN, maxCmdSN, "closed: MaxCmdSN = ExpCmdSN - 1, and never less");
        break;
      }
      assert.equal(pdu.opcode, OPCODE_R2T);
      r2ts.set(pdu.initiatorTaskTag, pdu);
    }
    // An immediate command is not subject to the window.
    assert.equal((await initiator.command({ cdb: testUnitReady(), immediate: true })).status, 0);
    for (const task of tasks) {
      await initiator.answerR2T(task, r2ts.get(task.initiatorTaskTag) ?? (await initiator.expect(OPCODE_R2T)));
      assert.equal((await initiator.finish(task)).status, 0);
    }
    assert.deepEqual(await numbers(initiator), { expCmdSN: maxCmdSN + 1, maxCmdSN: maxCmdSN + width });
  });

  it("MaxCmdSN never moves back, whatever happens", async () => {
    const initiator = await target.login();
    let last = (await numbers(initiator)).maxCmdSN;
    const reads = 200;
    for (let i = 0; i < reads; i++) await initiator.start({ cdb: read10(i, 64), read: 64 * BLOCK_BYTES });
    // As they come: the reads may end in any order.
    for (let ended = 0; ended < reads; ) {
      const pdu = await initiator.receive();
      assert.ok(pdu.maxCmdSN >= last);
      assert.ok(pdu.maxCmdSN >= pdu.expCmdSN - 1);
      last = pdu.maxCmdSN;
      if (pdu.hasStatus) ended++;
    }
  });

  for (const start of [0xfffffffe, 0xffffffff, 0x7fffffff, 0]) {
    it(`numbers go on across the end of their range, from ${start.toString(16)}h`, async () => {
      const session = new SessionNumbers({ cmdSN: start });
      const initiator = await RawInitiator.connect(target.running.port, { session });
      await initiator.login({ targetName: TARGET_NAME });
      const at = (n: number): number => (start + n) >>> 0;
      assert.equal(initiator.session.cmdSN, start);
      await send(initiator, [at(3), at(1)], 0);
      assert.equal((await numbers(initiator)).expCmdSN, start);
      assert.deepEqual(await send(initiator, [at(0)], 2), [at(1000), at(1001)]);
      assert.deepEqual(await send(initiator, [at(2)], 2), [at(1002), at(1003)]);
      await send(initiator, [at(0), at(3)], 0);
      assert.equal((await numbers(initiator)).expCmdSN, at(4));
      initiator.session.cmdSN = at(4);
      for (let i = 4; i < 300; i++) await initiator.good({ cdb: testUnitReady() });
      assert.deepEqual(await numbers(initiator), { expCmdSN: at(300), maxCmdSN: at(300 + 255) });
      initiator.destroy();
    });
  }

  it("a session with a gap that is never filled can be logged out", async () => {
    const initiator = await target.login();
    const at = initiator.session.cmdSN;
    for (let i = 1; i < 200; i++) {
      await initiator.start({ cdb: write10(i, 8), write: pattern(4096), fields: { cmdSN: at + i } });
    }
    assert.equal((await numbers(initiator)).expCmdSN, at);
    assert.equal((await initiator.logout()).response, 0);
    await initiator.receiveUntilClosed();
  });
});
