import assert from "node:assert/strict";
import { test } from "node:test";
import { COST_BYTES_MAX } from "../../../../dataplane/limits.js";
import type { LimitsRecord } from "../../../../dataplane/messages.js";
import { allocateBudgets, Budget } from "../../../../dataplane/throttle/budget.js";

/** Some days after the machine was started. */
const NOW_US = 300_000_000_000;
const SECOND_US = 1_000_000;

function limits(changes: Partial<LimitsRecord>): LimitsRecord {
  return { budget: 1, iops: null, bytesPerSecond: null, burstSeconds: 0, ...changes };
}

/** What several shards, here `count`, make of one budget. */
function budgets(changes: Partial<LimitsRecord>, count = 1): Budget[] {
  const memory = allocateBudgets(3);
  const all = Array.from({ length: count }, () => new Budget(memory, limits(changes)));
  all[0]!.reset(NOW_US);
  return all;
}

/** When each of so many commands may begin that come at the same moment, in microseconds from then. */
function starts(budget: Budget, commands: number, bytes = 0, nowUs = NOW_US): number[] {
  return Array.from({ length: commands }, () => Math.round(budget.book(bytes, nowUs) - nowUs));
}

test("commands begin one after the other, as many a second as the limit says", () => {
  const [budget] = budgets({ iops: 50 });
  assert.deepEqual(starts(budget!, 4), [0, 20_000, 40_000, 60_000]);
  assert.deepEqual(starts(budget!, 2, 1_000_000, NOW_US + 30_000), [50_000, 70_000], "and no bytes are counted");
});

test("as much as the burst says is saved up, and no more", () => {
  const [budget] = budgets({ iops: 100, burstSeconds: 0.05 });
  assert.deepEqual(starts(budget!, 7), [0, 0, 0, 0, 0, 10_000, 20_000]);
  // An hour later it is full again.
  assert.deepEqual(starts(budget!, 6, 0, NOW_US + 3600 * SECOND_US), [0, 0, 0, 0, 0, 10_000]);
  // Of 20 ms without a command, two.
  assert.deepEqual(starts(budget!, 3, 0, NOW_US + 3600 * SECOND_US + 30_000), [0, 0, 10_000]);
});

test("a command that is larger than the burst begins, and those behind it wait for all of it", () => {
  const [budget] = budgets({ bytesPerSecond: 1024 * 1024 });
  assert.deepEqual(starts(budget!, 3, 512 * 1024), [0, 500_000, 1_000_000]);
  assert.deepEqual(starts(budget!, 1, 0), [0], "one that moves nothing waits for no bytes");
});

test("with two limits the later time counts", () => {
  const [budget] = budgets({ iops: 10, bytesPerSecond: 1024 * 1024 });
  assert.deepEqual(starts(budget!, 3, 1024 * 1024), [0, 1_000_000, 2_000_000]);
  const [other] = budgets({ iops: 10, bytesPerSecond: 1024 * 1024 });
  assert.deepEqual(starts(other!, 3, 512), [0, 100_000, 200_000]);
});

test("shards share it: all together no more, and none gets ahead of another that has booked before", () => {
  const shards = budgets({ iops: 1000, burstSeconds: 0.001 }, 3);
  const all = Array.from({ length: 30 }, (_, i) => shards[i % 3]!.book(0, NOW_US));
  assert.deepEqual(
    all.map((us) => Math.round(us - NOW_US)),
    all.map((_, i) => i * 1000),
  );
});

test("over a long time it is exact to the command, whatever the rate", () => {
  for (const iops of [1, 7, 30, 999, 3_000_000]) {
    const [budget] = budgets({ iops });
    let nowUs = NOW_US;
    const count = 10_000;
    for (let i = 0; i < count; i++) nowUs = Math.max(nowUs, budget!.book(0, nowUs));
    const expectedUs = ((count - 1) / iops) * SECOND_US;
    assert.ok(Math.abs(nowUs - NOW_US - expectedUs) <= SECOND_US / iops + 1, `${iops}: ${nowUs - NOW_US}`);
  }
});

test("what is given back is there for the next", () => {
  const [budget] = budgets({ iops: 10, bytesPerSecond: 10 * 1024 });
  assert.deepEqual(starts(budget!, 2, 1024), [0, 100_000]);
  budget!.cancel(1024);
  assert.deepEqual(starts(budget!, 1, 1024), [100_000]);
});

test("it goes on across 2^32 credits, and however long nothing was done", () => {
  const bytesPerSecond = 10 * 1024 ** 3;
  const wrapUs = (2 ** 32 * 512 * SECOND_US) / bytesPerSecond;
  for (const turn of [0.25, 0.5, 0.75, 1, 1.5, 1000.5]) {
    const [budget] = budgets({ bytesPerSecond });
    const nowUs = Math.floor(NOW_US + turn * wrapUs);
    for (let at = NOW_US; at < nowUs && turn < 2; at += SECOND_US) budget!.settle(at);
    assert.deepEqual(starts(budget!, 2, COST_BYTES_MAX, nowUs), [0, 6250], `${turn}`);
  }
});

test("a shard whose clock is behind takes nothing for used up, and nothing for unused", () => {
  const [ahead, behind] = budgets({ iops: 1_000_000 }, 2);
  const aheadUs = NOW_US + SECOND_US;
  assert.deepEqual(starts(ahead!, 2, 0, aheadUs), [0, 1]);
  assert.equal(Math.round(behind!.book(0, NOW_US) - aheadUs), 2);
  behind!.settle(NOW_US);
  assert.equal(Math.round(ahead!.book(0, aheadUs) - aheadUs), 3);
});

test("the fastest limits and the longest burst have room in a word, with as many shards as there can be", () => {
  const extreme = limits({ iops: 100_000_000, bytesPerSecond: 128 * 1024 ** 3, burstSeconds: 3600 });
  const budget = new Budget(allocateBudgets(2), extreme);
  budget.reset(NOW_US);
  assert.deepEqual(starts(budget, 1000, COST_BYTES_MAX), new Array(1000).fill(0));
});
