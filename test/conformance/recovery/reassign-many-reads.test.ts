/** READs of more than a connection may hold go on after TASK REASSIGN (RFC 7143 section 7.2.2), those too that had to wait. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { read10 } from "../../support/cdb.js";
import { parseSense } from "../../support/pdu.js";
import type { RawTask } from "../../support/raw-task.js";
import { BLOCK_BYTES, startTarget } from "../full-feature/fixture.js";
import { join, reassign } from "./fixture.js";

const TASKS = 64;
const BLOCKS = 1024;
const SESSION = "errorRecoveryLevel: 2, maxConnections: 4, defaultTime2Wait: 0, defaultTime2Retain: 20";
const KEYS = {
  ErrorRecoveryLevel: "2",
  MaxConnections: "4",
  DefaultTime2Wait: "0",
  DefaultTime2Retain: "20",
  MaxRecvDataSegmentLength: "262144",
};
const SNACK_REJECTED = { key: 0x0b, asc: 0x11, ascq: 0x13 };
const target = startTarget({ session: SESSION });

test(`${TASKS} READs of ${(BLOCKS * BLOCK_BYTES) / 1024} KiB are reassigned, and end`, async () => {
  const first = await target.login(KEYS);
  first.pause();
  const tasks: RawTask[] = [];
  for (let i = 0; i < TASKS; i++) {
    tasks.push(await first.start({ cdb: read10(i, BLOCKS), read: BLOCKS * BLOCK_BYTES }));
  }
  // The target has all of them.
  const other = await join(target, first, 1);
  while ((await other.ping()).expCmdSN !== first.session.cmdSN);
  first.destroy();
  const second = await join(target, first, 0, { strict: false });
  for (const task of tasks) {
    second.adopt(task);
    assert.equal(await reassign(second, task.initiatorTaskTag), 0);
  }
  let good = 0;
  for (const task of tasks) {
    const { status, sense, data } = await second.finish(task);
    if (status === 0) {
      assert.equal(data.length, BLOCKS * BLOCK_BYTES);
      good++;
    } else {
      // Of those that had been sent in full not all are kept for so long.
      const { key, asc, ascq } = parseSense(sense);
      assert.deepEqual({ key, asc, ascq }, SNACK_REJECTED);
    }
  }
  assert.ok(good > 0);
  for (const connection of [second, other]) connection.destroy();
});
