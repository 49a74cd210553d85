/** Solicited Data-Out that is not what the R2T asked for (RFC 7143 sections 7.9, 11.7, 11.8, 11.17.1). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import {
  FLAG_FINAL,
  type HeaderFields,
  OPCODE_DATA_OUT,
  OPCODE_R2T,
  OPCODE_REJECT,
  parseSense,
  type ReceivedPdu,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

const REASON_INVALID_PDU_FIELD = 9;
const INCORRECT_AMOUNT_OF_DATA = { key: 0x0b, asc: 0x0c, ascq: 0x0d };
const PROTOCOL_SERVICE_CRC_ERROR = { key: 0x0b, asc: 0x47, ascq: 0x05 };

describe("Data-Out that does not fit (RFC 7143 sections 11.7 and 11.8)", () => {
  const target = startTarget();
  const LENGTH = 16 * BLOCK_BYTES;
  const write = pattern(LENGTH, 3);

  interface Writing {
    readonly initiator: RawInitiator;
    readonly task: RawTask;
    readonly r2t: ReceivedPdu;
  }

  /** A WRITE of 16 blocks whose data was asked for. */
  async function begin(): Promise<Writing> {
    const initiator = await target.login({ ImmediateData: "No" });
    const task = await initiator.start({ cdb: write10(0, 16), write, leaveR2Ts: true });
    return { initiator, task, r2t: await initiator.expect(OPCODE_R2T) };
  }

  async function dataOut(
    { initiator, task, r2t }: Writing,
    bufferOffset: number,
    length: number,
    fields: Partial<HeaderFields> = {},
  ): Promise<Buffer> {
    return initiator.send(
      {
        opcode: OPCODE_DATA_OUT,
        flags: 0,
        lun: 0,
        initiatorTaskTag: task.initiatorTaskTag,
        targetTransferTag: r2t.targetTransferTag,
        bufferOffset,
        ...fields,
      },
      pattern(Math.max(LENGTH, bufferOffset + length), 3).subarray(bufferOffset, bufferOffset + length),
    );
  }

  async function expectReject(initiator: RawInitiator, header: Buffer): Promise<void> {
    const reject = await initiator.expect(OPCODE_REJECT);
    assert.equal(reject.field("reason"), REASON_INVALID_PDU_FIELD);
    assert.ok(reject.data.equals(header));
  }

  async function endsWith(
    { initiator, task }: Writing,
    expected: { key: number; asc: number; ascq: number },
  ): Promise<void> {
    const result = await initiator.finish(task);
    assert.equal(result.status, 2);
    const { key, asc, ascq } = parseSense(result.sense);
    assert.deepEqual({ key, asc, ascq }, expected);
    await initiator.good({ cdb: testUnitReady() });
  }

  for (const [what, offset, length, fields, expected] of [
    ["less than was asked for", 0, 4096, { flags: FLAG_FINAL }, INCORRECT_AMOUNT_OF_DATA],
    ["nothing at all", 0, 0, { flags: FLAG_FINAL }, INCORRECT_AMOUNT_OF_DATA],
    ["more than was asked for", 4096, 4100, { dataSN: 1, flags: FLAG_FINAL }, INCORRECT_AMOUNT_OF_DATA],
    ["a DataSN that jumps", 4096, 4096, { dataSN: 2, flags: FLAG_FINAL }, PROTOCOL_SERVICE_CRC_ERROR],
    ["a DataSN that comes twice", 4096, 4096, { dataSN: 0, flags: FLAG_FINAL }, PROTOCOL_SERVICE_CRC_ERROR],
    ["a gap between the Buffer Offsets", 4608, 3584, { dataSN: 1, flags: FLAG_FINAL }, PROTOCOL_SERVICE_CRC_ERROR],
    ["Buffer Offsets that overlap", 2048, 4096, { dataSN: 1, flags: FLAG_FINAL }, PROTOCOL_SERVICE_CRC_ERROR],
    ["a Buffer Offset beyond everything", 0xffffff00, 256, { dataSN: 1, flags: FLAG_FINAL }, INCORRECT_AMOUNT_OF_DATA],
  ] as const) {
    it(what, async () => {
      const writing = await begin();
      const { initiator } = writing;
      const before = await (await target.login()).good({ cdb: read10(0, 16), read: LENGTH });
      if (offset > 0) await dataOut(writing, 0, 4096);
      await initiator.send(
        {
          opcode: OPCODE_DATA_OUT,
          lun: 0,
          initiatorTaskTag: writing.task.initiatorTaskTag,
          targetTransferTag: writing.r2t.targetTransferTag,
          bufferOffset: offset,
          ...fields,
        },
        Buffer.alloc(length, 0x77),
      );
      await endsWith(writing, expected);
      const after = await (await target.login()).good({ cdb: read10(0, 16), read: LENGTH });
      assert.ok(after.equals(before), "nothing was written");
    });
  }

  for (const [what, fields] of [
    ["Target Transfer Tag that was never given", { targetTransferTag: 0x12345678 }],
    ["Target Transfer Tag of no buffer there is", { targetTransferTag: 0x0001fffe }],
    ["LUN that does not go with the tag", { lun: 1 }],
    ["no Target Transfer Tag", { targetTransferTag: TAG_NONE }],
    ["Initiator Task Tag of no task", { initiatorTaskTag: 0x7777 }],
  ] as const) {
    it(`${what}: rejected, and the task goes on`, async () => {
      const writing = await begin();
      const { initiator, task, r2t } = writing;
      await expectReject(initiator, await dataOut(writing, 0, 4096, fields));
      await expectReject(initiator, await dataOut(writing, 0, LENGTH, { ...fields, flags: FLAG_FINAL }));
      await initiator.answerR2T(task, r2t);
      assert.equal((await initiator.finish(task)).status, 0);
      assert.ok((await initiator.good({ cdb: read10(0, 16), read: LENGTH })).equals(write));
    });
  }

  it("a Target Transfer Tag is over with its sequence", async () => {
    const writing = await begin();
    const { initiator, task, r2t } = writing;
    await initiator.answerR2T(task, r2t);
    assert.equal((await initiator.finish(task)).status, 0);
    // The task is gone, too.
    await expectReject(initiator, await dataOut(writing, 0, 512, { flags: FLAG_FINAL }));
    await initiator.good({ cdb: testUnitReady() });
  });

  it("a tag of another session's task is none here", async () => {
    const [one, other] = [await begin(), await begin()];
    const fields = { targetTransferTag: one.r2t.targetTransferTag, flags: FLAG_FINAL };
    await expectReject(other.initiator, await dataOut(other, 0, LENGTH, fields));
    for (const { initiator, task, r2t } of [one, other]) {
      await initiator.answerR2T(task, r2t);
      assert.equal((await initiator.finish(task)).status, 0);
    }
  });

  it("a tag that is guessed before its R2T has left is none", async () => {
    const witness = await target.login();
    const initiator = await target.login({ ImmediateData: "No", MaxRecvDataSegmentLength: "262144" });
    const first = await initiator.start({ cdb: write10(0, 16), write, leaveR2Ts: true });
    const r2t = await initiator.expect(OPCODE_R2T);
    await initiator.answerR2T(first, r2t);
    await initiator.finish(first);
    // Now the R2T cannot leave: what was read before lies in front of it.
    initiator.pause();
    const reads = [];
    for (let i = 0; i < 8; i++) reads.push(await initiator.start({ cdb: read10(0, 16_384), read: 8 << 20 }));
    await witness.good({ cdb: testUnitReady() });
    const task = await initiator.start({ cdb: write10(0, 16), write, leaveR2Ts: true });
    // Tags are no secret: the same buffer, used once more.
    const guess = { initiator, task, r2t };
    const targetTransferTag = (r2t.targetTransferTag + 0x10000) >>> 0;
    await dataOut(guess, 0, LENGTH, { targetTransferTag, flags: FLAG_FINAL });
    await witness.good({ cdb: testUnitReady() });
    initiator.resume();
    for (const read of reads) assert.equal((await initiator.finish(read)).status, 0);
    // Both have come between the data, or come now.
    await initiator.good({ cdb: testUnitReady() });
    assert.deepEqual(
      initiator.others.map(({ opcode }) => opcode),
      [OPCODE_REJECT],
    );
    assert.equal(task.r2ts.length, 1);
    await initiator.answerR2T(task, task.r2ts[0]!);
    assert.equal((await initiator.finish(task)).status, 0);
  });

  it("an error of the unit waits for the data that was asked for (section 11.4.2)", async () => {
    const initiator = await target.login({ ImmediateData: "No", InitialR2T: "Yes" });
    // Beyond the end of the unit: no R2T is sent at all.
    const { status, task } = await initiator.command({ cdb: write10(1 << 30, 16), write });
    assert.deepEqual({ status, r2ts: task.r2ts.length }, { status: 2, r2ts: 0 });
  });

  it("AHS in a Data-Out, and the reserved task tag: format errors end the session (section 7.7)", async () => {
    for (const make of [
      (writing: Writing) => dataOut(writing, 0, 512, { initiatorTaskTag: TAG_NONE }),
      (writing: Writing) =>
        writing.initiator.send(
          {
            opcode: OPCODE_DATA_OUT,
            lun: 0,
            initiatorTaskTag: writing.task.initiatorTaskTag,
            targetTransferTag: writing.r2t.targetTransferTag,
          },
          Buffer.alloc(512),
          { ahs: Buffer.from("0005010000000000", "hex") },
        ),
    ]) {
      const writing = await begin();
      await make(writing);
      assert.deepEqual(await writing.initiator.receiveUntilClosed(), []);
    }
    await (await target.login()).good({ cdb: testUnitReady() });
  });
});
