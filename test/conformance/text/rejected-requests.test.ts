import assert from "node:assert/strict";
import { test } from "node:test";
import { testUnitReady } from "../../support/cdb.js";
import {
  encodeKeys,
  FLAG_CONTINUE,
  FLAG_FINAL,
  OPCODE_REJECT,
  OPCODE_SCSI_RESPONSE,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
  OPCODE_TEXT_REQUEST,
  OPCODE_TEXT_RESPONSE,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { ABORT_TASK, FUNCTION_COMPLETE } from "../../support/task-management.js";
import { startTarget } from "../login/fixture.js";

const target = startTarget();

/** A Text Request that is rejected: a Leading Only key. */
const REJECTED = encodeKeys({ MaxConnections: "1" });
const TAKEN = encodeKeys({ "X-com.example.a": "1" });

async function send(initiator: RawInitiator, data: Buffer, fields = {}): Promise<number> {
  const header = await initiator.send(
    { opcode: OPCODE_TEXT_REQUEST, flags: FLAG_FINAL, targetTransferTag: TAG_NONE, ...fields },
    data,
  );
  return header.readUInt32BE(16);
}

test("RFC 7143 7.3: the CmdSN of a rejected Text Request is not taken; the next request plugs the gap", async () => {
  const initiator = await target.login();
  const { cmdSN } = initiator.session;
  await send(initiator, REJECTED);
  assert.equal((await initiator.expect(OPCODE_REJECT)).expCmdSN, cmdSN);
  const { expCmdSN, maxCmdSN } = await initiator.ping();
  assert.deepEqual([expCmdSN, maxCmdSN - expCmdSN + 1], [cmdSN, 256]);
  // What was sent behind it waits.
  const behind = await initiator.start({ cdb: testUnitReady() });
  assert.equal((await initiator.ping()).expCmdSN, cmdSN);
  await send(initiator, TAKEN, { cmdSN });
  const tags = [await initiator.receive(), await initiator.receive()].map(({ opcode }) => opcode);
  assert.deepEqual(tags.sort(), [OPCODE_SCSI_RESPONSE, OPCODE_TEXT_RESPONSE].sort());
  initiator.forget(behind);
  const after = await initiator.ping();
  assert.deepEqual([after.expCmdSN, after.maxCmdSN - after.expCmdSN + 1], [cmdSN + 2, 256]);
});

test("RFC 7143 7.3, 7.11: so does an ABORT TASK", async () => {
  const initiator = await target.login();
  const { cmdSN } = initiator.session;
  const tag = await send(initiator, REJECTED);
  await initiator.expect(OPCODE_REJECT);
  const response = await initiator.taskManagement(ABORT_TASK, { referencedTaskTag: tag, refCmdSN: cmdSN });
  assert.deepEqual([response.response, response.expCmdSN], [FUNCTION_COMPLETE, cmdSN + 1]);
  await initiator.good({ cdb: testUnitReady() });
});

test("RFC 7143 4.2.2.1: what comes behind a Text Request is executed after it, and a request that comes twice once", async () => {
  const initiator = await target.login();
  for (let round = 0; round < 10; round++) {
    const { cmdSN } = initiator.session;
    const text = await send(initiator, TAKEN);
    const command = await initiator.start({ cdb: testUnitReady() });
    await send(initiator, TAKEN, { cmdSN });
    assert.equal((await initiator.expect(OPCODE_TEXT_RESPONSE)).initiatorTaskTag, text);
    assert.equal((await initiator.finish(command)).status, 0);
    assert.equal((await initiator.ping()).expCmdSN, cmdSN + 2);
  }
});

test("RFC 7143 7.3: a part of a text that is rejected ahead of its turn leaves a gap when that has come", async () => {
  const initiator = await target.login();
  const { cmdSN } = initiator.session;
  await send(initiator, TAKEN, { cmdSN: cmdSN + 1, flags: FLAG_CONTINUE, targetTransferTag: 7 });
  const last = await initiator.start({ cdb: testUnitReady(), fields: { cmdSN: cmdSN + 2 } });
  const first = await initiator.start({ cdb: testUnitReady(), fields: { cmdSN } });
  // Status leaves at the end of the turn, as the Reject does.
  const opcodes = [await initiator.receive(), await initiator.receive()].map(({ opcode }) => opcode);
  assert.deepEqual(opcodes.sort(), [OPCODE_SCSI_RESPONSE, OPCODE_REJECT].sort());
  initiator.forget(first);
  assert.equal((await initiator.ping()).expCmdSN, cmdSN + 1);
  initiator.session.cmdSN = cmdSN + 1;
  await send(initiator, TAKEN);
  initiator.session.cmdSN = cmdSN + 3;
  assert.equal((await initiator.finish(last)).status, 0);
});

test("RFC 7143 11.5.1: a Text Request may be aborted while it is looked at; it has no answer then, or has had one", async () => {
  const initiator = await target.login();
  for (let round = 0; round < 10; round++) {
    const { cmdSN } = initiator.session;
    const referencedTaskTag = await send(initiator, TAKEN);
    await initiator.send({
      opcode: 0x02,
      immediate: true,
      flags: FLAG_FINAL | ABORT_TASK,
      lun: 0,
      referencedTaskTag,
      refCmdSN: cmdSN,
    });
    let pdu = await initiator.receive();
    if (pdu.opcode === OPCODE_TEXT_RESPONSE) pdu = await initiator.receive();
    assert.equal(pdu.opcode, OPCODE_TASK_MANAGEMENT_RESPONSE);
    assert.equal((await initiator.ping()).expCmdSN, cmdSN + 1);
    await initiator.good({ cdb: testUnitReady() });
    // When this is answered, nobody looks at the aborted one any more: of those that wait there may be a few only.
    await initiator.text({});
  }
});
