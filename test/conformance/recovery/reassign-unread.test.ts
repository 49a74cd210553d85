/** TASK REASSIGN (RFC 7143 section 7.2.2) to a connection that does not read: however often, a session holds no more than it may. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { read10, testUnitReady } from "../../support/cdb.js";
import { FLAG_FINAL, OPCODE_LOGOUT_REQUEST, OPCODE_NOP_IN, OPCODE_NOP_OUT, TAG_NONE } from "../../support/pdu.js";
import { TASK_REASSIGN } from "../../support/task-management.js";
import { startTarget } from "../full-feature/fixture.js";
import { join } from "./fixture.js";

const REMOVE_FOR_RECOVERY = 2;
/** More than a session keeps of status that is not acknowledged. */
const COMMANDS = 200;
const GENERATIONS = 4;
const GOOD = 0x00;
const TASK_SET_FULL = 0x28;
const READ_BLOCKS = 2048;
/** Far more than fits into the buffers of both sockets. */
const READS = 14;

const target = startTarget({ session: "maxConnections: 4, errorRecoveryLevel: 2" });

test("status that is taken over by a connection that does not read, again and again", async () => {
  const keys = { MaxConnections: "4", ErrorRecoveryLevel: "2", MaxRecvDataSegmentLength: "262144" };
  const unread = await target.login(keys, { strict: false });
  await unread.command({ cdb: testUnitReady() });
  unread.pause();
  for (let i = 0; i < READS; i++) await unread.start({ cdb: read10(0, READ_BLOCKS), read: READ_BLOCKS * 512 });

  const statuses = new Set<number>();
  for (let cid = 1; cid <= GENERATIONS; cid++) {
    const failing = await join(target, unread, cid);
    failing.answerPings = false;
    const acknowledged = failing.expStatSN!;
    const tags: number[] = [];
    for (let i = 0; i < COMMANDS; i++) {
      const { task, status } = await failing.command({ cdb: testUnitReady(), fields: { expStatSN: acknowledged } });
      statuses.add(status);
      tags.push(task.initiatorTaskTag);
    }
    failing.destroy();
    await sleep(200);
    await unread.send({ opcode: OPCODE_LOGOUT_REQUEST, immediate: true, flags: FLAG_FINAL | REMOVE_FOR_RECOVERY, cid });
    for (const referencedTaskTag of tags) {
      await unread.sendTaskManagement(TASK_REASSIGN, { referencedTaskTag });
    }
    await sleep(200);
  }
  assert.deepEqual([...statuses], [GOOD, TASK_SET_FULL]);
  // It goes on as soon as it reads.
  unread.resume();
  const again = await join(target, unread, GENERATIONS + 1);
  const ping = await unread.send({ opcode: OPCODE_NOP_OUT, immediate: true, targetTransferTag: TAG_NONE });
  let received = await unread.receive();
  while (received.opcode !== OPCODE_NOP_IN || received.initiatorTaskTag !== ping.readUInt32BE(16)) {
    received = await unread.receive();
  }
  await again.good({ cdb: read10(0, 1), read: 512 });
  const witness = await target.login();
  await witness.good({ cdb: read10(0, 1), read: 512 });
});
