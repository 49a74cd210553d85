import assert from "node:assert/strict";
import { test } from "node:test";
import { STAGE_OPERATIONAL } from "../../support/raw-initiator.js";
import {
  goesOn,
  NAMES,
  refused,
  STATUS_INITIATOR_ERROR,
  STATUS_UNSUPPORTED_VERSION,
  startTarget,
  TO_FULL_FEATURE,
} from "./fixture.js";

const target = startTarget();

test("RFC 7143 11.12.4, 11.13.2: a range of versions without 0: 0205h, with the version that there is", async () => {
  for (const [versionMin, versionMax] of [
    [1, 1],
    [1, 255],
    [255, 255],
    [1, 0],
  ] as const) {
    const options = { ...TO_FULL_FEATURE, keys: NAMES, fields: { versionMin, versionMax } };
    const response = await refused(await target.connect(), options, STATUS_UNSUPPORTED_VERSION);
    assert.deepEqual([response.field("versionMax"), response.field("versionActive")], [0, 0]);
  }
});

test("RFC 7143 11.13.1, 11.13.2: of a range with 0 that is chosen, and said in every response", async () => {
  const initiator = await target.connect();
  const fields = { versionMin: 0, versionMax: 3 };
  for (const options of [{ stage: STAGE_OPERATIONAL, keys: NAMES }, TO_FULL_FEATURE]) {
    const response = await goesOn(initiator, { ...options, fields });
    assert.deepEqual([response.field("versionMax"), response.field("versionActive")], [0, 0]);
  }
});

test("RFC 7143 11.12.4: all Login Requests carry the same versions: else 0200h", async () => {
  const initiator = await target.connect();
  await goesOn(initiator, { stage: STAGE_OPERATIONAL, keys: NAMES });
  await refused(initiator, { ...TO_FULL_FEATURE, fields: { versionMax: 1 } }, STATUS_INITIATOR_ERROR);
});
