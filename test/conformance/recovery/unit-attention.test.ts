/** What is told of tasks that ended with their connection (RFC 7143 section 11.14.5): once, for the units that it concerns. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import { OPCODE_ASYNC_MESSAGE, OPCODE_R2T, OPCODE_SCSI_RESPONSE, parseSense } from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { BLOCK_BYTES, pattern, startTarget } from "../full-feature/fixture.js";
import { join } from "./fixture.js";

const ORDERED = 2;
const SESSION = "errorRecoveryLevel: 2, maxConnections: 4, defaultTime2Wait: 0, defaultTime2Retain: 1";
const KEYS = {
  MaxConnections: "4",
  InitialR2T: "Yes",
  ImmediateData: "No",
  DefaultTime2Wait: "0",
  DefaultTime2Retain: "1",
};
const CLEARED = { key: 6, asc: 0x47, ascq: 0x7f };

const target = startTarget({ session: SESSION });

/** WRITEs that wait for their data, so that an ORDERED command behind them has to wait for its turn. */
async function startWrites(initiator: RawInitiator, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await initiator.start({ cdb: write10(i * 8, 8), write: pattern(8 * BLOCK_BYTES), leaveR2Ts: true });
    await initiator.expect(OPCODE_R2T);
  }
}

describe("a connection that breaks at ErrorRecoveryLevel 1", () => {
  test("is told to the command that waited for its tasks, and to no other", async () => {
    const first = await target.login({ ...KEYS, ErrorRecoveryLevel: "1" });
    const second = await join(target, first, 1);
    await startWrites(first, 3);
    const waiting = await second.start({ cdb: testUnitReady(), attribute: ORDERED });
    await second.ping();
    first.destroy();
    const { status, sense } = await second.finish(waiting);
    assert.equal(status, 2);
    const { key, asc, ascq } = parseSense(sense);
    assert.deepEqual({ key, asc, ascq }, CLEARED);
    await second.good({ cdb: testUnitReady() });
    second.destroy();
  });
});

describe("a connection that breaks at ErrorRecoveryLevel 2 and is not recovered", () => {
  test("is told of no task whose status was sent", async () => {
    const first = await target.login({ ...KEYS, ErrorRecoveryLevel: "2" });
    const second = await join(target, first, 1);
    // The response comes, and is not acknowledged.
    await first.start({ cdb: read10(0, 8), read: 8 * BLOCK_BYTES });
    while ((await first.receive()).opcode !== OPCODE_SCSI_RESPONSE);
    first.destroy();
    await second.expect(OPCODE_ASYNC_MESSAGE);
    await setTimeout(3500);
    await second.good({ cdb: testUnitReady() });
    second.destroy();
  });
});
