import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeKeys, OPCODE_REJECT, OPCODE_TEXT_REQUEST, TAG_NONE } from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import { startTarget } from "../login/fixture.js";

const target = startTarget();

/** The text gets a Reject, reason Protocol Error, with the header of its request; then the session goes on. */
async function isRejected(initiator: RawInitiator, data: Buffer): Promise<void> {
  const fields = { opcode: OPCODE_TEXT_REQUEST, immediate: true, targetTransferTag: TAG_NONE };
  const header = await initiator.send(fields, data);
  const reject = await initiator.expect(OPCODE_REJECT);
  assert.equal(reject.field("reason"), 0x04, data.toString());
  assert.deepEqual(reject.data, header);
  assert.equal(reject.initiatorTaskTag, TAG_NONE);
  await initiator.ping();
}

test("RFC 7143 13: keys that are for the Login Phase are rejected in the Full Feature Phase", async () => {
  const initiator = await target.login();
  for (const [key, value] of [
    ["HeaderDigest", "None"],
    ["MaxConnections", "1"],
    ["InitialR2T", "Yes"],
    ["MaxBurstLength", "65536"],
    ["ErrorRecoveryLevel", "0"],
    ["SessionType", "Normal"],
    ["InitiatorName", "iqn.2026-11.io.ringlun:other"],
    ["TargetName", TARGET_NAME],
    ["AuthMethod", "None"],
    ["CHAP_A", "5"],
    ["TaskReporting", "RFC3720"],
    ["iSCSIProtocolLevel", "1"],
  ] as const) {
    await isRejected(initiator, encodeKeys({ [key]: value }));
  }
});

test("RFC 7143 13.6, 13.8, 13.9: so are those that only a target sends", async () => {
  const initiator = await target.login();
  for (const key of ["TargetAlias", "TargetAddress", "TargetPortalGroupTag"]) {
    await isRejected(initiator, encodeKeys({ [key]: "1" }));
  }
});

test("RFC 7143 6.4: a key twice in a request, or a reserved value, is rejected", async () => {
  const initiator = await target.login();
  await isRejected(
    initiator,
    encodeKeys([
      ["InitiatorAlias", "a"],
      ["InitiatorAlias", "a"],
    ]),
  );
  await isRejected(
    initiator,
    encodeKeys([
      ["X-key", "a"],
      ["X-key", "b"],
    ]),
  );
  for (const value of ["Reject", "Irrelevant", "NotUnderstood"])
    await isRejected(initiator, encodeKeys({ "X-key": value }));
});

test("RFC 7143 6.1: so is what is no text", async () => {
  const initiator = await target.login();
  for (const text of ["SendTargets", "SendTargets=", "=\0", "\0", `${"k".repeat(64)}=1\0`, "A b=1\0"]) {
    await isRejected(initiator, Buffer.from(text));
  }
});

test("RFC 7143 6.2, 13.7: others are answered or taken without a word", async () => {
  const initiator = await target.login();
  const keys = await initiator.text({ "X-com.example.key": "1", Later: "2", InitiatorAlias: "A host" });
  assert.deepEqual(
    [...keys],
    [
      ["X-com.example.key", "NotUnderstood"],
      ["Later", "NotUnderstood"],
    ],
  );
  assert.deepEqual([...(await initiator.text({}))], []);
});
