/** PDUs that the target does not take: Reject (RFC 7143 sections 7.3, 11.16, 11.17). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, testUnitReady } from "../../support/cdb.js";
import {
  FLAG_FINAL,
  OPCODE_LOGIN_REQUEST,
  OPCODE_REJECT,
  OPCODE_SNACK_REQUEST,
  type ReceivedPdu,
  TAG_NONE,
} from "../../support/pdu.js";
import { pattern, startTarget } from "./fixture.js";

const REASON_SNACK_REJECT = 3;
const REASON_PROTOCOL_ERROR = 4;
const REASON_COMMAND_NOT_SUPPORTED = 5;

describe("Reject (RFC 7143 section 11.17)", () => {
  const target = startTarget();

  function assertReject(reject: ReceivedPdu, header: Buffer, reason: number): void {
    assert.equal(reject.opcode, OPCODE_REJECT);
    assert.equal(reject.flags, 0x80);
    assert.equal(reject.field("reason"), reason);
    assert.equal(reject.initiatorTaskTag, TAG_NONE);
    assert.equal(reject.field("byte3"), 0);
    assert.ok(reject.bhs.subarray(8, 16).every((byte) => byte === 0));
    assert.equal(reject.targetTransferTag, 0);
    assert.ok(reject.bhs.subarray(36).every((byte) => byte === 0));
    // "Complete Header of Bad PDU".
    assert.ok(reject.data.equals(header));
  }

  for (const opcode of [0x07, 0x0f, 0x11, 0x1c, 0x1f, 0x20, 0x21, 0x25, 0x26, 0x31, 0x32, 0x3f]) {
    it(`opcode ${opcode.toString(16)}h: command not supported`, async () => {
      const initiator = await target.login();
      const { cmdSN } = initiator.session;
      for (const data of [Buffer.alloc(0), pattern(100, opcode), pattern(8192, opcode)]) {
        const header = await initiator.send({ opcode, immediate: true, initiatorTaskTag: 5, lun: 3 }, data);
        assertReject(await initiator.expect(OPCODE_REJECT), header, REASON_COMMAND_NOT_SUPPORTED);
      }
      assert.equal((await initiator.ping()).expCmdSN, cmdSN);
      await initiator.good({ cdb: testUnitReady() });
    });
  }

  it("every Reject takes a StatSN (section 11.17.3)", async () => {
    const initiator = await target.login();
    const { statSN } = await initiator.ping();
    for (let i = 1; i <= 3; i++) {
      await initiator.send({ opcode: 0x1c, immediate: true });
      assert.equal((await initiator.expect(OPCODE_REJECT)).statSN, statSN + i);
    }
  });

  it("the header is returned with its additional segments (section 11.17.4)", async () => {
    const initiator = await target.login({ MaxRecvDataSegmentLength: "512" });
    for (const words of [2, 100, 255]) {
      const ahs = pattern(words * 4, words);
      const header = await initiator.send({ opcode: 0x1c, immediate: true }, undefined, { ahs });
      const reject = await initiator.expect(OPCODE_REJECT);
      // As much of it as the initiator receives.
      assert.ok(reject.data.equals(Buffer.concat([header, ahs]).subarray(0, 512)));
    }
  });

  it("with digests on", async () => {
    const initiator = await target.login({ HeaderDigest: "CRC32C", DataDigest: "CRC32C" });
    const header = await initiator.send({ opcode: 0x1c, immediate: true }, pattern(333));
    assertReject(await initiator.expect(OPCODE_REJECT), header, REASON_COMMAND_NOT_SUPPORTED);
  });

  for (const [name, type] of [
    ["Data/R2T", 0],
    ["Status", 1],
    ["DataACK", 2],
    ["R-Data", 3],
  ] as const) {
    it(`a ${name} SNACK at ErrorRecoveryLevel 0 (section 11.16)`, async () => {
      const initiator = await target.login();
      const read = await initiator.start({ cdb: read10(0, 64), read: 32_768 });
      const header = await initiator.send({
        opcode: OPCODE_SNACK_REQUEST,
        flags: FLAG_FINAL | type,
        initiatorTaskTag: type === 1 ? TAG_NONE : read.initiatorTaskTag,
        snackTag: type === 3 ? 1 : TAG_NONE,
        begRun: 0,
        runLength: 0,
      });
      assert.equal((await initiator.finish(read)).status, 0);
      const reject = initiator.others.pop() ?? (await initiator.receive());
      assertReject(reject, header, REASON_SNACK_REJECT);
      await initiator.good({ cdb: testUnitReady() });
    });
  }

  it("a Login Request in the full feature phase (section 4.2.4): the session goes on", async () => {
    const initiator = await target.login();
    const header = await initiator.send(
      { opcode: OPCODE_LOGIN_REQUEST, immediate: true, flags: 0x87 },
      Buffer.from("InitiatorName=iqn.2026-11.io.ringlun:other\0"),
    );
    assertReject(await initiator.expect(OPCODE_REJECT), header, REASON_PROTOCOL_ERROR);
    await initiator.good({ cdb: testUnitReady() });
  });
});
