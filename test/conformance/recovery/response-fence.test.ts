/**
 * Response fences (RFC 7143 section 4.2.2.3.3) where responses are asked for again, or are taken over by another connection: one that
 * the fence holds does not pass it (sections 7.2.2 and 11.16.3), one that was sent before is not held.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { read10, testUnitReady } from "../../support/cdb.js";
import {
  OPCODE_DATA_IN,
  OPCODE_NOP_IN,
  OPCODE_NOP_OUT,
  OPCODE_SCSI_RESPONSE,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
  type ReceivedPdu,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { ABORT_TASK, ABORT_TASK_SET, FUNCTION_COMPLETE, LOGICAL_UNIT_RESET } from "../../support/task-management.js";
import { BLOCK_BYTES, startTarget } from "../full-feature/fixture.js";
import { join, reassign, SNACK_R_DATA, snack } from "./fixture.js";

const CHECK_CONDITION = 2;
/** Two Data-In PDUs. */
const BLOCKS = 32;
const READ = { cdb: read10(0, BLOCKS), read: BLOCKS * BLOCK_BYTES };
const SNACK_TAG = 0x55;

const KEYS = {
  ErrorRecoveryLevel: "2",
  MaxConnections: "4",
  DefaultTime2Wait: "0",
  DefaultTime2Retain: "20",
};
const target = startTarget({
  session: "errorRecoveryLevel: 2, maxConnections: 4, defaultTime2Wait: 0, defaultTime2Retain: 20",
});

interface Fenced {
  readonly first: RawInitiator;
  readonly second: RawInitiator;
  /** Acknowledges what the fence waits for. */
  readonly lower: () => Promise<void>;
}

/** A session whose first connection has had the response of a function, and does not acknowledge it: what is ready meanwhile is held. */
async function fenced(): Promise<Fenced> {
  const first = await target.login(KEYS);
  const second = await join(target, first, 1);
  for (const connection of [first, second]) {
    connection.strict = false;
    connection.answerPings = false;
  }
  await first.good({ cdb: testUnitReady() });
  const pending = first.taskManagement(ABORT_TASK_SET);
  await second.answerPing(await second.expect(OPCODE_NOP_IN));
  await pending;
  const asked = await first.expect(OPCODE_NOP_IN);
  return { first, second, lower: () => first.answerPing(asked) };
}

/** All that has come before the answer to a ping. */
async function receiveBeforePing(connection: RawInitiator): Promise<ReceivedPdu[]> {
  const ping = await connection.send({ opcode: OPCODE_NOP_OUT, immediate: true, targetTransferTag: TAG_NONE });
  const pdus: ReceivedPdu[] = [];
  for (;;) {
    const pdu = await connection.receive();
    if (pdu.initiatorTaskTag === ping.readUInt32BE(16)) return pdus;
    pdus.push(pdu);
  }
}

const opcodesOf = (pdus: readonly ReceivedPdu[]): number[] => pdus.map(({ opcode }) => opcode);

for (const [name, options, dataPdus] of [
  ["a READ", READ, 2],
  ["a command without data", { cdb: testUnitReady() }, 0],
] as const) {
  const data = Array.from({ length: dataPdus }, () => OPCODE_DATA_IN);

  test(`${name} whose response is held, and an R-Data SNACK for it: data comes anew, the response, with the tag, when the fence is down`, async () => {
    const { first, second, lower } = await fenced();
    const { initiatorTaskTag } = await second.start(options);
    for (const opcode of data) await second.expect(opcode);
    assert.deepEqual(await receiveBeforePing(second), []);
    await second.send(snack(SNACK_R_DATA, { initiatorTaskTag, targetTransferTag: SNACK_TAG }));
    assert.deepEqual(opcodesOf(await receiveBeforePing(second)), data);
    await lower();
    const response = await second.expect(OPCODE_SCSI_RESPONSE);
    assert.deepEqual([response.initiatorTaskTag, response.field("snackTag")], [initiatorTaskTag, SNACK_TAG]);
    assert.deepEqual(await receiveBeforePing(second), []);
    for (const connection of [first, second]) connection.destroy();
  });

  test(`${name} whose response is held, reassigned to another connection: it is held there`, async () => {
    const { first, second, lower } = await fenced();
    const { initiatorTaskTag } = await second.start(options);
    await receiveBeforePing(second);
    second.destroy();
    const third = await join(target, first, 1, { strict: false });
    assert.equal(await reassign(third, initiatorTaskTag), FUNCTION_COMPLETE);
    assert.ok(!opcodesOf(await receiveBeforePing(third)).includes(OPCODE_SCSI_RESPONSE));
    await lower();
    const response = await third.receive();
    for (const connection of [first, third]) connection.destroy();
    assert.deepEqual([response.opcode, response.initiatorTaskTag], [OPCODE_SCSI_RESPONSE, initiatorTaskTag]);
  });
}

