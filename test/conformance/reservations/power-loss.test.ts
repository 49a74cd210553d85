/** APTPL: what survives a process that is killed, and what must not. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, it } from "node:test";
import { inquiry, testUnitReady } from "../../support/cdb.js";
import { CONFLICT, GOOD } from "../../support/sense.js";
import { TARGET_COLD_RESET } from "../../support/task-management.js";
import {
  APTPL,
  CLEAR,
  EXCLUSIVE_ACCESS,
  EXCLUSIVE_ACCESS_ALL_REGISTRANTS,
  PREEMPT,
  REGISTER,
  REPLACE_LOST,
  RESERVE,
  startCluster,
} from "./fixture.js";

const INFORMATION_LOST = "7/4401";
const startUnit = Buffer.from([0x1b, 0, 0, 0, 0x01, 0]);

/** REPORT CAPABILITIES. */
const CAPABILITIES = 2;

describe("persistence through power loss", () => {
  const cluster = startCluster(2);
  beforeEach(() => cluster.reset());

  async function crash(): Promise<void> {
    await cluster.target.kill9();
    await cluster.target.run();
  }

  /** The state documents of units' reservations. */
  function documents(): string[] {
    const folder = `${cluster.target.configPath}.state`;
    return readdirSync(folder)
      .filter((name) => name.startsWith("reservations-"))
      .map((name) => join(folder, name));
  }

  it("with APTPL=1 registrations and reservation are there again, and in force, from the first command on", async () => {
    const [holder, registered] = [await cluster.host("holder"), await cluster.host("registered", { portalGroup: 2 })];
    await holder.register(1, APTPL);
    await registered.register(2, APTPL);
    await holder.out(RESERVE, { key: 1, type: EXCLUSIVE_ACCESS });
    assert.equal((await holder.in(CAPABILITIES))[3]! & 1, 1, "PTPL_A");
    await crash();
    const other = await cluster.host("other");
    assert.equal(await other.read(), CONFLICT);
    await registered.logIn();
    assert.equal(await registered.read(), CONFLICT);
    await holder.logIn();
    assert.equal(await holder.write(), GOOD);
    assert.deepEqual(await holder.keys(), [1, 2]);
    assert.equal(await holder.generation(), 0);
    assert.equal((await holder.in(CAPABILITIES))[3]! & 1, 1);
    // The registration is that of the nexus: it goes on where it stood.
    assert.equal(await registered.out(PREEMPT, { key: 2, actionKey: 1, type: EXCLUSIVE_ACCESS }), GOOD);
    assert.equal(await registered.write(), GOOD);
  });

  it("every status that went out is kept, whenever the process is killed", async () => {
    const holder = await cluster.host("holder");
    await holder.register(1, APTPL);
    for (let key = 1; key <= 2; key++) {
      assert.equal(await holder.out(REGISTER, { key, actionKey: key + 1, flags: APTPL }), GOOD);
      await crash();
      await holder.logIn();
      assert.deepEqual(await holder.keys(), [key + 1]);
    }
    await holder.out(RESERVE, { key: 3, type: EXCLUSIVE_ACCESS_ALL_REGISTRANTS });
    await crash();
    await holder.logIn();
    assert.deepEqual(await holder.reservation(), { key: 0, type: EXCLUSIVE_ACCESS_ALL_REGISTRANTS });
    assert.equal(await holder.out(CLEAR, { key: 3 }), GOOD);
    await crash();
    await holder.logIn();
    assert.deepEqual([await holder.keys(), await holder.reservation()], [[], undefined]);
  });

  it("with APTPL=0 nothing is left, also of what was registered with APTPL=1 before", async () => {
    const [holder, other] = [await cluster.host("holder"), await cluster.host("other")];
    await holder.register(1, APTPL);
    await holder.out(RESERVE, { key: 1, type: EXCLUSIVE_ACCESS });
    await other.register(2);
    assert.equal((await holder.in(CAPABILITIES))[3]! & 1, 0);
    await crash();
    await other.logIn();
    assert.equal(await other.write(), GOOD);
    assert.deepEqual([await other.keys(), await other.reservation()], [[], undefined]);
  });

  it("what RESERVE holds is gone", async () => {
    const [holder, other] = [await cluster.host("holder"), await cluster.host("other")];
    await holder.reserve();
    await crash();
    await other.logIn();
    assert.equal(await other.write(), GOOD);
  });

  it("TARGET COLD RESET is a power-on event to the target's initiators (RFC 7143 section 11.5.1)", async () => {
    for (const [flags, keysLeft] of [
      [0, []],
      [APTPL, [1]],
    ] as const) {
      const [holder, other] = [await cluster.host("holder"), await cluster.host("other", { portalGroup: 2 })];
      await holder.register(1, flags);
      await holder.out(RESERVE, { key: 1, type: EXCLUSIVE_ACCESS });
      assert.equal((await other.initiator.taskManagement(TARGET_COLD_RESET)).response, 0);
      for (const host of [holder, other]) await host.initiator.receiveUntilClosed();
      await other.logIn();
      assert.deepEqual(await other.keys(), keysLeft);
      assert.equal(await other.write(), flags === APTPL ? CONFLICT : GOOD);
    }
  });

  it("it survives an orderly stop, too", async () => {
    const holder = await cluster.host("holder");
    await holder.register(1, APTPL);
    await holder.out(RESERVE, { key: 1, type: EXCLUSIVE_ACCESS });
    await holder.logOut();
    assert.equal((await cluster.target.terminate()).code, 0);
    await cluster.target.run();
    assert.equal(await (await cluster.host("other")).read(), CONFLICT);
  });

  it("a damaged document keeps everybody from its unit, until somebody replaces what is lost", async () => {
    const holder = await cluster.host("holder");
    await holder.register(1, APTPL);
    await cluster.target.kill9();
    const [document] = documents();
    const text = readFileSync(document!, "utf8");
    writeFileSync(document!, text.replace("0000000000000001", "0000000000000002"));
    const from = cluster.target.log.length;
    await cluster.target.run();
    await cluster.target.waitForLog(/reservations-[0-9a-f-]+\.json is damaged: its checksum is wrong/, 5000, from);
    const other = await cluster.host("other");
    await holder.logIn();
    for (const host of [holder, other]) {
      for (const outcome of [
        await host.read(),
        await host.write(),
        await host.run({ cdb: testUnitReady() }),
        await host.run({ cdb: Buffer.from([0x5e, 0, 0, 0, 0, 0, 0, 0, 8, 0]), read: 8 }),
        await host.out(REGISTER, { actionKey: 1 }),
        await host.out(RESERVE, { key: 1, type: EXCLUSIVE_ACCESS }),
        await host.reserve(),
        await host.release(),
      ]) {
        assert.equal(outcome, INFORMATION_LOST);
      }
      assert.equal(await host.run({ cdb: inquiry(), read: 255 }), GOOD);
      assert.equal(await host.run({ cdb: startUnit }), GOOD);
      // LUN 2 is another unit.
      assert.equal(await host.write(2), GOOD);
    }
    // Nothing is written before somebody takes it on: what is damaged can still be looked at.
    assert.notEqual(readFileSync(document!, "utf8"), text);
    assert.equal(await other.out(REPLACE_LOST, { actionKey: 7, type: EXCLUSIVE_ACCESS, flags: APTPL }), GOOD);
    assert.deepEqual(await other.keys(), [7]);
    assert.equal(await other.generation(), 0);
    assert.equal(await other.write(), GOOD);
    assert.equal(await holder.read(), CONFLICT);
    assert.equal(await other.out(REPLACE_LOST, { actionKey: 8, type: EXCLUSIVE_ACCESS }), "5/2604");
    await crash();
    await other.logIn();
    assert.deepEqual(await other.keys(), [7]);
  });
});
