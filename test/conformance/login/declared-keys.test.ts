import assert from "node:assert/strict";
import { test } from "node:test";
import { read10 } from "../../support/cdb.js";
import { OPCODE_NOP_OUT } from "../../support/pdu.js";
import { STAGE_FULL_FEATURE, STAGE_OPERATIONAL, STAGE_SECURITY } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import {
  configOf,
  goesOn,
  NAMES,
  refused,
  STATUS_INITIATOR_ERROR,
  startTarget,
  TO_FULL_FEATURE,
  UNNAMED_DISCOVERY,
} from "./fixture.js";

const PLAIN = "iqn.2026-11.io.ringlun:plain";
const target = startTarget(
  configOf({
    target: "alias: Größe 7\nsession: { maxRecvDataSegmentLength: 16384 }",
    targets: `- { name: "${PLAIN}", alias: Plain, portalGroups: [1], luns: { 0: disk } }`,
  }),
);

test("RFC 7143 13.12: MaxRecvDataSegmentLength is declared by the target, and not an answer", async () => {
  for (const declared of [{}, { MaxRecvDataSegmentLength: "512" }, { MaxRecvDataSegmentLength: "16777215" }]) {
    const initiator = await target.connect();
    const { keys } = await goesOn(initiator, { ...TO_FULL_FEATURE, keys: { ...NAMES, ...declared } });
    assert.equal(keys.get("MaxRecvDataSegmentLength"), "16384");
  }
});

test("RFC 7143 7.12, 13.12: one that is out of range ends the login: 0200h", async () => {
  for (const MaxRecvDataSegmentLength of ["0", "511", "16777216", "", "8K", "-1", "None"]) {
    const options = { ...TO_FULL_FEATURE, keys: { ...NAMES, MaxRecvDataSegmentLength } };
    await refused(await target.connect(), options, STATUS_INITIATOR_ERROR, MaxRecvDataSegmentLength);
  }
});

test("RFC 7143 13.12: what the initiator declared binds the target, and 8192 where it declared nothing", async () => {
  for (const [declared, limit] of [
    ["512", 512],
    ["65536", 65536],
    [undefined, 8192],
  ] as const) {
    const initiator = await target.connect();
    const keys = declared === undefined ? {} : { MaxRecvDataSegmentLength: declared };
    await initiator.login({ targetName: TARGET_NAME, keys });
    const task = await initiator.start({ cdb: read10(0, 256), read: 131072 });
    await initiator.finish(task);
    assert.equal(Math.max(...task.dataIns.map(({ data }) => data.length)), limit);
  }
});

test("RFC 7143 13.12: a segment longer than the target declared ends the connection", async () => {
  const initiator = await target.login();
  assert.equal((await initiator.ping(Buffer.alloc(8192))).data.length, 8192);
  await initiator.send({ opcode: OPCODE_NOP_OUT, immediate: true, targetTransferTag: 0xffffffff }, Buffer.alloc(16385));
  assert.deepEqual(await initiator.receiveUntilClosed(), []);
});

test("RFC 7143 13.6: TargetAlias is told in a Normal session, and in no other", async () => {
  const { keys } = await goesOn(await target.connect(), { ...TO_FULL_FEATURE, keys: NAMES });
  assert.equal(keys.get("TargetAlias"), "Größe 7");
  const discovery = { ...NAMES, SessionType: "Discovery" };
  assert.ok(!(await goesOn(await target.connect(), { ...TO_FULL_FEATURE, keys: discovery })).keys.has("TargetAlias"));
});

test("RFC 7143 6.3.1: where security is skipped, TargetPortalGroupTag is all that is told before the operational stage", async () => {
  const initiator = await target.connect();
  const first = await goesOn(initiator, { stage: STAGE_SECURITY, nextStage: STAGE_OPERATIONAL, keys: NAMES });
  assert.deepEqual([...first.keys], [["TargetPortalGroupTag", "1"]]);
  assert.equal((await goesOn(initiator, TO_FULL_FEATURE)).keys.get("TargetAlias"), "Größe 7");
  // Or where there is no such stage.
  const direct = { stage: STAGE_SECURITY, nextStage: STAGE_FULL_FEATURE, keys: { ...NAMES, TargetName: PLAIN } };
  assert.equal((await goesOn(await target.connect(), direct)).keys.get("TargetAlias"), "Plain");
});

test("RFC 7143 6.3.1, 13.9: TargetPortalGroupTag comes with the first response to a complete request, once", async () => {
  for (const stage of [STAGE_SECURITY, STAGE_OPERATIONAL]) {
    for (const names of [NAMES, UNNAMED_DISCOVERY, { ...NAMES, ...UNNAMED_DISCOVERY }]) {
      const initiator = await target.connect();
      const early = await goesOn(initiator, { stage, more: true, keys: names });
      assert.equal(early.data.length, 0);
      const first = await goesOn(initiator, { stage });
      assert.equal(first.keys.get("TargetPortalGroupTag"), "1");
      assert.ok(!(await goesOn(initiator, { stage })).keys.has("TargetPortalGroupTag"));
    }
  }
});

test("RFC 7143 13.7, 13.26: InitiatorAlias and X#NodeArchitecture need no answer and get none", async () => {
  const declared = { InitiatorAlias: "Größe 8", "X#NodeArchitecture": "ExampleOS/v1234,CPU_Arch/i686" };
  const { keys } = await goesOn(await target.connect(), { ...TO_FULL_FEATURE, keys: { ...NAMES, ...declared } });
  for (const key of Object.keys(declared)) assert.ok(!keys.has(key), key);
});
