import assert from "node:assert/strict";
import { test } from "node:test";
import { TARGET_NAME } from "../../support/target.js";
import { ALICE, BOB, chapConfig, ONE_WAY, TARGET } from "./chap-fixture.js";
import { startTarget } from "./fixture.js";

const target = startTarget(chapConfig());

for (const [algorithm, name] of [
  [5, "MD5"],
  [6, "SHA-1"],
  [7, "SHA-256"],
  [8, "SHA3-256"],
] as const) {
  test(`RFC 7143 12.1.3: CHAP with ${name}: the initiator proves itself`, async () => {
    for (const chap of [ALICE, BOB]) {
      const initiator = await target.connect();
      await initiator.login({ targetName: ONE_WAY, chap: { ...chap, algorithm } });
      await initiator.ping();
    }
  });

  test(`RFC 7143 12.1.3: CHAP with ${name}: the target proves itself, too`, async () => {
    const initiator = await target.connect();
    // The raw initiator checks the target's CHAP_N and CHAP_R.
    await initiator.login({ targetName: TARGET_NAME, chap: { ...ALICE, algorithm, mutual: TARGET } });
    await initiator.ping();
  });
}

test("RFC 7143 12.1.3: a target that could prove itself does so only where asked", async () => {
  const initiator = await target.connect();
  await initiator.login({ targetName: TARGET_NAME, chap: ALICE });
  assert.ok(!initiator.negotiated.has("CHAP_N"));
  assert.ok(!initiator.negotiated.has("CHAP_R"));
});
