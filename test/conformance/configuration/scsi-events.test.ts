/** What has changed is told at once where a target is configured so: SCSI asynchronous events (RFC 7143 section 11.9.1, AsyncEvent 0). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { testUnitReady } from "../../support/cdb.js";
import { OPCODE_ASYNC_MESSAGE, type ReceivedPdu, TAG_NONE } from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { assertWellFormedSense, senseOf } from "../../support/sense.js";
import { type Places, RunningTarget, TARGET_NAME } from "../../support/target.js";
import { LOGICAL_UNIT_RESET } from "../../support/task-management.js";

const SCSI_EVENT = 0;
const UNIT_ATTENTION = 0x6;
const ASYMMETRIC_ACCESS_STATE_CHANGED = 0x2a06;
const MODE_PARAMETERS_CHANGED = 0x2a01;
const CAPACITY_DATA_HAS_CHANGED = 0x2a09;
const BUS_DEVICE_RESET_FUNCTION_OCCURRED = 0x2903;
const REPORTED_LUNS_DATA_HAS_CHANGED = 0x3f0e;
const LUN_LARGE = 300;

interface Setting {
  readonly luns?: string;
  readonly size?: string;
  readonly state?: string;
  readonly events?: string;
}

const config =
  ({ luns = `{ 0: a, ${LUN_LARGE}: b }`, size = "1MiB", state = "optimized", events = "scsiEvents: true" }: Setting) =>
  ({ port }: Places) =>
    `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"], access: ${state} }]
targets: [{ name: "${TARGET_NAME}", portalGroups: [1], luns: ${luns}, session: { maxConnections: 2 }, ${events} }]
units:
  a: { file: ./a.img, size: 1MiB, cache: writeback }
  b: { file: ./b.img, size: ${size}, cache: writeback }
  c: { file: ./c.img, size: 1MiB, cache: writeback }
workers: 2
`;

async function start(undo: { after(run: () => unknown): void }, setting: Setting = {}) {
  const target = await RunningTarget.start({ config: config(setting) });
  undo.after(() => target.stop());
  const reload = async (to: Setting) => {
    const from = target.log.length;
    await target.configure(config(to)(target.places));
    target.reload();
    await target.waitForLog(/configuration (not )?reloaded/, undefined, from);
  };
  const login = async (keys: Record<string, string> = {}) => {
    const initiator = await RawInitiator.connect(target.port);
    undo.after(() => initiator.destroy());
    await initiator.login({ targetName: TARGET_NAME, keys });
    return initiator;
  };
  return { target, reload, login };
}

/** [LUN, ASC and ASCQ] of an event; its other fields are as section 11.9 has them. */
function eventOf(pdu: ReceivedPdu): [number, number] {
  assert.equal(pdu.flags, 0x80);
  assert.equal(pdu.initiatorTaskTag, TAG_NONE);
  const fields = ["asyncEvent", "asyncVCode", "parameter1", "parameter2", "parameter3"] as const;
  assert.deepEqual(
    fields.map((name) => pdu.field(name)),
    [SCSI_EVENT, 0, 0, 0, 0],
  );
  const sense = pdu.data.subarray(2);
  assert.equal(pdu.data.readUInt16BE(0), sense.length, "SenseLength");
  assertWellFormedSense(sense);
  assert.deepEqual([sense[0], sense[2]], [0x70, UNIT_ATTENTION]);
  return [pdu.lun.readUInt16BE(0) & 0x3fff, sense.readUInt16BE(12)];
}

const event = async (initiator: RawInitiator) => eventOf(await initiator.expect(OPCODE_ASYNC_MESSAGE));

