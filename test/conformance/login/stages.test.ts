import assert from "node:assert/strict";
import { test } from "node:test";
import { STAGE_FULL_FEATURE, STAGE_OPERATIONAL, STAGE_SECURITY } from "../../support/raw-initiator.js";
import {
  goesOn,
  hasTransit,
  NAMES,
  nextStageOf,
  refused,
  STATUS_INITIATOR_ERROR,
  startTarget,
  TO_FULL_FEATURE,
} from "./fixture.js";

const target = startTarget();
const CSG_SHIFT = 2;
const STAGE_RESERVED = 2;

test("RFC 7143 6.3: from security by way of operational to full feature", async () => {
  const initiator = await target.connect();
  const first = await goesOn(initiator, {
    stage: STAGE_SECURITY,
    nextStage: STAGE_OPERATIONAL,
    keys: { ...NAMES, AuthMethod: "None" },
  });
  assert.deepEqual([hasTransit(first), nextStageOf(first)], [true, STAGE_OPERATIONAL]);
  assert.equal((first.flags >> CSG_SHIFT) & 3, STAGE_SECURITY);
  const last = await goesOn(initiator, TO_FULL_FEATURE);
  assert.deepEqual([hasTransit(last), nextStageOf(last)], [true, STAGE_FULL_FEATURE]);
  assert.equal((last.flags >> CSG_SHIFT) & 3, STAGE_OPERATIONAL);
  await initiator.ping();
});

test("RFC 7143 6.3: straight from either stage to full feature", async () => {
  for (const stage of [STAGE_SECURITY, STAGE_OPERATIONAL]) {
    const initiator = await target.connect();
    const response = await goesOn(initiator, { stage, nextStage: STAGE_FULL_FEATURE, keys: NAMES });
    assert.deepEqual([hasTransit(response), nextStageOf(response)], [true, STAGE_FULL_FEATURE]);
    // Section 6.3.2: "the target MUST reply with a Login Response with the TSIH value".
    assert.notEqual(response.field("tsih"), 0);
    await initiator.ping();
  }
});

test("RFC 7143 11.13.6: T=0 is answered with T=0, and a T in one request says nothing about the next", async () => {
  const initiator = await target.connect();
  for (const [stage, keys] of [
    [STAGE_SECURITY, NAMES],
    [STAGE_SECURITY, {}],
  ] as const) {
    assert.equal(hasTransit(await goesOn(initiator, { stage, keys })), false);
  }
  await goesOn(initiator, { stage: STAGE_SECURITY, nextStage: STAGE_OPERATIONAL });
  assert.equal(hasTransit(await goesOn(initiator, { stage: STAGE_OPERATIONAL })), false);
  assert.equal(hasTransit(await goesOn(initiator, TO_FULL_FEATURE)), true);
});

test("RFC 7143 6.3, table of transitions: those that are not in it: 0200h", async () => {
  const first = { keys: NAMES };
  for (const [stage, nextStage] of [
    [STAGE_SECURITY, STAGE_SECURITY],
    [STAGE_SECURITY, STAGE_RESERVED],
    [STAGE_OPERATIONAL, STAGE_SECURITY],
    [STAGE_OPERATIONAL, STAGE_OPERATIONAL],
    [STAGE_OPERATIONAL, STAGE_RESERVED],
    [STAGE_RESERVED, STAGE_FULL_FEATURE],
    [STAGE_FULL_FEATURE, STAGE_FULL_FEATURE],
  ] as const) {
    const what = `${stage} to ${nextStage}`;
    await refused(await target.connect(), { ...first, stage, nextStage }, STATUS_INITIATOR_ERROR, what);
  }
});

test("RFC 7143 6.3: a request of a stage that is not the current one: 0200h", async () => {
  const back = await target.connect();
  await goesOn(back, { stage: STAGE_SECURITY, nextStage: STAGE_OPERATIONAL, keys: NAMES });
  await refused(back, { stage: STAGE_SECURITY }, STATUS_INITIATOR_ERROR);
  const ahead = await target.connect();
  await goesOn(ahead, { stage: STAGE_SECURITY, keys: NAMES });
  await refused(ahead, TO_FULL_FEATURE, STATUS_INITIATOR_ERROR);
});
