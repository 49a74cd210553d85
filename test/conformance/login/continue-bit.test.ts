import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeKeys, encodeKeys, type ReceivedPdu } from "../../support/pdu.js";
import { type RawInitiator, STAGE_OPERATIONAL } from "../../support/raw-initiator.js";
import {
  goesOn,
  hasContinue,
  hasTransit,
  NAMES,
  refused,
  STATUS_INITIATOR_ERROR,
  startTarget,
  TO_FULL_FEATURE,
} from "./fixture.js";

const target = startTarget();
const PART = { stage: STAGE_OPERATIONAL, more: true } as const;

/** 600 keys of 7 bytes, whose answers take two segments. */
const MANY = Array.from({ length: 600 }, (_, index) => [`Ab${index}`, ""] as const);

function assertEmpty(response: ReceivedPdu): void {
  assert.equal(response.data.length, 0);
  assert.deepEqual([hasTransit(response), hasContinue(response)], [false, false]);
}

test("RFC 7143 6.2: a request with C=1 is answered with no data segment, and the whole with an answer", async () => {
  const initiator = await target.connect();
  const text = encodeKeys({ ...NAMES, MaxBurstLength: "65536" });
  // In the middle of a key, of a value, and byte by byte.
  for (const [from, to] of [
    [0, 7],
    [7, 30],
    [30, 31],
    [31, 32],
  ]) {
    assertEmpty(await goesOn(initiator, { ...PART, data: text.subarray(from, to) }));
  }
  assertEmpty(await goesOn(initiator, PART));
  const response = await goesOn(initiator, { ...TO_FULL_FEATURE, data: text.subarray(32) });
  assert.equal(response.keys.get("MaxBurstLength"), "65536");
  assert.equal(response.keys.get("TargetPortalGroupTag"), "1");
  assert.ok(hasTransit(response));
});

test("RFC 7143 6.1: text may be cut between any two bytes", async () => {
  const text = encodeKeys({ ...NAMES, "X-com.example.key": "a=b", MaxBurstLength: "65536" });
  for (let cut = 0; cut <= text.length; cut++) {
    const initiator = await target.connect();
    assertEmpty(await goesOn(initiator, { ...PART, data: text.subarray(0, cut) }));
    const { keys } = await goesOn(initiator, { ...TO_FULL_FEATURE, data: text.subarray(cut) });
    assert.deepEqual([keys.get("X-com.example.key"), keys.get("MaxBurstLength")], ["NotUnderstood", "65536"], `${cut}`);
    initiator.destroy();
  }
});

test("RFC 7143 11.12.2: C=1 with T=1: 0200h", async () => {
  const keys = { ...TO_FULL_FEATURE, more: true, keys: NAMES };
  await refused(await target.connect(), keys, STATUS_INITIATOR_ERROR);
});

/** Sends NAMES and MANY; returns the answers, each but the last of them with the C bit. */
async function fetchMany(initiator: RawInitiator): Promise<ReceivedPdu[]> {
  const answers = [
    await goesOn(initiator, { ...TO_FULL_FEATURE, data: encodeKeys([...Object.entries(NAMES), ...MANY]) }),
  ];
  while (hasContinue(answers.at(-1)!)) answers.push(await goesOn(initiator, TO_FULL_FEATURE));
  return answers;
}

test("RFC 7143 6.2, 11.13.7: an answer longer than 8192 bytes comes in parts, T with the last one only", async () => {
  const answers = await fetchMany(await target.connect());
  assert.ok(answers.length > 1);
  for (const answer of answers) assert.equal(hasTransit(answer), answer === answers.at(-1));
  const keys = decodeKeys(Buffer.concat(answers.map(({ data }) => data)));
  for (const [key] of MANY) assert.equal(keys.get(key), "NotUnderstood");
});

test("RFC 7143 6.2: text, or C=1, while the answer goes on: 0200h", async () => {
  for (const wrong of [
    { stage: STAGE_OPERATIONAL, keys: { MaxBurstLength: "65536" } },
    { stage: STAGE_OPERATIONAL, more: true },
  ]) {
    const initiator = await target.connect();
    const data = encodeKeys([...Object.entries(NAMES), ...MANY]);
    assert.ok(hasContinue(await goesOn(initiator, { ...TO_FULL_FEATURE, data })));
    await refused(initiator, wrong, STATUS_INITIATOR_ERROR);
  }
});

test("RFC 7143 6.2: at least six exchanges are allowed, and not any number", async () => {
  const initiator = await target.connect();
  await goesOn(initiator, { stage: STAGE_OPERATIONAL, keys: NAMES });
  for (let exchange = 0; exchange < 30; exchange++) await goesOn(initiator, { stage: STAGE_OPERATIONAL });
  let status = 0;
  for (let exchange = 0; status === 0 && exchange < 1000; exchange++) {
    status = (await initiator.loginRequest({ stage: STAGE_OPERATIONAL })).field("statusClass");
  }
  assert.equal(status, 2);
  assert.deepEqual(await initiator.receiveUntilClosed(), []);
});
