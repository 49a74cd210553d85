import assert from "node:assert/strict";
import { test } from "node:test";
import { goesOn, NAMES, refused, STATUS_INITIATOR_ERROR, startTarget, TO_FULL_FEATURE } from "./fixture.js";

const target = startTarget();

test("RFC 7143 6.2: Reject, Irrelevant and NotUnderstood as proposals are protocol errors: 0200h", async () => {
  for (const value of ["Reject", "Irrelevant", "NotUnderstood"]) {
    for (const key of [
      "MaxBurstLength",
      "InitialR2T",
      "HeaderDigest",
      "MaxRecvDataSegmentLength",
      "X-com.example.key",
    ]) {
      const options = { ...TO_FULL_FEATURE, keys: { ...NAMES, [key]: value } };
      await refused(await target.connect(), options, STATUS_INITIATOR_ERROR, `${key}=${value}`);
    }
  }
});

test("RFC 7143 6.2.2: None where no list is negotiated is no admissible value: Reject", async () => {
  const keys = { ...NAMES, MaxBurstLength: "None", InitialR2T: "None" };
  const response = await goesOn(await target.connect(), { ...TO_FULL_FEATURE, keys });
  assert.equal(response.keys.get("MaxBurstLength"), "Reject");
  assert.equal(response.keys.get("InitialR2T"), "Reject");
});
