import assert from "node:assert/strict";
import { test } from "node:test";
import {
  encodeKeys,
  FLAG_FINAL,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_REJECT,
  OPCODE_TEXT_REQUEST,
  OPCODE_TEXT_RESPONSE,
  TAG_NONE,
} from "../../support/pdu.js";
import { startTarget } from "../login/fixture.js";

const target = startTarget();
const TEXT = { opcode: OPCODE_TEXT_REQUEST, targetTransferTag: TAG_NONE } as const;
const SEND_TARGETS = encodeKeys({ SendTargets: "All" });

test("RFC 7143 4.2.2.1: the window of a Discovery session is one command, as none is held that comes before its turn", async () => {
  const initiator = await target.connect();
  await initiator.login({ sessionType: "Discovery", keys: { DataDigest: "CRC32C" } });
  assert.equal(initiator.maxCmdSN, initiator.expCmdSN);
  const { cmdSN } = initiator.session;
  // The request is damaged on its way, and what comes behind it is out of the window.
  await initiator.send(TEXT, SEND_TARGETS, { corruptDataDigest: true });
  await initiator.send({ opcode: OPCODE_LOGOUT_REQUEST, flags: FLAG_FINAL });
  const reject = await initiator.expect(OPCODE_REJECT);
  assert.deepEqual([reject.expCmdSN, reject.maxCmdSN], [cmdSN, cmdSN]);
  // Sent again, it is answered, and the session is still there.
  await initiator.send({ ...TEXT, cmdSN }, SEND_TARGETS);
  const response = await initiator.expect(OPCODE_TEXT_RESPONSE);
  assert.deepEqual([response.expCmdSN, response.maxCmdSN], [cmdSN + 1, cmdSN + 1]);
  await initiator.send({ opcode: OPCODE_LOGOUT_REQUEST, flags: FLAG_FINAL, cmdSN: cmdSN + 1 });
  await initiator.expect(OPCODE_LOGOUT_RESPONSE);
  assert.deepEqual(await initiator.receiveUntilClosed(), []);
});

test("RFC 7143 4.2.2.1: commands outside of it, and those that come again, are ignored", async () => {
  const initiator = await target.connect();
  await initiator.login({ sessionType: "Discovery" });
  const { cmdSN } = initiator.session;
  for (const wrong of [cmdSN - 1, cmdSN + 1, cmdSN + 2, cmdSN + 0x80000000]) {
    await initiator.send({ ...TEXT, cmdSN: wrong >>> 0, initiatorTaskTag: 1 }, SEND_TARGETS);
  }
  for (let n = 0; n < 2; n++) await initiator.send({ ...TEXT, cmdSN, initiatorTaskTag: 2 }, SEND_TARGETS);
  await initiator.send({ ...TEXT, immediate: true, cmdSN: cmdSN + 1, initiatorTaskTag: 3 }, SEND_TARGETS);
  for (const tag of [2, 3]) assert.equal((await initiator.expect(OPCODE_TEXT_RESPONSE)).initiatorTaskTag, tag);
});
