import assert from "node:assert/strict";
import { test } from "node:test";
import {
  encodeKeys,
  OPCODE_LOGIN_REQUEST,
  OPCODE_LOGIN_RESPONSE,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_NOP_OUT,
  OPCODE_REJECT,
  OPCODE_SCSI_COMMAND,
  OPCODE_TEXT_REQUEST,
} from "../../support/pdu.js";
import { type RawInitiator, STAGE_OPERATIONAL } from "../../support/raw-initiator.js";
import { goesOn, NAMES, STATUS_INVALID_DURING_LOGIN, startTarget, statusOf, TO_FULL_FEATURE } from "./fixture.js";

const target = startTarget();
const OTHERS = [
  OPCODE_NOP_OUT,
  OPCODE_SCSI_COMMAND,
  OPCODE_TEXT_REQUEST,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_LOGIN_RESPONSE,
  0x1f,
];

test("RFC 7143 4.2.4: a first PDU that is no Login Request ends the connection at once, without an answer", async () => {
  for (const opcode of OTHERS) {
    const initiator = await target.connect();
    await initiator.send({ opcode, immediate: true });
    assert.deepEqual(await initiator.receiveUntilClosed(), [], `opcode ${opcode}`);
  }
});

async function isInvalid(initiator: RawInitiator): Promise<void> {
  const [response, ...more] = await initiator.receiveUntilClosed();
  assert.equal(response?.opcode, OPCODE_LOGIN_RESPONSE);
  assert.equal(statusOf(response).toString(16), STATUS_INVALID_DURING_LOGIN.toString(16));
  assert.deepEqual(more, []);
}

test("RFC 7143 11.13.5: any other request during login: 020Bh, and the end", async () => {
  for (const opcode of OTHERS) {
    const initiator = await target.connect();
    await goesOn(initiator, { stage: STAGE_OPERATIONAL, keys: NAMES });
    await initiator.send({ opcode, immediate: true });
    await isInvalid(initiator);
  }
});

test("RFC 7143 4.2.4: so it is with whatever else is wrong with it: additional headers, more data than is taken", async () => {
  for (const fields of [{ totalAHSLength: 2 }, { dataSegmentLength: 65536 }]) {
    for (const opcode of [OPCODE_SCSI_COMMAND, OPCODE_NOP_OUT, OPCODE_LOGIN_RESPONSE]) {
      const initiator = await target.connect();
      await goesOn(initiator, { stage: STAGE_OPERATIONAL, keys: NAMES });
      await initiator.send({ opcode, immediate: true, ...fields });
      await isInvalid(initiator);
    }
  }
});

test("RFC 7143 11.17.1: a Login Request in the Full Feature Phase: Reject, and the session goes on", async () => {
  const initiator = await target.connect();
  await goesOn(initiator, { ...TO_FULL_FEATURE, keys: NAMES });
  await initiator.send({ opcode: OPCODE_LOGIN_REQUEST, immediate: true, flags: 0x87 }, encodeKeys(NAMES));
  const reject = await initiator.expect(OPCODE_REJECT);
  assert.equal(reject.field("reason"), 0x04, "Protocol Error");
  await initiator.ping();
});

test("RFC 7143 6.3: a request before the answer to the one before that ends the login: no session, and no hang", async () => {
  // A complete login, and a PDU of the phase that it asks for, in one segment.
  const initiator = await target.connect();
  const header = Buffer.alloc(48);
  header[0] = 0x43;
  header[1] = 0x87;
  initiator.session.isid.copy(header, 8);
  const data = encodeKeys(NAMES);
  header.writeUIntBE(data.length, 5, 3);
  const ping = Buffer.alloc(48);
  ping[0] = 0x40;
  ping[1] = 0x80;
  ping.writeUInt32BE(1, 16);
  ping.writeUInt32BE(0xffffffff, 20);
  await initiator.sendBytes(Buffer.concat([header, data, Buffer.alloc(-data.length & 3), ping]));
  const response = await initiator.receive();
  assert.equal(response.opcode, OPCODE_LOGIN_RESPONSE);
  if (statusOf(response) === 0) {
    // It came in two pieces after all, and the second one in its own phase.
    await initiator.receive();
  } else {
    assert.equal(response.field("statusClass"), 2);
    assert.deepEqual(await initiator.receiveUntilClosed(), []);
  }
});
