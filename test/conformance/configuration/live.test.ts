/** A configuration that changes under a session: LUNs come and go, a unit grows, and the session goes on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { modeSense10, read16, readCapacity16, reportLuns, testUnitReady, write16 } from "../../support/cdb.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { senseOf } from "../../support/sense.js";
import { type Places, RunningTarget, TARGET_NAME } from "../../support/target.js";

const BLOCK = 512;
const ILLEGAL_REQUEST = 0x5;
const UNIT_ATTENTION = 0x6;
const LOGICAL_UNIT_NOT_SUPPORTED = 0x2500;
const MODE_PARAMETERS_CHANGED = 0x2a01;
const CAPACITY_DATA_HAS_CHANGED = 0x2a09;
const REPORTED_LUNS_DATA_HAS_CHANGED = 0x3f0e;

const config =
  (luns: string, size = "1MiB") =>
  ({ port }: Places) =>
    `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: [{ name: "${TARGET_NAME}", portalGroups: [1], luns: ${luns} }]
units:
  a: { file: ./a.img, size: ${size}, cache: writeback }
  b: { file: ./b.img, size: 2MiB, cache: writeback }
workers: 2
`;

const thinConfig =
  (keys: string) =>
  ({ port }: Places) =>
    `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: [{ name: "${TARGET_NAME}", portalGroups: [1], luns: { 0: thin } }]
units: { thin: { file: ./thin.img, size: 1MiB, cache: writeback, ${keys} } }
workers: 1
`;

async function start(undo: { after(run: () => unknown): void }) {
  const target = await RunningTarget.start({ config: config("{ 0: a }") });
  undo.after(() => target.stop());
  const reload = async (luns: string, size?: string) => {
    const from = target.log.length;
    await target.configure(config(luns, size)(target.places));
    target.reload();
    await target.waitForLog(/configuration (not )?reloaded/, undefined, from);
  };
  const initiator = await RawInitiator.connect(target.port);
  undo.after(() => initiator.destroy());
  await initiator.login({ targetName: TARGET_NAME });
  const ask = (lun: number, cdb: Buffer, read = 0) => initiator.command({ lun, cdb, ...(read > 0 ? { read } : {}) });
  const senseAt = async (lun: number, cdb = testUnitReady()) => {
    const { key, code } = senseOf(await ask(lun, cdb));
    return [key, code];
  };
  return { target, reload, initiator, senseAt };
}

test("a LUN is there when it is mapped, is gone when it is not, and shows another unit to nobody who was not told", async (context) => {
  const { reload, initiator, senseAt } = await start(context);
  assert.deepEqual(await senseAt(1), [ILLEGAL_REQUEST, LOGICAL_UNIT_NOT_SUPPORTED]);
  await initiator.good({ cdb: testUnitReady() });

  await reload("{ 0: a, 1: b }");
  for (const lun of [0, 1]) assert.deepEqual(await senseAt(lun), [UNIT_ATTENTION, REPORTED_LUNS_DATA_HAS_CHANGED]);
  await initiator.good({ lun: 1, cdb: write16(0, 1), write: Buffer.alloc(BLOCK, 0xb1) });
  const capacity = await initiator.good({ lun: 1, cdb: readCapacity16(), read: 32 });
  assert.equal(capacity.readBigUInt64BE(0), 4095n);

  await reload("{ 0: a }");
  assert.deepEqual(await senseAt(1), [ILLEGAL_REQUEST, LOGICAL_UNIT_NOT_SUPPORTED]);
  const list = await initiator.good({ cdb: reportLuns(), read: 4096 });
  assert.equal(list.readUInt32BE(0), 8);
  // REPORT LUNS has told it: the attention is withdrawn.
  await initiator.good({ cdb: testUnitReady() });

  await reload("{ 0: a, 1: b }");
  // Not a byte of the unit before the attention.
  assert.deepEqual(await senseAt(1, read16(0, 1)), [UNIT_ATTENTION, REPORTED_LUNS_DATA_HAS_CHANGED]);
  const data = await initiator.good({ lun: 1, cdb: read16(0, 1), read: BLOCK });
  assert.ok(data.every((byte) => byte === 0xb1));
});

test("a unit that grows says so, and has its new blocks", async (context) => {
  const { reload, initiator, senseAt } = await start(context);
  await initiator.good({ cdb: testUnitReady() });
  await initiator.good({ cdb: write16(2047, 1), write: Buffer.alloc(BLOCK, 7) });
  await reload("{ 0: a }", "3MiB");
  assert.deepEqual(await senseAt(0), [UNIT_ATTENTION, CAPACITY_DATA_HAS_CHANGED]);
  const capacity = await initiator.good({ cdb: readCapacity16(), read: 32 });
  assert.equal(capacity.readBigUInt64BE(0), 6143n);
  await initiator.good({ cdb: write16(6143, 1), write: Buffer.alloc(BLOCK, 9) });
  const data = await initiator.good({ cdb: read16(2047, 2), read: 2 * BLOCK });
  assert.deepEqual([data[0], data[BLOCK]], [7, 0]);
});

test("a file of a unit that has faults, or cannot be had, changes nothing", async (context) => {
  const { target, reload, initiator } = await start(context);
  await initiator.good({ cdb: testUnitReady() });
  await reload("{ 0: a, 1: missing }");
  await initiator.good({ cdb: testUnitReady() });
  assert.ok(target.log.some((line) => line.includes("missing") && line.includes("targets[0].luns.1")));
});

test("a threshold of thin provisioning changes under its sessions, but where an initiator has set another", async (context) => {
  const target = await RunningTarget.start({ config: thinConfig("thinThreshold: 8MiB") });
  context.after(() => target.stop());
  const initiator = await RawInitiator.connect(target.port);
  context.after(() => initiator.destroy());
  await initiator.login({ targetName: TARGET_NAME });
  await initiator.command({ cdb: testUnitReady() });
  const reload = async (keys: string) => {
    const from = target.log.length;
    await target.configure(thinConfig(keys)(target.places));
    target.reload();
    await target.waitForLog(/configuration (not )?reloaded/, undefined, from);
  };
  /** Of the Logical Block Provisioning page, from the threshold descriptor on; 80h: defaults. */
  const threshold = async (control = 0) => {
    const data = await initiator.good({ cdb: modeSense10(control | 0x1c, 0x02), read: 1024 });
    return data.subarray(-8).toString("hex");
  };
  const heard = async () => {
    const { key, code } = senseOf(await initiator.command({ cdb: testUnitReady() }));
    assert.deepEqual([key, code], [UNIT_ATTENTION, MODE_PARAMETERS_CHANGED]);
    await initiator.good({ cdb: testUnitReady() });
  };
  assert.equal(await threshold(), "8001000000000008");

  await reload("thinThreshold: 9MiB");
  await heard();
  for (const control of [0, 0x80, 0xc0]) assert.equal(await threshold(control), "8001000000000009");
  await reload("");
  await heard();
  assert.equal(await threshold(), "0001000000000000");

  const page = Buffer.from(`5c020014${"00".repeat(12)}8001000000000003`, "hex");
  const list = Buffer.concat([Buffer.alloc(8), page]);
  await initiator.good({ cdb: Buffer.from([0x55, 0x10, 0, 0, 0, 0, 0, 0, list.length, 0]), write: list });
  await reload("thinThreshold: 7MiB");
  await initiator.good({ cdb: testUnitReady() });
  assert.deepEqual([await threshold(), await threshold(0x80)], ["8001000000000003", "8001000000000007"]);
});
