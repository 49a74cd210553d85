import assert from "node:assert/strict";
import { test } from "node:test";
import { read10 } from "../../support/cdb.js";
import { encodeKeys } from "../../support/pdu.js";
import { ConnectionClosedError, SessionNumbers } from "../../support/raw-connection.js";
import { type RawInitiator, STAGE_OPERATIONAL, STAGE_SECURITY } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import { assertSettles, HTTP, takeCensus } from "./census.js";
import { configOf, goesOn, NAMES, startTarget, TO_FULL_FEATURE } from "./fixture.js";

const target = startTarget((places) => configOf({ top: `workers: 2\n${HTTP(places.httpPort)}` })(places));

async function logIn(session = new SessionNumbers()): Promise<RawInitiator> {
  const initiator = await target.connect({ session });
  await initiator.login({ initiatorName: NAMES.InitiatorName, targetName: TARGET_NAME });
  return initiator;
}

/** `work` over and over, so many at a time. */
async function storm(times: number, atOnce: number, work: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < times) await work(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** What the target holds when nobody is there. */
async function quiet() {
  (await logIn()).destroy();
  const census = { ...(await takeCensus(target.running)), sessions: 0, connections: 0 };
  await assertSettles(target.running, census);
  return takeCensus(target.running);
}

test("RFC 7143 6.3.5, 11.14: sessions that come and log out leave nothing behind", async () => {
  const before = await quiet();
  await storm(300, 10, async () => {
    const initiator = await logIn();
    assert.equal((await initiator.logout()).response, 0);
    assert.deepEqual(await initiator.receiveUntilClosed(), []);
    initiator.destroy();
  });
  await assertSettles(target.running, before);
});

test("RFC 7143 8.1.4, T6, T7, T15: connections that break off anywhere leave nothing behind", async () => {
  const before = await quiet();
  const text = encodeKeys(NAMES);
  const ways: readonly ((initiator: RawInitiator) => Promise<unknown>)[] = [
    async () => {},
    (initiator) => initiator.sendBytes(Buffer.alloc(20, 0x43)),
    (initiator) => goesOn(initiator, { stage: STAGE_SECURITY, keys: NAMES }),
    (initiator) => goesOn(initiator, { stage: STAGE_OPERATIONAL, more: true, data: text.subarray(0, 9) }),
    // Gone before the answer, with or without a session.
    (initiator) => initiator.loginRequest({ ...TO_FULL_FEATURE, keys: NAMES }).catch(() => {}),
    (initiator) => initiator.login({ sessionType: "Discovery" }),
    (initiator) => initiator.login({ targetName: TARGET_NAME }),
    async (initiator) => {
      await initiator.login({ targetName: TARGET_NAME });
      for (let task = 0; task < 8; task++) await initiator.start({ cdb: read10(0, 2048), read: 2048 * 512 });
    },
  ];
  await storm(40 * ways.length, 10, async (n) => {
    const initiator = await target.connect();
    const way = ways[n % ways.length]!(initiator);
    if (n % 3 === 0) await way;
    else way.catch(() => {});
    initiator.destroy();
  });
  await assertSettles(target.running, before);
});

test("RFC 7143 6.3.5: session reinstatement under load, of several nexuses at once: each new session works", async () => {
  const before = await quiet();
  await Promise.all(
    Array.from({ length: 4 }, async () => {
      const { isid } = new SessionNumbers();
      for (let round = 0; round < 25; round++) {
        const initiator = await logIn(new SessionNumbers({ isid }));
        // The first command of a nexus may be answered with a unit attention.
        await initiator.command({ cdb: Buffer.alloc(6) });
        assert.equal((await initiator.good({ cdb: read10(0, 8), read: 4096 })).length, 4096);
        for (let task = 0; task < 16; task++) await initiator.start({ cdb: read10(0, 1024), read: 1024 * 512 });
      }
      const last = await logIn(new SessionNumbers({ isid }));
      await last.logout();
      last.destroy();
    }),
  );
  await assertSettles(target.running, before);
});

test("RFC 7143 6.3.4: connection reinstatement under load: the session goes on each time", async () => {
  const before = await quiet();
  const first = await logIn();
  const { session } = first;
  for (let round = 0; round < 25; round++) {
    const next = await logIn(session);
    const ended = await next.command({ cdb: Buffer.alloc(6) });
    assert.equal(ended.response, 0);
    for (let task = 0; task < 16; task++) await next.start({ cdb: read10(0, 1024), read: 1024 * 512 });
  }
  const { tsih } = session;
  const last = await logIn(session);
  assert.equal(last.session.tsih, tsih);
  await last.logout();
  await assert.rejects(first.ping(), ConnectionClosedError);
  await assertSettles(target.running, before);
});
