import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeKeys,
  encodeKeys,
  FLAG_CONTINUE,
  OPCODE_REJECT,
  OPCODE_TEXT_REQUEST,
  OPCODE_TEXT_RESPONSE,
  type ReceivedPdu,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { configOf, startTarget } from "../login/fixture.js";

const COUNT = 200;
const names = Array.from({ length: COUNT }, (_, index) => `iqn.2026-11.io.ringlun:target-${index}`);
const target = startTarget(
  configOf({
    targets: names.map((name) => `- { name: "${name}", portalGroups: [1, 2], luns: { 0: disk } }`).join("\n"),
  }),
);

async function discover(maxRecvDataSegmentLength: number, keys = {}): Promise<RawInitiator> {
  const initiator = await target.connect();
  const declared = { MaxRecvDataSegmentLength: String(maxRecvDataSegmentLength) };
  await initiator.login({ sessionType: "Discovery", keys: { ...declared, ...keys } });
  return initiator;
}

async function ask(initiator: RawInitiator, targetTransferTag: number, immediate = false): Promise<void> {
  const data = targetTransferTag === TAG_NONE ? encodeKeys({ SendTargets: "All" }) : Buffer.alloc(0);
  await initiator.send({ opcode: OPCODE_TEXT_REQUEST, immediate, initiatorTaskTag: 9, targetTransferTag }, data);
}

/** All parts, as section 11.10.4 shows. */
async function fetchAll(initiator: RawInitiator): Promise<ReceivedPdu[]> {
  const parts: ReceivedPdu[] = [];
  for (let tag = TAG_NONE; ; tag = parts.at(-1)!.targetTransferTag) {
    await ask(initiator, tag);
    parts.push(await initiator.expect(OPCODE_TEXT_RESPONSE));
    if (parts.at(-1)!.final) return parts;
  }
}

function assertWhole(parts: readonly ReceivedPdu[]): void {
  const keys = decodeKeys(Buffer.concat(parts.map(({ data }) => data)));
  assert.deepEqual(keys.get("TargetName")?.split("\n").slice(1), names);
  assert.equal(keys.get("TargetAddress")?.split("\n").length, 1 + 2 * COUNT);
}

test("RFC 7143 11.10.4, 11.11: a long answer comes in parts: F=0 and a tag, C=1, none longer than declared", async () => {
  for (const length of [512, 1000, 8192]) {
    // The raw initiator checks the length of each segment.
    const parts = await fetchAll(await discover(length));
    assert.ok(parts.length > 2);
    for (const part of parts) {
      const isLast = part === parts.at(-1);
      assert.equal(part.final, isLast);
      assert.equal((part.flags & FLAG_CONTINUE) !== 0, !isLast);
      assert.equal(part.targetTransferTag === TAG_NONE, isLast);
      assert.equal(part.initiatorTaskTag, 9);
      assert.equal(part.data.at(-1), 0, "cut behind a pair");
    }
    assertWhole(parts);
  }
});

test("RFC 7143 11.11: one that fits comes whole", async () => {
  const parts = await fetchAll(await discover(262144));
  assert.equal(parts.length, 1);
  assertWhole(parts);
});

test("RFC 7143 13.1: with digests", async () => {
  assertWhole(await fetchAll(await discover(4096, { HeaderDigest: "CRC32C", DataDigest: "CRC32C" })));
});

test("RFC 7143 11.10.4: a new request resets what has not been fetched", async () => {
  const initiator = await discover(512);
  await ask(initiator, TAG_NONE);
  await initiator.expect(OPCODE_TEXT_RESPONSE);
  assertWhole(await fetchAll(initiator));
});

test("RFC 7143 11.11.4, 11.10.3: a tag that is stale, unknown or another task's, or another I bit: Reject, and a new request is answered", async () => {
  const initiator = await discover(512);
  for (const wrong of [
    (tag: number) => ({ targetTransferTag: tag + 1 }),
    (tag: number) => ({ targetTransferTag: tag, initiatorTaskTag: 10 }),
    (tag: number) => ({ targetTransferTag: tag, immediate: false, cmdSN: initiator.session.cmdSN }),
  ]) {
    await ask(initiator, TAG_NONE, true);
    const { targetTransferTag } = await initiator.expect(OPCODE_TEXT_RESPONSE);
    const immediate = { opcode: OPCODE_TEXT_REQUEST, immediate: true, initiatorTaskTag: 9 };
    await initiator.send({ ...immediate, ...wrong(targetTransferTag) });
    await initiator.expect(OPCODE_REJECT);
    await initiator.send({ ...immediate, targetTransferTag });
    await initiator.expect(OPCODE_REJECT);
  }
  assertWhole(await fetchAll(initiator));
});
