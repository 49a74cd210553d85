/** R2T: how write data is asked for (RFC 7143 sections 11.8, 13.17, 13.19). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, write10 } from "../../support/cdb.js";
import { OPCODE_DATA_OUT, OPCODE_R2T, type ReceivedPdu, TAG_NONE } from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

describe("R2T (RFC 7143 section 11.8)", () => {
  const target = startTarget({ session: "maxOutstandingR2T: 16, maxBurstLength: 1048576, firstBurstLength: 262144" });

  /** "consecutive R2Ts MUST refer to continuous non-overlapping ranges" (DataSequenceInOrder=Yes). */
  function assertContinuous(r2ts: readonly ReceivedPdu[], from: number, to: number): void {
    let offset = from;
    for (const [index, r2t] of r2ts.entries()) {
      assert.equal(r2t.field("r2tSN"), index);
      assert.equal(r2t.field("bufferOffset"), offset);
      offset += r2t.field("desiredDataTransferLength");
    }
    assert.equal(offset, to);
  }

  for (const [maxOutstandingR2T, maxBurstLength, blocks, keys] of [
    [1, 262_144, 8, {}],
    [1, 65_536, 1024, {}],
    [4, 65_536, 2048, {}],
    [16, 8192, 512, {}],
    [4, 100_000, 2048, {}],
    [3, 513, 64, {}],
    [2, 1_048_576, 8192, {}],
    [4, 65_536, 2048, { InitialR2T: "No", FirstBurstLength: "65536" }],
    [4, 65_536, 2048, { InitialR2T: "No", FirstBurstLength: "5000", ImmediateData: "No" }],
    [16, 4096, 512, { ImmediateData: "No" }],
  ] as const) {
    const name = `MaxOutstandingR2T=${maxOutstandingR2T}, MaxBurstLength=${maxBurstLength}, ${blocks} blocks ${JSON.stringify(keys)}`;
    it(name, async () => {
      const initiator = await target.login({
        MaxOutstandingR2T: String(maxOutstandingR2T),
        MaxBurstLength: String(maxBurstLength),
        FirstBurstLength: "512",
        ...keys,
      });
      const write = pattern(blocks * BLOCK_BYTES, maxBurstLength);
      const { task, status, residual } = await initiator.command({ cdb: write10(0, blocks), write });
      assert.deepEqual({ status, residual }, { status: 0, residual: 0 });
      const first = Math.min(initiator.firstBurstLength, write.length);
      const unsolicited = initiator.initialR2T ? (initiator.immediateData ? first : 0) : first;
      assertContinuous(task.r2ts, unsolicited, write.length);
      const read = await initiator.good({ cdb: read10(0, blocks), read: write.length });
      assert.ok(read.equals(write), "reads back as written");
    });
  }

  /** The R2Ts that come before any is answered: up to the answer to a ping that was sent after the command. */
  async function unansweredR2Ts(initiator: RawInitiator, task: RawTask): Promise<ReceivedPdu[]> {
    await initiator.send({ opcode: 0x00, immediate: true, targetTransferTag: TAG_NONE });
    const r2ts: ReceivedPdu[] = [];
    for (;;) {
      const pdu = await initiator.receive();
      if (pdu.opcode !== OPCODE_R2T) return r2ts;
      assert.equal(pdu.initiatorTaskTag, task.initiatorTaskTag);
      r2ts.push(pdu);
    }
  }

  for (const maxOutstandingR2T of [1, 2, 4]) {
    it(`no more than MaxOutstandingR2T=${maxOutstandingR2T} are out`, async () => {
      const initiator = await target.login({
        MaxOutstandingR2T: String(maxOutstandingR2T),
        MaxBurstLength: "65536",
        ImmediateData: "No",
        FirstBurstLength: "512",
      });
      const write = pattern(512 * 1024, 3);
      const task = await initiator.start({ cdb: write10(0, 1024), write, leaveR2Ts: true });
      const r2ts = await unansweredR2Ts(initiator, task);
      assert.equal(r2ts.length, maxOutstandingR2T);
      // Each sequence that ends makes room for one more.
      for (let answered = 0; answered < 8; answered++) {
        const r2t = r2ts[answered]!;
        await initiator.answerR2T(task, r2t);
        if (r2ts.length < 8) r2ts.push(await initiator.expect(OPCODE_R2T));
        assert.ok(r2ts.length - answered - 1 <= maxOutstandingR2T);
      }
      assertContinuous(r2ts, 0, write.length);
      assert.equal((await initiator.finish(task)).status, 0);
    });
  }

  it("names the task, its LUN, a tag, and no StatSN of its own", async () => {
    const initiator = await target.login({ ImmediateData: "No" });
    // Two ways to name LUN 0: the R2T repeats the one that the command used.
    for (const lun of [Buffer.alloc(8), Buffer.from("4000000000000000", "hex")]) {
      const task = await initiator.start({ cdb: write10(0, 8), lun, write: pattern(4096), leaveR2Ts: true });
      const r2t = await initiator.expect(OPCODE_R2T);
      assert.deepEqual(r2t.lun, Buffer.from(lun));
      assert.equal(r2t.initiatorTaskTag, task.initiatorTaskTag);
      assert.notEqual(r2t.targetTransferTag, TAG_NONE);
      assert.equal(r2t.flags, 0x80);
      assert.equal(r2t.field("byte2") | r2t.field("byte3") | r2t.field("dataSegmentLength"), 0);
      // The StatSN that the next status takes (section 11.8.3).
      const next = r2t.statSN;
      await initiator.answerR2T(task, r2t);
      assert.equal((await initiator.finish(task)).task.end?.statSN, next);
    }
  });

  it("is answered by PDUs of any length, empty ones too (section 11.7.7)", async () => {
    const initiator = await target.login({ ImmediateData: "No" });
    const write = pattern(64 * BLOCK_BYTES, 9);
    const task = await initiator.start({ cdb: write10(0, 64), write, leaveR2Ts: true });
    const r2t = await initiator.expect(OPCODE_R2T);
    let sent = 0;
    for (const [dataSN, length] of [1, 0, 3, 4096, 1021, 0, 8192, write.length - 13_313, 0].entries()) {
      await initiator.send(
        {
          opcode: OPCODE_DATA_OUT,
          flags: dataSN === 8 ? 0x80 : 0,
          lun: 0,
          initiatorTaskTag: task.initiatorTaskTag,
          targetTransferTag: r2t.targetTransferTag,
          dataSN,
          bufferOffset: sent,
        },
        write.subarray(sent, sent + length),
      );
      sent += length;
    }
    assert.equal(sent, write.length);
    assert.equal((await initiator.finish(task)).status, 0);
    assert.deepEqual(initiator.others, [], "no Reject");
    const read = await initiator.good({ cdb: read10(0, 64), read: write.length });
    assert.ok(read.equals(write));
  });
});
