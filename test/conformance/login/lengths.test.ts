import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeKeys, OPCODE_LOGIN_REQUEST, OPCODE_LOGIN_RESPONSE } from "../../support/pdu.js";
import { type RawInitiator, STAGE_OPERATIONAL } from "../../support/raw-initiator.js";
import { goesOn, NAMES, STATUS_INITIATOR_ERROR, startTarget, statusOf } from "./fixture.js";

const target = startTarget();
const REQUEST = { opcode: OPCODE_LOGIN_REQUEST, immediate: true, flags: STAGE_OPERATIONAL << 2, initiatorTaskTag: 0 };

/** The header of a request in the middle of a login, which is refused before any of its data has come. */
async function isRefused(initiator: RawInitiator, fields: { dataSegmentLength?: number; totalAHSLength?: number }) {
  await goesOn(initiator, { stage: STAGE_OPERATIONAL, keys: NAMES });
  await initiator.send({ ...REQUEST, ...fields });
  const [response, ...more] = await initiator.receiveUntilClosed();
  assert.equal(response?.opcode, OPCODE_LOGIN_RESPONSE);
  assert.equal(statusOf(response).toString(16), STATUS_INITIATOR_ERROR.toString(16));
  assert.deepEqual(more, []);
}

test("RFC 7143 6.3, 13.12: a data segment of 8192 bytes is taken", async () => {
  const initiator = await target.connect();
  const text = Buffer.concat([encodeKeys(NAMES), Buffer.from(`X-key=${"x".repeat(8192)}`)]).subarray(0, 8192);
  await goesOn(initiator, { stage: STAGE_OPERATIONAL, more: true, data: text });
});

test("RFC 7143 6.3, 13.12: a longer one ends the connection, first request or later", async () => {
  for (const dataSegmentLength of [8193, 0xffffff]) {
    const initiator = await target.connect();
    await initiator.send({ ...REQUEST, dataSegmentLength });
    assert.deepEqual(await initiator.receiveUntilClosed(), []);
    await isRefused(await target.connect(), { dataSegmentLength });
  }
});

test("RFC 7143 11.12: an additional header segment ends the connection, first request or later", async () => {
  for (const totalAHSLength of [1, 255]) {
    const initiator = await target.connect();
    await initiator.send({ ...REQUEST, totalAHSLength });
    assert.deepEqual(await initiator.receiveUntilClosed(), []);
    await isRefused(await target.connect(), { totalAHSLength });
  }
});

test("RFC 7143 8.1.4, T6 and T7: a connection that ends in the middle of anything leaves nothing to wait for", async () => {
  const text = encodeKeys(NAMES);
  for (const bytes of [0, 1, 47, 48, 50]) {
    const initiator = await target.connect();
    const header = Buffer.alloc(48);
    header[0] = 0x43;
    header[7] = text.length;
    await initiator.sendBytes(Buffer.concat([header, text]).subarray(0, bytes));
    initiator.destroy();
  }
  await (await target.connect()).login({ targetName: NAMES.TargetName });
});
