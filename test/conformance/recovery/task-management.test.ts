/** Task management where tasks outlive their connection or their response (RFC 7143 sections 7.11, 7.14, 11.5.1). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import {
  FLAG_FINAL,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_NOP_IN,
  OPCODE_R2T,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
  TAG_NONE,
} from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { TARGET_NAME } from "../../support/target.js";
import {
  ABORT_TASK,
  ABORT_TASK_SET,
  FUNCTION_COMPLETE,
  FUNCTION_REJECTED,
  LOGICAL_UNIT_RESET,
  TASK_DOES_NOT_EXIST,
  TASK_REASSIGN,
} from "../../support/task-management.js";
import { pattern, startTarget } from "../full-feature/fixture.js";
import { join } from "./fixture.js";

const LOGOUT_FOR_RECOVERY = 2;
/** ATTR field. */
const ORDERED = 2;
const KEYS = {
  MaxConnections: "4",
  InitialR2T: "Yes",
  ImmediateData: "No",
  DefaultTime2Wait: "0",
  DefaultTime2Retain: "20",
};

const target = startTarget({
  session: "errorRecoveryLevel: 2, maxConnections: 4, defaultTime2Wait: 0, defaultTime2Retain: 20",
});

/** Takes the place of the connection with CID 0, which is logged out for recovery by that. */
async function rejoin(first: RawInitiator): Promise<RawInitiator> {
  const connection = await RawInitiator.connect(target.running.port, { session: first.session });
  await connection.login({ targetName: TARGET_NAME, cid: 0 });
  return connection;
}

const naming = ({ initiatorTaskTag, cmdSN }: RawTask) => ({ referencedTaskTag: initiatorTaskTag, refCmdSN: cmdSN });

