import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeKeys,
  encodeKeys,
  FLAG_CONTINUE,
  FLAG_FINAL,
  OPCODE_REJECT,
  OPCODE_TEXT_REQUEST,
  OPCODE_TEXT_RESPONSE,
  type ReceivedPdu,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import { startTarget } from "../login/fixture.js";

const target = startTarget();

const TAG = 0x1234;

async function send(initiator: RawInitiator, data: Buffer, flags: number, targetTransferTag: number, tag = TAG) {
  await initiator.send({ opcode: OPCODE_TEXT_REQUEST, initiatorTaskTag: tag, flags, targetTransferTag }, data);
}

async function exchange(initiator: RawInitiator, data: Buffer, flags: number, targetTransferTag: number) {
  await send(initiator, data, flags, targetTransferTag);
  const response = await initiator.expect(OPCODE_TEXT_RESPONSE);
  assert.equal(response.initiatorTaskTag, TAG);
  assert.equal(response.final, response.targetTransferTag === TAG_NONE);
  return response;
}

/** The request that was sent last is rejected; the next one has its CmdSN, which was not taken (RFC 7143 section 7.3). */
async function rejected(initiator: RawInitiator): Promise<number> {
  const reject = await initiator.expect(OPCODE_REJECT);
  initiator.session.cmdSN--;
  assert.equal(reject.expCmdSN, initiator.session.cmdSN);
  return reject.field("reason");
}

/** Sends `text` in C-bit parts of `length` bytes; returns the response to the whole. */
async function sendInParts(initiator: RawInitiator, text: Buffer, length: number): Promise<ReceivedPdu> {
  let tag = TAG_NONE;
  let sent = 0;
  for (; text.length - sent > length; sent += length) {
    const response = await exchange(initiator, text.subarray(sent, sent + length), FLAG_CONTINUE, tag);
    assert.deepEqual([response.data.length, response.final, response.flags & FLAG_CONTINUE], [0, false, 0]);
    tag = response.targetTransferTag;
  }
  return exchange(initiator, text.subarray(sent), FLAG_FINAL, tag);
}

/** Of keys that nobody understands. */
function names(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `X-com.example.${index}`);
}

/** The rest of an answer whose first part is `response`. */
async function fetchRest(initiator: RawInitiator, response: ReceivedPdu): Promise<Map<string, string>> {
  const parts = [response.data];
  while (!response.final) {
    assert.ok(response.flags & FLAG_CONTINUE);
    response = await exchange(initiator, Buffer.alloc(0), FLAG_FINAL, response.targetTransferTag);
    parts.push(response.data);
  }
  return decodeKeys(Buffer.concat(parts));
}

test("RFC 7143 6.2, 11.10.2: text in parts is answered with nothing until it is whole", async () => {
  const initiator = await target.login();
  const text = encodeKeys({ "X-com.example.a": "1", "X-com.example.b": "2" });
  for (const length of [1, 7, 30]) {
    const keys = await fetchRest(initiator, await sendInParts(initiator, text, length));
    assert.deepEqual([...keys.values()], ["NotUnderstood", "NotUnderstood"]);
  }
});

test("RFC 7143 11.11.1: F=0 is answered with F=0, and the sequence goes on", async () => {
  const initiator = await target.login();
  const first = await exchange(initiator, encodeKeys({ "X-com.example.a": "1" }), 0, TAG_NONE);
  assert.deepEqual([first.final, first.keys.get("X-com.example.a")], [false, "NotUnderstood"]);
  const second = await exchange(initiator, encodeKeys({ "X-com.example.b": "1" }), 0, first.targetTransferTag);
  assert.deepEqual([second.final, second.keys.get("X-com.example.b")], [false, "NotUnderstood"]);
  const last = await exchange(initiator, Buffer.alloc(0), FLAG_FINAL, second.targetTransferTag);
  assert.deepEqual([last.final, last.data.length], [true, 0]);
});

test("RFC 7143 6.4: F=1 with nothing to answer ends the exchange at once, with nothing", async () => {
  const initiator = await target.login();
  for (const keys of [{}, { InitiatorAlias: "A host" }]) {
    const response = await exchange(initiator, encodeKeys(keys), FLAG_FINAL, TAG_NONE);
    assert.deepEqual([response.final, response.data.length], [true, 0]);
  }
});

