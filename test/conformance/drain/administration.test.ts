/** Drains as people ask for them: over HTTP and on the command line, with progress, exit codes, and what status and metrics say. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { OPCODE_ASYNC_MESSAGE } from "../../support/pdu.js";
import { Scene } from "./fixture.js";

const endings: (() => unknown)[] = [];
let scene: Scene;

before(async () => {
  scene = await Scene.start({ after: (step) => void endings.unshift(step) });
});

after(async () => {
  for (const step of endings) await step();
});

test("what does not exist is refused, and what is asked wrongly", async () => {
  const wrong: [unknown, number][] = [
    [{ portal: "192.0.2.1:3260" }, 404],
    [{ portal: "nonsense:" }, 404],
    [{ portalGroup: 9 }, 404],
    [{ target: "iqn.2026-11.io.ringlun:nobody" }, 404],
    [{}, 400],
    [{ portal: scene.address(1), portalGroup: 1 }, 400],
    [{ portalGroup: "1" }, 400],
    [{ portalGroup: 1, timeout: 0 }, 400],
    [{ portalGroup: 1, timeout: 3601 }, 400],
    [{ portalGroup: 1, until: 3 }, 400],
  ];
  for (const [body, status] of wrong) {
    assert.equal((await scene.ask("POST", "/api/v1/drains", body)).status, status, JSON.stringify(body));
  }
  for (const method of ["GET", "DELETE"]) assert.equal((await scene.ask(method, "/api/v1/drains/99")).status, 404);
  assert.deepEqual((await scene.ask("GET", "/api/v1/drains")).document, []);
});

test("status and metrics tell of it; twice is once too often", async () => {
  const begun = await scene.drain({ portalGroup: 2 });
  // Nobody was there.
  assert.equal(begun.state, "drained");
  assert.equal((await scene.ask("POST", "/api/v1/drains", { portalGroup: 2 })).status, 409);
  const { document } = await scene.ask("GET", "/api/v1/portals");
  const states = (document as { address: string; state: string }[]).map(({ address, state }) => [address, state]);
  assert.deepEqual(states, [
    [scene.address(1), "serving"],
    [scene.address(2), "serving"],
    [scene.address(3), "drained"],
  ]);
  assert.match((await scene.ringlun("status")).stdout, /\(group 2, drained\)/);
  await scene.undo(begun);
  assert.doesNotMatch((await scene.ringlun("status")).stdout, /drained/);
});

test("ringlun drain shows how far it comes: 0 where all have logged out, and --undo", async () => {
  const initiator = await scene.login(1);
  const command = scene.ringlun("drain", "portal", scene.address(1), "--timeout", "30");
  await initiator.expect(OPCODE_ASYNC_MESSAGE, 30_000);
  await initiator.logout();
  const { code, stdout } = await command;
  assert.equal(code, 0, stdout);
  const lines = stdout.trim().split("\n");
  const what = `portal ${scene.address(1)}`;
  assert.equal(lines[0], `${what} draining: 1 of 1 connections left, 0 logged out, 0 dropped, 0 lost`);
  assert.equal(lines.at(-1), `${what} drained: 0 of 1 connections left, 1 logged out, 0 dropped, 0 lost`);

  const listed = await scene.ringlun("drain");
  assert.match(listed.stdout, new RegExp(`portal ${scene.address(1)} +drained`));
  const again = await scene.ringlun("drain", "portal", scene.address(1));
  assert.equal(again.code, 3);
  assert.match(again.stderr, /drained already/);
  const undone = await scene.ringlun("drain", "portal", scene.address(1), "--undo");
  assert.deepEqual([undone.code, undone.stdout], [0, `${what} is in service again\n`]);
});

test("ringlun drain ends with the time that it was given: those who do not go are dropped", async () => {
  const initiator = await scene.login(3);
  const { code, stdout } = await scene.ringlun("drain", "group", "2", "--timeout", "1", "--json");
  assert.equal(code, 0, stdout);
  const { state, dropped, portalGroup } = JSON.parse(stdout);
  assert.deepEqual([state, dropped, portalGroup], ["drained", 1, 2]);
  assert.equal((await initiator.receiveUntilClosed()).length, 2);
  assert.equal((await scene.ringlun("drain", "group", "2", "--undo")).code, 0);
});

test("exit codes: 3 for what is not there, 2 for what makes no sense", async () => {
  assert.equal((await scene.ringlun("drain", "target", "iqn.2026-11.io.ringlun:nobody")).code, 3);
  assert.equal((await scene.ringlun("drain", "target", "iqn.2026-11.io.ringlun:nobody", "--undo")).code, 3);
  assert.equal((await scene.ringlun("drain", "group", "one")).code, 2);
  assert.equal((await scene.ringlun("drain", "group", "1", "--timeout", "0")).code, 2);
});
