/** Sessions are spread over the portals of a target by redirection; a session's connections stay in its portal group. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { testUnitReady } from "../../support/cdb.js";
import { LoginRefusedError, type RawInitiator } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import { startTarget } from "./fixture.js";

const target = startTarget(
  ({ port, port2 }) => `
portalGroups:
  - { tag: 1, portals: ["0.0.0.0:${port}"] }
  - { tag: 2, portals: ["0.0.0.0:${port2}"] }
targets:
  - { name: "${TARGET_NAME}", portalGroups: [1, 2], luns: { 0: disk }, session: { maxConnections: 4 }, redirect: { balance: sessions } }
units: { disk: { null: true, size: 64MiB } }
`,
);

const MOVED = 0x0101;

/** Logs in, and goes where it is sent. @returns the port at which it is served. */
async function login(port: number, initiators: RawInitiator[]): Promise<number> {
  const seen = new Set<number>();
  const initiator = await target.connect({ port });
  try {
    await initiator.login({ targetName: TARGET_NAME, keys: { MaxConnections: "4" } });
    initiators.push(initiator);
    return port;
  } catch (error) {
    assert(error instanceof LoginRefusedError && error.status === MOVED, String(error));
    seen.add(port);
    const [host, sent] = error.response.keys.get("TargetAddress")!.split(":");
    // By which the initiator has come.
    assert.equal(host, "127.0.0.1");
    assert(!seen.has(Number(sent)), "round in circles");
    // The same port of the initiator (its ISID) comes there.
    const other = await target.connect({ port: Number(sent), session: initiator.session });
    await other.login({ targetName: TARGET_NAME, keys: { MaxConnections: "4" } });
    initiators.push(other);
    return Number(sent);
  }
}

test("RFC 7143 11.13.5: each login is sent to the portal with the fewest sessions, and served where it has come by that", async () => {
  const { port, port2 } = target.running.places;
  const initiators: RawInitiator[] = [];
  const served: number[] = [];
  for (let i = 0; i < 6; i++) served.push(await login(port, initiators));
  assert.deepEqual(served, [port, port2, port, port2, port, port2]);
  for (const initiator of initiators) await initiator.good({ cdb: testUnitReady() });

  // Two sessions more at one than at the other: where fewer are, nobody is sent away.
  for (const one of [1, 3]) await initiators[one]!.logout();
  assert.equal(await login(port2, initiators), port2);

  // Appendix C: "Multiple-connection sessions cannot span iSCSI addresses that belong to different portal groups".
  const further = await target.connect({ port, session: initiators[0]!.session });
  await further.login({ targetName: TARGET_NAME, cid: 1 });
  await further.good({ cdb: testUnitReady() });
});