test("RFC 7143 6.4: a key again is a protocol error, however F comes and goes in the sequence", async () => {
  const initiator = await target.login({ MaxRecvDataSegmentLength: "512" });
  const keys = [["InitiatorAlias", "A host"], ...names(50).map((name) => [name, "1"])] as [string, string][];
  // The initiator is ready to end the sequence, and no longer when the rest of the answer comes.
  let response = await exchange(initiator, encodeKeys(keys), FLAG_FINAL, TAG_NONE);
  while (response.flags & FLAG_CONTINUE) {
    response = await exchange(initiator, Buffer.alloc(0), 0, response.targetTransferTag);
  }
  assert.equal(response.final, false);
  await send(initiator, encodeKeys({ InitiatorAlias: "A host" }), FLAG_FINAL, response.targetTransferTag);
  assert.equal(await rejected(initiator), 0x04, "Protocol Error");
});

test("RFC 7143 11.11.6: a long answer comes in parts, none longer than declared", async () => {
  for (const length of ["512", "8192", "16777215"]) {
    const initiator = await target.login({ MaxRecvDataSegmentLength: length });
    const text = encodeKeys(names(500).map((name) => [name, "1"]));
    const keys = await fetchRest(initiator, await sendInParts(initiator, text, 8192));
    assert.deepEqual([...keys.keys()], names(500));
  }
});

test("RFC 7143 6.1: as many keys as 8192 bytes can hold are answered, to an initiator that takes any length", async () => {
  const initiator = await target.login({ MaxRecvDataSegmentLength: "16777215" });
  const names = Array.from({ length: 1365 }, (_, index) => `K${index.toString(36).padStart(3, "0")}`);
  const text = encodeKeys(names.map((name) => [name, ""]));
  assert.ok(text.length <= 8192);
  assert.equal((await fetchRest(initiator, await exchange(initiator, text, FLAG_FINAL, TAG_NONE))).size, names.length);
});

test("RFC 7143 11.10.4: a tag that is stale, unknown or another task's is rejected; so is one out of nothing", async () => {
  const initiator = await target.login();
  await send(initiator, Buffer.alloc(0), FLAG_FINAL, 0);
  await rejected(initiator);
  for (const [difference, tag] of [
    [1, TAG],
    [0, TAG + 1],
  ] as const) {
    const { targetTransferTag } = await exchange(initiator, encodeKeys({ "X-a": "1" }), 0, TAG_NONE);
    await send(initiator, Buffer.alloc(0), FLAG_FINAL, targetTransferTag + difference, tag);
    await rejected(initiator);
    await send(initiator, Buffer.alloc(0), FLAG_FINAL, targetTransferTag);
    await rejected(initiator);
  }
  assert.equal((await initiator.text({ SendTargets: "" })).get("TargetName"), TARGET_NAME);
});

test("RFC 7143 11.10.3: so is one with another I bit than the sequence began with", async () => {
  const initiator = await target.login();
  const { targetTransferTag } = await exchange(initiator, encodeKeys({ "X-a": "1" }), 0, TAG_NONE);
  const request = { opcode: OPCODE_TEXT_REQUEST, initiatorTaskTag: TAG, flags: FLAG_FINAL, targetTransferTag };
  await initiator.send({ ...request, immediate: true });
  assert.equal((await initiator.expect(OPCODE_REJECT)).field("reason"), 0x09, "Invalid PDU field");
  await send(initiator, Buffer.alloc(0), FLAG_FINAL, targetTransferTag);
  await rejected(initiator);
  assert.equal((await initiator.text({ SendTargets: "" })).get("TargetName"), TARGET_NAME);
});

test("RFC 7143 11.11.4: more text than there is room for is rejected, and forgotten", async () => {
  const initiator = await target.login();
  const part = Buffer.alloc(65536, "x");
  const { targetTransferTag } = await exchange(initiator, part, FLAG_CONTINUE, TAG_NONE);
  await send(initiator, Buffer.from("x"), FLAG_CONTINUE, targetTransferTag);
  assert.equal(await rejected(initiator), 0x0a, "out of resources");
  assert.equal((await initiator.text({ SendTargets: "" })).get("TargetName"), TARGET_NAME);
});

test("RFC 7143 11.10.2: C=1 with F=1 is a format error", async () => {
  const initiator = await target.login();
  await send(initiator, encodeKeys({ SendTargets: "" }), FLAG_FINAL | FLAG_CONTINUE, TAG_NONE);
  assert.deepEqual(await initiator.receiveUntilClosed(), []);
});

test("RFC 7143 6.4: text while the answer goes on is a protocol error", async () => {
  const initiator = await target.login({ MaxRecvDataSegmentLength: "512" });
  const keys = names(100).map((name) => [name, "1"] as const);
  const response = await exchange(initiator, encodeKeys(keys), FLAG_FINAL, TAG_NONE);
  assert.equal(response.final, false);
  await send(initiator, encodeKeys({ "X-a": "1" }), FLAG_FINAL, response.targetTransferTag);
  assert.equal(await rejected(initiator), 0x04, "Protocol Error");
  await initiator.ping();
});
