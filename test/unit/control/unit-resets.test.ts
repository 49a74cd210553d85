import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { Broadcasts } from "../../../control/broadcasts.js";
import { UnitResets } from "../../../control/unit-resets.js";
import { FakeShards } from "./support/fixtures.js";

function start(count: number, onReset: (unitIndex: number) => Promise<void> = async () => {}) {
  const shards = new FakeShards(count);
  const broadcasts = new Broadcasts(shards);
  return { shards, broadcasts, resets: new UnitResets(shards, broadcasts, onReset) };
}

test("the shard that asks is told when all others have answered", async () => {
  const { shards, broadcasts, resets } = start(3);
  const ended = resets.begin(1, 77, 4);
  assert.deepEqual(shards.sent, [
    { shard: 0, message: { type: "resetUnit", exchange: 1, unitIndex: 4 } },
    { shard: 2, message: { type: "resetUnit", exchange: 1, unitIndex: 4 } },
  ]);
  broadcasts.done(0, 1);
  broadcasts.done(0, 1);
  broadcasts.done(1, 99);
  await setImmediate();
  assert.equal(shards.sent.length, 2);
  broadcasts.done(2, 1);
  await ended;
  assert.deepEqual(shards.sent[2], { shard: 1, message: { type: "resetDone", exchange: 77 } });
  broadcasts.done(2, 1);
  await setImmediate();
  assert.equal(shards.sent.length, 3);
});

test("a shard alone is told without more ado", async () => {
  const { shards, resets } = start(1);
  await resets.begin(0, 5, 4);
  assert.deepEqual(shards.sent, [{ shard: 0, message: { type: "resetDone", exchange: 5 } }]);
});

test("two resets at a time are told apart", async () => {
  const { shards, broadcasts, resets } = start(2);
  const first = resets.begin(0, 5, 4);
  const second = resets.begin(1, 5, 4);
  broadcasts.done(0, 2);
  await second;
  assert.deepEqual(shards.sent.at(-1), { shard: 1, message: { type: "resetDone", exchange: 5 } });
  broadcasts.done(1, 1);
  await first;
  assert.deepEqual(shards.sent.at(-1), { shard: 0, message: { type: "resetDone", exchange: 5 } });
});

test("a shard that dies has nothing left to abort", async () => {
  const { shards, broadcasts, resets } = start(2);
  const ended = resets.begin(0, 5, 4);
  broadcasts.shardDied(1);
  await ended;
  assert.deepEqual(shards.sent.at(-1), { shard: 0, message: { type: "resetDone", exchange: 5 } });
});

test("a reset is over only when nothing that a dead shard had begun is under way", async () => {
  const { shards, broadcasts, resets } = start(2);
  let settle = () => {};
  shards.settled = new Promise((resolve) => {
    settle = resolve;
  });
  const ended = resets.begin(0, 5, 4);
  broadcasts.shardDied(1);
  await setImmediate();
  assert.equal(shards.sent.length, 1);
  settle();
  await ended;
  assert.deepEqual(shards.sent.at(-1), { shard: 0, message: { type: "resetDone", exchange: 5 } });
});

test("what else a reset does comes when the tasks are gone, and before the shard that asks is told", async () => {
  const seen: number[] = [];
  let finish = () => {};
  const { shards, broadcasts, resets } = start(2, (unitIndex) => {
    seen.push(unitIndex);
    return new Promise((resolve) => {
      finish = resolve;
    });
  });
  const ended = resets.begin(0, 5, 4);
  await setImmediate();
  assert.deepEqual(seen, []);
  broadcasts.done(1, 1);
  await setImmediate();
  assert.deepEqual(seen, [4]);
  assert.equal(shards.sent.length, 1);
  finish();
  await ended;
  assert.deepEqual(shards.sent.at(-1), { shard: 0, message: { type: "resetDone", exchange: 5 } });
});
