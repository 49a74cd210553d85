/** TASK REASSIGN of a task whose response a fence holds back (RFC 7143 sections 4.2.2.3.3, 7.2.2): it has one response. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import {
  FLAG_FINAL,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_NOP_IN,
  OPCODE_NOP_OUT,
  OPCODE_R2T,
  OPCODE_SCSI_RESPONSE,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
  type ReceivedPdu,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { ABORT_TASK, ABORT_TASK_SET, TASK_REASSIGN } from "../../support/task-management.js";
import { pattern, startTarget } from "../full-feature/fixture.js";
import { join } from "./fixture.js";

const REMOVE_FOR_RECOVERY = 2;
const ORDERED = 2;

const target = startTarget({ session: "maxConnections: 4, errorRecoveryLevel: 2", luns: { 0: "disk", 1: "other" } });

async function receiveUntil(initiator: RawInitiator, opcode: number, tag?: number): Promise<ReceivedPdu> {
  for (;;) {
    const pdu = await initiator.receive();
    if (pdu.opcode === opcode && (tag === undefined || pdu.initiatorTaskTag === tag)) return pdu;
  }
}

/** A ping, which acknowledges what has come, or less. */
async function ping(initiator: RawInitiator, expStatSN = initiator.expStatSN!): Promise<void> {
  const fields = { opcode: OPCODE_NOP_OUT, immediate: true, targetTransferTag: TAG_NONE, expStatSN };
  const header = await initiator.send(fields);
  await receiveUntil(initiator, OPCODE_NOP_IN, header.readUInt32BE(16));
}

test("a task that ended on a failed connection while a fence was up", async () => {
  const keys = { MaxConnections: "4", ErrorRecoveryLevel: "2", InitialR2T: "Yes", ImmediateData: "No" };
  const failing = await target.login(keys, { strict: false });
  const busy = await join(target, failing, 1, { strict: false });
  const silent = await join(target, failing, 2, { strict: false });

  // Waits for a task of another connection.
  const ahead = await busy.start({ cdb: write10(0, 8), write: pattern(4096), immediateLength: 0, leaveR2Ts: true });
  await receiveUntil(busy, OPCODE_R2T);
  const behind = await failing.start({ cdb: testUnitReady(), attribute: ORDERED });
  await ping(failing);
  failing.destroy();
  await busy.send({
    opcode: OPCODE_LOGOUT_REQUEST,
    immediate: true,
    flags: FLAG_FINAL | REMOVE_FOR_RECOVERY,
    cid: 0,
  });
  await receiveUntil(busy, OPCODE_LOGOUT_RESPONSE);

  // A response that is fenced: on the silent connection what it was sent is not acknowledged.
  const held = await busy.sendTaskManagement(ABORT_TASK_SET, { lun: 1 });
  const aborted = await busy.taskManagement(ABORT_TASK, {
    referencedTaskTag: ahead.initiatorTaskTag,
    refCmdSN: ahead.cmdSN,
  });
  assert.equal(aborted.response, 0);
  await ping(busy);
  await ping(silent);
  await ping(silent);
  const fenced = await receiveUntil(busy, OPCODE_TASK_MANAGEMENT_RESPONSE, held);

  // The task goes on here, and its response comes when that one is acknowledged.
  await busy.sendTaskManagement(TASK_REASSIGN, {
    referencedTaskTag: behind.initiatorTaskTag,
    expStatSN: fenced.statSN,
  });
  assert.equal((await receiveUntil(busy, OPCODE_TASK_MANAGEMENT_RESPONSE)).response, 0);
  await ping(busy, fenced.statSN);
  await busy.send({
    opcode: OPCODE_NOP_OUT,
    immediate: true,
    targetTransferTag: TAG_NONE,
    expStatSN: (fenced.statSN + 1) >>> 0,
  });
  const response = await receiveUntil(busy, OPCODE_SCSI_RESPONSE);
  assert.equal(response.initiatorTaskTag, behind.initiatorTaskTag);
  await ping(busy);
  await busy.good({ cdb: read10(0, 1), read: 512 });
});
