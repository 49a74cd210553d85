import assert from "node:assert/strict";
import { test } from "node:test";
import { TARGET_NAME } from "../../support/target.js";
import {
  configOf,
  NAMES,
  refused,
  STATUS_AUTHORIZATION_FAILURE,
  startTarget,
  TO_FULL_FEATURE,
} from "../login/fixture.js";

const GUEST = "iqn.2026-11.io.ringlun:guest";
const CLOSED = "iqn.2026-11.io.ringlun:closed";
const NOBODYS = "iqn.2026-11.io.ringlun:nobodys";
const target = startTarget(
  configOf({
    targets: `- { name: "${CLOSED}", portalGroups: [1], luns: { 0: disk }, initiators: [{ name: "${NAMES.InitiatorName}" }] }
- { name: "${NOBODYS}", portalGroups: [1], luns: { 0: disk }, initiators: [] }`,
  }),
);

async function targetsSeenBy(initiatorName: string, value: string): Promise<string[]> {
  const initiator = await target.connect();
  await initiator.login({ initiatorName, sessionType: "Discovery" });
  const keys = await initiator.text({ SendTargets: value });
  return keys.get("TargetName")?.split("\n") ?? [];
}

test("RFC 7143 Appendix C: an initiator is told of the targets that it may use, and of no others", async () => {
  assert.deepEqual(await targetsSeenBy(NAMES.InitiatorName, "All"), [TARGET_NAME, CLOSED]);
  assert.deepEqual(await targetsSeenBy(GUEST, "All"), [TARGET_NAME]);
});

test("RFC 7143 Appendix C: nor by their names", async () => {
  assert.deepEqual(await targetsSeenBy(NAMES.InitiatorName, CLOSED), [CLOSED]);
  assert.deepEqual(await targetsSeenBy(GUEST, CLOSED), []);
  assert.deepEqual(await targetsSeenBy(GUEST, NOBODYS), []);
});

test("RFC 7143 11.13.5: nor by a discovery session that names one: 0202h", async () => {
  const keys = { InitiatorName: GUEST, TargetName: CLOSED, SessionType: "Discovery" };
  await refused(await target.connect(), { ...TO_FULL_FEATURE, keys }, STATUS_AUTHORIZATION_FAILURE);
});
