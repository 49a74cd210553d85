/** Access states and portals by configuration, changed while sessions are there. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { testUnitReady } from "../../support/cdb.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import {
  config,
  GOOD,
  IN_STANDBY,
  IN_TRANSITION,
  OPTIMIZED,
  reload,
  type Setting,
  STATE_CHANGED,
  startPaths,
  WORKERS,
} from "./fixture.js";

for (const workers of WORKERS) {
  describe(`configured access states, ${workers} shard(s)`, () => {
    const paths = startPaths(workers);
    const change = (setting: Setting) => reload(paths.target, config(paths.target.places, workers, setting));

    it("all sessions are told of a change, and of none where there is none", async () => {
      const one = await paths.path("a", 1);
      const other = await paths.path("a", 2);
      await change({ groups: ["preferred: true", "access: standby"] });
      assert.deepEqual(await one.attentions(), [STATE_CHANGED]);
      assert.equal(await other.run({ cdb: testUnitReady() }), STATE_CHANGED);
      assert.equal(await other.run({ cdb: testUnitReady() }), IN_STANDBY);
      assert.deepEqual(
        (await one.groups()).map(({ state, preferred, statusCode }) => [state, preferred, statusCode]),
        [
          [0, true, 0],
          [2, false, 2],
        ],
      );
      await change({ groups: ["preferred: true", "access: standby"] });
      assert.equal(await one.read(), GOOD);
      assert.equal(await other.read(), IN_STANDBY);
      await change({});
      for (const path of [one, other]) assert.deepEqual(await path.attentions(), [STATE_CHANGED]);
      assert.equal(await other.read(), GOOD);
    });

    it("a unit may have states of its own", async () => {
      const one = await paths.path("a", 1);
      const other = await paths.path("a", 2);
      await change({ disk: "access: { 1: transitioning, 2: { preferred: true } }" });
      assert.deepEqual(await other.attentions(), [STATE_CHANGED]);
      assert.deepEqual(await other.attentions(2), []);
      assert.equal(await one.run({ cdb: testUnitReady() }), STATE_CHANGED);
      assert.equal(await one.run({ cdb: testUnitReady() }), IN_TRANSITION);
      // Nobody but who has begun it ends the transition.
      assert.equal(await one.set([1, OPTIMIZED]), IN_TRANSITION);
      assert.equal(await other.set([1, OPTIMIZED]), IN_TRANSITION);
      assert.equal(await one.read(2), GOOD);
      assert.equal(await other.states(), "1: 15, 2: 0");
      await change({});
      assert.deepEqual(await one.attentions(), [STATE_CHANGED]);
      assert.equal(await one.read(), GOOD);
    });

    it("what an initiator has set stands until the configuration says something else than it did", async () => {
      await change({ groups: ["", "access: standby"] });
      const one = await paths.path("a", 1);
      assert.equal(await one.set([2, OPTIMIZED]), GOOD);
      await change({ groups: ["", "access: standby"] });
      assert.equal(await one.states(), "1: 0, 2: 0");
      await change({ groups: ["", "access: unavailable"] });
      assert.deepEqual(await one.attentions(), [STATE_CHANGED]);
      assert.equal(await one.states(), "1: 0, 2: 3");
      await change({ groups: ["", "access: standby"] });
      assert.deepEqual(await one.attentions(), [STATE_CHANGED]);
      assert.equal(await one.states(), "1: 0, 2: 2");
      await change({});
    });

    it("a portal that goes accepts nobody, one that comes does; sessions feel nothing", async () => {
      const one = await paths.path("a", 1);
      const { port, port2 } = paths.target.places;
      const all = config(paths.target.places, workers);
      await reload(paths.target, all.replace(`"127.0.0.1:${port}"`, `"127.0.0.2:${port}"`));
      await assert.rejects(RawInitiator.connect(port));
      const late = await RawInitiator.connect(port, { host: "127.0.0.2" });
      await late.login({ targetName: TARGET_NAME, initiatorName: "iqn.2026-11.io.ringlun:late" });
      await late.logout();
      assert.equal(await one.read(), GOOD);
      const taken = all.replace(`"127.0.0.1:${port}"`, `"192.0.2.1:${port}"`);
      await paths.target.configure(taken.replace(`127.0.0.1:${port2}`, `127.0.0.3:${port2}`));
      const from = paths.target.log.length;
      paths.target.reload();
      await paths.target.waitForLog(/not reloaded/, undefined, from);
      // All is as it was: also what could have been changed.
      const again = await RawInitiator.connect(port, { host: "127.0.0.2" });
      again.destroy();
      await paths.path("b", 2);
      await reload(paths.target, all);
      await paths.path("c", 1);
    });
  });
}
