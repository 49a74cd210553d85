/** What each type of persistent reservation lets through for its holder, for those registered and for the rest (SPC-5, SBC-4). */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import {
  inquiry,
  modeSense6,
  read10,
  readCapacity10,
  reportLuns,
  requestSense,
  synchronizeCache10,
  testUnitReady,
  verify10,
  write10,
} from "../../support/cdb.js";
import { CONFLICT, GOOD } from "../../support/sense.js";
import { shardsUsed } from "../../support/variants.js";
import {
  BLOCK_BYTES,
  EXCLUSIVE_ACCESS,
  EXCLUSIVE_ACCESS_ALL_REGISTRANTS,
  EXCLUSIVE_ACCESS_REGISTRANTS_ONLY,
  type Host,
  RELEASE,
  RESERVE,
  startCluster,
  WORKERS,
  WRITE_EXCLUSIVE,
  WRITE_EXCLUSIVE_ALL_REGISTRANTS,
  WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
} from "./fixture.js";

const READ = { cdb: read10(0, 1), read: BLOCK_BYTES };
const WRITE = { cdb: write10(0, 1), write: Buffer.alloc(BLOCK_BYTES) };

/** Commands by what they conflict with. */
const WRITES = [WRITE, { cdb: synchronizeCache10() }, { cdb: Buffer.from([0x1b, 0, 0, 0, 0, 0]) }];
const READS = [READ, { cdb: verify10(0, 1) }, { cdb: modeSense6(0x3f), read: 255 }];
/** The last of WRITES stops the unit: the first of these starts it. */
const HARMLESS = [
  { cdb: Buffer.from([0x1b, 0, 0, 0, 1, 0]) },
  { cdb: testUnitReady() },
  { cdb: inquiry(), read: 255 },
  { cdb: requestSense(), read: 252 },
  { cdb: reportLuns(), read: 4096 },
  { cdb: readCapacity10(), read: 8 },
];

async function assertAccess(host: Host, reads: string, writes: string): Promise<void> {
  for (const command of WRITES) assert.equal(await host.run(command), writes, command.cdb.toString("hex"));
  for (const command of HARMLESS) assert.equal(await host.run(command), GOOD, command.cdb.toString("hex"));
  for (const command of READS) assert.equal(await host.run(command), reads, command.cdb.toString("hex"));
}

/** What a type lets those through to that neither hold it nor are exempt: reads, writes. */
const TYPES = [
  { name: "Write Exclusive", type: WRITE_EXCLUSIVE, isShared: false, reads: GOOD },
  { name: "Exclusive Access", type: EXCLUSIVE_ACCESS, isShared: false, reads: CONFLICT },
  { name: "Write Exclusive, Registrants Only", type: WRITE_EXCLUSIVE_REGISTRANTS_ONLY, isShared: true, reads: GOOD },
  {
    name: "Exclusive Access, Registrants Only",
    type: EXCLUSIVE_ACCESS_REGISTRANTS_ONLY,
    isShared: true,
    reads: CONFLICT,
  },
  { name: "Write Exclusive, All Registrants", type: WRITE_EXCLUSIVE_ALL_REGISTRANTS, isShared: true, reads: GOOD },
  {
    name: "Exclusive Access, All Registrants",
    type: EXCLUSIVE_ACCESS_ALL_REGISTRANTS,
    isShared: true,
    reads: CONFLICT,
  },
];

for (const workers of WORKERS) {
  describe(`types of persistent reservations, ${workers} shard(s)`, () => {
    const cluster = startCluster(workers);
    beforeEach(() => cluster.reset());

    for (const { name, type, isShared, reads } of TYPES) {
      it(name, async () => {
        const [holder, registered, other] = [
          await cluster.host("holder"),
          await cluster.host("registered"),
          await cluster.host("other"),
        ];
        assert.equal(await holder.register(1), GOOD);
        assert.equal(await registered.register(2), GOOD);
        await assertAccess(other, GOOD, GOOD);

        assert.equal(await holder.out(RESERVE, { key: 1, type }), GOOD);
        await assertAccess(holder, GOOD, GOOD);
        await assertAccess(registered, isShared ? GOOD : reads, isShared ? GOOD : CONFLICT);
        await assertAccess(other, reads, CONFLICT);
        // The same unit by another LUN is reserved, another unit is not.
        assert.equal(await other.write(1), CONFLICT);
        assert.equal(await other.write(2), GOOD);

        assert.deepEqual(await other.reservation(), { key: type >= 7 ? 0 : 1, type });
        assert.equal(await holder.out(RELEASE, { key: 1, type }), GOOD);
        await assertAccess(other, GOOD, GOOD);
      });
    }

    it("who registers while a reservation of Registrants is held is let in, who unregisters is kept out", async () => {
      const [holder, other] = [await cluster.host("holder"), await cluster.host("other")];
      await holder.register(1);
      await holder.out(RESERVE, { key: 1, type: EXCLUSIVE_ACCESS_REGISTRANTS_ONLY });
      assert.equal(await other.read(), CONFLICT);
      assert.equal(await other.register(2), GOOD);
      assert.equal(await other.write(), GOOD);
      assert.equal(await other.out(0, { key: 2 }), GOOD);
      assert.equal(await other.read(), CONFLICT);
    });

    it("sessions of the tests were on every shard", () => {
      assert.deepEqual(
        shardsUsed(cluster.target),
        Array.from({ length: workers }, (_, shard) => shard),
      );
    });
  });
}
