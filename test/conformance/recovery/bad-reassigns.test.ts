/** TASK REASSIGN of what is not to be had: no task, somebody else's, one that still has its connection (RFC 7143 section 11.6.1). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { read10, write10 } from "../../support/cdb.js";
import {
  FLAG_CONTINUE,
  FLAG_FINAL,
  OPCODE_DATA_IN,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_R2T,
  OPCODE_TEXT_REQUEST,
  OPCODE_TEXT_RESPONSE,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { FUNCTION_COMPLETE, FUNCTION_REJECTED, TASK_DOES_NOT_EXIST } from "../../support/task-management.js";
import { BLOCK_BYTES, pattern, startTarget } from "../full-feature/fixture.js";
import { join, reassign } from "./fixture.js";

const STILL_ALLEGIANT = 3;

const KEYS = {
  ErrorRecoveryLevel: "2",
  MaxConnections: "4",
  InitialR2T: "Yes",
  ImmediateData: "No",
  DefaultTime2Wait: "0",
  DefaultTime2Retain: "20",
};
const BLOCKS = 8;

const target = startTarget({
  session: "errorRecoveryLevel: 2, maxConnections: 4, defaultTime2Wait: 0, defaultTime2Retain: 20",
});

/** A WRITE that waits for its data. */
async function startWrite(initiator: RawInitiator, lba: number, tag?: number): Promise<RawTask> {
  const write = pattern(BLOCKS * BLOCK_BYTES, lba);
  const fields = tag === undefined ? {} : { initiatorTaskTag: tag };
  const task = await initiator.start({ cdb: write10(lba, BLOCKS), write, leaveR2Ts: true, fields });
  await initiator.expect(OPCODE_R2T);
  return task;
}

/** The task goes on, on this connection, and ends. */
async function ends(connection: RawInitiator, task: RawTask): Promise<void> {
  assert.equal(await reassign(connection, task.initiatorTaskTag), FUNCTION_COMPLETE);
  connection.adopt(task, { leaveR2Ts: false });
  assert.equal((await connection.finish(task)).status, 0);
}

test("an unknown tag, the reserved one, and that of a command that has ended: task does not exist", async () => {
  const initiator = await target.login(KEYS);
  const { task } = await initiator.command({ cdb: read10(0, BLOCKS), read: BLOCKS * BLOCK_BYTES });
  await initiator.ping();
  for (const tag of [0, 0x7777, TAG_NONE, task.initiatorTaskTag]) {
    assert.equal(await reassign(initiator, tag), TASK_DOES_NOT_EXIST, `tag ${tag}`);
  }
});

test("a task of another session, whose connection is gone: it does not exist here, and is still there for its own", async () => {
  const owner = await target.login(KEYS);
  const stranger = await target.login(KEYS);
  const task = await startWrite(owner, 64, 0x4242);
  owner.destroy();
  assert.equal(await reassign(stranger, task.initiatorTaskTag), TASK_DOES_NOT_EXIST);
  const next = await join(target, owner, 0);
  assert.equal(await reassign(stranger, task.initiatorTaskTag), TASK_DOES_NOT_EXIST);
  await ends(next, task);
  next.destroy();
});

test("a task that still has its connection, this one or another: still allegiant, and it goes on there", async () => {
  const first = await target.login(KEYS);
  const second = await join(target, first, 1);
  const task = await startWrite(first, 128);
  assert.equal(await reassign(first, task.initiatorTaskTag), STILL_ALLEGIANT);
  assert.equal(await reassign(second, task.initiatorTaskTag), STILL_ALLEGIANT);
  first.adopt(task, { leaveR2Ts: false });
  first.destroy();
  const third = await join(target, second, 0);
  await ends(third, task);
  for (const connection of [second, third]) connection.destroy();
});

