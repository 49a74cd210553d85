import assert from "node:assert/strict";
import { test } from "node:test";
import { STAGE_OPERATIONAL } from "../../support/raw-initiator.js";
import { configOf, goesOn, NAMES, startTarget } from "./fixture.js";

const target = startTarget(configOf({ target: "session: { errorRecoveryLevel: 2, maxOutstandingR2T: 8 }" }));

async function answers(offers: Readonly<Record<string, string>>): Promise<(string | undefined)[]> {
  const { keys } = await goesOn(await target.connect(), { stage: STAGE_OPERATIONAL, keys: { ...NAMES, ...offers } });
  return Object.keys(offers).map((key) => keys.get(key));
}

test("RFC 7143 13.20: the lower of both levels", async () => {
  for (const level of ["0", "1", "2"]) assert.deepEqual(await answers({ ErrorRecoveryLevel: level }), [level]);
  assert.deepEqual(await answers({ ErrorRecoveryLevel: "3" }), ["Reject"]);
});

test("RFC 7143 13.19: with a level above 0, and sequences in order, there is one outstanding R2T", async () => {
  assert.deepEqual(await answers({ MaxOutstandingR2T: "8", ErrorRecoveryLevel: "0" }), ["8", "0"]);
  for (const level of ["1", "2"]) {
    assert.deepEqual(await answers({ MaxOutstandingR2T: "8", ErrorRecoveryLevel: level }), ["1", level]);
    assert.deepEqual(await answers({ ErrorRecoveryLevel: level, MaxOutstandingR2T: "8" }), [level, "1"]);
  }
});

test("RFC 7143 13.19: whichever was agreed first, in requests of their own", async () => {
  const initiator = await target.connect();
  const ask = async (keys: Readonly<Record<string, string>>) =>
    (await goesOn(initiator, { stage: STAGE_OPERATIONAL, keys })).keys;
  assert.equal((await ask({ ...NAMES, MaxOutstandingR2T: "8" })).get("MaxOutstandingR2T"), "8");
  assert.equal((await ask({ ErrorRecoveryLevel: "2" })).get("ErrorRecoveryLevel"), "0");
});
