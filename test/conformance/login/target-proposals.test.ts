import assert from "node:assert/strict";
import { test } from "node:test";
import { write10 } from "../../support/cdb.js";
import { STAGE_OPERATIONAL, STAGE_SECURITY } from "../../support/raw-initiator.js";
import {
  configOf,
  goesOn,
  hasTransit,
  NAMES,
  nextStageOf,
  refused,
  STATUS_INITIATOR_ERROR,
  startTarget,
  TO_FULL_FEATURE,
} from "./fixture.js";

const CHECK_CONDITION = 2;

// Less than the defaults that hold where the initiator says nothing.
const target = startTarget(configOf({ target: "session: { firstBurstLength: 16384, immediateData: false }" }));

test("RFC 7143 6.2, 11.13.6: where a default does not suit, the target proposes, with T=0", async () => {
  const initiator = await target.connect();
  const response = await goesOn(initiator, { ...TO_FULL_FEATURE, keys: { ...NAMES, InitialR2T: "No" } });
  assert.equal(hasTransit(response), false);
  assert.deepEqual([response.keys.get("FirstBurstLength"), response.keys.get("ImmediateData")], ["16384", "No"]);
  const answers = { FirstBurstLength: "8192", ImmediateData: "No" };
  const last = await goesOn(initiator, { ...TO_FULL_FEATURE, keys: answers });
  assert.equal(hasTransit(last), true);
  assert.ok(!last.keys.has("FirstBurstLength"), "an answer is not answered");
});

test("RFC 7143 6.3: asked to skip the operational stage, the target selects it all the same", async () => {
  const initiator = await target.connect();
  const response = await goesOn(initiator, { stage: STAGE_SECURITY, nextStage: 3, keys: NAMES });
  assert.deepEqual([hasTransit(response), nextStageOf(response)], [true, STAGE_OPERATIONAL]);
  const offers = { FirstBurstLength: "16384", ImmediateData: "No" };
  assert.equal(hasTransit(await goesOn(initiator, { ...TO_FULL_FEATURE, keys: offers })), true);
});

test("RFC 7143 6.2.2: an answer that is none, or no answer: 0200h", async () => {
  for (const answers of [
    { FirstBurstLength: "32768", ImmediateData: "No" },
    { FirstBurstLength: "0", ImmediateData: "No" },
    { FirstBurstLength: "NotUnderstood", ImmediateData: "No" },
    { FirstBurstLength: "16384", ImmediateData: "Yes" },
    { FirstBurstLength: "Reject", ImmediateData: "No" },
    { ImmediateData: "No" },
    {},
  ]) {
    const initiator = await target.connect();
    await goesOn(initiator, { ...TO_FULL_FEATURE, keys: { ...NAMES, InitialR2T: "No" } });
    const options = { ...TO_FULL_FEATURE, keys: answers };
    await refused(initiator, options, STATUS_INITIATOR_ERROR, JSON.stringify(answers));
  }
});

test("RFC 7143 6.2.2: a boolean that the target proposes needs no answer, as it leaves no choice: it is in force all the same", async () => {
  for (const last of [[TO_FULL_FEATURE], [{ stage: STAGE_OPERATIONAL }, TO_FULL_FEATURE]]) {
    const initiator = await target.connect();
    const keys = { ...NAMES, FirstBurstLength: "16384", InitialR2T: "No" };
    const response = await goesOn(initiator, { ...TO_FULL_FEATURE, keys });
    assert.deepEqual([...response.keys].slice(-1), [["ImmediateData", "No"]]);
    assert.equal(hasTransit(response), false);
    for (const options of last) {
      assert.equal(hasTransit(await goesOn(initiator, options)), options === TO_FULL_FEATURE);
    }
    // Immediate data, where none was agreed on.
    const { status } = await initiator.command({ cdb: write10(0, 1), write: Buffer.alloc(512), immediateLength: 512 });
    assert.equal(status, CHECK_CONDITION);
  }
});
