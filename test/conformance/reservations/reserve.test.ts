/** RESERVE and RELEASE (SPC-2): they end with the nexus and with a reset, and keep apart from persistent reservations. */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { inquiry, readCapacity10, reportLuns, requestSense, testUnitReady } from "../../support/cdb.js";
import { CONFLICT, GOOD } from "../../support/sense.js";
import { LOGICAL_UNIT_RESET, TARGET_COLD_RESET, TARGET_WARM_RESET } from "../../support/task-management.js";
import {
  EXCLUSIVE_ACCESS,
  eventually,
  type Host,
  RESERVE,
  startCluster,
  WORKERS,
  WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
} from "./fixture.js";

for (const workers of WORKERS) {
  describe(`RESERVE and RELEASE, ${workers} shard(s)`, () => {
    const cluster = startCluster(workers);
    beforeEach(() => cluster.reset());

    async function reservedBy(name: string): Promise<[Host, Host]> {
      const hosts: [Host, Host] = [await cluster.host(name), await cluster.host("other")];
      assert.equal(await hosts[0].reserve(), GOOD);
      return hosts;
    }

    it("the unit is its holder's alone, by every LUN, until that releases it", async () => {
      const [holder, other] = await reservedBy("holder");
      assert.equal(await holder.write(), GOOD);
      for (const command of [
        { cdb: testUnitReady() },
        { cdb: Buffer.from([0x1a, 0, 0x3f, 0, 255, 0]), read: 255 },
        { cdb: Buffer.from([0x5e, 0, 0, 0, 0, 0, 0, 1, 0, 0]), read: 256 },
      ]) {
        assert.equal(await other.run(command), CONFLICT, command.cdb.toString("hex"));
      }
      for (const lun of [0, 1]) {
        assert.equal(await other.read(lun), CONFLICT);
        assert.equal(await other.write(lun), CONFLICT);
      }
      assert.equal(await other.write(2), GOOD, "another unit");
      for (const command of [
        { cdb: inquiry(), read: 255 },
        { cdb: requestSense(), read: 252 },
        { cdb: reportLuns(), read: 4096 },
        { cdb: readCapacity10(), read: 8 },
      ]) {
        assert.equal(await other.run(command), GOOD);
      }
      assert.equal(await other.reserve(), CONFLICT);
      assert.equal(await other.release(), GOOD);
      assert.equal(await other.read(), CONFLICT, "that has released nothing");
      assert.equal(await holder.reserve(), GOOD);
      assert.equal(await holder.release(), GOOD);
      assert.equal(await other.write(), GOOD);
      assert.equal(await other.reserve(), GOOD);
      assert.equal(await holder.write(), CONFLICT);
    });

    it("the (10) commands are the same", async () => {
      const [holder, other] = [await cluster.host("holder"), await cluster.host("other")];
      const ten = (opcode: number) => ({ cdb: Buffer.from([opcode, 0, 0, 0, 0, 0, 0, 0, 0, 0]) });
      assert.equal(await holder.run(ten(0x56)), GOOD);
      assert.equal(await other.run(ten(0x56)), CONFLICT);
      assert.equal(await holder.run(ten(0x57)), GOOD);
      assert.equal(await other.read(), GOOD);
    });

    /** Control hears of the end of a session a little later than its peer. */
    async function isFreeSoon(other: Host): Promise<void> {
      await eventually(async () => (await other.read()) === GOOD);
      assert.equal(await other.write(), GOOD);
    }

    it("ends with a logout", async () => {
      const [holder, other] = await reservedBy("holder");
      await holder.logOut();
      await isFreeSoon(other);
    });

    it("ends with a broken connection", async () => {
      const [holder, other] = await reservedBy("holder");
      holder.drop();
      await isFreeSoon(other);
    });

    it("ends with session reinstatement: the new session does not have it", async () => {
      const [holder, other] = await reservedBy("holder");
      await holder.logIn();
      assert.equal(await other.write(), GOOD);
      assert.equal(await other.reserve(), GOOD);
      assert.equal(await holder.write(), CONFLICT);
    });

    it("ends with a LOGICAL UNIT RESET, whoever asks for it, before that is answered", async () => {
      for (const isOther of [true, false]) {
        const [holder, other] = await reservedBy(`holder ${isOther}`.replace(" ", "-"));
        const asker = isOther ? other : holder;
        assert.equal((await asker.initiator.taskManagement(LOGICAL_UNIT_RESET)).response, 0);
        await other.attentions();
        await holder.attentions();
        assert.equal(await other.write(), GOOD);
        holder.drop();
        other.drop();
      }
    });

    it("ends with a TARGET WARM RESET, before that is answered, and with a TARGET COLD RESET", async () => {
      const [holder, other] = await reservedBy("holder");
      assert.equal((await other.initiator.taskManagement(TARGET_WARM_RESET)).response, 0);
      await holder.attentions();
      await other.attentions();
      assert.equal(await other.reserve(), GOOD);
      assert.equal((await holder.initiator.taskManagement(TARGET_COLD_RESET)).response, 0);
      await holder.initiator.receiveUntilClosed();
      await holder.logIn();
      assert.equal(await holder.write(), GOOD);
    });

    it("a LOGICAL UNIT RESET does not end a persistent reservation", async () => {
      const [holder, other] = [await cluster.host("holder"), await cluster.host("other")];
      await holder.register(1);
      await holder.out(RESERVE, { key: 1, type: EXCLUSIVE_ACCESS });
      assert.equal((await other.initiator.taskManagement(LOGICAL_UNIT_RESET)).response, 0);
      await holder.attentions();
      await other.attentions();
      assert.equal(await other.read(), CONFLICT);
      assert.equal(await holder.read(), GOOD);
    });

    it("while it holds, nobody registers, not even its holder", async () => {
      const [holder, other] = await reservedBy("holder");
      assert.equal(await holder.register(1), CONFLICT);
      assert.equal(await other.register(1), CONFLICT);
      assert.equal(await holder.run({ cdb: Buffer.from([0x5e, 0, 0, 0, 0, 0, 0, 1, 0, 0]), read: 256 }), CONFLICT);
    });

    it("under a persistent reservation those who have access hear GOOD, the others a conflict", async () => {
      const [holder, registered] = [await cluster.host("holder"), await cluster.host("registered")];
      const other = await cluster.host("other");
      await holder.register(1);
      await registered.register(2);
      for (const host of [holder, registered, other]) assert.equal(await host.reserve(), CONFLICT);
      await holder.out(RESERVE, { key: 1, type: WRITE_EXCLUSIVE_REGISTRANTS_ONLY });
      for (const host of [holder, registered]) {
        assert.equal(await host.reserve(), GOOD);
        assert.equal(await host.release(), GOOD);
      }
      assert.equal(await other.reserve(), CONFLICT);
      assert.equal(await other.release(), CONFLICT);
      assert.equal(await registered.write(), GOOD, "nothing was reserved");
      assert.deepEqual(await holder.reservation(), { key: 1, type: WRITE_EXCLUSIVE_REGISTRANTS_ONLY });
    });
  });
}