describe("ErrorRecoveryLevel above 0", () => {
  for (const ErrorRecoveryLevel of ["1", "2"]) {
    test(`7.11: ABORT TASK after the response: Task Does Not Exist, level ${ErrorRecoveryLevel}`, async () => {
      const initiator = await target.login({ ...KEYS, ErrorRecoveryLevel });
      // The response is sent, and is not acknowledged before the request that follows it.
      const task = await initiator.start({ cdb: testUnitReady() });
      await initiator.finish(task);
      const response = await initiator.taskManagement(ABORT_TASK, { ...naming(task), expStatSN: task.end!.statSN });
      assert.equal(response.response, TASK_DOES_NOT_EXIST);
    });
  }

  test("11.5.1: ABORT TASK on another connection: the status that was not acknowledged comes again, then the response", async () => {
    for (const options of [{ cdb: testUnitReady() }, { cdb: read10(0, 8), read: 4096 }]) {
      const first = await target.login({ ...KEYS, ErrorRecoveryLevel: "2" });
      const task = await first.start(options);
      // It comes, and is not acknowledged.
      while ((await first.receive()).opcode !== OPCODE_SCSI_RESPONSE);
      first.destroy();
      const second = await rejoin(first);
      second.strict = false;
      await second.send({
        opcode: 0x02,
        immediate: true,
        flags: 0x80 | ABORT_TASK,
        lun: 0,
        ...naming(task),
      });
      const status = await second.expect(OPCODE_SCSI_RESPONSE);
      assert.deepEqual([status.initiatorTaskTag, status.status], [task.initiatorTaskTag, 0]);
      assert.equal((await second.expect(OPCODE_TASK_MANAGEMENT_RESPONSE)).response, FUNCTION_COMPLETE);
      assert.equal((await second.taskManagement(TASK_REASSIGN, naming(task))).response, TASK_DOES_NOT_EXIST);
      second.destroy();
    }
  });

  test("4.2.3.3: after ABORT TASK SET nothing of the tasks comes any more, though their connection has failed", async () => {
    const first = await target.login({ ...KEYS, ErrorRecoveryLevel: "2" });
    const answered = await first.start({ cdb: testUnitReady() });
    const writing = await first.start({ cdb: write10(0, 8), write: pattern(4096), leaveR2Ts: true });
    await first.expect(OPCODE_SCSI_RESPONSE);
    await first.expect(OPCODE_R2T);
    first.destroy();
    const second = await rejoin(first);
    assert.equal((await second.taskManagement(ABORT_TASK_SET)).response, FUNCTION_COMPLETE);
    for (const task of [answered, writing]) {
      const response = await second.taskManagement(TASK_REASSIGN, { referencedTaskTag: task.initiatorTaskTag });
      assert.equal(response.response, TASK_DOES_NOT_EXIST);
    }
    await second.good({ cdb: testUnitReady() });
    second.destroy();
  });

  for (const [name, code] of [
    ["ABORT TASK SET", ABORT_TASK_SET],
    ["LOGICAL UNIT RESET", LOGICAL_UNIT_RESET],
  ] as const) {
    test(`4.2.3.3: ${name} counts what was answered before as ended: if that is lost with its connection, it is not sent again`, async () => {
      const first = await target.login({ ...KEYS, ErrorRecoveryLevel: "2" });
      const second = await join(target, first, 1);
      second.answerPings = false;
      await first.command({ cdb: testUnitReady() });
      const answered = await second.start({ cdb: testUnitReady(), attribute: ORDERED });
      await second.finish(answered);
      const pending = first.taskManagement(code);
      // The response of the function waits for the other one to be acknowledged.
      await second.expect(OPCODE_NOP_IN);
      second.destroy();
      assert.equal((await pending).response, FUNCTION_COMPLETE);
      const third = await join(target, first, 1);
      const referencedTaskTag = answered.initiatorTaskTag;
      assert.equal((await third.taskManagement(TASK_REASSIGN, { referencedTaskTag })).response, TASK_DOES_NOT_EXIST);
      await third.command({ cdb: testUnitReady() });
      await third.good({ cdb: testUnitReady(), attribute: ORDERED });
      for (const connection of [first, third]) connection.destroy();
    });
  }

  test("4.2.3.3: so it is with what somebody else's LOGICAL UNIT RESET has ended", async () => {
    const first = await target.login({ ...KEYS, ErrorRecoveryLevel: "2" });
    const second = await join(target, first, 1);
    second.answerPings = false;
    const other = await target.login();
    await first.command({ cdb: testUnitReady() });
    const answered = await second.start({ cdb: testUnitReady() });
    await second.finish(answered);
    assert.equal((await other.taskManagement(LOGICAL_UNIT_RESET)).response, FUNCTION_COMPLETE);
    second.destroy();
    const third = await join(target, first, 1);
    const referencedTaskTag = answered.initiatorTaskTag;
    assert.equal((await third.taskManagement(TASK_REASSIGN, { referencedTaskTag })).response, TASK_DOES_NOT_EXIST);
    for (const connection of [first, third]) connection.destroy();
  });

  test("11.5.1: what ABORT TASK has ended is not reassigned, although its response was dropped by a Logout for recovery", async () => {
    const first = await target.login({ ...KEYS, ErrorRecoveryLevel: "2" });
    const second = await join(target, first, 1);
    const { cmdSN } = second.session;
    const command = { opcode: OPCODE_SCSI_COMMAND, flags: FLAG_FINAL | ORDERED, lun: 0, cdb: testUnitReady() };
    const tag = second.newTag();
    const aborting = { opcode: 0x02, immediate: true, flags: 0x80 | ABORT_TASK, lun: 0 };
    await second.together(() => [
      second.send({ ...command, initiatorTaskTag: tag }),
      second.send({ ...aborting, referencedTaskTag: tag, refCmdSN: cmdSN }),
      second.send({ opcode: OPCODE_LOGOUT_REQUEST, immediate: true, flags: FLAG_FINAL | LOGOUT_FOR_RECOVERY, cid: 1 }),
    ]);
    const opcodes = (await second.receiveUntilClosed()).map(({ opcode }) => opcode);
    assert.deepEqual(opcodes, [OPCODE_TASK_MANAGEMENT_RESPONSE, OPCODE_LOGOUT_RESPONSE]);
    assert.equal((await first.taskManagement(TASK_REASSIGN, { referencedTaskTag: tag })).response, TASK_DOES_NOT_EXIST);
    await first.good({ cdb: testUnitReady() });
    first.destroy();
  });

  test("7.14: immediate commands end with their connection", async () => {
    const first = await target.login({ ...KEYS, ErrorRecoveryLevel: "2" });
    const begin = async (immediate: boolean) => {
      const task = await first.start({ cdb: write10(0, 8), write: pattern(4096), leaveR2Ts: true, immediate });
      await first.expect(OPCODE_R2T);
      return task.initiatorTaskTag;
    };
    const [immediate, ordinary] = [await begin(true), await begin(false)];
    first.destroy();
    const second = await rejoin(first);
    const reassign = async (referencedTaskTag: number) =>
      (await second.taskManagement(TASK_REASSIGN, { referencedTaskTag })).response;
    assert.deepEqual([await reassign(immediate), await reassign(ordinary)], [TASK_DOES_NOT_EXIST, FUNCTION_COMPLETE]);
    second.destroy();
  });

  test("7.14: a function that waits for commands before it ends with its connection", async () => {
    const first = await target.login({ ...KEYS, ErrorRecoveryLevel: "2" });
    const second = await join(target, first, 1);
    const task = await second.start({ cdb: write10(0, 8), write: pattern(4096), immediateLength: 0, leaveR2Ts: true });
    const r2t = await second.expect(OPCODE_R2T);
    const { cmdSN } = first.session;
    first.session.cmdSN = cmdSN + 1;
    const function_ = { opcode: 0x02, immediate: true, flags: 0x80 | ABORT_TASK_SET, referencedTaskTag: TAG_NONE };
    await first.send({ ...function_, lun: 0 });
    await first.ping();
    first.destroy();
    const third = await rejoin(first);
    // What it waits for comes, and the task that it would have ended goes on.
    second.strict = false;
    await second.good({ cdb: testUnitReady(), fields: { cmdSN } });
    await second.answerR2T(task, r2t);
    assert.equal((await second.finish(task)).status, 0);
    for (const connection of [second, third]) connection.destroy();
  });

  test("11.5.1: TASK REASSIGN of a task management function is rejected", async () => {
    const initiator = await target.login({ ...KEYS, ErrorRecoveryLevel: "2" });
    await initiator.start({ cdb: write10(0, 8), write: pattern(4096), leaveR2Ts: true });
    await initiator.expect(OPCODE_R2T);
    const header = await initiator.send({
      opcode: 0x02,
      immediate: true,
      flags: 0x80 | ABORT_TASK_SET,
      lun: 0,
      referencedTaskTag: TAG_NONE,
    });
    const referencedTaskTag = header.readUInt32BE(16);
    assert.equal((await initiator.taskManagement(TASK_REASSIGN, { referencedTaskTag })).response, FUNCTION_REJECTED);
    initiator.destroy();
  });
});
