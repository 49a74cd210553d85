import assert from "node:assert/strict";
import { test } from "node:test";
import { configOf, goesOn, NAMES, refused, STATUS_INITIATOR_ERROR, startTarget, TO_FULL_FEATURE } from "./fixture.js";

const GUARDED = "iqn.2026-11.io.ringlun:guarded";
const target = startTarget(
  configOf({
    targets: `- { name: "${GUARDED}", portalGroups: [1], luns: { 0: disk }, session: { headerDigest: [CRC32C] } }`,
  }),
);

async function answer(key: string, value: string): Promise<string | undefined> {
  const response = await goesOn(await target.connect(), { ...TO_FULL_FEATURE, keys: { ...NAMES, [key]: value } });
  return response.keys.get(key);
}

test("RFC 7143 6.2.1, 13.1: HeaderDigest, DataDigest: the first of the initiator's values that is supported", async () => {
  for (const key of ["HeaderDigest", "DataDigest"]) {
    assert.equal(await answer(key, "CRC32C,None"), "CRC32C");
    assert.equal(await answer(key, "None,CRC32C"), "None");
    assert.equal(await answer(key, "CRC32C"), "CRC32C");
    assert.equal(await answer(key, "None"), "None");
  }
});

test("RFC 7143 6.2.1: values that are not understood are ignored, and None is chosen only where proposed", async () => {
  assert.equal(await answer("HeaderDigest", "Y-com.example.crc,CRC64,CRC32C,None"), "CRC32C");
  for (const value of ["Y-com.example.crc", "CRC64,MD5", "", ",", "CRC32C None"]) {
    assert.equal(await answer("HeaderDigest", value), "Reject", value);
  }
});

test("RFC 7143 13.23: TaskReporting", async () => {
  assert.equal(await answer("TaskReporting", "FastAbort,ResponseFence,RFC3720"), "FastAbort");
  assert.equal(await answer("TaskReporting", "SomethingElse,ResponseFence,RFC3720"), "ResponseFence");
  assert.equal(await answer("TaskReporting", "RFC3720,ResponseFence"), "RFC3720");
  assert.equal(await answer("TaskReporting", "SomethingElse"), "Reject");
});

test("RFC 7143 13.1: digests begin with the Full Feature Phase, and go over every PDU of it", async () => {
  for (const [HeaderDigest, DataDigest] of [
    ["CRC32C", "CRC32C"],
    ["CRC32C", "None"],
    ["None", "CRC32C"],
  ] as const) {
    const initiator = await target.connect();
    const keys = { HeaderDigest, DataDigest };
    await initiator.login({ targetName: NAMES.TargetName, keys });
    assert.deepEqual(
      [initiator.headerDigest, initiator.dataDigest],
      [HeaderDigest === "CRC32C", DataDigest === "CRC32C"],
    );
    // The digests of what is sent are checked by the target, those of what is received by the initiator.
    const data = Buffer.from("some bytes, padded by 1");
    assert.deepEqual((await initiator.ping(data)).data, data);
  }
});

test("RFC 7143 6.2, 7.12: a compulsory digest that is not agreed on: asked for, or 0200h", async () => {
  const keys = { ...NAMES, TargetName: GUARDED };
  await refused(
    await target.connect(),
    { ...TO_FULL_FEATURE, keys: { ...keys, HeaderDigest: "None" } },
    STATUS_INITIATOR_ERROR,
  );
  const asked = await target.connect();
  const response = await goesOn(asked, { ...TO_FULL_FEATURE, keys });
  assert.equal(response.keys.get("HeaderDigest"), "CRC32C");
  await refused(asked, { ...TO_FULL_FEATURE, keys: { HeaderDigest: "Reject" } }, STATUS_INITIATOR_ERROR);
});
