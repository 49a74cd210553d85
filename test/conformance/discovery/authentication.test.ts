import assert from "node:assert/strict";
import { test } from "node:test";
import { LoginRefusedError } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import {
  configOf,
  refused,
  STATUS_AUTHENTICATION_FAILURE,
  startTarget,
  TO_FULL_FEATURE,
  UNNAMED_DISCOVERY,
} from "../login/fixture.js";

const SCOUT = { user: "scout", secret: "the scout's own secret" };
const TARGET = { user: "the target", secret: "the target proves it" };
// The target itself asks nobody who he is.
const target = startTarget(
  configOf({
    top: `discovery:
  auth:
    chap: [{ user: "${SCOUT.user}", secret: "${SCOUT.secret}" }]
    mutual: { user: "${TARGET.user}", secret: "${TARGET.secret}" }`,
  }),
);

test("RFC 7143 9.2, 12.1.3: who discovers with the right secret is let in, and may ask for the target's proof", async () => {
  for (const chap of [SCOUT, { ...SCOUT, mutual: TARGET, algorithm: 7 }]) {
    const initiator = await target.connect();
    await initiator.login({ sessionType: "Discovery", chap });
    assert.equal((await initiator.text({ SendTargets: "All" })).get("TargetName"), TARGET_NAME);
  }
});

test("RFC 7143 9.2: who has none, or a wrong one: 0201h", async () => {
  const keys = UNNAMED_DISCOVERY;
  await refused(await target.connect(), { ...TO_FULL_FEATURE, keys }, STATUS_AUTHENTICATION_FAILURE);
  const named = { ...UNNAMED_DISCOVERY, TargetName: TARGET_NAME };
  await refused(await target.connect(), { ...TO_FULL_FEATURE, keys: named }, STATUS_AUTHENTICATION_FAILURE);
  const login = (await target.connect()).login({
    sessionType: "Discovery",
    chap: { ...SCOUT, secret: "something else" },
  });
  await assert.rejects(login, { name: LoginRefusedError.name, status: STATUS_AUTHENTICATION_FAILURE });
});

test("discovery's secrets are for discovery alone", async () => {
  const initiator = await target.login();
  await initiator.ping();
});
