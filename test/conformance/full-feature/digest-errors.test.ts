/** Digest errors at ErrorRecoveryLevel 0 (RFC 7143 section 7.8). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import {
  encodeKeys,
  FLAG_FINAL,
  OPCODE_DATA_OUT,
  OPCODE_NOP_IN,
  OPCODE_NOP_OUT,
  OPCODE_R2T,
  OPCODE_REJECT,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  OPCODE_TEXT_REQUEST,
  OPCODE_TEXT_RESPONSE,
  parseSense,
  type ReceivedPdu,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

const REASON_DATA_DIGEST_ERROR = 2;
const PROTOCOL_SERVICE_CRC_ERROR = { key: 0x0b, asc: 0x47, ascq: 0x05 };

describe("digest errors (RFC 7143 section 7.8)", () => {
  const target = startTarget({ session: "initialR2T: false, maxOutstandingR2T: 4" });
  const digests = { HeaderDigest: "CRC32C", DataDigest: "CRC32C" };

  async function expectReject(initiator: RawInitiator, header: Buffer): Promise<ReceivedPdu> {
    const reject = await initiator.expect(OPCODE_REJECT);
    assert.equal(reject.field("reason"), REASON_DATA_DIGEST_ERROR);
    assert.equal(reject.initiatorTaskTag, TAG_NONE);
    // "The target returns the header (not including the digest) of the PDU in error" (section 11.17.4).
    assert.ok(reject.data.equals(header));
    return reject;
  }

  it("header: the connection is closed, since the length may be wrong too", async () => {
    const witness = await target.login(digests);
    const initiator = await target.login(digests);
    await initiator.send({ opcode: OPCODE_SCSI_COMMAND, lun: 0, cdb: testUnitReady() }, undefined, {
      corruptHeaderDigest: true,
    });
    assert.deepEqual(await initiator.receiveUntilClosed(), []);
    await witness.good({ cdb: testUnitReady() });
  });

  it("immediate data: the command is rejected, its CmdSN not taken; the same command may be sent again", async () => {
    const initiator = await target.login(digests);
    const before = await initiator.good({ cdb: read10(0, 8), read: 4096 });
    const write = pattern(4096, 1);
    const cmdSN = initiator.session.cmdSN;
    const command = {
      opcode: OPCODE_SCSI_COMMAND,
      flags: 0xa1,
      lun: 0,
      cdb: write10(0, 8),
      expectedDataTransferLength: 4096,
      cmdSN,
      initiatorTaskTag: 50,
    };
    const header = await initiator.send(command, write, { corruptDataDigest: true });
    const reject = await expectReject(initiator, header);
    // "The CmdSN of the rejected command PDU MUST NOT be considered received by the target" (section 7.3).
    assert.equal(reject.expCmdSN, cmdSN);
    assert.ok((await (await target.login()).good({ cdb: read10(0, 8), read: 4096 })).equals(before));
    await initiator.send(command, write);
    initiator.session.cmdSN = cmdSN + 1;
    const response = await initiator.expect(OPCODE_SCSI_RESPONSE);
    assert.equal(response.status, 0);
    assert.equal(response.expCmdSN, cmdSN + 1);
    assert.ok((await initiator.good({ cdb: read10(0, 8), read: 4096 })).equals(write));
  });

  it("immediate data, with commands behind it: they wait for the gap to be filled", async () => {
    const initiator = await target.login(digests);
    const cmdSN = initiator.session.cmdSN;
    const write = pattern(4096, 2);
    const command = {
      opcode: OPCODE_SCSI_COMMAND,
      flags: 0xa1,
      lun: 0,
      cdb: write10(8, 8),
      expectedDataTransferLength: 4096,
    };
    const header = await initiator.send({ ...command, cmdSN }, write, { corruptDataDigest: true });
    initiator.session.cmdSN = cmdSN + 1;
    const behind = [];
    for (let i = 0; i < 4; i++) behind.push(await initiator.start({ cdb: read10(8, 8), read: 4096, attribute: 2 }));
    await expectReject(initiator, header);
    // Nothing of them is answered before the echo of an immediate ping.
    assert.equal((await initiator.ping()).expCmdSN, cmdSN);
    const again = await initiator.send({ ...command, cmdSN, initiatorTaskTag: 51 }, write);
    const response = await initiator.expect(OPCODE_SCSI_RESPONSE);
    assert.equal(response.initiatorTaskTag, again.readUInt32BE(16));
    // ORDERED tasks: delivered in CmdSN order, they read what the command before them has written.
    for (const task of behind) assert.ok((await initiator.finish(task)).data.equals(write));
  });

  it("unsolicited Data-Out of a rejected command is dropped without a word", async () => {
    const initiator = await target.login({ ...digests, InitialR2T: "No" });
    const cmdSN = initiator.session.cmdSN;
    const header = await initiator.send(
      {
        opcode: OPCODE_SCSI_COMMAND,
        flags: 0x21,
        lun: 0,
        cdb: write10(0, 16),
        expectedDataTransferLength: 8192,
        cmdSN,
        initiatorTaskTag: 60,
      },
      pattern(4096),
      { corruptDataDigest: true },
    );
    await initiator.send(
      { opcode: OPCODE_DATA_OUT, initiatorTaskTag: 60, targetTransferTag: TAG_NONE, bufferOffset: 4096 },
      pattern(4096),
    );
    await expectReject(initiator, header);
    await initiator.ping();
  });

  it("solicited data: Reject, and the command ends with Protocol Service CRC error once all data has come", async () => {
    const initiator = await target.login({
      ...digests,
      ImmediateData: "No",
      MaxBurstLength: "8192",
      MaxOutstandingR2T: "2",
      FirstBurstLength: "512",
      InitialR2T: "Yes",
    });
    const before = await initiator.good({ cdb: read10(0, 32), read: 16_384 });
    const write = pattern(16_384, 3);
    const task = await initiator.start({ cdb: write10(0, 32), write, leaveR2Ts: true });
    const r2ts = [await initiator.expect(OPCODE_R2T), await initiator.expect(OPCODE_R2T)];
    const dataOut = (r2t: ReceivedPdu, dataSN: number, at: number, final: boolean) => ({
      opcode: OPCODE_DATA_OUT,
      flags: final ? FLAG_FINAL : 0,
      lun: 0,
      initiatorTaskTag: task.initiatorTaskTag,
      targetTransferTag: r2t.targetTransferTag,
      dataSN,
      bufferOffset: at,
    });
    const header = await initiator.send(dataOut(r2ts[0]!, 0, 0, false), write.subarray(0, 4096), {
      corruptDataDigest: true,
    });
    await expectReject(initiator, header);
    await initiator.send(dataOut(r2ts[0]!, 1, 4096, true), write.subarray(4096, 8192));
    // "it MUST wait to receive all the data (signaled by a data PDU with the Final bit set for all outstanding R2Ts)".
    await initiator.ping();
    await initiator.send(dataOut(r2ts[1]!, 0, 8192, true), write.subarray(8192));
    const result = await initiator.finish(task);
    assert.equal(result.status, 2);
    const { key, asc, ascq } = parseSense(result.sense);
    assert.deepEqual({ key, asc, ascq }, PROTOCOL_SERVICE_CRC_ERROR);
    assert.ok((await initiator.good({ cdb: read10(0, 16), read: 8192 })).equals(before.subarray(0, 8192)));
  });

  it("unsolicited data: the same", async () => {
    const initiator = await target.login({ ...digests, InitialR2T: "No" });
    const before = await initiator.good({ cdb: read10(0, 16), read: 8192 });
    const write = pattern(8192, 4);
    const task = await initiator.start({
      cdb: write10(0, 16),
      write,
      immediateLength: 4096,
      unsolicitedLength: 4096,
      fields: { flags: 0x21 },
    });
    const header = await initiator.send(
      {
        opcode: OPCODE_DATA_OUT,
        initiatorTaskTag: task.initiatorTaskTag,
        targetTransferTag: TAG_NONE,
        bufferOffset: 4096,
      },
      write.subarray(4096),
      { corruptDataDigest: true },
    );
    await expectReject(initiator, header);
    const result = await initiator.finish(task);
    const { key, asc, ascq } = parseSense(result.sense);
    assert.deepEqual({ key, asc, ascq }, PROTOCOL_SERVICE_CRC_ERROR);
    assert.ok((await initiator.good({ cdb: read10(0, 16), read: 8192 })).equals(before));
  });

  it("NOP-Out and Text: rejected, not executed, and may be sent again", async () => {
    const initiator = await target.login(digests);
    for (const [request, data, answer] of [
      [{ opcode: OPCODE_NOP_OUT, targetTransferTag: TAG_NONE }, pattern(100), OPCODE_NOP_IN],
      [
        { opcode: OPCODE_TEXT_REQUEST, targetTransferTag: TAG_NONE },
        encodeKeys({ SendTargets: "" }),
        OPCODE_TEXT_RESPONSE,
      ],
    ] as const) {
      const cmdSN = initiator.session.cmdSN;
      const header = await initiator.send({ ...request, cmdSN }, data, { corruptDataDigest: true });
      assert.equal((await expectReject(initiator, header)).expCmdSN, cmdSN);
      await initiator.send({ ...request, cmdSN }, data);
      initiator.session.cmdSN = cmdSN + 1;
      assert.equal((await initiator.expect(answer)).expCmdSN, cmdSN + 1);
    }
  });

  it("digests of what the target sends are right for every length", async () => {
    const initiator = await target.login({ ...digests, MaxRecvDataSegmentLength: "1021" });
    for (const blocks of [1, 3, 64]) {
      // Checked by the initiator for each PDU.
      const data = await initiator.good({ cdb: read10(0, blocks), read: blocks * BLOCK_BYTES });
      assert.equal(data.length, blocks * BLOCK_BYTES);
    }
    const short = await initiator.command({ cdb: read10(0, 1), read: 509 });
    assert.equal(short.data.length, 509);
  });
});
