/** Asymmetric access states that initiators set (SPC-5): what they let through, whom it is told, and how long it lasts. */
import assert from "node:assert/strict";
import { after, beforeEach, describe, it } from "node:test";
import { inquiry, readCapacity16, reportLuns, requestSense, testUnitReady } from "../../support/cdb.js";
import { CONFLICT } from "../../support/sense.js";
import { RunningTarget } from "../../support/target.js";
import { EXCLUSIVE_ACCESS, REGISTER, RELEASE, RESERVE } from "../reservations/fixture.js";
import {
  config,
  GOOD,
  IN_STANDBY,
  IN_UNAVAILABLE,
  NON_OPTIMIZED,
  OPTIMIZED,
  Path,
  STANDBY,
  STATE_CHANGED,
  setGroups,
  setGroupsCdb,
  startPaths,
  UNAVAILABLE,
  WORKERS,
} from "./fixture.js";

for (const workers of WORKERS) {
  describe(`access states, ${workers} shard(s)`, () => {
    const paths = startPaths(workers);
    let one: Path;
    let other: Path;

    beforeEach(async () => {
      one = await paths.path("a", 1);
      other = await paths.path("a", 2);
      assert.equal(await one.set([1, OPTIMIZED], [2, OPTIMIZED]), GOOD);
      for (const lun of [0, 1, 2]) await other.attentions(lun);
    });

    it("a group is in the state that was set, and everybody else is told, once", async () => {
      const stranger = await paths.path("b", 1);
      assert.equal(await one.set([2, STANDBY]), GOOD);
      assert.equal(await one.states(), "1: 0, 2: 2");
      assert.deepEqual((await one.groups()).map(({ tag, statusCode }) => [tag, statusCode]).at(-1), [2, 1]);
      assert.deepEqual(await one.attentions(), []);
      for (const lun of [0, 1]) assert.deepEqual(await stranger.attentions(lun), [STATE_CHANGED]);
      for (const lun of [0, 1]) {
        assert.equal(await other.run({ cdb: testUnitReady(), lun }), STATE_CHANGED);
        assert.equal(await other.run({ cdb: testUnitReady(), lun }), IN_STANDBY);
      }
      // The other unit is another unit.
      for (const path of [one, other, stranger]) assert.deepEqual(await path.attentions(2), []);
      assert.equal(await other.read(2), GOOD);
      assert.equal(await one.states(2), "1: 0, 2: 0");
    });

    it("what is so already is told nobody", async () => {
      assert.equal(await one.set([2, OPTIMIZED], [1, OPTIMIZED]), GOOD);
      assert.deepEqual(await other.attentions(), []);
    });

    it("standby answers what tells of the unit, and refuses what uses it", async () => {
      assert.equal(await one.set([2, STANDBY]), GOOD);
      await other.attentions();
      assert.equal(await other.read(), IN_STANDBY);
      assert.equal(await other.write(), IN_STANDBY);
      assert.equal(await other.run({ cdb: inquiry(), read: 96 }), GOOD);
      assert.equal(await other.run({ cdb: readCapacity16(), read: 32 }), GOOD);
      assert.equal(await other.run({ cdb: reportLuns(), read: 64 }), GOOD);
      assert.deepEqual(await other.keys(), []);
      const sense = await other.initiator.good({ cdb: requestSense(), read: 252 });
      assert.deepEqual([sense[2], sense[12], sense[13]], [2, 0x04, 0x0b]);
      assert.equal(await one.write(), GOOD);
    });

    it("unavailable answers nearly nothing, but can be set active through itself", async () => {
      assert.equal(await other.set([2, UNAVAILABLE]), GOOD);
      assert.equal(await other.run({ cdb: readCapacity16(), read: 32 }), IN_UNAVAILABLE);
      assert.equal(await other.run({ cdb: inquiry(), read: 96 }), GOOD);
      assert.equal(await other.states(), "1: 0, 2: 3");
      assert.equal(await other.set([1, NON_OPTIMIZED], [2, OPTIMIZED]), GOOD);
      assert.equal(await other.read(), GOOD);
      assert.deepEqual(await one.attentions(), [STATE_CHANGED]);
      assert.equal(await one.read(), GOOD);
      assert.equal(await one.states(), "1: 1, 2: 0");
    });

    it("who logs in finds the state of the group, and is told nothing of it", async () => {
      assert.equal(await one.set([2, STANDBY]), GOOD);
      const late = await paths.path("late", 2);
      assert.equal(await late.read(), IN_STANDBY);
    });

    it("a list with a fault in it sets nothing", async () => {
      const faults: [string, Parameters<Path["run"]>[0]][] = [
        ["5/2600", setGroups([1, NON_OPTIMIZED], [9, OPTIMIZED])],
        ["5/2600", setGroups([1, NON_OPTIMIZED], [2, 0xe])],
        ["5/2600", setGroups([1, NON_OPTIMIZED], [2, 0xf])],
        ["5/2600", setGroups([1, NON_OPTIMIZED], [1, STANDBY])],
        ["5/1a00", { cdb: setGroupsCdb(7), write: setGroups([1, STANDBY]).write.subarray(0, 7) }],
        ["5/1a00", { cdb: setGroupsCdb(1), write: Buffer.alloc(1) }],
        ["5/1a00", { cdb: setGroupsCdb(12), write: setGroups([1, STANDBY]).write }],
        ["5/1a00", { cdb: setGroupsCdb(0xffff_ffff), write: setGroups([1, STANDBY]).write }],
      ];
      for (const [sense, command] of faults) assert.equal(await one.run(command), sense);
      assert.equal(await one.run({ cdb: setGroupsCdb(0) }), GOOD);
      assert.equal(await one.set(), GOOD);
      assert.equal(await one.states(), "1: 0, 2: 0");
      assert.deepEqual(await other.attentions(), []);
    });

    it("a reservation of another keeps from setting, not from looking", async () => {
      assert.equal(await one.register(1), GOOD);
      assert.equal(await one.out(RESERVE, { key: 1, type: EXCLUSIVE_ACCESS }), GOOD);
      assert.equal(await other.set([2, STANDBY]), CONFLICT);
      assert.equal(await other.states(), "1: 0, 2: 0");
      assert.equal(await one.out(RELEASE, { key: 1, type: EXCLUSIVE_ACCESS }), GOOD);
      assert.equal(await one.out(REGISTER, { key: 1 }), GOOD);
    });
  });
}

