/** LOGICAL UNIT RESET over sessions and shards (RFC 7143 sections 4.2.3.2, 11.5.1; SAM-5 for what the initiators are told). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import { OPCODE_NOP_IN, OPCODE_R2T, parseSense, TAG_NONE } from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { CommandResult } from "../../support/raw-task.js";
import { LOGICAL_UNIT_RESET } from "../../support/task-management.js";
import { pattern, startTarget } from "./fixture.js";

const UNIT_ATTENTION = 6;
/** BUS DEVICE RESET FUNCTION OCCURRED */
const RESET_OCCURRED = { key: UNIT_ATTENTION, asc: 0x29, ascq: 0x03 };

for (const workers of [1, 2]) {
  describe(`LOGICAL UNIT RESET (RFC 7143 section 11.5.1), ${workers} shards`, () => {
    const target = startTarget({ workers, luns: { 0: "disk", 1: "other", 5: "disk" } });
    const noUnsolicitedData = { ImmediateData: "No", InitialR2T: "Yes" };

    /** Enough sessions that every shard has some. */
    async function sessions(): Promise<RawInitiator[]> {
      const initiators: RawInitiator[] = [];
      for (let i = 0; i < 4; i++) initiators.push(await target.login(noUnsolicitedData));
      return initiators;
    }

    function assertSense(result: CommandResult, expected: { key: number; asc: number; ascq: number }): void {
      assert.equal(result.status, 2);
      const { key, asc, ascq } = parseSense(result.sense);
      assert.deepEqual({ key, asc, ascq }, expected);
    }

    it("ends the tasks of all sessions on the unit, tells all once per LUN, and leaves other units alone", async () => {
      const initiators = await sessions();
      const asking = initiators[0]!;
      const before = await asking.good({ cdb: read10(0, 8), read: 4096 });
      const elsewhere = [];
      for (const initiator of initiators) {
        await initiator.start({ cdb: write10(0, 8), write: pattern(4096, 1), leaveR2Ts: true });
        await initiator.expect(OPCODE_R2T);
        const task = await initiator.start({ cdb: write10(0, 8), lun: 1, write: pattern(4096, 2), leaveR2Ts: true });
        elsewhere.push({ initiator, task, r2t: await initiator.expect(OPCODE_R2T) });
      }
      assert.equal((await asking.taskManagement(LOGICAL_UNIT_RESET)).response, 0);
      for (const initiator of initiators) {
        // The one reset of the unit, on each LUN that it has, of whoever asked for it too; the other unit has nothing to say.
        for (const lun of [0, 5]) {
          assertSense(await initiator.command({ cdb: testUnitReady(), lun }), RESET_OCCURRED);
          await initiator.good({ cdb: testUnitReady(), lun });
        }
        await initiator.good({ cdb: testUnitReady(), lun: 1 });
      }
      for (const { initiator, task, r2t } of elsewhere) {
        await initiator.answerR2T(task, r2t);
        assert.equal((await initiator.finish(task)).status, 0);
      }
      assert.ok((await asking.good({ cdb: read10(0, 8), read: 4096 })).equals(before));
    });

    it("data for the tasks that it has ended is dropped", async () => {
      const initiators = await sessions();
      const writing = [];
      for (const initiator of initiators) {
        const task = await initiator.start({ cdb: write10(0, 8), write: pattern(4096, 3), leaveR2Ts: true });
        writing.push({ initiator, task, r2t: await initiator.expect(OPCODE_R2T) });
      }
      const before = await initiators[0]!.good({ cdb: read10(0, 8), read: 4096 });
      assert.equal((await initiators[0]!.taskManagement(LOGICAL_UNIT_RESET)).response, 0);
      assertSense(await initiators[0]!.command({ cdb: testUnitReady() }), RESET_OCCURRED);
      for (const { initiator, task, r2t } of writing) {
        await initiator.answerR2T(task, r2t);
        await initiator.ping();
      }
      assert.ok((await initiators[0]!.good({ cdb: read10(0, 8), read: 4096 })).equals(before));
    });

    it("under load: every command ends, or its session is told of the reset", async () => {
      const [asking, ...others] = (await sessions()) as [RawInitiator, ...RawInitiator[]];
      for (let round = 0; round < 5; round++) {
        for (const initiator of others) {
          for (let i = 0; i < 16; i++) await initiator.start({ cdb: read10(i * 64, 128), read: 65_536 });
        }
        assert.equal((await asking.taskManagement(LOGICAL_UNIT_RESET)).response, 0);
        for (const initiator of others) {
          // Some of the reads were answered before; what is sent now comes after all of them.
          const probe = await initiator.start({ cdb: testUnitReady() });
          const end = await initiator.finish(probe);
          if (end.status !== 0) assertSense(end, RESET_OCCURRED);
        }
        assertSense(await asking.command({ cdb: testUnitReady() }), RESET_OCCURRED);
      }
    });

    it("a window that the reset has opened is told to a session that has nothing else to hear (section 11.4.11)", async () => {
      const [asking, third] = (await sessions()) as [RawInitiator, RawInitiator, ...RawInitiator[]];
      const { expCmdSN, maxCmdSN } = await third.ping();
      for (let i = 0; i <= maxCmdSN - expCmdSN; i++) {
        await third.start({ cdb: write10(i, 1), write: pattern(512, i), leaveR2Ts: true });
        await third.expect(OPCODE_R2T);
      }
      assert.equal((await asking.taskManagement(LOGICAL_UNIT_RESET)).response, 0);
      const nopIn = await third.expect(OPCODE_NOP_IN);
      assert.deepEqual([nopIn.initiatorTaskTag, nopIn.targetTransferTag], [TAG_NONE, TAG_NONE]);
      assert.deepEqual([nopIn.expCmdSN, nopIn.maxCmdSN], [maxCmdSN + 1, maxCmdSN + 256]);
      assertSense(await third.command({ cdb: testUnitReady() }), RESET_OCCURRED);
    });

    it("two at once, and the session that asked goes away meanwhile", async () => {
      const initiators = await sessions();
      await Promise.all(initiators.map((initiator) => initiator.taskManagement(LOGICAL_UNIT_RESET)));
      const gone = initiators[0]!;
      await gone.send({
        opcode: 0x02,
        immediate: true,
        flags: 0x80 | LOGICAL_UNIT_RESET,
        lun: 0,
        referencedTaskTag: TAG_NONE,
      });
      gone.destroy();
      for (const initiator of initiators.slice(1)) {
        // However many resets there were, one attention is pending; another comes with the last of them, nobody knows when.
        const statuses: number[] = [];
        for (let i = 0; i < 5; i++) statuses.push((await initiator.command({ cdb: testUnitReady() })).status);
        assert.ok(statuses.filter((status) => status !== 0).length <= 2, statuses.join());
      }
    });
  });
}
