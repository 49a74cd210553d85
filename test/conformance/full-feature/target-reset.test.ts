/** TARGET WARM RESET and TARGET COLD RESET over units, sessions and shards (RFC 7143 sections 4.2.3.2, 11.5.1, 11.6.1). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import { OPCODE_R2T, parseSense } from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import { TARGET_COLD_RESET, TARGET_WARM_RESET } from "../../support/task-management.js";
import { pattern, startTarget } from "./fixture.js";

/** UNIT ATTENTION, BUS DEVICE RESET FUNCTION OCCURRED. */
const RESET_OCCURRED = { key: 6, asc: 0x29, ascq: 0x03, information: undefined };
const OTHER_TARGET = "iqn.2026-11.io.ringlun:other";

for (const workers of [1, 2]) {
  describe(`target resets, ${workers} shard(s)`, () => {
    const target = startTarget({
      config: ({ port, httpPort }) => `
portalGroups:
  - { tag: 1, portals: ["127.0.0.1:${port}"] }
targets:
  - name: ${TARGET_NAME}
    portalGroups: [1]
    luns: { 0: one, 1: other, 2: third }
    initiators:
      - { name: "iqn.2026-11.io.ringlun:test" }
      - { name: "iqn.2026-11.io.ringlun:narrow", luns: { 0: one } }
  - { name: ${OTHER_TARGET}, portalGroups: [1], luns: { 0: apart } }
units:
  one: { file: ./one.img, size: 64MiB, cache: writeback }
  other: { file: ./other.img, size: 64MiB, cache: writeback }
  third: { file: ./third.img, size: 64MiB, cache: writeback }
  apart: { file: ./apart.img, size: 64MiB, cache: writeback }
http: { listen: "127.0.0.1:${httpPort}" }
workers: ${workers}
`,
    });
    const keys = { ImmediateData: "No", InitialR2T: "Yes" };

    async function loginAs(initiatorName: string, targetName: string): Promise<RawInitiator> {
      const initiator = await RawInitiator.connect(target.running.port);
      await initiator.login({ targetName, initiatorName, keys });
      return initiator;
    }

    async function beginWrite(initiator: RawInitiator, lun: number): Promise<void> {
      await initiator.start({ cdb: write10(0, 8), lun, write: pattern(4096, 1 + lun), leaveR2Ts: true });
      await initiator.expect(OPCODE_R2T);
    }

    it("a warm one ends the tasks on all units that its sender sees, in all sessions, and on no others", async () => {
      const [narrow, wide, witness] = [
        await loginAs("iqn.2026-11.io.ringlun:narrow", TARGET_NAME),
        await target.login(keys),
        await target.login(keys),
      ];
      for (const initiator of [wide, witness]) for (const lun of [0, 1]) await beginWrite(initiator, lun);
      const before = await witness.good({ cdb: read10(0, 8), read: 4096 });

      assert.equal((await narrow.taskManagement(TARGET_WARM_RESET)).response, 0);
      for (const initiator of [narrow, wide, witness]) {
        const { status, sense } = await initiator.command({ cdb: testUnitReady() });
        assert.equal(status, 2);
        assert.deepEqual(parseSense(sense), RESET_OCCURRED);
        for (const lun of initiator === narrow ? [0] : [0, 1, 2]) await initiator.good({ cdb: testUnitReady(), lun });
      }

      assert.equal((await wide.taskManagement(TARGET_WARM_RESET)).response, 0);
      for (const lun of [0, 1, 2]) {
        for (const initiator of [wide, witness]) {
          assert.deepEqual(parseSense((await initiator.command({ cdb: testUnitReady(), lun })).sense), RESET_OCCURRED);
          await initiator.good({ cdb: testUnitReady(), lun });
        }
      }
      assert.ok((await witness.good({ cdb: read10(0, 8), read: 4096 })).equals(before), "no WRITE has gone on");
      for (const initiator of [narrow, wide, witness]) initiator.destroy();
    });

    it("a cold one is answered, then all sessions of the target end, and those of other targets go on", async () => {
      const sessions: RawInitiator[] = [];
      for (let i = 0; i < 4; i++) sessions.push(await target.login(keys));
      const apart = await loginAs("iqn.2026-11.io.ringlun:apart", OTHER_TARGET);
      for (const initiator of sessions) await beginWrite(initiator, 1);
      const [asking, ...others] = sessions as [RawInitiator, ...RawInitiator[]];
      const before = await asking.good({ cdb: read10(0, 8), lun: 1, read: 4096 });

      assert.equal((await asking.taskManagement(TARGET_COLD_RESET)).response, 0);
      for (const initiator of [asking, ...others]) await initiator.receiveUntilClosed();
      await apart.good({ cdb: testUnitReady() });
      apart.destroy();

      const again = await target.login();
      assert.ok((await again.good({ cdb: read10(0, 8), lun: 1, read: 4096 })).equals(before), "no WRITE has gone on");
    });
  });
}
