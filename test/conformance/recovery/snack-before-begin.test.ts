/** R-Data SNACK of a command that waits for its turn: it is executed in its turn, and its response has the SNACK Tag (RFC 7143 section 11.16.3). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import { OPCODE_R2T } from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { BLOCK_BYTES, pattern, startTarget } from "../full-feature/fixture.js";
import { SNACK_DATA_R2T, SNACK_R_DATA, snack } from "./fixture.js";

const ORDERED = 2;
const SNACK_TAG = 0x5a5a;
const BLOCKS = 32;
const KEYS = { ErrorRecoveryLevel: "1", InitialR2T: "Yes", ImmediateData: "No", MaxRecvDataSegmentLength: "4096" };

const target = startTarget({ session: "errorRecoveryLevel: 1" });

describe("R-Data SNACK of a READ that has not begun", () => {
  async function ask(initiator: RawInitiator, task: RawTask): Promise<void> {
    const { initiatorTaskTag } = task;
    await initiator.send(snack(SNACK_R_DATA, { initiatorTaskTag, snackTag: SNACK_TAG, targetTransferTag: SNACK_TAG }));
    // All that is not acknowledged: nothing.
    await initiator.send(snack(SNACK_DATA_R2T, { initiatorTaskTag }));
    // Nothing of the command comes before the echo.
    await initiator.ping();
  }

  async function ends(initiator: RawInitiator, task: RawTask, data: Buffer): Promise<void> {
    const { status, task: ended, data: read } = await initiator.finish(task);
    assert.deepEqual([status, ended.end!.field("snackTag")], [0, SNACK_TAG]);
    assert.deepEqual(read, data);
    await initiator.good({ cdb: testUnitReady() });
  }

  test("because a command before it has not come", async () => {
    const initiator = await target.login(KEYS);
    const data = await initiator.good({ cdb: read10(0, BLOCKS), read: BLOCKS * BLOCK_BYTES });
    const gap = initiator.session.cmdSN++;
    const task = await initiator.start({ cdb: read10(0, BLOCKS), read: BLOCKS * BLOCK_BYTES });
    await ask(initiator, task);
    await initiator.good({ cdb: testUnitReady(), fields: { cmdSN: gap } });
    await ends(initiator, task, data);
  });

  test("because it is ORDERED, and an older one has not ended", async () => {
    const initiator = await target.login(KEYS);
    const write = pattern(BLOCKS * BLOCK_BYTES, 4);
    const older = await initiator.start({ cdb: write10(0, BLOCKS), write, leaveR2Ts: true });
    const r2t = await initiator.expect(OPCODE_R2T);
    const task = await initiator.start({
      cdb: read10(0, BLOCKS),
      read: BLOCKS * BLOCK_BYTES,
      attribute: ORDERED,
    });
    await ask(initiator, task);
    await initiator.answerR2T(older, r2t);
    assert.equal((await initiator.finish(older)).status, 0);
    await ends(initiator, task, write);
  });
});
