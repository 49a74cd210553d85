/** Two connections during recovery in a session that has one otherwise (RFC 7143 sections 4.2.1 and 13.2). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { read10, write10 } from "../../support/cdb.js";
import { FLAG_FINAL, OPCODE_LOGOUT_REQUEST, OPCODE_LOGOUT_RESPONSE, OPCODE_R2T } from "../../support/pdu.js";
import { LoginRefusedError } from "../../support/raw-initiator.js";
import { BLOCK_BYTES, pattern, startTarget } from "../full-feature/fixture.js";
import { join, reassign } from "./fixture.js";

const REMOVE_FOR_RECOVERY = 2;
const BLOCKS = 8;
const KEYS = {
  ErrorRecoveryLevel: "2",
  MaxConnections: "1",
  InitialR2T: "Yes",
  ImmediateData: "No",
  DefaultTime2Wait: "0",
  DefaultTime2Retain: "20",
};

const target = startTarget({ session: "errorRecoveryLevel: 2, defaultTime2Wait: 0, defaultTime2Retain: 20" });

test("4.2.1: beside a connection that has failed there is room for one: it logs the other out and takes its tasks over", async () => {
  const first = await target.login(KEYS);
  await assert.rejects(join(target, first, 1), LoginRefusedError, "not while the first one is there");
  const write = pattern(BLOCKS * BLOCK_BYTES, 31);
  const task = await first.start({ cdb: write10(0, BLOCKS), write, leaveR2Ts: true });
  await first.expect(OPCODE_R2T);
  first.destroy();
  await target.running.waitForLog(/connection lost, its tasks wait/);
  const second = await join(target, first, 1);
  await assert.rejects(join(target, first, 0), LoginRefusedError, "the room is taken");
  await second.send({
    opcode: OPCODE_LOGOUT_REQUEST,
    immediate: true,
    flags: FLAG_FINAL | REMOVE_FOR_RECOVERY,
    cid: 0,
    expStatSN: first.expStatSN!,
  });
  assert.equal((await second.expect(OPCODE_LOGOUT_RESPONSE)).response, 0);
  assert.equal(await reassign(second, task.initiatorTaskTag), 0);
  second.adopt(task, { leaveR2Ts: false });
  assert.equal((await second.finish(task)).status, 0);
  assert.deepEqual(await second.good({ cdb: read10(0, BLOCKS), read: write.length }), write);
  second.destroy();
});
