/** Unsolicited data: with the command, and in Data-Out PDUs behind it (RFC 7143 sections 4.2.5.2, 11.3.4, 11.4.7.2). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import {
  FLAG_FINAL,
  type HeaderFields,
  OPCODE_DATA_OUT,
  OPCODE_REJECT,
  parseSense,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { CommandResult, RawTask } from "../../support/raw-task.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

const UNEXPECTED_UNSOLICITED_DATA = { key: 0x0b, asc: 0x0c, ascq: 0x0c };
const INCORRECT_AMOUNT_OF_DATA = { key: 0x0b, asc: 0x0c, ascq: 0x0d };
const PROTOCOL_SERVICE_CRC_ERROR = { key: 0x0b, asc: 0x47, ascq: 0x05 };
const REASON_INVALID_PDU_FIELD = 9;

describe("unsolicited data (RFC 7143 section 4.2.5.2)", () => {
  const target = startTarget({ session: "initialR2T: false, firstBurstLength: 65536" });
  const unsolicited = { InitialR2T: "No", ImmediateData: "Yes", FirstBurstLength: "32768" };

  function assertSense(result: CommandResult, expected: { key: number; asc: number; ascq: number }): void {
    assert.equal(result.status, 2);
    const { key, asc, ascq } = parseSense(result.sense);
    assert.deepEqual({ key, asc, ascq }, expected);
  }

  /** The blocks from 0 on are as they were: none of a command's data was written. */
  async function assertUntouched(initiator: RawInitiator, before: Buffer): Promise<void> {
    const after = await initiator.good({ cdb: read10(0, before.length / BLOCK_BYTES), read: before.length });
    assert.ok(after.equals(before), "nothing was written");
  }

  /** One unsolicited Data-Out. */
  async function dataOut(
    initiator: RawInitiator,
    task: RawTask,
    bufferOffset: number,
    length: number,
    fields: Partial<HeaderFields> = {},
  ): Promise<void> {
    await initiator.send(
      {
        opcode: OPCODE_DATA_OUT,
        initiatorTaskTag: task.initiatorTaskTag,
        targetTransferTag: TAG_NONE,
        bufferOffset,
        ...fields,
      },
      pattern(bufferOffset + length, 5).subarray(bufferOffset),
    );
  }

  for (const initialR2T of ["Yes", "No"]) {
    for (const immediateData of ["Yes", "No"]) {
      for (const bytes of [512, 8192, 32_768, 33_280, 262_144]) {
        it(`InitialR2T=${initialR2T}, ImmediateData=${immediateData}, ${bytes} bytes`, async () => {
          const initiator = await target.login({
            InitialR2T: initialR2T,
            ImmediateData: immediateData,
            FirstBurstLength: "32768",
          });
          const write = pattern(bytes, bytes);
          const { task, status } = await initiator.command({ cdb: write10(0, bytes / BLOCK_BYTES), write });
          assert.equal(status, 0);
          const immediate = immediateData === "Yes" ? Math.min(bytes, 8192, 32_768) : 0;
          const first = initialR2T === "No" ? Math.min(bytes, 32_768) : immediate;
          assert.equal(initiator.initialR2T, initialR2T === "Yes");
          assert.equal(initiator.immediateData, immediateData === "Yes");
          // Our sender used MaxRecvDataSegmentLength of the target; what was not sent so was asked for.
          const solicited = task.r2ts.reduce((sum, r2t) => sum + r2t.field("desiredDataTransferLength"), 0);
          const sentUnsolicited = Math.max(first, Math.min(bytes, initiator.maxSendDataSegmentLength, 32_768));
          assert.equal(bytes - solicited, immediateData === "Yes" || initialR2T === "No" ? sentUnsolicited : 0);
          const read = await initiator.good({ cdb: read10(0, bytes / BLOCK_BYTES), read: bytes });
          assert.ok(read.equals(write));
        });
      }
    }
  }

  it("F=1 in the command: no unsolicited PDUs follow, the rest is asked for at once (section 11.3.1)", async () => {
    const initiator = await target.login(unsolicited);
    const write = pattern(65_536, 1);
    for (const immediateLength of [0, 4, 4096]) {
      const { task, status } = await initiator.command({
        cdb: write10(0, 128),
        write,
        immediateLength,
        unsolicitedLength: immediateLength,
      });
      assert.equal(status, 0);
      assert.equal(task.r2ts[0]?.field("bufferOffset"), immediateLength);
    }
    assert.ok((await initiator.good({ cdb: read10(0, 128), read: 65_536 })).equals(write));
  });

  it("commands and unsolicited data interleave (section 4.2.5.2)", async () => {
    const initiator = await target.login(unsolicited);
    const write = pattern(32_768, 5);
    const tasks: RawTask[] = [];
    for (let i = 0; i < 8; i++) {
      const fields = { flags: 0x21 };
      tasks.push(
        await initiator.start({
          cdb: write10(i * 64, 64),
          write,
          immediateLength: 4096,
          unsolicitedLength: 4096,
          fields,
        }),
      );
    }
    for (const task of tasks) {
      await dataOut(initiator, task, 4096, 8192, { dataSN: 0, flags: 0 });
      await dataOut(initiator, task, 12_288, 20_480, { dataSN: 1, flags: FLAG_FINAL });
    }
    for (const task of tasks) assert.equal((await initiator.finish(task)).status, 0);
    for (let i = 0; i < 8; i++) {
      assert.ok((await initiator.good({ cdb: read10(i * 64, 64), read: 32_768 })).equals(write));
    }
  });

  it("more than MaxRecvDataSegmentLength at once ends the connection (section 11.7.1)", async () => {
    const initiator = await target.login(unsolicited);
    const length = initiator.maxSendDataSegmentLength + 4;
    await initiator.send({
      opcode: 0x01,
      flags: 0xa1,
      lun: 0,
      cdb: write10(0, 1024),
      expectedDataTransferLength: length,
      dataSegmentLength: length,
    });
    await initiator.receiveUntilClosed();
  });

  it("immediate data in spite of ImmediateData=No", async () => {
    const initiator = await target.login({ InitialR2T: "Yes", ImmediateData: "No" });
    const before = await initiator.good({ cdb: read10(0, 8), read: 4096 });
    const write = pattern(4096, 77);
    assertSense(
      await initiator.command({ cdb: write10(0, 8), write, immediateLength: 4096 }),
      UNEXPECTED_UNSOLICITED_DATA,
    );
    assertSense(
      await initiator.command({ cdb: write10(0, 8), write, immediateLength: 512 }),
      UNEXPECTED_UNSOLICITED_DATA,
    );
    await assertUntouched(initiator, before);
  });

  it("F=0 in spite of InitialR2T=Yes: the response waits for the last PDU", async () => {
    const initiator = await target.login({ InitialR2T: "Yes", ImmediateData: "No", FirstBurstLength: "32768" });
    const before = await initiator.good({ cdb: read10(0, 16), read: 8192 });
    const task = await initiator.start({ cdb: write10(0, 16), write: pattern(8192, 5), fields: { flags: 0x21 } });
    await dataOut(initiator, task, 0, 4096, { dataSN: 0, flags: 0 });
    // "the target MUST wait until it receives a data PDU with the F bit set" (section 11.4.2): nothing comes before the echo.
    await initiator.ping();
    await dataOut(initiator, task, 4096, 4096, { dataSN: 1 });
    assertSense(await initiator.finish(task), UNEXPECTED_UNSOLICITED_DATA);
    await assertUntouched(initiator, before);
  });

  it("immediate data beyond FirstBurstLength, and beyond the Expected Data Transfer Length", async () => {
    const initiator = await target.login({ ...unsolicited, FirstBurstLength: "4096" });
    const before = await initiator.good({ cdb: read10(0, 32), read: 16_384 });
    const write = pattern(16_384, 4);
    assertSense(
      await initiator.command({ cdb: write10(0, 32), write, immediateLength: 4100, unsolicitedLength: 4100 }),
      INCORRECT_AMOUNT_OF_DATA,
    );
    assertSense(
      await initiator.command({
        cdb: write10(0, 1),
        write,
        immediateLength: 1024,
        unsolicitedLength: 1024,
        expectedDataTransferLength: 512,
      }),
      INCORRECT_AMOUNT_OF_DATA,
    );
    await assertUntouched(initiator, before);
  });

  it("unsolicited PDUs beyond FirstBurstLength, or less of them than that", async () => {
    const initiator = await target.login(unsolicited);
    const before = await initiator.good({ cdb: read10(0, 128), read: 65_536 });
    const write = pattern(65_536, 6);
    assertSense(
      await initiator.command({ cdb: write10(0, 128), write, unsolicitedLength: 32_768 + 4 }),
      INCORRECT_AMOUNT_OF_DATA,
    );
    assertSense(
      await initiator.command({ cdb: write10(0, 128), write, immediateLength: 4096, unsolicitedLength: 8192 }),
      INCORRECT_AMOUNT_OF_DATA,
    );
    await assertUntouched(initiator, before);
  });

  for (const [what, at, fields] of [
    ["a DataSN that jumps", 4096, { dataSN: 1 }],
    ["a Buffer Offset that leaves a gap", 8192, { dataSN: 0 }],
    ["a Buffer Offset that goes back", 0, { dataSN: 0 }],
  ] as const) {
    it(`${what}: data is missing (sections 7.8, 7.9)`, async () => {
      const initiator = await target.login(unsolicited);
      const before = await initiator.good({ cdb: read10(0, 16), read: 8192 });
      const task = await initiator.start({
        cdb: write10(0, 16),
        write: pattern(8192, 5),
        immediateLength: 4096,
        unsolicitedLength: 4096,
        fields: { flags: 0x21 },
      });
      await dataOut(initiator, task, at, Math.min(4096, 8192 - at) || 4096, fields);
      const result = await initiator.finish(task);
      assert.equal(result.status, 2);
      const { key, asc } = parseSense(result.sense);
      // Beyond the end of the data it is too much; elsewhere a PDU must have been lost.
      assert.equal(key, PROTOCOL_SERVICE_CRC_ERROR.key);
      assert.ok(asc === PROTOCOL_SERVICE_CRC_ERROR.asc || at === 8192);
      await assertUntouched(initiator, before);
    });
  }

  it("F=0 that never ends costs the session nothing but that command", async () => {
    const initiator = await target.login(unsolicited);
    const task = await initiator.start({
      cdb: write10(0, 16),
      write: pattern(8192, 5),
      immediateLength: 0,
      unsolicitedLength: 0,
      fields: { flags: 0x21 },
    });
    for (let dataSN = 0; dataSN < 200; dataSN++) await dataOut(initiator, task, 0, 4096, { dataSN, flags: 0 });
    await initiator.good({ cdb: read10(0, 8), read: 4096 });
    await dataOut(initiator, task, 0, 0, { dataSN: 200 });
    assert.equal((await initiator.finish(task)).status, 2);
  });

  it("data for a command that takes none", async () => {
    const initiator = await target.login(unsolicited);
    // W=0: a READ, and a command without any data.
    for (const options of [{ cdb: read10(0, 8), read: 4096 }, { cdb: testUnitReady() }]) {
      const flags = "read" in options ? 0xc1 : 0x81;
      const header = await initiator.send(
        { opcode: 0x01, flags, lun: 0, cdb: options.cdb, expectedDataTransferLength: flags === 0xc1 ? 4096 : 0 },
        pattern(4096),
      );
      const response = await initiator.receive();
      assert.equal(response.initiatorTaskTag, header.readUInt32BE(16));
      assert.equal(response.status, 2);
    }
    await initiator.good({ cdb: read10(0, 8), read: 4096 });
  });

  it("Data-Out behind a command with F=1 is rejected (section 11.17.1)", async () => {
    const initiator = await target.login(unsolicited);
    const task = await initiator.start({
      cdb: write10(0, 16),
      write: pattern(8192, 5),
      immediateLength: 0,
      unsolicitedLength: 0,
      leaveR2Ts: true,
    });
    const r2t = await initiator.receive();
    await dataOut(initiator, task, 0, 8192);
    const reject = await initiator.expect(OPCODE_REJECT);
    assert.equal(reject.field("reason"), REASON_INVALID_PDU_FIELD);
    // "Targets MUST NOT implicitly terminate an active task by sending a Reject PDU" (section 7.3).
    await initiator.answerR2T(task, r2t);
    assert.equal((await initiator.finish(task)).status, 0);
  });
});
