import assert from "node:assert/strict";
import { test } from "node:test";
import { STAGE_SECURITY } from "../../support/raw-initiator.js";
import { configOf, NAMES, refused, STATUS_AUTHORIZATION_FAILURE, startTarget, TO_FULL_FEATURE } from "./fixture.js";

const targets = [
  ["temporary", "192.0.2.7:3261", false],
  ["permanent", "[2001:db8::7]:3260", true],
] as const;
const target = startTarget(
  configOf({
    targets: targets
      .map(
        ([name, to, permanent]) => `- name: iqn.2026-11.io.ringlun:${name}
  portalGroups: [1]
  redirect: { to: "${to}", permanent: ${permanent} }
  initiators: [{ name: "${NAMES.InitiatorName}" }]
  luns: {}`,
      )
      .join("\n"),
  }),
);

for (const [name, to, permanent] of targets) {
  const keys = { ...NAMES, TargetName: `iqn.2026-11.io.ringlun:${name}` };
  const status = permanent ? 0x0102 : 0x0101;

  test(`RFC 7143 11.13.5, 13.8: a target that has moved, ${name}: TargetAddress without a portal group tag`, async () => {
    for (const options of [TO_FULL_FEATURE, { stage: STAGE_SECURITY }]) {
      const response = await refused(await target.connect(), { ...options, keys }, status);
      assert.deepEqual([...response.keys], [["TargetAddress", to]]);
    }
  });

  test(`RFC 7143 11.13.5: where it has moved to, ${name}, is nobody else's business`, async () => {
    const options = { ...TO_FULL_FEATURE, keys: { ...keys, InitiatorName: "iqn.2026-11.io.ringlun:stranger" } };
    const response = await refused(await target.connect(), options, STATUS_AUTHORIZATION_FAILURE);
    assert.equal(response.data.length, 0);
  });
}
