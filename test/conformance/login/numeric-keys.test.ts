import assert from "node:assert/strict";
import { test } from "node:test";
import { write10 } from "../../support/cdb.js";
import { OPCODE_R2T } from "../../support/pdu.js";
import { STAGE_OPERATIONAL } from "../../support/raw-initiator.js";
import { configOf, goesOn, NAMES, startTarget, TO_FULL_FEATURE } from "./fixture.js";

// A target's limits that no default of RFC 7143 equals.
const target = startTarget(
  configOf({
    target: `session:
  maxBurstLength: 524288
  firstBurstLength: 131072
  maxOutstandingR2T: 3
  defaultTime2Wait: 5
  defaultTime2Retain: 60`,
  }),
);

async function answer(key: string, value: string): Promise<string | undefined> {
  const response = await goesOn(await target.connect(), { stage: STAGE_OPERATIONAL, keys: { ...NAMES, [key]: value } });
  return response.keys.get(key);
}

/** The default. */
const MAX_BURST_LENGTH = 262144;

/** Answers to the lowest and highest value of its range, to one beyond each, and to one that the target's limit decides. */
const KEYS: readonly (readonly [section: string, key: string, answers: Readonly<Record<string, string>>])[] = [
  ["13.2", "MaxConnections", { "0": "Reject", "1": "1", "65535": "1", "65536": "Reject" }],
  ["13.13", "MaxBurstLength", { "511": "Reject", "131072": "131072", "16777215": "524288", "16777216": "Reject" }],
  ["13.14", "FirstBurstLength", { "511": "Reject", "512": "512", "16777215": "131072", "16777216": "Reject" }],
  ["13.15", "DefaultTime2Wait", { "0": "5", "6": "6", "3600": "3600", "3601": "Reject" }],
  ["13.16", "DefaultTime2Retain", { "0": "0", "61": "60", "3600": "60", "3601": "Reject" }],
  ["13.17", "MaxOutstandingR2T", { "0": "Reject", "1": "1", "4": "3", "65535": "3", "65536": "Reject" }],
  ["13.20", "ErrorRecoveryLevel", { "0": "0", "2": "0", "3": "Reject" }],
  ["13.24", "iSCSIProtocolLevel", { "0": "0", "1": "1", "2": "2", "31": "2", "32": "Reject" }],
];

for (const [section, key, answers] of KEYS) {
  test(`RFC 7143 ${section}: ${key}: range and result function`, async () => {
    for (const [value, expected] of Object.entries(answers)) assert.equal(await answer(key, value), expected, value);
  });
}

test("RFC 7143 6.1: numbers are decimal without leading zeroes, or hexadecimal", async () => {
  for (const [value, expected] of Object.entries({
    "0x20000": "131072",
    "0X00020000": "131072",
    [`0x${"0".repeat(300)}20000`]: "131072",
    "0x10000000000000000": "Reject",
    "010": "Reject",
    "+65536": "Reject",
    "-1": "Reject",
    "65536.0": "Reject",
    "6e4": "Reject",
    " 65536": "Reject",
    "": "Reject",
    "0x": "Reject",
    "512~65536": "Reject",
    "65536,131072": "Reject",
    "18446744073709551615": "Reject",
    "99999999999999999999999999": "Reject",
  })) {
    assert.equal(await answer("MaxBurstLength", value), expected, JSON.stringify(value));
  }
});

test("RFC 7143 13.14: FirstBurstLength does not exceed MaxBurstLength, in whichever order they come", async () => {
  for (const offers of [
    { FirstBurstLength: "131072", MaxBurstLength: "65536" },
    { MaxBurstLength: "65536", FirstBurstLength: "131072" },
  ]) {
    const { keys } = await goesOn(await target.connect(), { ...TO_FULL_FEATURE, keys: { ...NAMES, ...offers } });
    assert.deepEqual([keys.get("MaxBurstLength"), keys.get("FirstBurstLength")], ["65536", "65536"]);
  }
});

test("RFC 7143 6.2: what was rejected stays at its default, in force in the session", async () => {
  const initiator = await target.connect();
  const keys = { MaxOutstandingR2T: "0", MaxBurstLength: "511", InitialR2T: "Yes", DefaultTime2Wait: "5" };
  await initiator.login({ targetName: NAMES.TargetName, keys });
  const write = Buffer.alloc(2 * MAX_BURST_LENGTH, 7);
  const task = await initiator.start({
    cdb: write10(0, write.length / 512),
    write,
    immediateLength: 0,
    leaveR2Ts: true,
  });
  const first = await initiator.expect(OPCODE_R2T);
  assert.equal(first.field("desiredDataTransferLength"), MAX_BURST_LENGTH);
  // A second R2T before the first is answered would come before this.
  await initiator.ping();
  await initiator.answerR2T(task, first);
  assert.equal((await initiator.expect(OPCODE_R2T)).field("bufferOffset"), MAX_BURST_LENGTH);
});
