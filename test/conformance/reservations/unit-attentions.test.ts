/** RESERVATIONS RELEASED, RESERVATIONS PREEMPTED, REGISTRATIONS PREEMPTED: to whom they are due, once, on each of their LUNs. */
import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { GOOD } from "../../support/sense.js";
import {
  CLEAR,
  EXCLUSIVE_ACCESS,
  EXCLUSIVE_ACCESS_ALL_REGISTRANTS,
  type Host,
  PREEMPT,
  REGISTER,
  REGISTRATIONS_PREEMPTED,
  RELEASE,
  RESERVATIONS_PREEMPTED,
  RESERVATIONS_RELEASED,
  RESERVE,
  startCluster,
  WORKERS,
  WRITE_EXCLUSIVE,
  WRITE_EXCLUSIVE_REGISTRANTS_ONLY,
} from "./fixture.js";

for (const workers of WORKERS) {
  describe(`unit attentions of reservations, ${workers} shard(s)`, () => {
    const cluster = startCluster(workers);
    beforeEach(() => cluster.reset());

    /** Three that are registered with 1, 2 and 3, and one that is not; the first holds a reservation of the type. */
    async function hosts(type: number): Promise<[Host, Host, Host, Host]> {
      const all: [Host, Host, Host, Host] = [
        await cluster.host("a"),
        await cluster.host("b"),
        await cluster.host("c"),
        await cluster.host("other"),
      ];
      for (const [i, host] of all.slice(0, 3).entries()) assert.equal(await host.register(i + 1), GOOD);
      assert.equal(await all[0].out(RESERVE, { key: 1, type }), GOOD);
      return all;
    }

    /** Both LUNs of the unit have it once, the LUN of the other unit has nothing. */
    async function assertTold(host: Host, ...expected: readonly string[]): Promise<void> {
      for (const lun of [0, 1]) assert.deepEqual(await host.attentions(lun), expected, `${host.name} LUN ${lun}`);
      assert.deepEqual(await host.attentions(2), []);
    }

    it("RELEASE of a type of Registrants: all others that are registered", async () => {
      const [a, b, c, other] = await hosts(WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
      assert.equal(await a.out(RELEASE, { key: 1, type: WRITE_EXCLUSIVE_REGISTRANTS_ONLY }), GOOD);
      await assertTold(a);
      await assertTold(b, RESERVATIONS_RELEASED);
      await assertTold(c, RESERVATIONS_RELEASED);
      await assertTold(other);
    });

    it("RELEASE of another type: nobody", async () => {
      const all = await hosts(EXCLUSIVE_ACCESS);
      assert.equal(await all[0].out(RELEASE, { key: 1, type: EXCLUSIVE_ACCESS }), GOOD);
      for (const host of all) await assertTold(host);
    });

    it("the holder of Registrants Only unregisters: those who are left", async () => {
      const [a, b, c, other] = await hosts(WRITE_EXCLUSIVE_REGISTRANTS_ONLY);
      assert.equal(await a.out(REGISTER, { key: 1 }), GOOD);
      await assertTold(a);
      await assertTold(b, RESERVATIONS_RELEASED);
      await assertTold(c, RESERVATIONS_RELEASED);
      await assertTold(other);
    });

    it("CLEAR: all others that were registered", async () => {
      const [a, b, c, other] = await hosts(EXCLUSIVE_ACCESS);
      assert.equal(await b.out(CLEAR, { key: 2 }), GOOD);
      await assertTold(a, RESERVATIONS_PREEMPTED);
      await assertTold(b);
      await assertTold(c, RESERVATIONS_PREEMPTED);
      await assertTold(other);
    });

    it("PREEMPT of the holder, with another type: it, and that it was released those who are left", async () => {
      const [a, b, c, other] = await hosts(WRITE_EXCLUSIVE);
      assert.equal(await b.out(PREEMPT, { key: 2, actionKey: 1, type: WRITE_EXCLUSIVE_REGISTRANTS_ONLY }), GOOD);
      await assertTold(a, REGISTRATIONS_PREEMPTED);
      await assertTold(b);
      await assertTold(c, RESERVATIONS_RELEASED);
      await assertTold(other);
      assert.deepEqual(await c.reservation(), { key: 2, type: WRITE_EXCLUSIVE_REGISTRANTS_ONLY });
    });

    it("PREEMPT of the holder, with the same type: it alone", async () => {
      const [a, b, c, other] = await hosts(WRITE_EXCLUSIVE);
      assert.equal(await b.out(PREEMPT, { key: 2, actionKey: 1, type: WRITE_EXCLUSIVE }), GOOD);
      await assertTold(a, REGISTRATIONS_PREEMPTED);
      for (const host of [b, c, other]) await assertTold(host);
    });

    it("PREEMPT of another registration: it alone, and the reservation stays", async () => {
      const [a, b, c, other] = await hosts(EXCLUSIVE_ACCESS);
      assert.equal(await b.out(PREEMPT, { key: 2, actionKey: 3 }), GOOD);
      await assertTold(c, REGISTRATIONS_PREEMPTED);
      for (const host of [a, b, other]) await assertTold(host);
      assert.deepEqual(await b.reservation(), { key: 1, type: EXCLUSIVE_ACCESS });
      assert.deepEqual(await b.keys(), [1, 2]);
    });

    it("PREEMPT of all with zero", async () => {
      const [a, b, c, other] = await hosts(EXCLUSIVE_ACCESS_ALL_REGISTRANTS);
      assert.equal(await b.out(PREEMPT, { key: 2, type: EXCLUSIVE_ACCESS }), GOOD);
      await assertTold(a, REGISTRATIONS_PREEMPTED);
      await assertTold(b);
      await assertTold(c, REGISTRATIONS_PREEMPTED);
      await assertTold(other);
      assert.deepEqual(await b.keys(), [2]);
    });

    it("what is refused tells nobody and counts for nothing", async () => {
      const all = await hosts(EXCLUSIVE_ACCESS);
      const generation = await all[0].generation();
      assert.equal(await all[1].out(PREEMPT, { key: 2, actionKey: 9, type: 1 }), "conflict");
      assert.equal(await all[1].out(PREEMPT, { key: 2, type: 1 }), "5/2600");
      assert.equal(await all[3].out(CLEAR, { key: 0 }), "conflict");
      for (const host of all) await assertTold(host);
      assert.equal(await all[0].generation(), generation);
    });
  });
}
