import assert from "node:assert/strict";
import { test } from "node:test";
import {
  encodeKeys,
  FLAG_FINAL,
  OPCODE_LOGIN_REQUEST,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_NOP_OUT,
  OPCODE_REJECT,
  OPCODE_SCSI_COMMAND,
  OPCODE_SNACK_REQUEST,
  OPCODE_TASK_MANAGEMENT_REQUEST,
  OPCODE_TEXT_REQUEST,
  OPCODE_TEXT_RESPONSE,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { startTarget } from "../login/fixture.js";

const target = startTarget();

async function discover(): Promise<RawInitiator> {
  const initiator = await target.connect();
  await initiator.login({ sessionType: "Discovery" });
  return initiator;
}

async function assertUnharmed(initiator: RawInitiator): Promise<void> {
  assert.equal((await initiator.text({ SendTargets: "All" })).size, 2);
}

test("RFC 7143 4.3, 13.21: requests other than SendTargets and logout are rejected, with the header of what was sent", async () => {
  const initiator = await discover();
  for (const fields of [
    { opcode: OPCODE_NOP_OUT, targetTransferTag: TAG_NONE },
    { opcode: OPCODE_SCSI_COMMAND, cdb: Buffer.alloc(6) },
    { opcode: OPCODE_TASK_MANAGEMENT_REQUEST, flags: FLAG_FINAL | 5 },
    { opcode: OPCODE_SNACK_REQUEST },
    { opcode: OPCODE_LOGIN_REQUEST },
    { opcode: 0x1f },
  ]) {
    const header = await initiator.send({ immediate: true, ...fields });
    const reject = await initiator.expect(OPCODE_REJECT);
    assert.deepEqual(reject.data, header);
    assert.equal(reject.initiatorTaskTag, TAG_NONE);
  }
  await assertUnharmed(initiator);
});

test("RFC 7143 Appendix C, 13.21: text other than one SendTargets is rejected", async () => {
  const initiator = await discover();
  for (const pairs of [
    [],
    [["MaxRecvDataSegmentLength", "4096"]],
    [["X-com.example.key", "1"]],
    [
      ["SendTargets", "All"],
      ["X-com.example.key", "1"],
    ],
    [
      ["SendTargets", "All"],
      ["SendTargets", "All"],
    ],
    // "The value must be one of" All, a target's name, and nothing.
    [["SendTargets", "all"]],
    [["SendTargets", "Alle"]],
    [["SendTargets", "a target"]],
  ] as const) {
    const text = { opcode: OPCODE_TEXT_REQUEST, immediate: true, targetTransferTag: TAG_NONE };
    await initiator.send(text, encodeKeys(pairs));
    assert.equal((await initiator.expect(OPCODE_REJECT)).field("reason"), 0x04, "Protocol Error");
  }
  await assertUnharmed(initiator);
});

test("RFC 7143 6.4, Appendix C: a second SendTargets in the same sequence is rejected", async () => {
  const initiator = await discover();
  const text = { opcode: OPCODE_TEXT_REQUEST, immediate: true, initiatorTaskTag: 9 };
  const data = encodeKeys({ SendTargets: "All" });
  await initiator.send({ ...text, flags: 0, targetTransferTag: TAG_NONE }, data);
  const { final, targetTransferTag } = await initiator.expect(OPCODE_TEXT_RESPONSE);
  assert.equal(final, false);
  await initiator.send({ ...text, targetTransferTag }, data);
  assert.equal((await initiator.expect(OPCODE_REJECT)).field("reason"), 0x04, "Protocol Error");
  await assertUnharmed(initiator);
});

test("RFC 7143 13.21: a logout for any reason but to close the session is rejected", async () => {
  const initiator = await discover();
  for (const reason of [1, 2]) {
    await initiator.send({ opcode: OPCODE_LOGOUT_REQUEST, immediate: true, flags: FLAG_FINAL | reason });
    await initiator.expect(OPCODE_REJECT);
  }
  await assertUnharmed(initiator);
});

test("RFC 7143 7.3: the CmdSN of what was rejected is not taken as received", async () => {
  const initiator = await discover();
  const { cmdSN } = initiator.session;
  await initiator.send({ opcode: OPCODE_TEXT_REQUEST, targetTransferTag: TAG_NONE }, encodeKeys({ Nonsense: "1" }));
  assert.equal((await initiator.expect(OPCODE_REJECT)).expCmdSN, cmdSN);
  // The gap is plugged with the same CmdSN.
  initiator.session.cmdSN = cmdSN;
  await assertUnharmed(initiator);
});

test("RFC 7143 7.8: a data digest error is rejected, a header digest error ends the connection", async () => {
  const initiator = await target.connect();
  const keys = { HeaderDigest: "CRC32C", DataDigest: "CRC32C" };
  await initiator.login({ sessionType: "Discovery", keys });
  const request = { opcode: OPCODE_TEXT_REQUEST, immediate: true, targetTransferTag: TAG_NONE };
  await initiator.send(request, encodeKeys({ SendTargets: "All" }), { corruptDataDigest: true });
  assert.equal((await initiator.expect(OPCODE_REJECT)).field("reason"), 0x02, "Data (payload) digest error");
  await assertUnharmed(initiator);
  await initiator.send(request, encodeKeys({ SendTargets: "All" }), { corruptHeaderDigest: true });
  assert.deepEqual(await initiator.receiveUntilClosed(), []);
});

test("RFC 7143 7.7: format errors end the session", async () => {
  for (const fields of [
    { opcode: OPCODE_TEXT_REQUEST, initiatorTaskTag: TAG_NONE },
    { opcode: OPCODE_TEXT_REQUEST, flags: 0xc0 },
    { opcode: OPCODE_TEXT_REQUEST, totalAHSLength: 1 },
    { opcode: OPCODE_TEXT_REQUEST, dataSegmentLength: 0xffffff },
  ]) {
    const initiator = await discover();
    await initiator.send({ immediate: true, targetTransferTag: TAG_NONE, ...fields });
    assert.deepEqual(await initiator.receiveUntilClosed(), []);
  }
});
