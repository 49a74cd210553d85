import assert from "node:assert/strict";
import { test } from "node:test";
import { write10 } from "../../support/cdb.js";
import { TARGET_NAME } from "../../support/target.js";
import { configOf, goesOn, NAMES, startTarget, TO_FULL_FEATURE } from "./fixture.js";

const OTHER = "iqn.2026-11.io.ringlun:other";
// One target per side of InitialR2T and ImmediateData.
const target = startTarget(
  configOf({
    target: "session: { initialR2T: false, immediateData: true }",
    targets: `- { name: "${OTHER}", portalGroups: [1], luns: { 0: disk }, session: { initialR2T: true, immediateData: false } }`,
  }),
);

async function answer(TargetName: string, key: string, value: string): Promise<string | undefined> {
  const keys = { ...NAMES, TargetName, [key]: value, ...(key === "ImmediateData" ? {} : { ImmediateData: "No" }) };
  // Where the target's wish differs from what is on offer it asks for more; the answer comes first in any case.
  return (await goesOn(await target.connect(), { ...TO_FULL_FEATURE, keys })).keys.get(key);
}

test("RFC 7143 13.10: InitialR2T: OR", async () => {
  assert.equal(await answer(TARGET_NAME, "InitialR2T", "No"), "No");
  assert.equal(await answer(TARGET_NAME, "InitialR2T", "Yes"), "Yes");
  assert.equal(await answer(OTHER, "InitialR2T", "No"), "Yes");
  assert.equal(await answer(OTHER, "InitialR2T", "Yes"), "Yes");
});

test("RFC 7143 13.11: ImmediateData: AND", async () => {
  assert.equal(await answer(TARGET_NAME, "ImmediateData", "No"), "No");
  assert.equal(await answer(TARGET_NAME, "ImmediateData", "Yes"), "Yes");
  assert.equal(await answer(OTHER, "ImmediateData", "No"), "No");
  assert.equal(await answer(OTHER, "ImmediateData", "Yes"), "No");
});

test("RFC 7143 13.18, 13.19: DataPDUInOrder, DataSequenceInOrder: OR, and this target is always in order", async () => {
  for (const key of ["DataPDUInOrder", "DataSequenceInOrder"]) {
    for (const value of ["Yes", "No"]) assert.equal(await answer(TARGET_NAME, key, value), "Yes");
  }
});

test("RFC 7143 6.1: booleans are Yes or No, and nothing else", async () => {
  for (const value of ["yes", "NO", "1", "True", "", "Yes,No"]) {
    assert.equal(await answer(TARGET_NAME, "InitialR2T", value), "Reject", value);
  }
});

test("RFC 7143 13.10, 13.11: what was agreed is in force", async () => {
  const initiator = await target.connect();
  await initiator.login({ targetName: OTHER, keys: { InitialR2T: "No", ImmediateData: "Yes" } });
  assert.equal(initiator.initialR2T, true);
  assert.equal(initiator.immediateData, false);
  const write = Buffer.alloc(512, 1);
  const task = await initiator.start({ cdb: write10(0, 1), write });
  await initiator.finish(task);
  assert.equal(task.r2ts.length, 1);
});