test("twice: the second time it is allegiant to its new connection", async () => {
  const first = await target.login(KEYS);
  const second = await join(target, first, 1);
  const task = await startWrite(first, 192);
  first.destroy();
  const third = await join(target, second, 0);
  assert.equal(await reassign(third, task.initiatorTaskTag), FUNCTION_COMPLETE);
  const r2t = await third.expect(OPCODE_R2T);
  for (const connection of [second, third]) {
    assert.equal(await reassign(connection, task.initiatorTaskTag), STILL_ALLEGIANT);
  }
  third.adopt(task);
  await third.answerR2T(task, r2t);
  assert.equal((await third.finish(task)).status, 0);
  for (const connection of [second, third]) connection.destroy();
});

test("a READ with an ExpDataSN of what was never sent: it is ignored, and all of the data comes (section 11.5.6)", async () => {
  const first = await target.login({ ...KEYS, MaxRecvDataSegmentLength: "4096" });
  const data = pattern(64 * BLOCK_BYTES, 11);
  await first.good({ cdb: write10(256, 64), write: data });
  let connection = first;
  for (const expDataSN of [0xffffffff, 0x80000000, 1000]) {
    const task = await connection.start({ cdb: read10(256, 64), read: data.length });
    // It has come when some of its data has.
    await connection.expect(OPCODE_DATA_IN);
    connection.destroy();
    connection = await join(target, first, 0);
    assert.equal(await reassign(connection, task.initiatorTaskTag, expDataSN), FUNCTION_COMPLETE);
    connection.adopt(task);
    assert.deepEqual((await connection.finish(task)).data, data);
  }
  await connection.logout(0);
});

test("a WRITE with an ExpDataSN of what was never sent: it is ignored, and the R2T comes again as it was (section 11.5.6)", async () => {
  const first = await target.login(KEYS);
  const second = await join(target, first, 1);
  let connection = first;
  const task = await startWrite(first, 512);
  for (const [expDataSN, r2tSN] of [
    [0xffffffff, 0],
    [1000, 0],
    [2, 0],
    // The R2T has come, says this: the next one has the next number.
    [1, 1],
    [0, 1],
  ] as const) {
    connection.destroy();
    connection = await join(target, first, 0);
    assert.equal(await reassign(connection, task.initiatorTaskTag, expDataSN), FUNCTION_COMPLETE);
    const r2t = await connection.expect(OPCODE_R2T);
    assert.equal(r2t.field("r2tSN"), r2tSN, `ExpDataSN ${expDataSN}`);
  }
  connection.destroy();
  const last = await join(target, first, 0);
  last.strict = false;
  await ends(last, task);
  for (const each of [second, last]) each.destroy();
});

test("a text negotiation, and a Logout that waits for its turn: rejected, and they go on (section 11.5.1)", async () => {
  const first = await target.login(KEYS);
  const second = await join(target, first, 1);
  const initiatorTaskTag = 0x7e87;
  const text = { opcode: OPCODE_TEXT_REQUEST, initiatorTaskTag };
  await second.send({ ...text, flags: FLAG_CONTINUE, targetTransferTag: TAG_NONE }, Buffer.from("Send"));
  const { targetTransferTag } = await second.expect(OPCODE_TEXT_RESPONSE);
  assert.equal(await reassign(first, initiatorTaskTag), FUNCTION_REJECTED);
  await second.send({ ...text, flags: FLAG_FINAL, targetTransferTag }, Buffer.from("Targets=\0"));
  assert.ok((await second.expect(OPCODE_TEXT_RESPONSE)).final);
  assert.equal(await reassign(first, initiatorTaskTag), TASK_DOES_NOT_EXIST, "the negotiation is over");

  const gap = first.session.cmdSN++;
  const logout = await second.send({ opcode: OPCODE_LOGOUT_REQUEST, flags: FLAG_FINAL | 1, cid: second.cid });
  await second.ping();
  assert.equal(await reassign(first, logout.readUInt32BE(16)), FUNCTION_REJECTED);
  await first.good({ cdb: read10(0, 1), read: BLOCK_BYTES, fields: { cmdSN: gap } });
  await second.receiveUntilClosed();
  first.destroy();
  second.destroy();
});
