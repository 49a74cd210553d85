/** A portal is taken out of service: its sessions are asked to log out, newcomers go elsewhere, and nobody is told of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { read10, write10 } from "../../support/cdb.js";
import { TARGET_NAME } from "../../support/target.js";
import { pattern } from "../full-feature/fixture.js";
import { event, LOGOUT_REQUEST, MOVED_TEMPORARILY, Scene, SERVICE_UNAVAILABLE } from "./fixture.js";

test("RFC 7143 11.9.1: a drained portal asks for logout, lets commands go on until then, and sends newcomers elsewhere", async (context) => {
  const scene = await Scene.start(context);
  const [there, elsewhere] = [await scene.login(1), await scene.login(2)];
  const begun = await scene.drain({ portal: scene.address(1), timeout: 40 });
  assert.deepEqual([begun.state, begun.found, begun.connections], ["draining", 1, 1]);

  assert.deepEqual(await event(there), [LOGOUT_REQUEST, 0, 0, 40]);
  const write = pattern(4096, 3);
  await there.good({ cdb: write10(0, 8), write });
  assert.ok((await there.good({ cdb: read10(0, 8), read: 4096 })).equals(write));

  // The portal with the fewest sessions of those that are left.
  assert.deepEqual(await scene.refused(1), { status: MOVED_TEMPORARILY, address: scene.address(3) });
  const { addresses, names } = await scene.discover(1);
  assert.deepEqual(addresses, new Set([`${scene.address(2)},1`, `${scene.address(3)},2`]));
  assert.deepEqual(names, [TARGET_NAME, `${TARGET_NAME}2`]);

  assert.equal((await there.logout()).response, 0);
  const drained = await scene.drained(begun);
  assert.deepEqual([drained.loggedOut, drained.dropped, drained.lost, drained.connections], [1, 0, 0, 0]);
  // It stays out of service.
  assert.equal((await scene.refused(1)).status, MOVED_TEMPORARILY);
  await elsewhere.good({ cdb: read10(0, 8), read: 4096 });
  assert.deepEqual(elsewhere.others, []);

  await scene.undo(begun);
  await scene.login(1);
  assert.ok((await scene.discover(2)).addresses.has(`${scene.address(1)},1`));
});

test("RFC 7143 11.13.5: where no portal is left the login is refused for the moment: 0301h", async (context) => {
  const scene = await Scene.start(context);
  for (const portal of [1, 2, 3] as const) await scene.drain({ portal: scene.address(portal) });
  assert.deepEqual(await scene.refused(1), { status: SERVICE_UNAVAILABLE });
});
