import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeKeys } from "../../support/pdu.js";
import { STAGE_OPERATIONAL, STAGE_SECURITY } from "../../support/raw-initiator.js";
import { goesOn, NAMES, refused, STATUS_INITIATOR_ERROR, startTarget, TO_FULL_FEATURE } from "./fixture.js";

const target = startTarget();

const KEYS: readonly (readonly [string, string])[] = [
  ["HeaderDigest", "None"],
  ["MaxBurstLength", "65536"],
  ["MaxRecvDataSegmentLength", "65536"],
  ["InitialR2T", "Yes"],
  ["SessionType", "Normal"],
  ["InitiatorAlias", "host"],
  ["X-com.example.key", "1"],
];

test("RFC 7143 6.3: a key twice in one request: 0200h", async () => {
  for (const pair of KEYS) {
    const data = encodeKeys([...Object.entries(NAMES), pair, pair]);
    await refused(await target.connect(), { ...TO_FULL_FEATURE, data }, STATUS_INITIATOR_ERROR, pair[0]);
  }
});

test("RFC 7143 6.3: a key again in a later request: 0200h", async () => {
  for (const [key, value] of KEYS) {
    const initiator = await target.connect();
    await goesOn(initiator, { stage: STAGE_OPERATIONAL, keys: { ...NAMES, [key]: value } });
    await refused(initiator, { ...TO_FULL_FEATURE, keys: { [key]: value } }, STATUS_INITIATOR_ERROR, key);
  }
});

test("RFC 7143 6.3: a key again in the next stage: 0200h", async () => {
  const initiator = await target.connect();
  const keys = { InitiatorAlias: "host" };
  await goesOn(initiator, { stage: STAGE_SECURITY, nextStage: STAGE_OPERATIONAL, keys: { ...NAMES, ...keys } });
  await refused(initiator, { ...TO_FULL_FEATURE, keys }, STATUS_INITIATOR_ERROR);
});

test("RFC 7143 6.2, 6.3: a key again after its proposal was rejected: 0200h", async () => {
  const initiator = await target.connect();
  await goesOn(initiator, { stage: STAGE_OPERATIONAL, keys: { ...NAMES, MaxBurstLength: "0" } });
  await refused(initiator, { ...TO_FULL_FEATURE, keys: { MaxBurstLength: "65536" } }, STATUS_INITIATOR_ERROR);
});

// libiscsi does so, where it has a user and a secret that the target does not ask for.
test("who offered CHAP where none was needed may introduce himself again with the next stage, once and as before", async () => {
  const introduced = async (AuthMethod: string) => {
    const initiator = await target.connect();
    const keys = { ...NAMES, SessionType: "Normal", AuthMethod };
    await goesOn(initiator, { stage: STAGE_SECURITY, nextStage: STAGE_OPERATIONAL, keys });
    return initiator;
  };
  const again = { ...NAMES, SessionType: "Normal", MaxBurstLength: "65536" };
  const initiator = await introduced("CHAP,None");
  const { keys } = await goesOn(initiator, { ...TO_FULL_FEATURE, keys: again });
  assert.equal(keys.get("MaxBurstLength"), "65536");
  for (const [AuthMethod, request] of [
    ["None", again],
    ["CHAP,None", { ...again, InitiatorName: `${NAMES.InitiatorName}2` }],
    ["CHAP,None", { ...again, TargetName: `${NAMES.TargetName}2` }],
    ["CHAP,None", { ...again, SessionType: "Discovery" }],
    ["CHAP,None", { InitiatorAlias: "host", AuthMethod: "None" }],
  ] as const) {
    await refused(await introduced(AuthMethod), { ...TO_FULL_FEATURE, keys: request }, STATUS_INITIATOR_ERROR);
  }
  const twice = encodeKeys([...Object.entries(again), ["InitiatorName", NAMES.InitiatorName]]);
  await refused(await introduced("CHAP,None"), { ...TO_FULL_FEATURE, data: twice }, STATUS_INITIATOR_ERROR);
  const late = await introduced("CHAP,None");
  await goesOn(late, { stage: STAGE_OPERATIONAL, keys: {} });
  await refused(late, { ...TO_FULL_FEATURE, keys: again }, STATUS_INITIATOR_ERROR);
});
