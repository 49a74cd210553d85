/** A registration belongs to an I_T nexus, not to a session: initiator name, ISID, target, portal group (RFC 7143 section 4.4.2). */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { CONFLICT, GOOD } from "../../support/sense.js";
import {
  ALL_TG_PT,
  EXCLUSIVE_ACCESS,
  outCdb,
  READ_FULL_STATUS,
  REGISTER,
  REGISTER_AND_MOVE,
  RESERVE,
  SPEC_I_PT,
  startCluster,
  transportId,
  WORKERS,
  WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
} from "./fixture.js";

for (const workers of WORKERS) {
  describe(`registrations and nexuses, ${workers} shard(s)`, () => {
    const cluster = startCluster(workers);
    beforeEach(() => cluster.reset());

    it("registration and reservation outlive logout, a broken connection and session reinstatement", async () => {
      const [holder, other] = [await cluster.host("holder"), await cluster.host("other")];
      await holder.register(1);
      await holder.out(RESERVE, { key: 1, type: EXCLUSIVE_ACCESS });
      await holder.logOut();
      assert.equal(await other.read(), CONFLICT);
      await holder.logIn();
      assert.equal(await holder.write(), GOOD);
      holder.drop();
      await holder.logIn();
      assert.equal(await holder.write(), GOOD);
      const { initiator } = holder;
      await holder.logIn();
      await initiator.receiveUntilClosed();
      assert.equal(await holder.write(), GOOD);
      assert.equal(await other.read(), CONFLICT);
    });

    it("another ISID, another portal group, another initiator: none of them is the holder", async () => {
      const holder = await cluster.host("holder");
      await holder.register(1);
      await holder.out(RESERVE, { key: 1, type: EXCLUSIVE_ACCESS });
      for (const other of [
        await cluster.host("holder", { isid: 2 }),
        await cluster.host("holder", { portalGroup: 2 }),
        await cluster.host("stranger"),
      ]) {
        assert.equal(await other.read(), CONFLICT);
        assert.equal(await other.out(RESERVE, { key: 1, type: EXCLUSIVE_ACCESS }), CONFLICT);
      }
      assert.equal(await holder.read(), GOOD);
    });

    it("READ FULL STATUS names port and initiator of each, and the holder", async () => {
      const [a, b] = [await cluster.host("a", { portalGroup: 2 }), await cluster.host("b")];
      await a.register(0x11);
      await b.register(0x22);
      await b.out(RESERVE, { key: 0x22, type: WRITE_EXCLUSIVE_REGISTRANTS_ONLY });
      const data = await a.in(READ_FULL_STATUS);
      let at = 8;
      for (const [host, key, holder, type] of [
        [a, 0x11, 0, 0],
        [b, 0x22, 1, 5],
      ] as const) {
        const id = host.transportId;
        const descriptor = Buffer.alloc(24);
        descriptor.writeBigUInt64BE(BigInt(key), 0);
        descriptor[12] = holder;
        descriptor[13] = type;
        descriptor.writeUInt16BE(host.portalGroup, 18);
        descriptor.writeUInt32BE(id.length, 20);
        const expected = Buffer.concat([descriptor, id]);
        assert.deepEqual(data.subarray(at, at + expected.length), expected);
        at += expected.length;
      }
      assert.equal(data.length, at);
      assert.equal(data.readUInt32BE(4), at - 8);
    });

    it("ALL_TG_PT registers behind both portal groups", async () => {
      const host = await cluster.host("host");
      assert.equal(await host.register(5, ALL_TG_PT), GOOD);
      const [path, other] = [await cluster.host("host", { portalGroup: 2 }), await cluster.host("other")];
      await host.out(RESERVE, { key: 5, type: WRITE_EXCLUSIVE_REGISTRANTS_ONLY });
      assert.equal(await path.write(), GOOD);
      assert.equal(await other.write(), CONFLICT);
      assert.deepEqual(await other.keys(), [5, 5]);
    });

    it("SPEC_I_PT registers others, whether they are logged in or not", async () => {
      const [host, present] = [await cluster.host("host"), await cluster.host("present")];
      const absent = await cluster.host("absent");
      absent.drop();
      const transportIds = [present.transportId, absent.transportId];
      assert.equal(await host.out(REGISTER, { actionKey: 6, flags: SPEC_I_PT, transportIds }), GOOD);
      await host.out(RESERVE, { key: 6, type: WRITE_EXCLUSIVE_REGISTRANTS_ONLY });
      assert.equal(await present.write(), GOOD);
      await absent.logIn();
      assert.equal(await absent.write(), GOOD);
      assert.equal(await (await cluster.host("other")).write(), CONFLICT);
    });

    it("a TransportID without ISID registers all sessions of the initiator", async () => {
      const [host, first] = [await cluster.host("host"), await cluster.host("guest")];
      const second = await cluster.host("guest", { isid: 2 });
      const transportIds = [transportId(0x05, first.name)];
      assert.equal(await host.out(REGISTER, { actionKey: 6, flags: SPEC_I_PT, transportIds }), GOOD);
      await host.out(RESERVE, { key: 6, type: WRITE_EXCLUSIVE_REGISTRANTS_ONLY });
      for (const session of [first, second]) assert.equal(await session.write(), GOOD);
      assert.equal(await (await cluster.host("guest", { isid: 3 })).write(), CONFLICT);
    });

    it("REGISTER AND MOVE makes another the holder, behind another portal group", async () => {
      const [from, to] = [await cluster.host("from"), await cluster.host("to", { portalGroup: 2 })];
      await from.register(1);
      await from.out(RESERVE, { key: 1, type: EXCLUSIVE_ACCESS });
      const list = Buffer.concat([Buffer.alloc(24), to.transportId]);
      list.writeBigUInt64BE(1n, 0);
      list.writeBigUInt64BE(8n, 8);
      // UNREG.
      list[17] = 0x02;
      list.writeUInt16BE(2, 18);
      list.writeUInt32BE(to.transportId.length, 20);
      assert.equal(await from.run({ cdb: outCdb(REGISTER_AND_MOVE, 0, list.length), write: list }), GOOD);
      assert.equal(await from.write(), CONFLICT);
      assert.equal(await to.write(), GOOD);
      assert.deepEqual(await to.keys(), [8]);
      assert.deepEqual(await to.reservation(), { key: 8, type: EXCLUSIVE_ACCESS });
    });

    it("lists that are too short, too long or wrong are refused, and change nothing", async () => {
      const host = await cluster.host("host");
      await host.register(1);
      const generation = await host.generation();
      for (const [why, cdb, write, outcome] of [
        ["no list", outCdb(REGISTER, 0, 0), undefined, "5/1a00"],
        ["23 bytes", outCdb(REGISTER, 0, 23), Buffer.alloc(23), "5/1a00"],
        ["25 bytes", outCdb(REGISTER, 0, 25), Buffer.alloc(25), "5/1a00"],
        ["less than announced", outCdb(REGISTER, 0, 24), Buffer.alloc(20), "5/1a00"],
        ["a length of 2^32 - 1", outCdb(REGISTER, 0, 0xffffffff), Buffer.alloc(24), "5/1a00"],
        ["SPEC_I_PT with RESERVE", outCdb(RESERVE, 3, 24), Buffer.alloc(24).fill(0x08, 20, 21), "5/2600"],
        ["a reserved service action", outCdb(9, 0, 24), Buffer.alloc(24), "5/2400"],
      ] as const) {
        const command = write === undefined ? { cdb } : { cdb, write };
        assert.equal(await host.run(command), outcome, why);
      }
      const longest = Buffer.alloc(65536);
      longest[20] = SPEC_I_PT;
      longest.writeUInt32BE(65536 - 28, 24);
      const other = await cluster.host("other");
      assert.equal(await other.run({ cdb: outCdb(REGISTER, 0, 65536), write: longest }), "5/2600");
      assert.equal(await host.generation(), generation);
      assert.deepEqual(await host.keys(), [1]);
    });
  });
}
