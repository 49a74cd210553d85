/** Data-In: what carries the data of a READ (RFC 7143 sections 11.7, 4.2.2.4, 13.13). */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { inquiry, read10, write10 } from "../../support/cdb.js";
import { FLAG_STATUS, OPCODE_DATA_IN, OPCODE_SCSI_RESPONSE, type ReceivedPdu } from "../../support/pdu.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

const BLOCKS = 2048;

describe("Data-In (RFC 7143 section 11.7)", () => {
  const target = startTarget();
  const contents = pattern(BLOCKS * BLOCK_BYTES);

  before(async () => {
    const initiator = await target.login({ MaxBurstLength: "1048576" });
    await initiator.good({ cdb: write10(0, BLOCKS), write: contents });
  });

  /** Lengths of the sequences that the F bits make (section 11.7.1). */
  function sequences(dataIns: readonly ReceivedPdu[]): number[] {
    const lengths: number[] = [];
    let length = 0;
    for (const pdu of dataIns) {
      length += pdu.data.length;
      if (!pdu.final) continue;
      lengths.push(length);
      length = 0;
    }
    assert.equal(length, 0, "the last PDU has the F bit");
    return lengths;
  }

  for (const [maxRecvDataSegmentLength, maxBurstLength, blocks] of [
    [8192, 262_144, 1],
    [8192, 262_144, 2048],
    [262_144, 262_144, 2048],
    [262_144, 8192, 2048],
    [512, 262_144, 2048],
    [512, 512, 256],
    [65_536, 100_000, 2048],
    // Lengths that are no multiples of four, nor of each other: padding must not fall on data.
    [1021, 4093, 512],
    [8191, 513, 256],
    [262_143, 262_141, 2048],
  ] as const) {
    it(`MaxRecvDataSegmentLength=${maxRecvDataSegmentLength}, MaxBurstLength=${maxBurstLength}, ${blocks} blocks`, async () => {
      const initiator = await target.login({
        MaxRecvDataSegmentLength: String(maxRecvDataSegmentLength),
        MaxBurstLength: String(maxBurstLength),
        FirstBurstLength: "512",
      });
      const length = blocks * BLOCK_BYTES;
      // DataSN, Buffer Offset, segment lengths, padding and StatSN are checked by the initiator itself.
      const { task, status, residual, data } = await initiator.command({ cdb: read10(0, blocks), read: length });
      assert.equal(status, 0);
      assert.equal(residual, 0);
      assert.ok(data.equals(contents.subarray(0, length)), "what was written");
      for (const sequence of sequences(task.dataIns)) assert.ok(sequence <= maxBurstLength, "MaxBurstLength");
    });
  }

  it("data that the socket has no room for at once follows as soon as there is room", async () => {
    const initiator = await target.login({ MaxRecvDataSegmentLength: "262144" });
    const tookMs: number[] = [];
    for (let i = 0; i < 20; i++) {
      const startMs = performance.now();
      await initiator.good({ cdb: read10(0, 32_768), read: 32_768 * BLOCK_BYTES }, 60_000);
      tookMs.push(performance.now() - startMs);
    }
    // The longest time that an idle shard sleeps is a second; what a machine that is busy takes, it takes for each of them.
    const fastestMs = Math.min(...tookMs);
    const late = tookMs.filter((ms) => ms > fastestMs + 900);
    assert.ok(fastestMs < 900 && late.length <= 2, `of 20 reads were late: ${tookMs}`);
  });

  it("status comes with the last PDU, and only there", async () => {
    const initiator = await target.login();
    const { task } = await initiator.command({ cdb: read10(0, 64), read: 64 * BLOCK_BYTES });
    assert.equal(task.end?.opcode, OPCODE_DATA_IN);
    assert.equal(task.end, task.dataIns.at(-1));
    assert.deepEqual(
      task.dataIns.slice(0, -1).map(({ flags }) => flags & FLAG_STATUS),
      task.dataIns.slice(0, -1).map(() => 0),
    );
  });

  it("fields that have no meaning are zero (section 11)", async () => {
    const initiator = await target.login();
    const { task } = await initiator.command({ cdb: read10(0, 64), read: 64 * BLOCK_BYTES });
    for (const pdu of task.dataIns) {
      const isLast = pdu === task.end;
      assert.equal(pdu.field("byte2"), 0);
      assert.equal(pdu.status, 0);
      assert.equal(pdu.flags, isLast ? 0x81 : 0);
      assert.deepEqual(pdu.lun, Buffer.alloc(8));
      // Without the A bit no tag is provided (section 11.7.4).
      assert.equal(pdu.targetTransferTag, 0xffffffff);
      if (!isLast) assert.equal(pdu.statSN, 0);
      assert.equal(pdu.field("residualCount"), 0);
    }
  });

  it("a command that fails has its status in a SCSI Response, with ExpDataSN", async () => {
    const initiator = await target.login();
    const { task, status } = await initiator.command({ cdb: read10(1 << 24, 8), read: 8 * BLOCK_BYTES });
    assert.equal(status, 2);
    assert.equal(task.end?.opcode, OPCODE_SCSI_RESPONSE);
    assert.equal(task.dataIns.length, 0);
  });

  it("reads of several commands interleave, each with numbers of its own (section 4.2.5.1)", async () => {
    const initiator = await target.login();
    const tasks = [];
    for (let i = 0; i < 16; i++)
      tasks.push(await initiator.start({ cdb: read10(i * 100, 128), read: 128 * BLOCK_BYTES }));
    tasks.push(await initiator.start({ cdb: inquiry(), read: 255 }));
    for (const [index, task] of tasks.entries()) {
      const { status, data } = await initiator.finish(task);
      assert.equal(status, 0);
      if (index < 16) {
        const from = index * 100 * BLOCK_BYTES;
        assert.ok(data.equals(contents.subarray(from, from + 128 * BLOCK_BYTES)), `data of READ ${index}`);
      }
    }
  });
});
