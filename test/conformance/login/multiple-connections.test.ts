import assert from "node:assert/strict";
import { test } from "node:test";
import { testUnitReady } from "../../support/cdb.js";
import { SessionNumbers } from "../../support/raw-connection.js";
import { type RawInitiator, STAGE_OPERATIONAL } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import {
  goesOn,
  NAMES,
  refused,
  STATUS_INITIATOR_ERROR,
  STATUS_SESSION_DOES_NOT_EXIST,
  STATUS_TOO_MANY_CONNECTIONS,
  startTarget,
  statusOf,
  TO_FULL_FEATURE,
} from "./fixture.js";

// Portal group 1 has two portals, group 2 one.
const target = startTarget(
  ({ port, port2, httpPort }) => `
portalGroups:
  - { tag: 1, portals: ["127.0.0.1:${port}", "127.0.0.1:${port2}"] }
  - { tag: 2, portals: ["127.0.0.1:${httpPort}"] }
targets:
  - name: ${TARGET_NAME}
    portalGroups: [1, 2]
    session: { maxConnections: 3 }
    luns: { 0: disk }
units:
  disk: { null: true, size: 64MiB }
`,
);

async function lead(keys: Readonly<Record<string, string>> = { MaxConnections: "8" }): Promise<RawInitiator> {
  const initiator = await target.connect();
  const response = await goesOn(initiator, { ...TO_FULL_FEATURE, keys: { ...NAMES, ...keys } });
  initiator.session.tsih = response.field("tsih");
  return initiator;
}

async function join(leader: RawInitiator, cid: number, port = target.running.port): Promise<RawInitiator> {
  const initiator = await target.connect({ session: leader.session, port });
  initiator.cid = cid;
  const response = await goesOn(initiator, { ...TO_FULL_FEATURE, keys: NAMES });
  assert.equal(response.field("tsih"), leader.session.tsih);
  return initiator;
}

async function assertServes(...connections: readonly RawInitiator[]): Promise<void> {
  for (const connection of connections) {
    assert.equal((await connection.command({ cdb: testUnitReady() })).response, 0);
  }
}

test("RFC 7143 6.3.1, 4.4.3: connections join a session by ISID and TSIH, through any portal of its group", async () => {
  const leader = await lead();
  const second = await join(leader, 1);
  const third = await join(leader, 2, target.running.places.port2);
  await assertServes(leader, second, third, leader);
});

test("RFC 7143 11.12.8: commands of the session go on while a connection joins it", async () => {
  const leader = await lead();
  const second = await target.connect({ session: leader.session });
  second.cid = 1;
  await goesOn(second, { stage: STAGE_OPERATIONAL, keys: NAMES });
  await assertServes(leader, leader, leader);
  await goesOn(second, TO_FULL_FEATURE);
  await assertServes(second, leader);
});

test("RFC 7143 13.2: as many as MaxConnections allows: one more: 0206h", async () => {
  for (const [offer, limit] of [
    ["8", 3],
    ["2", 2],
    ["1", 1],
  ] as const) {
    const leader = await lead({ MaxConnections: offer });
    const connections = [leader];
    for (let cid = 1; cid < limit; cid++) connections.push(await join(leader, cid));
    const { isid, tsih } = leader.session;
    const excess = await target.connect({ session: Object.assign(new SessionNumbers({ isid }), { tsih }) });
    excess.cid = limit;
    await refused(excess, { ...TO_FULL_FEATURE, keys: NAMES }, STATUS_TOO_MANY_CONNECTIONS);
    await assertServes(...connections);
  }
});

test("RFC 7143 13.2: of many that come at once no more are let in either", async () => {
  const leader = await lead();
  const { isid, tsih } = leader.session;
  const statuses = await Promise.all(
    Array.from({ length: 8 }, async (_, index) => {
      const initiator = await target.connect({ session: Object.assign(new SessionNumbers({ isid }), { tsih }) });
      return statusOf(await initiator.loginRequest({ ...TO_FULL_FEATURE, keys: NAMES, fields: { cid: index + 1 } }));
    }),
  );
  assert.equal(statuses.filter((status) => status === 0).length, 2);
  assert.ok(statuses.every((status) => status === 0 || status === STATUS_TOO_MANY_CONNECTIONS));
});

test("RFC 7143 Appendix C: a session cannot span portal groups: there it does not exist, 020Ah", async () => {
  const leader = await lead();
  const { isid, tsih } = leader.session;
  const session = Object.assign(new SessionNumbers({ isid }), { tsih });
  const elsewhere = await target.connect({ session, port: target.running.places.httpPort });
  elsewhere.cid = 1;
  await refused(elsewhere, { ...TO_FULL_FEATURE, keys: NAMES }, STATUS_SESSION_DOES_NOT_EXIST);
  await assertServes(leader);
});

test("RFC 7143 13: a further connection declares and negotiates its own keys, and none of the session's", async () => {
  const leader = await lead();
  const second = await target.connect({ session: leader.session });
  second.cid = 1;
  const keys = { ...NAMES, HeaderDigest: "CRC32C", DataDigest: "CRC32C", MaxRecvDataSegmentLength: "512" };
  const response = await goesOn(second, { ...TO_FULL_FEATURE, keys });
  assert.equal(response.keys.get("HeaderDigest"), "CRC32C");
  Object.assign(second, { headerDigest: true, dataDigest: true, maxRecvDataSegmentLength: 512 });
  await assertServes(leader, second);

  const { isid, tsih } = leader.session;
  const third = await target.connect({ session: Object.assign(new SessionNumbers({ isid }), { tsih }) });
  third.cid = 2;
  const forbidden = { ...TO_FULL_FEATURE, keys: { ...NAMES, MaxBurstLength: "65536" } };
  await refused(third, forbidden, STATUS_INITIATOR_ERROR);
  await assertServes(leader, second);
});

test("RFC 7143 6.3.4: each of several connections can be reinstated, and the others go on", async () => {
  const leader = await lead();
  const second = await join(leader, 1);
  const again = await join(leader, 1);
  assert.deepEqual(await second.receiveUntilClosed(), []);
  await assertServes(leader, again);
  const first = await join(leader, 0);
  assert.deepEqual(await leader.receiveUntilClosed(), []);
  await assertServes(first, again);
});

test("RFC 7143 6.3.5: session reinstatement ends all of them", async () => {
  const leader = await lead();
  const second = await join(leader, 1);
  const next = await target.connect({ session: new SessionNumbers({ isid: leader.session.isid }) });
  await goesOn(next, { ...TO_FULL_FEATURE, keys: NAMES });
  for (const ended of [leader, second]) assert.deepEqual(await ended.receiveUntilClosed(), []);
  await assertServes(next);
});
