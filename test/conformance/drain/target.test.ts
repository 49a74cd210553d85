/** A target is drained at all portals, or taken out of the configuration; other targets do not notice. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { testUnitReady } from "../../support/cdb.js";
import { TARGET_NAME } from "../../support/target.js";
import {
  config,
  event,
  eventOf,
  LOGOUT_REQUEST,
  Scene,
  SERVICE_UNAVAILABLE,
  SESSION_DROP,
  TIME2WAIT,
} from "./fixture.js";

const OTHER = `${TARGET_NAME}2`;

test("RFC 7143 11.9.1: sessions of a drained target are asked to log out at every portal; nobody is told of it, or let in", async (context) => {
  const scene = await Scene.start(context);
  const [one, three] = [await scene.login(1), await scene.login(3)];
  const other = await scene.connect(1);
  await other.login({ targetName: OTHER });
  const begun = await scene.drain({ target: TARGET_NAME.toUpperCase(), timeout: 30 });
  assert.deepEqual([begun.target, begun.found, begun.sessions], [TARGET_NAME, 2, 2]);
  for (const portal of [1, 3] as const) assert.deepEqual(await scene.refused(portal), { status: SERVICE_UNAVAILABLE });
  assert.deepEqual((await scene.discover(1)).names, [OTHER]);
  for (const initiator of [one, three]) {
    assert.deepEqual(await event(initiator), [LOGOUT_REQUEST, 0, 0, 30]);
    // Its own target is none that an initiator could come to, either.
    assert.equal((await initiator.text({ SendTargets: "" })).size, 0);
    await initiator.logout();
  }
  assert.equal((await scene.drained(begun)).loggedOut, 2);
  await other.good({ cdb: testUnitReady() });
  assert.deepEqual(other.others, []);
  await scene.undo(begun);
  await scene.login(1);
});

test("RFC 7143 11.9.1: sessions of a target that is taken out of the configuration are asked to log out, and dropped soon", async (context) => {
  const scene = await Scene.start(context);
  const { target } = scene;
  const [polite, deaf] = [await scene.login(1), await scene.login(2)];
  const other = await scene.connect(1);
  await other.login({ targetName: OTHER });
  await target.configure(config()(target.places).replace(/ {2}- name: [\s\S]*?(?= {2}- \{ name)/, ""));
  target.reload();
  assert.deepEqual(await event(polite), [LOGOUT_REQUEST, 0, 0, 2]);
  assert.equal((await polite.logout()).response, 0);
  assert.deepEqual((await deaf.receiveUntilClosed()).map(eventOf), [
    [LOGOUT_REQUEST, 0, 0, 2],
    [SESSION_DROP, 0, TIME2WAIT, 0],
  ]);
  await target.waitForLog(/configuration reloaded/);
  await other.good({ cdb: testUnitReady() });
  assert.deepEqual(other.others, []);
});

test("a drain of what is taken out of the configuration is over with it", async (context) => {
  const scene = await Scene.start(context);
  const { target } = scene;
  await scene.drain({ target: OTHER });
  await scene.drain({ portalGroup: 2 });
  const { document } = await scene.ask("GET", "/api/v1/drains");
  assert.equal((document as unknown[]).length, 2);
  await target.configure(
    config()(target.places)
      .replace(/ {2}- \{ name:.*\n/, "")
      .replace(/ {2}- \{ tag: 2.*\n/, "")
      .replace("portalGroups: [1, 2]", "portalGroups: [1]"),
  );
  target.reload();
  await target.waitForLog(/configuration reloaded/);
  assert.deepEqual((await scene.ask("GET", "/api/v1/drains")).document, []);
});
