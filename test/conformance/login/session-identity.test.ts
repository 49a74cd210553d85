import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionNumbers } from "../../support/raw-connection.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import {
  configOf,
  goesOn,
  NAMES,
  refused,
  STATUS_CANNOT_INCLUDE_IN_SESSION,
  STATUS_INITIATOR_ERROR,
  STATUS_SESSION_DOES_NOT_EXIST,
  STATUS_TOO_MANY_CONNECTIONS,
  startTarget,
  TO_FULL_FEATURE,
} from "./fixture.js";

const OTHER = "iqn.2026-11.io.ringlun:other";
const target = startTarget(
  configOf({
    portalGroups: "[1, 2]",
    targets: `- { name: "${OTHER}", portalGroups: [1], luns: { 0: disk } }`,
  }),
);
const NAMED_DISCOVERY = { ...NAMES, SessionType: "Discovery" };

/** A session of its own. */
async function logIn(keys: Readonly<Record<string, string>> = NAMES): Promise<RawInitiator> {
  const initiator = await target.connect();
  const response = await goesOn(initiator, { ...TO_FULL_FEATURE, keys });
  initiator.session.tsih = response.field("tsih");
  return initiator;
}

/** A login with the ISID of a session that is there, and with this TSIH. */
async function loginLike(
  existing: RawInitiator,
  tsih: number,
  status: number,
  options: { keys?: Readonly<Record<string, string>>; cid?: number; port?: number } = {},
): Promise<void> {
  const session = new SessionNumbers({ isid: existing.session.isid });
  const { port = target.running.port, cid = 0, keys = NAMES } = options;
  const initiator = await target.connect({ port, session });
  await refused(initiator, { ...TO_FULL_FEATURE, keys, fields: { tsih, cid } }, status);
}

test("RFC 7143 6.3.1: a new ISID with a TSIH: 020Ah", async () => {
  const existing = await logIn();
  for (const tsih of [existing.session.tsih, 1, 0xffff]) {
    const fields = { tsih };
    const options = { ...TO_FULL_FEATURE, keys: NAMES, fields };
    await refused(await target.connect(), options, STATUS_SESSION_DOES_NOT_EXIST);
  }
  await existing.ping();
});

test("RFC 7143 6.3.1: an existing ISID with a TSIH that is not its own: 020Ah, and the session goes on", async () => {
  const existing = await logIn();
  const { tsih } = existing.session;
  for (const wrong of [tsih ^ 1, tsih ^ 0x8000]) {
    if (wrong !== 0) await loginLike(existing, wrong, STATUS_SESSION_DOES_NOT_EXIST);
  }
  await existing.ping();
});

test("RFC 7143 6.3.1, 4.4.3: an ISID is another one for another initiator, target or portal group", async () => {
  const existing = await logIn();
  const { tsih } = existing.session;
  const foreign = [
    { keys: { ...NAMES, InitiatorName: "iqn.2026-11.io.ringlun:other-initiator" } },
    { keys: { ...NAMES, TargetName: OTHER } },
    { port: target.running.places.port2 },
  ];
  for (const options of foreign) await loginLike(existing, tsih, STATUS_SESSION_DOES_NOT_EXIST, options);
  for (const { port = target.running.port, keys = NAMES } of foreign) {
    const session = new SessionNumbers({ isid: existing.session.isid });
    const initiator = await target.connect({ port, session });
    await goesOn(initiator, { ...TO_FULL_FEATURE, keys });
    await initiator.ping();
  }
  await existing.ping();
});

test("RFC 7143 13.2, 11.13.5: a connection beyond MaxConnections: 0206h, and the session goes on", async () => {
  const existing = await logIn({ ...NAMES, MaxConnections: "4" });
  await loginLike(existing, existing.session.tsih, STATUS_TOO_MANY_CONNECTIONS, { cid: 1 });
  await existing.ping();
});

test("RFC 7143 7.4.2.2: a session is not joined by a connection of the other SessionType: 0208h", async () => {
  const normal = await logIn();
  const discovery = await logIn(NAMED_DISCOVERY);
  for (const cid of [0, 1]) {
    await loginLike(normal, normal.session.tsih, STATUS_CANNOT_INCLUDE_IN_SESSION, { keys: NAMED_DISCOVERY, cid });
    await loginLike(discovery, discovery.session.tsih, STATUS_CANNOT_INCLUDE_IN_SESSION, { cid });
  }
  await normal.ping();
  assert.match((await discovery.text({ SendTargets: "" })).get("TargetName") ?? "", /^iqn/);
});

test("RFC 7143 13: keys of the leading login are for no other: 0200h, and the session goes on", async () => {
  const existing = await logIn();
  for (const [key, value] of [
    ["MaxConnections", "1"],
    ["InitialR2T", "Yes"],
    ["MaxBurstLength", "262144"],
    ["ErrorRecoveryLevel", "0"],
  ] as const) {
    const keys = { ...NAMES, [key]: value };
    await loginLike(existing, existing.session.tsih, STATUS_INITIATOR_ERROR, { keys });
  }
  await existing.ping();
});
