import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeKeys, encodeKeys } from "../../support/pdu.js";
import { type RawInitiator, STAGE_OPERATIONAL, STAGE_SECURITY } from "../../support/raw-initiator.js";
import {
  goesOn,
  hasContinue,
  NAMES,
  refused,
  STATUS_INITIATOR_ERROR,
  startTarget,
  TO_FULL_FEATURE,
} from "./fixture.js";

const target = startTarget();
const SEGMENT = 8192;

test("RFC 7143 6.2: keys that are not understood are answered NotUnderstood, and the login goes on", async () => {
  const unknown = { "X-com.example.key": "1", "X-com.example.list": "a,b,None", "X#Later": "Yes", SomeLaterKey: "5" };
  for (const stage of [STAGE_SECURITY, STAGE_OPERATIONAL]) {
    const response = await goesOn(await target.connect(), { stage, keys: { ...NAMES, ...unknown } });
    for (const key of Object.keys(unknown)) assert.equal(response.keys.get(key), "NotUnderstood", key);
  }
});

/** All of the text but the last segment; returns that. */
async function sendParts(initiator: RawInitiator, text: Buffer): Promise<Buffer> {
  let sent = 0;
  for (; text.length - sent > SEGMENT; sent += SEGMENT) {
    const data = text.subarray(sent, sent + SEGMENT);
    await goesOn(initiator, { stage: STAGE_OPERATIONAL, more: true, data });
  }
  return text.subarray(sent);
}

test("RFC 7143 6.1: 8192 bytes of key=value data are taken, if it is in the shortest of keys", async () => {
  const initiator = await target.connect();
  const names = encodeKeys(NAMES);
  const keys: string[] = [];
  for (let index = 0; names.length + keys.length * 6 < 8192 - 6; index++) {
    keys.push(`K${index.toString(36).padStart(3, "0")}`);
  }
  const text = Buffer.concat([names, encodeKeys(keys.map((key) => [key, ""]))]);
  assert.ok(text.length > 8180 && text.length <= 8192);
  let response = await goesOn(initiator, { ...TO_FULL_FEATURE, data: text });
  const parts = [response.data];
  while (hasContinue(response)) {
    response = await goesOn(initiator, TO_FULL_FEATURE);
    parts.push(response.data);
  }
  const answers = decodeKeys(Buffer.concat(parts));
  for (const key of keys) assert.equal(answers.get(key), "NotUnderstood");
});

test("RFC 7143 6.1: thousands more of them, or text without end: 0200h", async () => {
  const flood = encodeKeys(Array.from({ length: 6000 }, (_, index) => [`Key${index}`, ""] as const));
  const initiator = await target.connect();
  const rest = await sendParts(initiator, Buffer.concat([encodeKeys(NAMES), flood]));
  await refused(initiator, { ...TO_FULL_FEATURE, data: rest }, STATUS_INITIATOR_ERROR);

  const endless = await target.connect();
  const part = { stage: STAGE_OPERATIONAL, more: true, data: Buffer.alloc(SEGMENT, "x") };
  for (let sent = 0; sent < 65536; sent += SEGMENT) await goesOn(endless, part);
  await refused(endless, part, STATUS_INITIATOR_ERROR);
});
