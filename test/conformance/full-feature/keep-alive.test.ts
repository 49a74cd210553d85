/** The target's own pings find out connections that are dead (RFC 7143 sections 7.14, 11.18, 11.19). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import { buildHeader, OPCODE_DATA_OUT, OPCODE_NOP_IN, OPCODE_R2T, TAG_NONE } from "../../support/pdu.js";
import { TARGET_NAME } from "../../support/target.js";
import { pattern, startTarget } from "./fixture.js";

describe("keep-alive (RFC 7143 section 7.14)", () => {
  const target = startTarget({
    config: ({ port, httpPort }) => `
portalGroups:
  - { tag: 1, portals: ["127.0.0.1:${port}"] }
targets:
  - { name: ${TARGET_NAME}, portalGroups: [1], pingInterval: 1, luns: { 7: disk } }
units:
  disk: { file: ./disk.img, size: 64MiB, cache: writeback }
http: { listen: "127.0.0.1:${httpPort}" }
workers: 1
`,
  });

  it("a silent initiator is asked, and stays as long as it answers", async () => {
    const initiator = await target.login();
    for (let i = 0; i < 3; i++) {
      const nopIn = await initiator.expect(OPCODE_NOP_IN);
      assert.equal(nopIn.initiatorTaskTag, TAG_NONE);
      assert.notEqual(nopIn.targetTransferTag, TAG_NONE);
      assert.equal(nopIn.data.length, 0);
      // "A LUN MUST be set to a correct value" (section 11.19.3): one that the initiator has.
      assert.equal(nopIn.lun.readUInt16BE(0), 7);
      // It shows the next StatSN and does not take it (section 11.19.2).
      assert.equal(nopIn.statSN, initiator.expStatSN);
      await initiator.answerPing(nopIn);
    }
    await initiator.good({ cdb: testUnitReady(), lun: 7 });
  });

  it("one that does not answer is dropped", async () => {
    const initiator = await target.login();
    const pdus = await initiator.receiveUntilClosed();
    assert.deepEqual(
      pdus.map(({ opcode }) => opcode),
      [OPCODE_NOP_IN],
    );
  });

  it("one that stops in the middle of a data segment is dropped, however much of it is missing", async () => {
    const stop = async (bytes: number): Promise<void> => {
      const initiator = await target.login({ ImmediateData: "No" });
      const task = await initiator.start({ cdb: write10(0, 128), lun: 7, write: pattern(65_536), leaveR2Ts: true });
      const r2t = await initiator.expect(OPCODE_R2T);
      const header = buildHeader({
        opcode: OPCODE_DATA_OUT,
        flags: 0x80,
        dataSegmentLength: 65_536,
        initiatorTaskTag: task.initiatorTaskTag,
        targetTransferTag: r2t.targetTransferTag,
        lun: 7,
      });
      await initiator.sendBytes(Buffer.concat([header, Buffer.alloc(bytes)]));
      await initiator.receiveUntilClosed();
    };
    await Promise.all([stop(100), stop(60_000)]);
  });

  it("one that sends a data segment slowly is alive", async () => {
    const initiator = await target.login({ ImmediateData: "No" });
    const write = pattern(65_536, 5);
    const task = await initiator.start({ cdb: write10(0, 128), lun: 7, write, leaveR2Ts: true });
    const r2t = await initiator.expect(OPCODE_R2T);
    const header = buildHeader({
      opcode: OPCODE_DATA_OUT,
      flags: 0x80,
      dataSegmentLength: write.length,
      initiatorTaskTag: task.initiatorTaskTag,
      targetTransferTag: r2t.targetTransferTag,
      lun: 7,
    });
    await initiator.sendBytes(header);
    // Longer than the interval and the time to answer together, with a byte now and then.
    for (let at = 0; at < 12; at++) {
      await initiator.sendBytes(write.subarray(at, at + 1));
      await new Promise((resolve) => setTimeout(resolve, 400));
    }
    await initiator.sendBytes(write.subarray(12));
    initiator.answerPings = false;
    assert.equal((await initiator.finish(task)).status, 0);
    assert.ok((await initiator.good({ cdb: read10(0, 128), lun: 7, read: write.length })).equals(write));
  });
});
