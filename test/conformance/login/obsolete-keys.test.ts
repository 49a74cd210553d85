import assert from "node:assert/strict";
import { test } from "node:test";
import { goesOn, NAMES, startTarget, TO_FULL_FEATURE } from "./fixture.js";

const target = startTarget();

test("RFC 7143 13.25: markers are answered Reject, never NotUnderstood", async () => {
  const offers = { OFMarker: "Yes", IFMarker: "No", OFMarkInt: "1~65535", IFMarkInt: "2048" };
  const { keys } = await goesOn(await target.connect(), { ...TO_FULL_FEATURE, keys: { ...NAMES, ...offers } });
  for (const key of Object.keys(offers)) assert.equal(keys.get(key), "Reject", key);
});

test("RFC 7143 13.25: likewise in the Full Feature Phase", async () => {
  const initiator = await target.connect();
  await initiator.login({ targetName: NAMES.TargetName });
  const keys = await initiator.text({ OFMarkInt: "2048", IFMarkInt: "1~65535" });
  assert.deepEqual(
    [...keys],
    [
      ["OFMarkInt", "Reject"],
      ["IFMarkInt", "Reject"],
    ],
  );
});
