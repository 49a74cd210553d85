/** NOP-Out and NOP-In (RFC 7143 sections 11.18, 11.19). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { testUnitReady } from "../../support/cdb.js";
import { buildHeader, OPCODE_NOP_IN, OPCODE_NOP_OUT, OPCODE_SCSI_RESPONSE, TAG_NONE } from "../../support/pdu.js";
import { pattern, startTarget } from "./fixture.js";

describe("NOP (RFC 7143 sections 11.18 and 11.19)", () => {
  const target = startTarget();

  for (const immediate of [true, false]) {
    it(`an initiator's ping is echoed (immediate: ${immediate})`, async () => {
      const initiator = await target.login();
      for (const data of [Buffer.alloc(0), pattern(1, 1), pattern(4096, 2), pattern(8192, 3)]) {
        const { cmdSN } = initiator.session;
        const header = await initiator.send({ opcode: OPCODE_NOP_OUT, immediate, targetTransferTag: TAG_NONE }, data);
        const nopIn = await initiator.expect(OPCODE_NOP_IN);
        assert.equal(nopIn.initiatorTaskTag, header.readUInt32BE(16));
        assert.equal(nopIn.targetTransferTag, TAG_NONE);
        assert.equal(nopIn.flags, 0x80);
        assert.equal(nopIn.expCmdSN, immediate ? cmdSN : cmdSN + 1);
        assert.ok(nopIn.data.equals(data));
        assert.ok(nopIn.bhs.subarray(36).every((byte) => byte === 0));
      }
    });
  }

  it("as much of the ping data comes back as the initiator receives (section 11.19)", async () => {
    const initiator = await target.login({ MaxRecvDataSegmentLength: "512" });
    const data = pattern(8192, 4);
    await initiator.send({ opcode: OPCODE_NOP_OUT, immediate: true, targetTransferTag: TAG_NONE }, data);
    assert.ok((await initiator.expect(OPCODE_NOP_IN)).data.equals(data.subarray(0, 512)));
  });

  it("thousands at once are echoed, each", async () => {
    const initiator = await target.login();
    const header = buildHeader({
      opcode: OPCODE_NOP_OUT,
      immediate: true,
      flags: 0x80,
      initiatorTaskTag: 7,
      targetTransferTag: TAG_NONE,
    });
    await initiator.sendBytes(Buffer.concat(new Array<Buffer>(3000).fill(header)));
    for (let i = 0; i < 3000; i++) assert.equal((await initiator.expect(OPCODE_NOP_IN)).initiatorTaskTag, 7);
  });

  it("an echo takes a StatSN (section 11.19.2)", async () => {
    const initiator = await target.login();
    const first = (await initiator.ping()).statSN;
    assert.equal((await initiator.ping()).statSN, first + 1);
    assert.equal((await initiator.command({ cdb: testUnitReady() })).task.end?.statSN, first + 2);
  });

  it("without Initiator Task Tag there is no answer, whatever the Target Transfer Tag", async () => {
    const initiator = await target.login();
    for (const targetTransferTag of [TAG_NONE, 1, 0x12345678]) {
      await initiator.send({
        opcode: OPCODE_NOP_OUT,
        immediate: true,
        initiatorTaskTag: TAG_NONE,
        targetTransferTag,
        lun: 0,
      });
    }
    await initiator.send({ opcode: 0x01, lun: 0, cdb: testUnitReady() });
    await initiator.expect(OPCODE_SCSI_RESPONSE);
  });

  it("without Initiator Task Tag and without the I bit: a format error (section 11.18.1)", async () => {
    const initiator = await target.login();
    await initiator.send({ opcode: OPCODE_NOP_OUT, initiatorTaskTag: TAG_NONE, targetTransferTag: TAG_NONE });
    assert.deepEqual(await initiator.receiveUntilClosed(), []);
  });

  it("without the F bit: a format error (section 7.7)", async () => {
    const initiator = await target.login();
    await initiator.send({ opcode: OPCODE_NOP_OUT, immediate: true, flags: 0, targetTransferTag: TAG_NONE });
    assert.deepEqual(await initiator.receiveUntilClosed(), []);
  });
});
