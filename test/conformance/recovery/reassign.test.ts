/** TASK REASSIGN after a connection has failed (RFC 7143 sections 7.2.2, 11.5 and 11.14). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { read10, write10 } from "../../support/cdb.js";
import {
  FLAG_FINAL,
  OPCODE_DATA_IN,
  OPCODE_DATA_OUT,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_R2T,
  OPCODE_SCSI_RESPONSE,
} from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import { TASK_REASSIGN } from "../../support/task-management.js";
import { BLOCK_BYTES, pattern, startTarget } from "../full-feature/fixture.js";

const KEYS = {
  ErrorRecoveryLevel: "2",
  MaxConnections: "4",
  InitialR2T: "Yes",
  ImmediateData: "No",
  DefaultTime2Wait: "0",
  DefaultTime2Retain: "5",
};
/** On a machine that is busy. */
const MARGIN_MS = 10_000;
const SESSION = "errorRecoveryLevel: 2, maxConnections: 4, defaultTime2Wait: 0, defaultTime2Retain: 5";

const target = startTarget({ session: SESSION });

/** A further connection of the session; with the CID of a failed one it takes its place. */
async function join(first: RawInitiator, cid: number): Promise<RawInitiator> {
  const connection = await RawInitiator.connect(target.running.port, { session: first.session });
  await connection.login({ targetName: TARGET_NAME, cid, keys: {} });
  return connection;
}

async function reassign(connection: RawInitiator, tag: number, expDataSN = 0): Promise<number> {
  const response = await connection.taskManagement(TASK_REASSIGN, { referencedTaskTag: tag, expDataSN });
  return response.response;
}

/** Resolves when the target says this of the session, with the time at which it did. */
async function logged({ session }: RawInitiator, what: string): Promise<number> {
  const { running } = target;
  const { sessionId } = JSON.parse(await running.waitForLog(new RegExp(`"tsih":${session.tsih},.*"logged in"`)));
  return JSON.parse(await running.waitForLog(new RegExp(`"sessionId":${sessionId},.*${what}`))).time;
}

describe("a connection that is reinstated", () => {
  test("gives its reads to the new connection", async () => {
    const first = await target.login(KEYS);
    const data = pattern(64 * BLOCK_BYTES, 3);
    await first.good({ cdb: write10(0, 64), write: data });
    const task = await first.start({ cdb: read10(0, 64), read: data.length });
    first.destroy();
    const second = await join(first, 0);
    assert.equal(await reassign(second, task.initiatorTaskTag), 0);
    second.adopt(task);
    const { status, data: received } = await second.finish(task);
    assert.equal(status, 0);
    assert.deepEqual(received, data);
    second.destroy();
  });

  test("what ExpDataSN has acknowledged stays so, and the sequences of Data-In are as they were (sections 11.5.6 and 13.13)", async () => {
    const segment = 8192;
    const first = await target.login({ ...KEYS, MaxBurstLength: String(2 * segment) });
    const data = pattern(4 * segment, 8);
    const blocks = data.length / BLOCK_BYTES;
    await first.good({ cdb: write10(0, blocks), write: data });
    const task = await first.start({ cdb: read10(0, blocks), read: data.length });
    while ((await first.receive()).opcode !== OPCODE_SCSI_RESPONSE);
    let connection = first;
    for (const expDataSN of [1, 0]) {
      connection.destroy();
      connection = await join(first, 0);
      connection.strict = false;
      assert.equal(await reassign(connection, task.initiatorTaskTag, expDataSN), 0);
      const pdus = [];
      for (let pdu = await connection.receive(); pdu.opcode === OPCODE_DATA_IN; pdu = await connection.receive()) {
        pdus.push([pdu.field("dataSN"), pdu.field("bufferOffset") / segment, pdu.final]);
      }
      assert.deepEqual(
        pdus,
        [1, 2, 3].map((dataSN) => [dataSN, dataSN, dataSN % 2 === 1]),
        `ExpDataSN ${expDataSN}`,
      );
    }
    connection.destroy();
  });

  test("leaves the tags of what had ended on it free, acknowledged or not (section 11.12.9)", async () => {
    const first = await target.login(KEYS);
    const ended = await first.start({ cdb: read10(0, 1), read: BLOCK_BYTES });
    await first.finish(ended);
    first.destroy();
    const second = await join(first, 0);
    const fields = { initiatorTaskTag: ended.initiatorTaskTag };
    await second.good({ cdb: read10(0, 1), read: BLOCK_BYTES, fields });
    second.destroy();
  });

  test("gives its writes: what is missing is asked for anew", async () => {
    const first = await target.login(KEYS);
    const data = pattern(128 * BLOCK_BYTES, 5);
    const task = await first.start({ cdb: write10(256, 128), write: data, leaveR2Ts: true });
    const r2t = await first.expect(OPCODE_R2T);
    assert.ok(r2t.field("desiredDataTransferLength") > 0);
    first.destroy();
    const second = await join(first, 0);
    second.adopt(task, { leaveR2Ts: false });
    assert.equal(await reassign(second, task.initiatorTaskTag), 0);
    assert.equal((await second.finish(task)).status, 0);
    assert.deepEqual(await second.good({ cdb: read10(256, 128), read: data.length }), data);
    second.destroy();
  });

  test("a sequence of which a part has come: the same R2T asks for the rest", async () => {
    const first = await target.login(KEYS);
    const data = pattern(16 * BLOCK_BYTES, 6);
    const task = await first.start({ cdb: write10(448, 16), write: data, leaveR2Ts: true });
    const r2t = await first.expect(OPCODE_R2T);
    const half = data.length / 2;
    const { initiatorTaskTag } = task;
    await first.send(
      { opcode: OPCODE_DATA_OUT, flags: 0, lun: 0, initiatorTaskTag, targetTransferTag: r2t.targetTransferTag },
      data.subarray(0, half),
    );
    await first.ping();
    first.destroy();
    const second = await join(first, 0);
    assert.equal(await reassign(second, initiatorTaskTag), 0);
    const again = await second.expect(OPCODE_R2T);
    assert.deepEqual(
      (["r2tSN", "bufferOffset", "desiredDataTransferLength"] as const).map((field) => again.field(field)),
      [0, half, half],
    );
    second.adopt(task);
    await second.answerR2T(task, again);
    assert.equal((await second.finish(task)).status, 0);
    assert.deepEqual(await second.good({ cdb: read10(448, 16), read: data.length }), data);
    second.destroy();
  });

  test("gives a command whose status was lost", async () => {
    const first = await target.login(KEYS);
    const data = pattern(8 * BLOCK_BYTES, 7);
    const task = await first.start({ cdb: write10(512, 8), write: data, leaveR2Ts: true });
    const r2t = await first.expect(OPCODE_R2T);
    await first.answerR2T(task, r2t);
    // It comes, and is not acknowledged.
    await first.expect(OPCODE_SCSI_RESPONSE);
    first.destroy();
    const second = await join(first, 0);
    assert.equal(await reassign(second, task.initiatorTaskTag), 0);
    second.adopt(task);
    assert.equal((await second.finish(task)).status, 0);
    second.destroy();
  });
});

