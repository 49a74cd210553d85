import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeKeys } from "../../support/pdu.js";
import { SessionNumbers } from "../../support/raw-connection.js";
import { STAGE_OPERATIONAL } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import {
  configOf,
  goesOn,
  INITIATOR_NAME,
  NAMES,
  refused,
  STATUS_INITIATOR_ERROR,
  STATUS_MISSING_PARAMETER,
  STATUS_NOT_FOUND,
  startTarget,
  TO_FULL_FEATURE,
} from "./fixture.js";

const ELSEWHERE = "iqn.2026-11.io.ringlun:elsewhere";
const PREPARED = "iqn.2026-11.io.ringlun:Stra\u00dfe.\u00e9";
const target = startTarget(
  configOf({
    targets: `- { name: "${ELSEWHERE}", portalGroups: [2], luns: { 0: disk } }
- { name: "${PREPARED}", portalGroups: [1], luns: { 0: disk } }`,
  }),
);

async function isRefused(keys: Readonly<Record<string, string>>, status: number): Promise<void> {
  await refused(await target.connect(), { ...TO_FULL_FEATURE, keys }, status, JSON.stringify(keys));
}

test("RFC 7143 6.3, 13.5: a first Login Request without InitiatorName: 0207h", async () => {
  await isRefused({ TargetName: TARGET_NAME }, STATUS_MISSING_PARAMETER);
  await isRefused({ SessionType: "Discovery" }, STATUS_MISSING_PARAMETER);
  await isRefused({}, STATUS_MISSING_PARAMETER);
});

test("RFC 7143 6.3, 13.4: a first Login Request of a Normal session without TargetName: 0207h", async () => {
  await isRefused({ InitiatorName: INITIATOR_NAME }, STATUS_MISSING_PARAMETER);
  await isRefused({ InitiatorName: INITIATOR_NAME, SessionType: "Normal" }, STATUS_MISSING_PARAMETER);
});

test("RFC 7143 11.13.5: a target that does not exist, or not at this portal: 0203h", async () => {
  await isRefused({ ...NAMES, TargetName: "iqn.2026-11.io.ringlun:nobody" }, STATUS_NOT_FOUND);
  await isRefused({ ...NAMES, TargetName: ELSEWHERE }, STATUS_NOT_FOUND);
  const there = await target.connect({ port: target.running.places.port2 });
  await there.login({ targetName: ELSEWHERE });
});

test("RFC 7143 4.2.7: names that are none: 0200h", async () => {
  for (const name of ["", "iqn.2026-11.io ringlun", "iqn.2026-11.io.ringlun:\x07", `iqn.${"x".repeat(220)}`]) {
    await isRefused({ ...NAMES, InitiatorName: name }, STATUS_INITIATOR_ERROR);
    await isRefused({ ...NAMES, TargetName: name }, STATUS_INITIATOR_ERROR);
  }
});

test("RFC 7143 4.2.7.1: names of 223 bytes are served, and case does not matter", async () => {
  const initiator = await target.connect();
  const initiatorName = `iqn.2026-11.io.ringlun:${"x".repeat(200)}`;
  assert.equal(initiatorName.length, 223);
  await initiator.login({ initiatorName, targetName: TARGET_NAME.toUpperCase() });
});

test("RFC 7143 4.2.7.2: names are prepared by RFC 3722 before they are compared, configured ones and those on the wire", async () => {
  for (const name of ["STRASSE.\u00e9", "stra\u00dfe.e\u0301", "\uff53tra\u00ad\u00dfe.\u00c9"]) {
    const initiator = await target.connect();
    await initiator.login({ targetName: `iqn.2026-11.io.ringlun:${name}` });
  }
  for (const name of ["a=b", "a;b", "a\u05d0", "a\u3002b", "a/b"]) {
    await isRefused({ ...NAMES, TargetName: `iqn.2026-11.io.ringlun:${name}` }, STATUS_INITIATOR_ERROR);
  }
});

test("RFC 7143 4.2.7.2, 4.4.3: however an initiator writes its name, it is the same, and so is its session", async () => {
  const [one, other] = ["iqn.2026-11.io.ringlun:stra\u00dfe", "IQN.2026-11.IO.RINGLUN:Strasse"] as const;
  const first = await target.connect();
  await first.login({ targetName: TARGET_NAME, initiatorName: one });
  // ISID, TSIH and CID: connection reinstatement (6.3.4); a name of somebody else would have no such session (020Ah).
  const again = await target.connect({ session: first.session });
  await again.login({ targetName: TARGET_NAME, initiatorName: other, keys: {} });
  assert.deepEqual(await first.receiveUntilClosed(), []);
  // ISID and TSIH 0: session reinstatement (6.3.5).
  const { isid } = first.session;
  const anew = await target.connect({ session: new SessionNumbers({ isid }) });
  await anew.login({ targetName: TARGET_NAME, initiatorName: one });
  assert.deepEqual(await again.receiveUntilClosed(), []);
  await anew.ping();
});

test("RFC 7143 13.4, 13.5: names again, in the first request or in a later one: 0200h", async () => {
  for (const [key, value] of Object.entries(NAMES)) {
    const data = encodeKeys([...Object.entries(NAMES), [key, value]]);
    await refused(await target.connect(), { ...TO_FULL_FEATURE, data }, STATUS_INITIATOR_ERROR);
    const initiator = await target.connect();
    await goesOn(initiator, { stage: STAGE_OPERATIONAL, keys: NAMES });
    await refused(initiator, { ...TO_FULL_FEATURE, keys: { [key]: value } }, STATUS_INITIATOR_ERROR);
  }
});
