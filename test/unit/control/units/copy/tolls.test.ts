import assert from "node:assert/strict";
import { test } from "node:test";
import { Budgets } from "../../../../../control/budgets.js";
import { Tolls } from "../../../../../control/units/copy/tolls.js";
import type { LimitsRecord, UnitRecord } from "../../../../../dataplane/messages.js";

const MIB = 2 ** 20;
const FREE = { unitIndex: 1 } as UnitRecord;
const LIMITED = { unitIndex: 2 } as UnitRecord;
const OTHER = { unitIndex: 3 } as UnitRecord;

function setUp(bytesPerSecond: number) {
  const budgets = new Budgets();
  const limits = { iops: null, bytesPerSecond, burstSeconds: 0 };
  const records = new Map<number, LimitsRecord>(
    [LIMITED, OTHER].map((unit) => [unit.unitIndex, budgets.grant(limits)]),
  );
  const tolls = new Tolls(budgets.memory, (unitIndex) => records.get(unitIndex) ?? null);
  const { signal } = new AbortController();
  return { tolls, records, budgets, limits, signal };
}

/** Milliseconds. */
async function timeOf(run: () => Promise<void>): Promise<number> {
  const beganMs = performance.now();
  await run();
  return performance.now() - beganMs;
}

test("what is through is paid for, and then there is to be room for more", async () => {
  const { tolls, signal } = setUp(10 * MIB);
  await tolls.pay([FREE, FREE], 1000 * MIB, signal);
  await tolls.pay([null, FREE], 1000 * MIB, signal);
  const ms = await timeOf(async () => {
    await tolls.pay([FREE, LIMITED], MIB, signal);
    for (let part = 0; part < 3; part++) await tolls.pay([LIMITED, LIMITED], MIB, signal);
  });
  assert.ok(ms >= 290, `3 parts at 10 a second took ${ms} ms`);
});

test("both units are paid for", async () => {
  const { tolls, signal } = setUp(10 * MIB);
  const payTwice = (unit: UnitRecord) => async () => {
    await both;
    await tolls.pay([unit], MIB, signal);
  };
  const both = tolls.pay([LIMITED, OTHER], 2 * MIB, signal);
  const times = await Promise.all([LIMITED, OTHER].map((unit) => timeOf(payTwice(unit))));
  assert.ok(Math.min(...times) >= 190, `${times}`);
});

test("a copy that ends does not wait, nor one whose unit has other limits, or none", { timeout: 60_000 }, async () => {
  const { tolls, records, budgets, limits, signal } = setUp(1024);
  await tolls.pay([LIMITED], 100 * MIB, signal);
  const controller = new AbortController();
  const ended = tolls.pay([LIMITED], MIB, controller.signal);
  const changed = tolls.pay([LIMITED], MIB, signal);
  controller.abort();
  await ended;
  records.set(LIMITED.unitIndex, budgets.grant(limits));
  await changed;
  await tolls.pay([LIMITED], 100 * MIB, signal);
  const lifted = tolls.pay([LIMITED], MIB, signal);
  records.delete(LIMITED.unitIndex);
  await lifted;
});
