import assert from "node:assert/strict";
import { test } from "node:test";
import { read10 } from "../../support/cdb.js";
import { ConnectionClosedError, SessionNumbers } from "../../support/raw-connection.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { goesOn, NAMES, startTarget, TO_FULL_FEATURE } from "./fixture.js";

const target = startTarget();

async function logIn(isid?: Buffer): Promise<RawInitiator> {
  const initiator = await target.connect({ session: new SessionNumbers(isid === undefined ? {} : { isid }) });
  initiator.session.tsih = (await goesOn(initiator, { ...TO_FULL_FEATURE, keys: NAMES })).field("tsih");
  return initiator;
}

test("RFC 7143 6.3.5: an existing ISID with TSIH 0 ends the old session, and begins a new one", async () => {
  const old = await logIn();
  const { isid, tsih } = old.session;
  const next = await logIn(isid);
  assert.notEqual(next.session.tsih, tsih);
  assert.deepEqual(await old.receiveUntilClosed(), []);
  const { response } = await next.command({ cdb: Buffer.alloc(6) });
  assert.equal(response, 0);
});

test("RFC 7143 6.3.5: whatever the CID", async () => {
  const old = await logIn();
  const initiator = await target.connect({ session: new SessionNumbers({ isid: old.session.isid }) });
  await goesOn(initiator, { ...TO_FULL_FEATURE, keys: NAMES, fields: { cid: 7 } });
  assert.deepEqual(await old.receiveUntilClosed(), []);
});

test("RFC 7143 6.3.5: tasks of the old session end without further notice", async () => {
  const old = await logIn();
  for (let task = 0; task < 16; task++) await old.start({ cdb: read10(0, 2048), read: 2048 * 512 });
  const next = await logIn(old.session.isid);
  await next.good({ cdb: read10(0, 1), read: 512 }).catch(async () => {
    // The first command of a nexus may be answered with a unit attention.
    await next.good({ cdb: read10(0, 1), read: 512 });
  });
  old.destroy();
});

test("RFC 7143 6.3.5: the login decides, not its attempt: one that fails leaves the old session as it was", async () => {
  const old = await logIn();
  const attempt = await target.connect({ session: new SessionNumbers({ isid: old.session.isid }) });
  const response = await attempt.loginRequest({
    ...TO_FULL_FEATURE,
    keys: { ...NAMES, MaxRecvDataSegmentLength: "1" },
  });
  assert.equal(response.field("statusClass"), 2);
  await old.ping();
});

test("RFC 7143 6.3.5: many logins of one nexus at once: one session is left, and it works", async () => {
  const { isid } = new SessionNumbers();
  // A session may be ended before its initiator has heard that it began.
  const logins = await Promise.allSettled(Array.from({ length: 20 }, () => logIn(isid)));
  const pings = await Promise.allSettled(
    logins.map(async (login) => {
      if (login.status === "rejected") throw login.reason;
      return login.value.ping();
    }),
  );
  const ended = pings.filter((ping) => ping.status === "rejected");
  assert.equal(ended.length, 19);
  for (const { reason } of ended) assert.ok(reason instanceof ConnectionClosedError, String(reason));
});