describe("TASK REASSIGN is answered", () => {
  test("1, task does not exist", async () => {
    const first = await target.login(KEYS);
    assert.equal(await reassign(first, 0x12345), 1);
  });

  test("3, task still allegiant, before the connection is logged out", async () => {
    const first = await target.login(KEYS);
    const second = await join(first, 1);
    const task = await first.start({ cdb: write10(0, 8), write: pattern(4096), leaveR2Ts: true });
    await first.expect(OPCODE_R2T);
    assert.equal(await reassign(second, task.initiatorTaskTag), 3);
    first.destroy();
    await logged(first, "connection lost, its tasks wait");
    assert.equal(await reassign(second, task.initiatorTaskTag), 3, "it has failed, but nobody has logged it out");
    await second.send({
      opcode: OPCODE_LOGOUT_REQUEST,
      immediate: true,
      flags: FLAG_FINAL | 2,
      cid: 0,
      expStatSN: first.expStatSN!,
    });
    const logout = await second.expect(OPCODE_LOGOUT_RESPONSE);
    assert.equal(logout.response, 0);
    assert.equal(await reassign(second, task.initiatorTaskTag), 0);
    second.adopt(task, { leaveR2Ts: false });
    assert.equal((await second.finish(task)).status, 0);
  });

  test("4, not supported, at ErrorRecoveryLevel 1", async () => {
    const first = await target.login({ ...KEYS, ErrorRecoveryLevel: "1" });
    assert.equal(await reassign(first, 1), 4);
  });
});

for (const [time2Wait, time2Retain] of [
  [0, 5],
  [3, 2],
] as const) {
  test(`tasks that are not reassigned in ${time2Wait} + ${time2Retain} s are ended, and the session with them`, () =>
    endsInTime(time2Wait, time2Retain));
}

async function endsInTime(time2Wait: number, time2Retain: number): Promise<void> {
  const first = await target.login({
    ...KEYS,
    DefaultTime2Wait: String(time2Wait),
    DefaultTime2Retain: String(time2Retain),
  });
  const retainedMs = (time2Wait + time2Retain) * 1000;
  await first.start({ cdb: write10(0, 8), write: pattern(4096), leaveR2Ts: true });
  await first.expect(OPCODE_R2T);
  const lostAtMs = Date.now();
  first.destroy();
  const tookMs = (await logged(first, "its tasks were not reassigned in time")) - lostAtMs;
  // A timer may fire a millisecond early.
  assert.ok(tookMs >= retainedMs - 1 && tookMs < retainedMs + MARGIN_MS, `${tookMs} ms`);
  await assert.rejects(join(first, 0), /020ah/);
}
