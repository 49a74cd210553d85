/** While data is sent anew after an R-Data SNACK (RFC 7143 sections 11.16.3 and 11.16.5). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
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
import type { RawTask } from "../../support/raw-task.js";
import { ABORT_TASK_SET } from "../../support/task-management.js";
import { BLOCK_BYTES, pattern, startTarget } from "../full-feature/fixture.js";
import { join, SNACK_DATA_R2T, SNACK_R_DATA, SNACK_STATUS, snack } from "./fixture.js";

const BLOCKS = 64;
const SNACK_TAG = 0x77;
const target = startTarget({ session: "errorRecoveryLevel: 1, initialR2T: false, maxConnections: 2" });

/** A READ whose response has come, and is not acknowledged. */
async function readUnacknowledged(): Promise<{ initiator: RawInitiator; task: RawTask; statSN: number }> {
  const keys = { ErrorRecoveryLevel: "1", MaxConnections: "2", MaxRecvDataSegmentLength: "4096" };
  const initiator = await target.login(keys, { strict: false });
  await initiator.good({ cdb: write10(0, BLOCKS), write: pattern(BLOCKS * BLOCK_BYTES, 1) });
  await initiator.ping();
  const statSN = initiator.expStatSN!;
  const task = await initiator.start({ cdb: read10(0, BLOCKS), read: BLOCKS * BLOCK_BYTES });
  while ((await initiator.receive()).opcode !== OPCODE_SCSI_RESPONSE);
  return { initiator, task, statSN };
}

function resegment(initiator: RawInitiator, task: RawTask, statSN: number): Promise<Buffer> {
  const fields = { initiatorTaskTag: task.initiatorTaskTag, targetTransferTag: SNACK_TAG, expStatSN: statSN };
  return initiator.send(snack(SNACK_R_DATA, fields));
}

/** Receives all that was asked for. */
async function drain(initiator: RawInitiator): Promise<void> {
  const ping = await initiator.send({ opcode: OPCODE_NOP_OUT, targetTransferTag: TAG_NONE });
  while ((await initiator.receive()).initiatorTaskTag !== ping.readUInt32BE(16));
}

/** Up to the response with the SNACK Tag. */
async function receiveAnew(initiator: RawInitiator): Promise<{ data: ReceivedPdu[]; response: ReceivedPdu }> {
  const data: ReceivedPdu[] = [];
  for (;;) {
    const pdu = await initiator.receive();
    if (pdu.opcode === OPCODE_DATA_IN) data.push(pdu);
    else if (pdu.opcode === OPCODE_SCSI_RESPONSE && pdu.field("snackTag") === SNACK_TAG) return { data, response: pdu };
  }
}

describe("while data is sent anew", () => {
  test("a status that was asked for before does not go ahead of it: its ExpDataSN counts all of the data", async () => {
    const { initiator, task, statSN } = await readUnacknowledged();
    await initiator.together(() => [
      initiator.send(snack(SNACK_STATUS, { begRun: statSN, runLength: 1, expStatSN: statSN })),
      resegment(initiator, task, statSN),
    ]);
    const { data, response } = await receiveAnew(initiator);
    assert.equal(response.field("expDataSN"), data.length);
    assert.equal(Buffer.concat(data.map((pdu) => pdu.data)).length, BLOCKS * BLOCK_BYTES);
  });

  test("its response is acknowledged, as it was sent before, while it waits for a response fence: that is all", async () => {
    const witness = await target.login();
    const { initiator, task, statSN } = await readUnacknowledged();
    const second = await join(target, initiator, 1);
    const aborting = { opcode: 0x02, immediate: true, flags: 0x80 | ABORT_TASK_SET, referencedTaskTag: TAG_NONE };
    await second.send({ ...aborting, lun: 0 });
    // It is fenced, and a NOP-In asks for what it waits for.
    while ((await initiator.receive()).opcode !== OPCODE_NOP_IN);
    await resegment(initiator, task, statSN);
    await initiator.send({
      opcode: OPCODE_NOP_OUT,
      immediate: true,
      targetTransferTag: TAG_NONE,
      expStatSN: statSN + 1,
    });
    while ((await initiator.receive()).opcode !== OPCODE_NOP_IN);
    await second.expect(OPCODE_TASK_MANAGEMENT_RESPONSE);
    await witness.good({ cdb: testUnitReady() });
    for (const connection of [witness, initiator, second]) connection.destroy();
  });

  test("a format error ends the session, and no other", async () => {
    const witness = await target.login();
    const { initiator, task, statSN } = await readUnacknowledged();
    await initiator.together(() => [
      resegment(initiator, task, statSN),
      // Without F.
      initiator.send({ ...snack(SNACK_DATA_R2T, { expStatSN: statSN }), flags: 0 }),
    ]);
    await initiator.receiveUntilClosed();
    await witness.good({ cdb: testUnitReady() });
    await witness.logout();
  });

  test("retransmissions that it overtakes do not count against the initiator", async () => {
    const { initiator, task, statSN } = await readUnacknowledged();
    const rounds = 50;
    for (let round = 0; round < rounds; round++) {
      const run = { initiatorTaskTag: task.initiatorTaskTag, begRun: 0, runLength: 1, expStatSN: statSN };
      // Altogether more than the replies that may wait on a connection (CONNECTION_REPLIES_MAX).
      await initiator.together(() => [
        ...Array.from({ length: 100 }, () => initiator.send(snack(SNACK_DATA_R2T, run))),
        resegment(initiator, task, statSN),
      ]);
      await drain(initiator);
    }
  });
});
