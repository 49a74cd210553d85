/** Task attributes (RFC 7143 section 11.3.1; SAM-5), and what the Control mode page says of them. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { modeSense10, read10, testUnitReady, write10 } from "../../support/cdb.js";
import { OPCODE_R2T, parseSense } from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { pattern, startTarget } from "./fixture.js";

const UNTAGGED = 0;
const SIMPLE = 1;
const ORDERED = 2;
const HEAD_OF_QUEUE = 3;
const ACA = 4;

const BYTES = 4096;
const BLOCKS = 8;
const NACA = 0x04;

for (const workers of [1, 2]) {
  describe(`task attributes, ${workers} shard(s)`, () => {
    const target = startTarget({ workers, luns: { 0: "disk", 1: "other" } });

    async function logIn(): Promise<RawInitiator> {
      const initiator = await target.login({ ImmediateData: "No", InitialR2T: "Yes" });
      for (const lun of [0, 1]) await initiator.command({ cdb: testUnitReady(), lun });
      return initiator;
    }

    /** A WRITE that runs until its data is sent. */
    async function hold(initiator: RawInitiator, attribute: number, fill: number): Promise<() => Promise<void>> {
      const task = await initiator.start({
        cdb: write10(0, BLOCKS),
        write: pattern(BYTES, fill),
        attribute,
        leaveR2Ts: true,
      });
      const r2t = await initiator.expect(OPCODE_R2T);
      assert.equal(r2t.initiatorTaskTag, task.initiatorTaskTag);
      return async () => {
        await initiator.answerR2T(task, r2t);
        assert.equal((await initiator.finish(task)).status, 0);
      };
    }

    const read = (initiator: RawInitiator, attribute: number, lun = 0): Promise<RawTask> =>
      initiator.start({ cdb: read10(0, BLOCKS), read: BYTES, attribute, lun });

    async function assertWaiting(initiator: RawInitiator, ...tasks: readonly RawTask[]): Promise<void> {
      // What had been begun would have answered before.
      for (let i = 0; i < 3; i++) await initiator.ping();
      for (const task of tasks) assert.deepEqual([task.end, task.received, task.r2ts.length], [undefined, 0, 0]);
    }

    it("ORDERED waits for older tasks, and younger SIMPLE and untagged ones wait for it", async () => {
      const initiator = await logIn();
      const endOlder = await hold(initiator, SIMPLE, 1);
      const ordered = await initiator.start({ cdb: write10(0, BLOCKS), write: pattern(BYTES, 2), attribute: ORDERED });
      const younger = [await read(initiator, SIMPLE), await read(initiator, UNTAGGED)];
      await assertWaiting(initiator, ordered, ...younger);
      await endOlder();
      assert.equal((await initiator.finish(ordered)).status, 0);
      for (const task of younger) assert.ok((await initiator.finish(task)).data.equals(pattern(BYTES, 2)));
    });

    it("SIMPLE and untagged tasks overtake each other", async () => {
      const initiator = await logIn();
      for (const attribute of [SIMPLE, UNTAGGED]) {
        const endOlder = await hold(initiator, attribute, 3);
        for (const younger of [SIMPLE, UNTAGGED]) {
          assert.equal((await initiator.finish(await read(initiator, younger))).status, 0);
        }
        await endOlder();
      }
    });

    it("HEAD OF QUEUE waits for nothing, and passes those that wait", async () => {
      const initiator = await logIn();
      await initiator.good({ cdb: write10(0, BLOCKS), write: pattern(BYTES, 4) });
      const endOlder = await hold(initiator, ORDERED, 5);
      const waiting = [await read(initiator, ORDERED), await read(initiator, SIMPLE)];
      const head = await initiator.finish(await read(initiator, HEAD_OF_QUEUE));
      assert.ok(head.data.equals(pattern(BYTES, 4)), "what was there before the WRITE that is under way");
      await assertWaiting(initiator, ...waiting);
      await endOlder();
      for (const task of waiting) assert.ok((await initiator.finish(task)).data.equals(pattern(BYTES, 5)));
    });

    it("tasks of other units and of other sessions do not wait: a task set is an I_T_L nexus' own", async () => {
      const [initiator, other] = [await logIn(), await logIn()];
      const end = await hold(initiator, ORDERED, 6);
      assert.equal((await initiator.finish(await read(initiator, ORDERED, 1))).status, 0);
      for (const attribute of [SIMPLE, ORDERED]) {
        assert.equal((await other.finish(await read(other, attribute))).status, 0);
      }
      await end();
    });

    it("an ORDERED task that is aborted while it waits holds nobody up", async () => {
      const initiator = await logIn();
      const end = await hold(initiator, SIMPLE, 7);
      const ordered = await read(initiator, ORDERED);
      const younger = await read(initiator, SIMPLE);
      const abort = { referencedTaskTag: ordered.initiatorTaskTag, refCmdSN: ordered.cmdSN, lun: 0 };
      assert.equal((await initiator.taskManagement(1, abort)).response, 0);
      initiator.forget(ordered);
      assert.equal((await initiator.finish(younger)).status, 0);
      await end();
    });

    it("ACA is refused, as there is no ACA condition, and nothing is done", async () => {
      const initiator = await logIn();
      await initiator.good({ cdb: write10(0, BLOCKS), write: pattern(BYTES, 8) });
      const write = { cdb: write10(0, BLOCKS), write: pattern(BYTES, 9), attribute: ACA };
      const { status, sense } = await initiator.command(write);
      const { key, asc, ascq } = parseSense(sense);
      assert.deepEqual([status, key, asc, ascq], [2, 5, 0x49, 0]);
      assert.ok((await initiator.good({ cdb: read10(0, BLOCKS), read: BYTES })).equals(pattern(BYTES, 8)));
    });

    it("NACA=1 is INVALID FIELD IN CDB, with a pointer to it, and nothing is done", async () => {
      const initiator = await logIn();
      await initiator.good({ cdb: write10(0, BLOCKS), write: pattern(BYTES, 10) });
      const cdb = write10(0, BLOCKS);
      cdb[9] = NACA;
      const { status, sense } = await initiator.command({ cdb, write: pattern(BYTES, 11) });
      const { key, asc, ascq } = parseSense(sense);
      assert.deepEqual([status, key, asc, ascq], [2, 5, 0x24, 0]);
      assert.equal(sense.toString("hex", 15, 18), "ca0009", "SKSV, C/D, BPV, bit 2 of byte 9");
      assert.ok((await initiator.good({ cdb: read10(0, BLOCKS), read: BYTES })).equals(pattern(BYTES, 10)));
    });

    it("the Control mode page says so: TST=001b, QUEUE ALGORITHM MODIFIER 1, QERR and TAS 0", async () => {
      const initiator = await logIn();
      const cdb = modeSense10(0x0a);
      cdb[1] = 0x08;
      const page = (await initiator.good({ cdb, read: 1024 })).subarray(8);
      assert.equal(page[2]! >> 5, 1, "TST: a task set for each I_T nexus");
      assert.equal(page[3]! >> 4, 1, "QUEUE ALGORITHM MODIFIER: unrestricted reordering of SIMPLE tasks");
      assert.equal((page[3]! >> 1) & 3, 0, "QERR: other tasks go on where one ends with CHECK CONDITION");
      assert.equal((page[5]! >> 6) & 1, 0, "TAS: tasks that others abort end without a status");
    });
  });
}
