/** A session whose last connection has failed (RFC 7143 sections 6.3.6, 8.2.2 and 8.3.4: Q4, FAILED): continued, not continued, reinstated. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import { OPCODE_R2T } from "../../support/pdu.js";
import { SessionNumbers } from "../../support/raw-connection.js";
import { LoginRefusedError, RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { TARGET_NAME } from "../../support/target.js";
import { FUNCTION_COMPLETE, TASK_DOES_NOT_EXIST } from "../../support/task-management.js";
import { BLOCK_BYTES, pattern, startTarget } from "../full-feature/fixture.js";
import { join, reassign } from "./fixture.js";

const BLOCKS = 8;
const KEYS = {
  ErrorRecoveryLevel: "2",
  InitialR2T: "Yes",
  ImmediateData: "No",
  DefaultTime2Wait: "0",
  DefaultTime2Retain: "20",
};

const target = startTarget({ session: "errorRecoveryLevel: 2, defaultTime2Wait: 0, defaultTime2Retain: 20" });

/** A session with a WRITE that waits for its data, and whose connection is gone. */
async function failed(write: Buffer): Promise<{ first: RawInitiator; task: RawTask }> {
  const first = await target.login(KEYS);
  const task = await first.start({ cdb: write10(0, BLOCKS), write, leaveR2Ts: true });
  await first.expect(OPCODE_R2T);
  first.destroy();
  return { first, task };
}

test("8.2.2 M3, 8.3.4 N8: a login that was to continue it and fails leaves it as it was; the next one continues it (N7, N10)", async () => {
  const write = pattern(BLOCKS * BLOCK_BYTES, 21);
  const { first, task } = await failed(write);
  for (let i = 0; i < 3; i++) {
    const attempt = await RawInitiator.connect(target.running.port, { session: first.session });
    // A key for leading connections only.
    const login = attempt.login({ targetName: TARGET_NAME, cid: 0, keys: { MaxConnections: "2" } });
    await assert.rejects(login, LoginRefusedError);
    await attempt.receiveUntilClosed();
    // In the middle of its login another one just goes away.
    const other = await RawInitiator.connect(target.running.port, { session: first.session });
    await other.loginRequest({
      stage: 1,
      keys: { InitiatorName: "iqn.2026-11.io.ringlun:test", SessionType: "Normal", TargetName: TARGET_NAME },
    });
    other.destroy();
  }
  const second = await join(target, first, 0);
  assert.equal(await reassign(second, task.initiatorTaskTag), FUNCTION_COMPLETE);
  second.adopt(task, { leaveR2Ts: false });
  assert.equal((await second.finish(task)).status, 0);
  assert.deepEqual(await second.good({ cdb: read10(0, BLOCKS), read: write.length }), write);
  second.destroy();
});

test("8.3.4 N6, N11: a login of its nexus with TSIH 0 ends it, and its tasks", async () => {
  const { first, task } = await failed(pattern(BLOCKS * BLOCK_BYTES, 22));
  const { isid, tsih } = first.session;
  const session = new SessionNumbers({ isid, initiatorTaskTag: 1000 });
  const next = await RawInitiator.connect(target.running.port, { session });
  await next.login({ targetName: TARGET_NAME, keys: KEYS });
  assert.notEqual(session.tsih, tsih);
  assert.equal(await reassign(next, task.initiatorTaskTag), TASK_DOES_NOT_EXIST);
  await next.good({ cdb: testUnitReady() });
  await assert.rejects(join(target, first, 0), LoginRefusedError, "the old session is gone");
  next.destroy();
});
