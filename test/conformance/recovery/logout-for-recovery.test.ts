/** Logout with reason code 2, "remove the connection for recovery", while commands are pending (RFC 7143 sections 11.14 and 11.15). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import { FLAG_FINAL, OPCODE_LOGOUT_REQUEST, OPCODE_LOGOUT_RESPONSE, OPCODE_R2T } from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { BLOCK_BYTES, pattern, startTarget } from "../full-feature/fixture.js";
import { join, reassign } from "./fixture.js";

const REMOVE_FOR_RECOVERY = 2;
const CLOSED = 0;
const CID_NOT_FOUND = 1;
const WRITES = 6;
const READS = 6;
const BLOCKS = 64;
const TIME2WAIT = 1;
const TIME2RETAIN = 20;

const KEYS = {
  ErrorRecoveryLevel: "2",
  MaxConnections: "2",
  InitialR2T: "Yes",
  ImmediateData: "No",
  DefaultTime2Wait: String(TIME2WAIT),
  DefaultTime2Retain: String(TIME2RETAIN),
};

const target = startTarget({
  session: "errorRecoveryLevel: 2, maxConnections: 2, defaultTime2Wait: 1, defaultTime2Retain: 20",
});

/** WRITEs that wait for their data, and READs whose data is on its way. */
async function pending(initiator: RawInitiator): Promise<RawTask[]> {
  const tasks: RawTask[] = [];
  for (let i = 0; i < WRITES; i++) {
    const write = pattern(BLOCKS * BLOCK_BYTES, i);
    tasks.push(await initiator.start({ cdb: write10(i * BLOCKS, BLOCKS), write, leaveR2Ts: true }));
    await initiator.expect(OPCODE_R2T);
  }
  const read = BLOCKS * BLOCK_BYTES;
  // None of them is acknowledged, should it end meanwhile.
  const fields = { expStatSN: initiator.expStatSN! };
  for (let i = 0; i < READS; i++) {
    tasks.push(await initiator.start({ cdb: read10(4096 + i * BLOCKS, BLOCKS), read, fields }));
  }
  return tasks;
}

/** All of them end on this connection, one by one. */
async function endOn(connection: RawInitiator, tasks: readonly RawTask[]): Promise<void> {
  for (const task of tasks) {
    assert.equal(await reassign(connection, task.initiatorTaskTag), 0);
    connection.adopt(task, { leaveR2Ts: false });
    assert.equal((await connection.finish(task)).status, 0);
  }
  for (let i = 0; i < WRITES; i++) {
    const data = await connection.good({ cdb: read10(i * BLOCKS, BLOCKS), read: BLOCKS * BLOCK_BYTES });
    assert.ok(data.equals(pattern(BLOCKS * BLOCK_BYTES, i)));
  }
}

test("of itself: the response, with both times, is the last that comes; its commands go on elsewhere", async () => {
  const first = await target.login(KEYS);
  const second = await join(target, first, 1);
  const tasks = await pending(first);
  const response = await first.logout(REMOVE_FOR_RECOVERY);
  assert.equal(response.response, CLOSED);
  assert.deepEqual([response.field("time2Wait"), response.field("time2Retain")], [TIME2WAIT, TIME2RETAIN]);
  assert.deepEqual(await first.receiveUntilClosed(), []);
  await endOn(
    second,
    tasks.filter(({ end }) => end === undefined),
  );
  second.destroy();
});

test("of another one, which works: it is closed before the response, and its commands go on here", async () => {
  const first = await target.login(KEYS);
  const second = await join(target, first, 1);
  const tasks = await pending(first);
  // In its turn: all of them have come.
  await second.good({ cdb: testUnitReady() });
  await second.send({
    opcode: OPCODE_LOGOUT_REQUEST,
    immediate: true,
    flags: FLAG_FINAL | REMOVE_FOR_RECOVERY,
    cid: first.cid,
    expStatSN: first.expStatSN!,
  });
  let response = await second.receive();
  // Asynchronous Message 2 tells of the connection, too.
  if (response.opcode !== OPCODE_LOGOUT_RESPONSE) response = await second.expect(OPCODE_LOGOUT_RESPONSE);
  assert.equal(response.response, CLOSED);
  first.destroy();
  await endOn(second, tasks);
  second.destroy();
});

test("of one that was removed already, or never was: CID not found", async () => {
  const first = await target.login(KEYS);
  const second = await join(target, first, 1);
  const [task] = await pending(first);
  for (const [cid, response] of [
    [first.cid, CLOSED],
    [first.cid, CID_NOT_FOUND],
    [77, CID_NOT_FOUND],
  ] as const) {
    await second.send({
      opcode: OPCODE_LOGOUT_REQUEST,
      immediate: true,
      flags: FLAG_FINAL | REMOVE_FOR_RECOVERY,
      cid,
      expStatSN: first.expStatSN!,
    });
    let pdu = await second.receive();
    if (pdu.opcode !== OPCODE_LOGOUT_RESPONSE) pdu = await second.expect(OPCODE_LOGOUT_RESPONSE);
    assert.equal(pdu.response, response);
  }
  assert.equal(await reassign(second, task!.initiatorTaskTag), 0);
  second.destroy();
  first.destroy();
});