test("an R-Data SNACK for a response that the fence waits for: it comes, and then that of the function", async () => {
  const first = await target.login(KEYS, { strict: false });
  const second = await join(target, first, 1, { strict: false });
  for (const connection of [first, second]) connection.answerPings = false;
  await first.good({ cdb: testUnitReady() });
  const { initiatorTaskTag } = await second.start(READ);
  const statSN = second.expStatSN!;
  while ((await second.receive()).opcode !== OPCODE_SCSI_RESPONSE);
  const pending = first.taskManagement(ABORT_TASK_SET);
  const asked = await second.expect(OPCODE_NOP_IN);
  const request = { initiatorTaskTag, targetTransferTag: SNACK_TAG, expStatSN: statSN };
  await second.send(snack(SNACK_R_DATA, request));
  for (let dataSN = 0; dataSN < 2; dataSN++) await second.expect(OPCODE_DATA_IN);
  const response = await second.expect(OPCODE_SCSI_RESPONSE);
  assert.deepEqual([response.field("snackTag"), response.statSN], [SNACK_TAG, statSN]);
  await second.answerPing(asked);
  assert.equal((await pending).response, FUNCTION_COMPLETE);
  for (const connection of [first, second]) connection.destroy();
});

for (const when of ["while it is held", "when nothing holds it any more"]) {
  test(`a unit attention that is held, reassigned to another connection ${when}: it is fenced there, and what follows waits for it`, async () => {
    const { first, second, lower } = await fenced();
    const other = await target.login();
    assert.equal((await other.taskManagement(LOGICAL_UNIT_RESET)).response, FUNCTION_COMPLETE);
    const { initiatorTaskTag } = await second.start({ cdb: testUnitReady() });
    await receiveBeforePing(second);
    second.destroy();
    const third = await join(target, first, 1, { strict: false });
    third.answerPings = false;
    if (when === "while it is held") {
      assert.equal(await reassign(third, initiatorTaskTag), FUNCTION_COMPLETE);
      await lower();
    } else {
      await lower();
      // Each acknowledges what has come before.
      for (const connection of [first, third, first, third]) await receiveBeforePing(connection);
      assert.equal(await reassign(third, initiatorTaskTag), FUNCTION_COMPLETE);
    }
    // It waits for all that has come here, too, which is acknowledged by what comes next.
    for (let i = 0; i < 2; i++) await receiveBeforePing(first);
    const told = await third.expect(OPCODE_SCSI_RESPONSE);
    assert.deepEqual([told.initiatorTaskTag, told.status], [initiatorTaskTag, CHECK_CONDITION]);
    const next = await first.start({ cdb: testUnitReady() });
    assert.ok(!opcodesOf(await receiveBeforePing(first)).includes(OPCODE_SCSI_RESPONSE));
    await third.answerPing(await third.expect(OPCODE_NOP_IN));
    assert.equal((await first.finish(next)).status, 0);
    // That one is not fenced: it need not be acknowledged.
    await third.start({ cdb: testUnitReady() });
    assert.ok(opcodesOf(await receiveBeforePing(third)).includes(OPCODE_SCSI_RESPONSE));
    for (const connection of [first, third]) connection.destroy();
  });
}

test("ABORT TASK on another connection of one whose response was held: it was never sent, and is not (section 11.5.1)", async () => {
  const { first, second, lower } = await fenced();
  const { initiatorTaskTag, cmdSN } = await second.start({ cdb: testUnitReady() });
  await receiveBeforePing(second);
  second.destroy();
  const third = await join(target, first, 1, { strict: false });
  await third.sendTaskManagement(ABORT_TASK, { referencedTaskTag: initiatorTaskTag, refCmdSN: cmdSN });
  assert.equal((await third.expect(OPCODE_TASK_MANAGEMENT_RESPONSE)).response, FUNCTION_COMPLETE);
  await lower();
  await receiveBeforePing(first);
  assert.deepEqual(await receiveBeforePing(third), []);
  for (const connection of [first, third]) connection.destroy();
});
