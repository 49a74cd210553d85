/** ExpStatSN of a Logout Request is that of "the connection to be closed", over whichever it comes (RFC 7143 section 11.14.4). */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FLAG_FINAL,
  OPCODE_ASYNC_MESSAGE,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_SCSI_RESPONSE,
} from "../../support/pdu.js";
import { FUNCTION_COMPLETE, TASK_DOES_NOT_EXIST } from "../../support/task-management.js";
import { startTarget } from "../full-feature/fixture.js";
import { join, reassign, SNACK_STATUS, snack, unacknowledged } from "./fixture.js";

const REMOVE_FOR_RECOVERY = 2;
const COMMANDS = 6;
const KEYS = {
  ErrorRecoveryLevel: "2",
  MaxConnections: "2",
  DefaultTime2Wait: "0",
  DefaultTime2Retain: "20",
};

const target = startTarget({
  session: "errorRecoveryLevel: 2, maxConnections: 2, defaultTime2Wait: 0, defaultTime2Retain: 20",
});

test("it acknowledges what the connection to be closed has sent, and nothing of the one that it comes over", async () => {
  const first = await target.login(KEYS);
  const second = await join(target, first, 1);
  const gone = await unacknowledged(first, COMMANDS);
  const kept = await unacknowledged(second, COMMANDS);
  // Of the six the first four were received. As a number it would acknowledge some of the other connection's, too.
  const expStatSN = gone.expStatSN + 4;
  assert.ok(expStatSN > kept.expStatSN && expStatSN <= second.expStatSN!);
  await second.send({
    opcode: OPCODE_LOGOUT_REQUEST,
    immediate: true,
    flags: FLAG_FINAL | REMOVE_FOR_RECOVERY,
    cid: first.cid,
    expStatSN,
  });
  let response = await second.receive();
  if (response.opcode === OPCODE_ASYNC_MESSAGE) response = await second.receive();
  assert.equal(response.opcode, OPCODE_LOGOUT_RESPONSE);
  first.destroy();

  second.strict = false;
  await second.send(snack(SNACK_STATUS, { begRun: kept.expStatSN, runLength: COMMANDS, expStatSN: kept.expStatSN }));
  for (let i = 0; i < COMMANDS; i++) {
    const again = await second.expect(OPCODE_SCSI_RESPONSE);
    assert.deepEqual([again.statSN, again.initiatorTaskTag], [kept.expStatSN + i, kept.tags[i]]);
  }
  for (const [i, tag] of gone.tags.entries()) {
    assert.equal(await reassign(second, tag), i < 4 ? TASK_DOES_NOT_EXIST : FUNCTION_COMPLETE, `command ${i}`);
    if (i >= 4) assert.equal((await second.expect(OPCODE_SCSI_RESPONSE)).initiatorTaskTag, tag);
  }
  second.destroy();
});
