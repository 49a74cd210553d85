import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionNumbers } from "../../support/raw-connection.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import { configOf, startTarget } from "../login/fixture.js";

const target = startTarget(configOf({ portalGroups: "[1, 2]" }));

async function logIn(
  isid: Buffer,
  options: { sessionType: "Normal" | "Discovery"; targetName?: string; port?: number },
): Promise<RawInitiator> {
  const { port = target.running.port, ...login } = options;
  const initiator = await target.connect({ port, session: new SessionNumbers({ isid }) });
  await initiator.login(login);
  return initiator;
}

async function assertAlive(...initiators: readonly RawInitiator[]): Promise<void> {
  for (const initiator of initiators) await initiator.text({ SendTargets: TARGET_NAME });
}

async function assertEnded(initiator: RawInitiator): Promise<void> {
  assert.deepEqual(await initiator.receiveUntilClosed(), []);
}

const UNNAMED = { sessionType: "Discovery" } as const;
const NAMED = { ...UNNAMED, targetName: TARGET_NAME } as const;
const NORMAL = { sessionType: "Normal", targetName: TARGET_NAME } as const;

test("RFC 7143 7.4.2.1: an unnamed discovery session is reinstated by the same ISID at the same portal", async () => {
  const { isid } = new SessionNumbers();
  const old = await logIn(isid, UNNAMED);
  const next = await logIn(isid, UNNAMED);
  await assertEnded(old);
  await assertAlive(next);
});

test("RFC 7143 7.4.2.1: one at each portal, and sessions of other kinds, are independent of it", async () => {
  const { isid } = new SessionNumbers();
  const { port2 } = target.running.places;
  const sessions = [
    await logIn(isid, UNNAMED),
    await logIn(isid, { ...UNNAMED, port: port2 }),
    await logIn(isid, NAMED),
    await logIn(isid, { ...NORMAL, port: port2 }),
  ];
  await assertAlive(...sessions);
});

test("RFC 7143 7.4.2.2: a named discovery session is reinstated by any session of the same nexus", async () => {
  const { isid } = new SessionNumbers();
  const first = await logIn(isid, NAMED);
  const second = await logIn(isid, NAMED);
  await assertEnded(first);
  const third = await logIn(isid, NORMAL);
  await assertEnded(second);
  const fourth = await logIn(isid, NAMED);
  await assertEnded(third);
  await assertAlive(fourth);
});