test("LUNs that come and go: once, not for each LUN; and every LUN has its unit attention as well", async (context) => {
  const { reload, login } = await start(context);
  const initiator = await login();
  await reload({ luns: `{ 0: a, 1: c, ${LUN_LARGE}: b }` });
  assert.deepEqual(await event(initiator), [0, REPORTED_LUNS_DATA_HAS_CHANGED]);
  for (const lun of [0, 1, LUN_LARGE]) {
    const { key, code } = senseOf(await initiator.command({ lun, cdb: testUnitReady() }));
    assert.deepEqual([key, code], [UNIT_ATTENTION, REPORTED_LUNS_DATA_HAS_CHANGED]);
  }
  assert.equal(initiator.others.length, 0, "one event");
});

test("of an initiator that is idle a condition is reported once; another one is reported too; a StatSN is taken by each", async (context) => {
  const { reload, login } = await start(context);
  const initiator = await login();
  await reload({ size: "2MiB" });
  const first = await initiator.expect(OPCODE_ASYNC_MESSAGE);
  assert.deepEqual(eventOf(first), [LUN_LARGE, CAPACITY_DATA_HAS_CHANGED]);
  await reload({ size: "3MiB" });
  await reload({ size: "3MiB", luns: `{ 0: { unit: a, readOnly: true }, ${LUN_LARGE}: b }` });
  const second = await initiator.expect(OPCODE_ASYNC_MESSAGE);
  assert.deepEqual(eventOf(second), [0, MODE_PARAMETERS_CHANGED]);
  assert.equal(second.statSN, first.statSN + 1);
  const { key, code } = senseOf(await initiator.command({ lun: LUN_LARGE, cdb: testUnitReady() }));
  assert.deepEqual([key, code], [UNIT_ATTENTION, CAPACITY_DATA_HAS_CHANGED]);
  await initiator.good({ lun: LUN_LARGE, cdb: testUnitReady() });
  // It has been heard, so the next one is new.
  await reload({ size: "4MiB", luns: `{ 0: { unit: a, readOnly: true }, ${LUN_LARGE}: b }` });
  assert.deepEqual(await event(initiator), [LUN_LARGE, CAPACITY_DATA_HAS_CHANGED]);
});

test("an access state that changes, with digests", async (context) => {
  const { reload, login } = await start(context);
  const initiator = await login({ HeaderDigest: "CRC32C", DataDigest: "CRC32C" });
  await reload({ state: "non-optimized" });
  const events = [await event(initiator), await event(initiator)];
  assert.deepEqual(
    events.toSorted(([a], [b]) => a - b),
    [
      [0, ASYMMETRIC_ACCESS_STATE_CHANGED],
      [LUN_LARGE, ASYMMETRIC_ACCESS_STATE_CHANGED],
    ],
  );
});

test("a reset is reported to all sessions but the one that has asked for it", async (context) => {
  const { login } = await start(context);
  // On two shards: some of them are on that of the first one, some are not.
  const [asking, ...others] = [await login(), await login(), await login(), await login()];
  await asking!.taskManagement(LOGICAL_UNIT_RESET, { lun: LUN_LARGE });
  for (const initiator of others) {
    assert.deepEqual(await event(initiator), [LUN_LARGE, BUS_DEVICE_RESET_FUNCTION_OCCURRED]);
  }
  for (const initiator of [asking!, ...others]) {
    const { key, code } = senseOf(await initiator.command({ lun: LUN_LARGE, cdb: testUnitReady() }));
    assert.deepEqual([key, code], [UNIT_ATTENTION, BUS_DEVICE_RESET_FUNCTION_OCCURRED]);
    assert.equal(initiator.others.length, 0);
  }
});

test("nothing is sent where the target is not configured so", async (context) => {
  const { reload, login } = await start(context, { events: "" });
  const initiator = await login();
  await reload({ events: "", size: "2MiB" });
  const { key, code } = senseOf(await initiator.command({ lun: LUN_LARGE, cdb: testUnitReady() }));
  assert.deepEqual([key, code], [UNIT_ATTENTION, CAPACITY_DATA_HAS_CHANGED]);
  assert.equal(initiator.others.length, 0);
});
