/**
 * Paths fail under verified I/O, and come back: nothing that was acknowledged is lost or overwritten by something older, I/O goes on through
 * the other path, and returns to the first.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { FaultyPortal } from "../../support/faulty-portal.js";
import { LocalServer } from "../../support/local-server.js";
import { MultipathDisk } from "../../support/multipath-disk.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";
import { Undo } from "../../support/undo.js";
import { config } from "./fixture.js";

const INITIATOR = "iqn.2026-11.io.ringlun:host";
const SLOTS = 8;
const SIZE_BYTES = 16 * 2 ** 20;
/** Commands that are under way when a path fails have been begun in so many rounds. */
const ROUNDS = 2;
const [FIRST, SECOND] = [0, 1];

function multipath(undo: Undo, ports: readonly (() => number)[], silenceMsMax = 10_000): MultipathDisk {
  const disk = new MultipathDisk({
    ports,
    targetName: TARGET_NAME,
    initiatorName: INITIATOR,
    slots: SLOTS,
    silenceMsMax,
    outageMsMax: 60_000,
  });
  undo.add(() => disk.drop());
  return disk;
}

async function rounds(disk: MultipathDisk, count = ROUNDS): Promise<void> {
  for (let round = 0; round < count; round++) await disk.round();
}

/** Rounds go on while `event` happens in the midst of one of them. */
async function during(disk: MultipathDisk, event: () => Promise<unknown> | unknown): Promise<void> {
  const happening = new Promise((resolve) => setTimeout(resolve, 5)).then(event);
  await rounds(disk);
  await happening;
  await rounds(disk);
}

describe("a target with two shards and two portal groups", () => {
  async function start(context: TestContext, silenceMsMax?: number) {
    const undo = new Undo(context);
    const local = await LocalServer.start(undo, {
      cache: "writeback",
      workers: 2,
      sizeBytes: SIZE_BYTES,
      portalGroups: 2,
    });
    const portals = [];
    for (const tag of [1, 2]) {
      const portOf = () => local.server.portals.find((portal) => portal.tag === tag)!.address.port;
      const portal = await FaultyPortal.open(portOf);
      undo.add(() => portal.close());
      portals.push(portal);
    }
    const disk = multipath(
      undo,
      portals.map((portal) => () => portal.port),
      silenceMsMax,
    );
    await rounds(disk);
    assert.equal(disk.current, FIRST);
    const finish = async () => {
      await disk.check();
      disk.drop();
      await local.server.stop(1000);
      const content = readFileSync(local.path).subarray(0, disk.content.length);
      assert.ok(content.equals(disk.content), "the file holds what was acknowledged last");
    };
    return { local, portals, disk, finish };
  }

  test("a portal is closed, and opened again", async (context) => {
    const { portals, disk, finish } = await start(context);
    await during(disk, () => portals[FIRST]!.close());
    assert.equal(disk.current, SECOND);
    assert.ok(disk.losses > 0);
    await portals[FIRST]!.repair();
    const before = disk.answered[SECOND];
    await rounds(disk);
    assert.equal(disk.current, FIRST);
    assert.equal(disk.answered[SECOND], before, "I/O is back on the first path");
    await finish();
  });

  test("a portal goes silent, and speaks again", async (context) => {
    const { portals, disk, finish } = await start(context, 1500);
    await during(disk, () => portals[FIRST]!.silence());
    assert.ok(disk.answered[SECOND]! > 0);
    await portals[FIRST]!.repair();
    await rounds(disk);
    await finish();
  });

  test("the shard of a path dies", async (context) => {
    const { local, disk, finish } = await start(context);
    for (let death = 0; death < 2; death++) {
      const session = local.server.sessions.find(({ identity }) => identity.portalGroup === 1)!;
      await during(disk, () => local.server.shards.kill(session.shard));
      assert.equal(disk.losses, death + 1);
      assert.equal(disk.current, FIRST);
    }
    await finish();
  });

  test("a portal group goes into standby, and becomes active again: no path is lost", async (context) => {
    const { local, disk, finish } = await start(context);
    const { configuration } = local.server;
    const reload = (state: "standby" | "unavailable" | "transitioning" | "optimized") =>
      local.server.reload({
        ...configuration,
        portalGroups: configuration.portalGroups.map((group) =>
          group.tag === 1 ? { ...group, access: { state, preferred: false } } : group,
        ),
      });
    for (const state of ["standby", "unavailable", "transitioning"] as const) {
      const before = disk.answered[SECOND]!;
      await during(disk, () => reload(state));
      assert.ok(disk.answered[SECOND]! > before, "I/O goes on through the other group");
      await during(disk, () => reload("optimized"));
      const after = disk.answered[SECOND];
      await rounds(disk);
      assert.equal(disk.answered[SECOND], after, "I/O is back");
    }
    assert.equal(disk.losses, 0);
    await finish();
  });
});

describe("the whole target", () => {
  for (const how of ["kill9", "terminate"] as const) {
    test(`is restarted after ${how === "kill9" ? "it was killed" : "it was told to end"}`, async (context) => {
      const undo = new Undo(context);
      const target = await RunningTarget.start({ config: (places) => config(places, 2) });
      undo.add(() => target.stop());
      const disk = multipath(undo, [() => target.places.port, () => target.places.port2]);
      await rounds(disk);
      await during(disk, async () => {
        await target[how]();
        await target.run();
      });
      assert.ok(disk.losses > 0);
      await disk.check();
      disk.drop();
      await target.terminate();
      const file = readFileSync(join(target.places.directory, "disk.img")).subarray(0, disk.content.length);
      assert.ok(file.equals(disk.content), "the file holds what was acknowledged last");
    });
  }
});
