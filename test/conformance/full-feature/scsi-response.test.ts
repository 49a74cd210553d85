/** SCSI Response: status, sense data, numbers, and nothing else (RFC 7143 section 11.4). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inquiry, read10, testUnitReady, write10 } from "../../support/cdb.js";
import { OPCODE_SCSI_RESPONSE, parseSense, type ReceivedPdu } from "../../support/pdu.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

describe("SCSI Response (RFC 7143 section 11.4)", () => {
  const target = startTarget();

  function assertReservedIsZero(pdu: ReceivedPdu): void {
    assert.equal(pdu.opcode, OPCODE_SCSI_RESPONSE);
    assert.equal(pdu.flags & ~0x06, 0x80);
    assert.equal(pdu.response, 0);
    assert.ok(pdu.bhs.subarray(8, 16).every((byte) => byte === 0));
    // SNACK Tag: "otherwise, it is reserved and should be set to 0" (section 11.4.4).
    assert.equal(pdu.field("snackTag"), 0);
    assert.equal(pdu.field("bufferOffset"), 0, "Bidirectional Read Residual Count");
  }

  it("GOOD has no data segment", async () => {
    const initiator = await target.login();
    const { task } = await initiator.command({ cdb: testUnitReady() });
    const end = task.end!;
    assertReservedIsZero(end);
    assert.equal(end.flags, 0x80);
    assert.deepEqual(
      [end.status, end.field("dataSegmentLength"), end.field("expDataSN"), end.field("residualCount")],
      [0, 0, 0, 0],
    );
    const write = await initiator.command({ cdb: write10(0, 8), write: pattern(4096) });
    assertReservedIsZero(write.task.end!);
  });

  it("CHECK CONDITION has sense data behind its length (section 11.4.7)", async () => {
    const initiator = await target.login();
    for (const options of [
      { cdb: read10(1 << 30, 8), read: 4096 },
      { cdb: write10(1 << 30, 8), write: pattern(4096) },
      { cdb: Buffer.from([0xff, 0, 0, 0, 0, 0]) },
      { cdb: testUnitReady(), lun: 9 },
      { cdb: inquiry(0x77), read: 255 },
    ]) {
      const { status, sense, task } = await initiator.command(options);
      const end = task.end!;
      assertReservedIsZero(end);
      assert.equal(status, 2);
      assert.equal(end.data.readUInt16BE(0), end.data.length - 2);
      assert.ok(parseSense(sense).key > 0);
      assert.equal(end.field("expDataSN"), 0);
      await initiator.good({ cdb: testUnitReady() });
    }
  });

  it("StatSN counts up by one with each, and each acknowledges its command (sections 4.2.2.2, 11.4.9)", async () => {
    const initiator = await target.login();
    let statSN = (await initiator.ping()).statSN;
    for (let i = 0; i < 20; i++) {
      const { cmdSN } = initiator.session;
      const options = i % 3 === 0 ? { cdb: testUnitReady() } : { cdb: read10(0, 4), read: 4 * BLOCK_BYTES };
      const { task } = await initiator.command(options);
      statSN++;
      assert.deepEqual([task.end?.statSN, task.end?.expCmdSN], [statSN, cmdSN + 1]);
    }
  });

  it("any ExpStatSN is taken at ErrorRecoveryLevel 0", async () => {
    const initiator = await target.login();
    for (const expStatSN of [0, 1, 0x7fffffff, 0x80000000, 0xffffffff]) {
      const { status } = await initiator.command({ cdb: testUnitReady(), fields: { expStatSN } });
      assert.equal(status, 0);
    }
  });

  it("a command whose LUN is in no format that there is", async () => {
    const initiator = await target.login();
    for (const lun of ["8000000000000000", "0001000200000000", "ffffffffffffffff", "0100000000000000"]) {
      const { status, sense } = await initiator.command({ cdb: testUnitReady(), lun: Buffer.from(lun, "hex") });
      assert.equal(status, 2);
      // LOGICAL UNIT NOT SUPPORTED
      assert.deepEqual(
        { ...parseSense(sense), information: undefined },
        { key: 5, asc: 0x25, ascq: 0, information: undefined },
      );
    }
  });

  for (const [what, fields] of [
    ["W=0 and F=0 (section 11.3.1)", { flags: 0x01 }],
    ["data expected, and neither R nor W (section 11.3.1)", { flags: 0x81, expectedDataTransferLength: 512 }],
    ["R and W without the length of the read (section 11.3.4)", { flags: 0xe1, expectedDataTransferLength: 512 }],
  ] as const) {
    it(`${what}: a format error (section 7.7)`, async () => {
      const initiator = await target.login();
      await initiator.send({ opcode: 0x01, lun: 0, cdb: testUnitReady(), ...fields });
      assert.deepEqual(await initiator.receiveUntilClosed(), []);
    });
  }
});