describe("access states that initiators have set", () => {
  let target: RunningTarget | undefined;
  after(async () => target?.stop());

  it("are there after the target was killed, and the configuration's are not forgotten", async () => {
    target = await RunningTarget.start({
      config: (places) => config(places, 1, { groups: ["preferred: true", "access: standby"] }),
    });
    const running = () => target!;
    let one = await new Path(running, "a", 1, 1).logIn();
    let other = await new Path(running, "a", 1, 2).logIn();
    assert.equal(await other.read(), IN_STANDBY);
    assert.equal(await one.set([1, UNAVAILABLE], [2, NON_OPTIMIZED]), GOOD);
    assert.deepEqual(await other.attentions(), [STATE_CHANGED]);
    assert.equal(await other.write(), GOOD);
    await target.kill9();
    await target.run();
    one = await new Path(running, "a", 1, 1).logIn();
    other = await new Path(running, "a", 1, 2).logIn();
    assert.equal(await one.read(), IN_UNAVAILABLE);
    assert.equal(await other.read(), GOOD);
    assert.deepEqual(
      (await other.groups()).map(({ state, preferred, statusCode }) => [state, preferred, statusCode]),
      [
        [UNAVAILABLE, true, 1],
        [NON_OPTIMIZED, false, 1],
      ],
    );
    one.drop();
    other.drop();
  });
});
