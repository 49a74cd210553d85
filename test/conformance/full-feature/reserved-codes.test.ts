/** Codes that chapter 11 of RFC 7143 reserves: their receipt "MUST be reported as a protocol error", and is a format error (section 7.7). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { testUnitReady } from "../../support/cdb.js";
import {
  FLAG_FINAL,
  type HeaderFields,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_REJECT,
  OPCODE_SCSI_COMMAND,
  OPCODE_SNACK_REQUEST,
  TAG_NONE,
} from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import { startTarget } from "./fixture.js";

const REASON_PROTOCOL_ERROR = 4;
const KEYS = { ErrorRecoveryLevel: "1", MaxConnections: "2" };

const command = (attribute: number): HeaderFields => ({
  opcode: OPCODE_SCSI_COMMAND,
  flags: FLAG_FINAL | attribute,
  lun: 0,
  cdb: testUnitReady(),
});
const logout = (reason: number): HeaderFields => ({
  opcode: OPCODE_LOGOUT_REQUEST,
  immediate: true,
  flags: FLAG_FINAL | reason,
});
const snack = (type: number): HeaderFields => ({
  opcode: OPCODE_SNACK_REQUEST,
  flags: FLAG_FINAL | type,
  initiatorTaskTag: TAG_NONE,
  targetTransferTag: TAG_NONE,
});

/** An additional header segment of 8 bytes. */
function ahs(type: number): Buffer {
  const segment = Buffer.alloc(8);
  segment.writeUInt16BE(5, 0);
  segment[2] = type;
  return segment;
}

describe("reserved codes (RFC 7143 chapter 11)", () => {
  const target = startTarget({ session: "errorRecoveryLevel: 1, maxConnections: 2" });

  const requests: [string, HeaderFields, Buffer?][] = [
    ...[5, 6, 7].map((attribute): [string, HeaderFields] => [`ATTR ${attribute}`, command(attribute)]),
    ...[0, 3, 0x3f].map((type): [string, HeaderFields, Buffer] => [`AHSType ${type}`, command(1), ahs(type)]),
    ...[3, 0x7f].map((reason): [string, HeaderFields] => [`Logout, reason code ${reason}`, logout(reason)]),
    ...[4, 15].map((type): [string, HeaderFields] => [`SNACK, type ${type}`, snack(type)]),
  ];
  for (const [what, fields, segment] of requests) {
    it(`${what}: Reject, protocol error, and the end of all connections of the session`, async () => {
      const witness = await target.login();
      const first = await target.login(KEYS);
      const second = await RawInitiator.connect(target.running.port, { session: first.session });
      await second.login({ targetName: TARGET_NAME, cid: 1 });
      const header = await first.send(fields, undefined, segment === undefined ? {} : { ahs: segment });
      // What comes behind it is not looked at.
      await first.send(command(1));
      const pdus = await first.receiveUntilClosed();
      assert.deepEqual(
        pdus.map(({ opcode }) => opcode),
        [OPCODE_REJECT],
      );
      assert.equal(pdus[0]!.field("reason"), REASON_PROTOCOL_ERROR);
      assert.deepEqual(pdus[0]!.data, Buffer.concat([header, segment ?? Buffer.alloc(0)]));
      assert.deepEqual(await second.receiveUntilClosed(), []);
      second.destroy();
      await witness.good({ cdb: testUnitReady() });
    });
  }
});
