/** A session with a connection through each of two portals goes on by the other one when one of the portals is drained. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import { TARGET_NAME } from "../../support/target.js";
import { pattern } from "../full-feature/fixture.js";
import {
  CONNECTION_DROP,
  event,
  LOGOUT_REQUEST,
  MOVED_TEMPORARILY,
  Scene,
  SERVICE_UNAVAILABLE,
  TIME2RETAIN,
  TIME2WAIT,
} from "./fixture.js";

const KEYS = { ErrorRecoveryLevel: "2" };

async function pair(scene: Scene) {
  const one = await scene.login(1, KEYS);
  const two = await scene.connect(2, one.session);
  await two.login({ targetName: TARGET_NAME, cid: 1 });
  await two.good({ cdb: testUnitReady() });
  return [one, two] as const;
}

test("RFC 7143 11.9.1: one connection is asked to log out, and the session goes on by the other", async (context) => {
  const scene = await Scene.start(context, "errorRecoveryLevel: 2");
  const [one, two] = await pair(scene);
  const begun = await scene.drain({ portal: scene.address(2), timeout: 30 });
  assert.deepEqual([begun.found, begun.sessions], [1, 1]);
  assert.deepEqual(await event(two), [LOGOUT_REQUEST, 0, 0, 30]);

  // Further connections of the session are sent to a portal of its portal group, and to no other.
  assert.deepEqual(await scene.refused(2, one.session, 2), { status: MOVED_TEMPORARILY, address: scene.address(1) });

  // "close the connection"
  assert.equal((await two.logout(1)).response, 0);
  assert.deepEqual((await scene.drained(begun)).loggedOut, 1);
  const write = pattern(4096, 9);
  await one.good({ cdb: write10(8, 8), write });
  assert.ok((await one.good({ cdb: read10(8, 8), read: 4096 })).equals(write));
  assert.deepEqual(one.others, []);

  await scene.drain({ portal: scene.address(1), timeout: 30 });
  assert.deepEqual(await scene.refused(2, one.session, 2), { status: SERVICE_UNAVAILABLE });
});

test("RFC 7143 11.9.1, 7.5.2: a connection that is dropped leaves its session, and its tasks wait as long as was told", async (context) => {
  const scene = await Scene.start(context, "errorRecoveryLevel: 2");
  const [one, two] = await pair(scene);
  const begun = await scene.drain({ portal: scene.address(2), timeout: 1 });
  assert.deepEqual(await event(two), [LOGOUT_REQUEST, 0, 0, 1]);
  const drop = [CONNECTION_DROP, 1, TIME2WAIT, TIME2RETAIN];
  assert.deepEqual(await event(two), drop);
  assert.deepEqual(await two.receiveUntilClosed(), []);
  // The other connection is told, too, and serves.
  assert.deepEqual(await event(one), drop);
  const { dropped, connections, sessions } = await scene.drained(begun);
  assert.deepEqual([dropped, connections, sessions], [1, 0, 0]);
  await one.good({ cdb: testUnitReady() });
});
