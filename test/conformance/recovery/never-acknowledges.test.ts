/**
 * Initiators that never acknowledge what they were sent (ExpStatSN stands still): what is kept for them is bounded, and they keep nothing
 * from others (RFC 7143 sections 4.2.2.2 and 11.16).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { read10, testUnitReady } from "../../support/cdb.js";
import { OPCODE_NOP_IN, OPCODE_NOP_OUT, OPCODE_REJECT, OPCODE_SCSI_RESPONSE, TAG_NONE } from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { startTarget } from "../full-feature/fixture.js";
import { REASON_SNACK_REJECT, SNACK_STATUS, snack } from "./fixture.js";

const KEYS = { ErrorRecoveryLevel: "1", MaxRecvDataSegmentLength: "262144" };
/** So many tasks a shard has, and so many statuses a session keeps. */
const TASKS_MAX = 4096;
const RETAINED_MAX = 192;
const TASK_SET_FULL = 0x28;
/** Patience with those that hold what others wait for, and some more. */
const SERVED_WITHIN_MS = 12_000;

const target = startTarget({ session: "errorRecoveryLevel: 2" });

/** So many commands that end with GOOD, none of whose statuses is acknowledged. */
async function run(initiator: RawInitiator, count: number, expStatSN: number): Promise<void> {
  for (let sent = 0; sent < count; ) {
    const burst = Math.min(32, count - sent);
    for (let i = 0; i < burst; i++) await initiator.start({ cdb: testUnitReady(), fields: { expStatSN } });
    for (let i = 0; i < burst; i++) await initiator.expect(OPCODE_SCSI_RESPONSE);
    sent += burst;
  }
}

/** It answers no pings: that would be an acknowledgment. */
async function stubborn(): Promise<{ readonly initiator: RawInitiator; readonly expStatSN: number }> {
  const initiator = await target.login(KEYS, { strict: false });
  await initiator.command({ cdb: testUnitReady() });
  initiator.answerPings = false;
  return { initiator, expStatSN: initiator.expStatSN! };
}

test("as many statuses are kept as there is room for: the others are not sent again, and everything else goes on", async () => {
  const { initiator, expStatSN } = await stubborn();
  const count = 3 * RETAINED_MAX;
  await run(initiator, count, expStatSN);
  await initiator.send(snack(SNACK_STATUS, { begRun: expStatSN, runLength: 1, expStatSN }));
  assert.equal((await initiator.expect(OPCODE_REJECT)).field("reason"), REASON_SNACK_REJECT);
  // All from a given one on: what is kept comes, the Reject among it, and that this is not all is told.
  const first = (expStatSN + count - RETAINED_MAX - 2) >>> 0;
  await initiator.send(snack(SNACK_STATUS, { begRun: first, runLength: 0, expStatSN }));
  for (let kept = 1; kept < RETAINED_MAX; kept++) await initiator.expect(OPCODE_SCSI_RESPONSE);
  for (const statSN of [expStatSN + count, expStatSN + count + 1]) {
    const reject = await initiator.expect(OPCODE_REJECT);
    assert.deepEqual([reject.statSN, reject.field("reason")], [statSN >>> 0, REASON_SNACK_REJECT]);
  }
  const last = (expStatSN + count - 1) >>> 0;
  await initiator.send(snack(SNACK_STATUS, { begRun: last, runLength: 1, expStatSN }));
  assert.equal((await initiator.expect(OPCODE_SCSI_RESPONSE)).statSN, last);
  await run(initiator, 8, expStatSN);
});

test("many of them at once do not take all tasks: they are ended when others wait", async () => {
  const peers = [];
  for (let taken = 0; taken < TASKS_MAX; taken += RETAINED_MAX) {
    const peer = await stubborn();
    await run(peer.initiator, Math.min(RETAINED_MAX, TASKS_MAX - taken), peer.expStatSN);
    peers.push(peer.initiator);
  }
  const witness = await target.login();
  const deadline = performance.now() + SERVED_WITHIN_MS;
  const refusals = [];
  for (;;) {
    const { status } = await witness.command({ cdb: read10(0, 8), read: 4096 });
    if (status === 0) break;
    refusals.push(status);
    assert.ok(performance.now() < deadline, "it is served in the end");
    await setTimeout(100);
  }
  assert.ok(refusals.every((status) => status === TASK_SET_FULL || status === 0x08));
  for (const peer of peers) peer.destroy();
});

test("nor all buffers, with pings", async () => {
  const ping = Buffer.alloc(262_144, 7);
  const peers = [];
  for (let i = 0; i < 6; i++) {
    const { initiator, expStatSN } = await stubborn();
    for (let j = 0; j < 100; j++) {
      await initiator.send({ opcode: OPCODE_NOP_OUT, immediate: true, targetTransferTag: TAG_NONE, expStatSN }, ping);
      if ((await initiator.receive()).opcode !== OPCODE_NOP_IN) break;
    }
    peers.push(initiator);
  }
  const witness = await target.login({ MaxRecvDataSegmentLength: "262144" });
  const blocks = 2048;
  const data = await witness.good({ cdb: read10(0, blocks), read: blocks * 512 }, SERVED_WITHIN_MS);
  assert.equal(data.length, blocks * 512);
  for (const peer of peers) peer.destroy();
});
