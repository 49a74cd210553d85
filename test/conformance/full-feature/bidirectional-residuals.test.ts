/** Both residual counts of a bidirectional command (RFC 7143 sections 11.4.1, 11.4.5, 11.4.6). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import { FLAG_FINAL, FLAG_UNDERFLOW, OPCODE_SCSI_COMMAND, OPCODE_SCSI_RESPONSE } from "../../support/pdu.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

const FLAG_READ = 0x40;
const FLAG_WRITE = 0x20;
const FLAG_BIDIRECTIONAL_READ_UNDERFLOW = 0x08;
const CHECK_CONDITION = 2;
const READ_BYTES = 3 * BLOCK_BYTES;

/** Additional header segment with the Bidirectional Read Expected Data Transfer Length (section 11.2.2.4). */
function readLength(bytes: number): Buffer {
  const ahs = Buffer.alloc(8);
  ahs.writeUInt16BE(5, 0);
  ahs[2] = 2;
  ahs.writeUInt32BE(bytes, 4);
  return ahs;
}

describe("residuals of bidirectional commands (RFC 7143 section 11.4.6)", () => {
  const target = startTarget();
  const xdWriteRead10 = Buffer.from([0x53, 0, 0, 0, 0, 0, 0, 0, 1, 0]);

  for (const [name, cdb] of [
    ["XDWRITEREAD(10)", xdWriteRead10],
    ["READ(10)", read10(0, 1)],
    ["WRITE(10)", write10(0, 1)],
    ["TEST UNIT READY", testUnitReady()],
  ] as const) {
    it(`${name} is refused: nothing was written, and nothing was read`, async () => {
      const initiator = await target.login();
      await initiator.send(
        {
          opcode: OPCODE_SCSI_COMMAND,
          flags: FLAG_FINAL | FLAG_READ | FLAG_WRITE,
          lun: 0,
          cdb,
          expectedDataTransferLength: BLOCK_BYTES,
        },
        pattern(BLOCK_BYTES),
        { ahs: readLength(READ_BYTES) },
      );
      const pdu = await initiator.expect(OPCODE_SCSI_RESPONSE);
      assert.equal(pdu.status, CHECK_CONDITION);
      assert.equal(pdu.flags, FLAG_FINAL | FLAG_UNDERFLOW | FLAG_BIDIRECTIONAL_READ_UNDERFLOW);
      assert.deepEqual([pdu.bhs.readUInt32BE(40), pdu.field("residualCount")], [READ_BYTES, BLOCK_BYTES]);
      await initiator.good({ cdb: testUnitReady() });
    });
  }

  it("a command of one direction has none for the other, whatever its additional header segment says", async () => {
    const initiator = await target.login();
    await initiator.send(
      { opcode: OPCODE_SCSI_COMMAND, flags: FLAG_FINAL | FLAG_WRITE, lun: 0, cdb: xdWriteRead10 },
      undefined,
      { ahs: readLength(READ_BYTES) },
    );
    const pdu = await initiator.expect(OPCODE_SCSI_RESPONSE);
    assert.equal(pdu.status, CHECK_CONDITION);
    assert.deepEqual([pdu.flags, pdu.bhs.readUInt32BE(40)], [FLAG_FINAL, 0]);
  });
});
