import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionNumbers } from "../../support/raw-connection.js";
import { goesOn, NAMES, startTarget, TO_FULL_FEATURE } from "./fixture.js";

const target = startTarget();
const CID = 5;
const LOGIN = { ...TO_FULL_FEATURE, keys: NAMES, fields: { cid: CID } };

async function logIn() {
  const initiator = await target.connect();
  initiator.session.tsih = (await goesOn(initiator, LOGIN)).field("tsih");
  return initiator;
}

test("RFC 7143 6.3.4: ISID, TSIH and CID of a connection: it is logged out, the new one takes its place", async () => {
  const old = await logIn();
  // The new connection goes on in the session's command stream.
  await old.command({ cdb: Buffer.alloc(6) });
  const next = await target.connect({ session: old.session });
  const response = await goesOn(next, LOGIN);
  assert.equal(response.field("tsih"), old.session.tsih);
  assert.deepEqual(await old.receiveUntilClosed(), []);
  assert.equal((await next.command({ cdb: Buffer.alloc(6) })).response, 0);
});

test("RFC 7143 6.3.4: its own parameters are negotiated anew", async () => {
  const old = await logIn();
  const next = await target.connect({ session: old.session });
  const keys = { ...NAMES, HeaderDigest: "CRC32C", MaxRecvDataSegmentLength: "512" };
  assert.equal((await goesOn(next, { ...LOGIN, keys })).keys.get("HeaderDigest"), "CRC32C");
  next.headerDigest = true;
  next.maxRecvDataSegmentLength = 512;
  await next.ping();
});

test("RFC 7143 6.3.6: a new connection that goes away in the middle leaves no session that nobody can use", async () => {
  const old = await logIn();
  const { isid, tsih } = old.session;
  const next = await target.connect({ session: new SessionNumbers({ isid }) });
  const response = await next.loginRequest({ stage: 1, keys: NAMES, fields: { cid: CID, tsih } });
  assert.equal(response.field("statusClass"), 0);
  next.destroy();
  await old.ping();
});
