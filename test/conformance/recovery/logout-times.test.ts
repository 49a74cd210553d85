/** Time2Wait and Time2Retain of Logout Responses at ErrorRecoveryLevel 2 (RFC 7143 sections 11.15.3 and 11.15.4). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { write10 } from "../../support/cdb.js";
import {
  FLAG_FINAL,
  OPCODE_ASYNC_MESSAGE,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_R2T,
} from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";
import { TASK_DOES_NOT_EXIST } from "../../support/task-management.js";
import { pattern, startTarget } from "../full-feature/fixture.js";
import { join, reassign } from "./fixture.js";

const CLOSE_SESSION = 0;
const CLOSE_CONNECTION = 1;
const REMOVE_FOR_RECOVERY = 2;

const CLOSED = 0;
const CID_NOT_FOUND = 1;

const TIME2WAIT = 1;
const TIME2RETAIN = 20;

const KEYS = { ErrorRecoveryLevel: "2", MaxConnections: "2" };

/** [Response, Time2Wait, Time2Retain] */
async function logout(connection: RawInitiator, reason: number, cid: number): Promise<number[]> {
  await connection.send({ opcode: OPCODE_LOGOUT_REQUEST, immediate: true, flags: FLAG_FINAL | reason, cid });
  const pdu = await connection.expect(OPCODE_LOGOUT_RESPONSE);
  return [pdu.response, pdu.field("time2Wait"), pdu.field("time2Retain")];
}

describe("times of a Logout Response (RFC 7143 sections 11.15.3, 11.15.4)", () => {
  const target = startTarget({
    session: `errorRecoveryLevel: 2, maxConnections: 2, defaultTime2Wait: ${TIME2WAIT}, defaultTime2Retain: ${TIME2RETAIN}`,
  });
  const keys = { ...KEYS, DefaultTime2Wait: String(TIME2WAIT), DefaultTime2Retain: String(TIME2RETAIN) };

  /** Two connections; a command waits for its data on the second one. */
  async function connections() {
    const first = await target.login(keys);
    const second = await join(target, first, 1);
    const options = { cdb: write10(0, 8), write: pattern(4096), immediateLength: 0, unsolicitedLength: 0 };
    const task = await second.start({ ...options, leaveR2Ts: true });
    await second.expect(OPCODE_R2T);
    return { first, second, tag: task.initiatorTaskTag };
  }

  it("of another connection that is closed: nothing is retained, and both are 0", async () => {
    const { first, second, tag } = await connections();
    assert.deepEqual(await logout(first, CLOSE_CONNECTION, 1), [CLOSED, 0, 0]);
    assert.equal(await reassign(first, tag), TASK_DOES_NOT_EXIST);
    second.destroy();
  });

  it("of the connection itself that is closed: likewise", async () => {
    const { second } = await connections();
    assert.deepEqual(await logout(second, CLOSE_CONNECTION, 1), [CLOSED, 0, 0]);
  });

  it("of the session that is closed: likewise", async () => {
    const { first } = await connections();
    assert.deepEqual(await logout(first, CLOSE_SESSION, 0), [CLOSED, 0, 0]);
  });

  it("of a connection that is removed for recovery: those that hold for reassignment", async () => {
    const { first, second, tag } = await connections();
    assert.deepEqual(await logout(second, REMOVE_FOR_RECOVERY, 1), [CLOSED, TIME2WAIT, TIME2RETAIN]);
    assert.equal(await reassign(first, tag), 0);
  });

  it("of a connection that is removed for recovery while the target stops: nothing is retained", async () => {
    const stopping = await RunningTarget.start({ session: "errorRecoveryLevel: 2, maxConnections: 2" });
    const first = await RawInitiator.connect(stopping.port);
    await first.login({ targetName: TARGET_NAME, keys });
    const stopped = stopping.stop();
    await first.expect(OPCODE_ASYNC_MESSAGE);
    assert.deepEqual(await logout(first, REMOVE_FOR_RECOVERY, 0), [CLOSED, 0, 0]);
    await stopped;
  });

  it("of a connection that there is not: both are 0, whatever is asked for", async () => {
    const { first } = await connections();
    for (const reason of [CLOSE_CONNECTION, REMOVE_FOR_RECOVERY]) {
      assert.deepEqual(await logout(first, reason, 4711), [CID_NOT_FOUND, 0, 0]);
    }
  });
});
