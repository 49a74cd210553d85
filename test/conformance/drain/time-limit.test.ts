/** Initiators that do not log out in time are told that they are dropped, and are dropped; a drain that is undone drops nobody. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { read10, testUnitReady } from "../../support/cdb.js";
import { TARGET_NAME } from "../../support/target.js";
import { CONNECTION_DROP, event, eventOf, LOGOUT_REQUEST, OFFERED, Scene, SESSION_DROP, TIME2WAIT } from "./fixture.js";

test("RFC 7143 11.9.1: who has not logged out in Parameter3 seconds has 'connection dropped', with its CID, and is closed", async (context) => {
  const scene = await Scene.start(context);
  const initiator = await scene.connect(1);
  await initiator.login({ targetName: TARGET_NAME, cid: 5, keys: OFFERED });
  const begun = await scene.drain({ portal: scene.address(1), timeout: 1 });
  const told = await initiator.receiveUntilClosed();
  // At ErrorRecoveryLevel 0 nothing is retained.
  assert.deepEqual(told.map(eventOf), [
    [LOGOUT_REQUEST, 0, 0, 1],
    [CONNECTION_DROP, 5, TIME2WAIT, 0],
  ]);
  const { loggedOut, dropped, lost } = await scene.drained(begun);
  assert.deepEqual([loggedOut, dropped, lost], [0, 1, 0]);
});

test("RFC 7143 11.9.1: where the whole portal group goes it is 'session dropped'", async (context) => {
  const scene = await Scene.start(context, "errorRecoveryLevel: 2");
  const initiator = await scene.login(1, { ErrorRecoveryLevel: "2" });
  const begun = await scene.drain({ portalGroup: 1, timeout: 1 });
  const told = await initiator.receiveUntilClosed();
  assert.deepEqual(told.map(eventOf), [
    [LOGOUT_REQUEST, 0, 0, 1],
    [SESSION_DROP, 0, TIME2WAIT, 0],
  ]);
  // Nothing waits for reassignment: there is no portal left to come back through.
  const { dropped, sessions } = await scene.drained(begun);
  assert.deepEqual([dropped, sessions], [1, 0]);
});

test("a peer that does not read is dropped all the same", async (context) => {
  const scene = await Scene.start(context);
  const initiator = await scene.login(1, { MaxRecvDataSegmentLength: "262144" });
  initiator.pause();
  // More than the sockets hold.
  for (let i = 0; i < 96; i++) await initiator.start({ cdb: read10(0, 512), read: 512 * 512 });
  const begun = await scene.drain({ portal: scene.address(1), timeout: 1 });
  assert.equal((await scene.drained(begun)).dropped, 1);
});

test("who goes without a word is counted as lost", async (context) => {
  const scene = await Scene.start(context);
  const initiator = await scene.login(1);
  const begun = await scene.drain({ portal: scene.address(1) });
  initiator.destroy();
  const { loggedOut, dropped, lost } = await scene.drained(begun);
  assert.deepEqual([loggedOut, dropped, lost], [0, 0, 1]);
});

test("a drain that is undone in time drops nobody", async (context) => {
  const scene = await Scene.start(context);
  const initiator = await scene.login(1);
  const begun = await scene.drain({ portal: scene.address(1), timeout: 2 });
  assert.deepEqual(await event(initiator), [LOGOUT_REQUEST, 0, 0, 2]);
  assert.equal((await scene.undo(begun)).connections, 1);
  await sleep(3500);
  await initiator.good({ cdb: testUnitReady() });
  assert.deepEqual(initiator.others, []);
});
