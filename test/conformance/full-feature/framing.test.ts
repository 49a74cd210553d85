/** PDU boundaries in the byte stream, padding, additional header segments (RFC 7143 sections 11.1, 11.2). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inquiry, read10, testUnitReady, write10 } from "../../support/cdb.js";
import { digestOf } from "../../support/crc32c.js";
import {
  buildHeader,
  FLAG_FINAL,
  type HeaderFields,
  OPCODE_DATA_IN,
  OPCODE_DATA_OUT,
  OPCODE_NOP_IN,
  OPCODE_NOP_OUT,
  OPCODE_R2T,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  TAG_NONE,
  wirePdu,
} from "../../support/pdu.js";
import { extendedCdb, type RawInitiator } from "../../support/raw-initiator.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

/** One AHSLength, AHSType and content, padded to whole words (section 11.2.2). */
function ahs(type: number, length: number, contentBytes: number): Buffer {
  const bytes = Buffer.alloc((4 + contentBytes + 3) & ~3);
  bytes.writeUInt16BE(length, 0);
  bytes[2] = type;
  return bytes;
}

describe("framing (RFC 7143 sections 11.1 and 11.2)", () => {
  const target = startTarget();

  /** A PDU in wire form, with what `send` would add. */
  function wire(initiator: RawInitiator, fields: HeaderFields, data: Buffer = Buffer.alloc(0)): Buffer {
    const cmdSN = initiator.session.cmdSN;
    if (!fields.immediate && fields.opcode !== OPCODE_DATA_OUT) initiator.session.cmdSN++;
    const header = buildHeader({
      flags: FLAG_FINAL,
      expStatSN: initiator.expStatSN ?? 0,
      initiatorTaskTag: initiator.newTag(),
      cmdSN,
      dataSegmentLength: data.length,
      ...fields,
    });
    return wirePdu(header, data, { header: initiator.headerDigest, data: initiator.dataDigest });
  }

  for (const digests of ["None", "CRC32C"]) {
    const keys = { HeaderDigest: digests, DataDigest: digests };

    it(`bytes arrive one at a time (digests: ${digests})`, async () => {
      const initiator = await target.login(keys);
      const ping = pattern(61, 1);
      const write = pattern(BLOCK_BYTES, 2);
      const bytes = Buffer.concat([
        wire(initiator, { opcode: OPCODE_NOP_OUT, immediate: true, targetTransferTag: TAG_NONE }, ping),
        wire(
          initiator,
          { opcode: OPCODE_SCSI_COMMAND, flags: 0xa1, expectedDataTransferLength: BLOCK_BYTES, cdb: write10(3, 1) },
          write,
        ),
      ]);
      for (const byte of bytes) await initiator.sendBytes(Uint8Array.of(byte));
      assert.ok((await initiator.expect(OPCODE_NOP_IN)).data.equals(ping));
      assert.equal((await initiator.expect(OPCODE_SCSI_RESPONSE)).status, 0);
      assert.ok((await initiator.good({ cdb: read10(3, 1), read: BLOCK_BYTES })).equals(write));
    });

    it(`many PDUs in one segment, and boundaries anywhere (digests: ${digests})`, async () => {
      const initiator = await target.login(keys);
      const pings = Array.from({ length: 64 }, (_, index) => pattern((index * 37) % 1000, index));
      // Pieces of lengths that fall everywhere within headers, data, padding and digests.
      for (const pieceLength of [1 << 20, 1021, 47]) {
        const bytes = Buffer.concat(
          pings.map((ping) => wire(initiator, { opcode: OPCODE_NOP_OUT, targetTransferTag: TAG_NONE }, ping)),
        );
        for (let at = 0; at < bytes.length; at += pieceLength) {
          await initiator.sendBytes(bytes.subarray(at, at + pieceLength));
        }
        for (const ping of pings) assert.ok((await initiator.expect(OPCODE_NOP_IN)).data.equals(ping));
      }
    });

    it(`data segments of every length modulo 4, with any padding (digests: ${digests})`, async () => {
      const initiator = await target.login(keys);
      for (const length of [0, 1, 2, 3, 4, 5, 4093, 4094, 4095, 4096, 8191]) {
        const ping = pattern(length, length);
        await initiator.send({ opcode: OPCODE_NOP_OUT, immediate: true, targetTransferTag: TAG_NONE }, ping, {
          padding: 0x5a,
        });
        const nopIn = await initiator.expect(OPCODE_NOP_IN);
        // "The padding bytes SHOULD be sent as 0" (section 11.1): whatever came, zeroes go back.
        assert.ok(nopIn.data.equals(ping));
        assert.ok(nopIn.padding.every((byte) => byte === 0));
      }
    });

    it(`a solicited segment of 256 KiB in pieces (digests: ${digests})`, async () => {
      const initiator = await target.login({ ...keys, ImmediateData: "No", MaxBurstLength: "262144" });
      const write = pattern(262_144, 7);
      const task = await initiator.start({ cdb: write10(0, 512), write, leaveR2Ts: true });
      const r2t = await initiator.expect(OPCODE_R2T);
      const bytes = wire(
        initiator,
        {
          opcode: OPCODE_DATA_OUT,
          lun: 0,
          initiatorTaskTag: task.initiatorTaskTag,
          targetTransferTag: r2t.targetTransferTag,
        },
        write,
      );
      for (let at = 0, piece = 1; at < bytes.length; at += piece, piece = (piece * 3) % 20_011) {
        await initiator.sendBytes(bytes.subarray(at, at + piece));
      }
      assert.equal((await initiator.finish(task)).status, 0);
      const back = await target.login({ MaxRecvDataSegmentLength: "262144" });
      assert.ok((await back.good({ cdb: read10(0, 512), read: 262_144 })).equals(write));
    });
  }

  it("reserved bits and fields are ignored (section 11)", async () => {
    const initiator = await target.login();
    const header = buildHeader({
      opcode: OPCODE_SCSI_COMMAND,
      flags: 0x80 | 0x18 | 1,
      byte2: 0xff,
      byte3: 0xff,
      initiatorTaskTag: 9,
      cmdSN: initiator.session.cmdSN++,
      cdb: testUnitReady(),
    });
    header[0]! |= 0x80;
    await initiator.send(header);
    assert.equal((await initiator.expect(OPCODE_SCSI_RESPONSE)).status, 0);
  });

  it("an Extended CDB AHS carries the CDB's end (section 11.2.2.3)", async () => {
    for (const digests of ["None", "CRC32C"]) {
      const initiator = await target.login({ HeaderDigest: digests });
      // INQUIRY in a CDB of 32 and of 260 bytes: what the operation code does not use is ignored.
      for (const length of [17, 32, 260]) {
        const cdb = Buffer.alloc(length, 0);
        inquiry().copy(cdb);
        const { status, data } = await initiator.command({ cdb, read: 255 });
        assert.equal(status, 0);
        assert.ok(data.length >= 36);
      }
      await initiator.send(
        { opcode: OPCODE_SCSI_COMMAND, flags: 0xc1, lun: 0, cdb: inquiry(), expectedDataTransferLength: 255 },
        undefined,
        { ahs: Buffer.concat([extendedCdb(Buffer.alloc(40)), ahs(2, 5, 4)]) },
      );
      assert.equal((await initiator.expect(OPCODE_DATA_IN)).status, 0);
    }
  });

  for (const [what, bytes] of [
    ["that runs past TotalAHSLength", ahs(1, 200, 4)],
    ["of length 0", ahs(1, 0, 4)],
    ["with an Extended CDB of 16 bytes", ahs(1, 1, 4)],
    ["of the longest TotalAHSLength, whose lengths lie", Buffer.alloc(255 * 4, ahs(1, 0xffff, 0))],
  ] as const) {
    it(`an AHS ${what} is a format error: the session ends (section 7.7)`, async () => {
      const witness = await target.login();
      const initiator = await target.login();
      await initiator.send({ opcode: OPCODE_SCSI_COMMAND, lun: 0, cdb: testUnitReady() }, undefined, { ahs: bytes });
      assert.deepEqual(await initiator.receiveUntilClosed(), []);
      await witness.good({ cdb: testUnitReady() });
    });
  }

  it("an AHS in a PDU that has none is a format error (section 11.2.1.5)", async () => {
    const initiator = await target.login();
    await initiator.send({ opcode: OPCODE_NOP_OUT, immediate: true, targetTransferTag: TAG_NONE }, undefined, {
      ahs: ahs(1, 5, 4),
    });
    assert.deepEqual(await initiator.receiveUntilClosed(), []);
  });

  it("every header digest covers BHS and AHS (section 11.2.3)", async () => {
    const initiator = await target.login({ HeaderDigest: "CRC32C" });
    const header = buildHeader({
      opcode: OPCODE_SCSI_COMMAND,
      flags: 0xc1,
      initiatorTaskTag: 4,
      cmdSN: initiator.session.cmdSN++,
      expectedDataTransferLength: 255,
      totalAHSLength: 2,
      cdb: inquiry(),
    });
    const extension = ahs(2, 5, 4);
    // A digest over the BHS alone is wrong.
    await initiator.sendBytes(Buffer.concat([header, extension, digestOf(header)]));
    assert.deepEqual(await initiator.receiveUntilClosed(), []);
  });
});
