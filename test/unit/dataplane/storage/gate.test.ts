import assert from "node:assert/strict";
import { test } from "node:test";
import { allocateGates, forgetShard, Gate } from "../../../../dataplane/storage/gate.js";

const SHARDS = 2;

function open() {
  const gates = allocateGates(SHARDS);
  const woken = [0, 0];
  const [first, second] = [0, 1].map(
    (shard) => new Gate({ gates, shards: SHARDS, shard }, 0, () => void woken[shard]!++),
  ) as [Gate, Gate];
  return { gates, first, second, woken };
}

test("writes pass while nobody owns the gate", () => {
  const { first, second, woken } = open();
  assert.ok(first.enter());
  assert.ok(first.enter());
  assert.ok(second.enter());
  assert.ok(!first.isQuiet());
  for (const gate of [first, first, second]) gate.leave();
  assert.ok(first.isQuiet());
  assert.deepEqual(woken, [0, 0]);
});

test("an owner is alone, waits for the writes in flight, and is told of the last one", () => {
  const { first, second, woken } = open();
  assert.ok(second.enter());
  assert.ok(first.own());
  assert.ok(!second.own());
  assert.ok(!first.isQuiet());
  assert.ok(!second.enter(), "a write that comes now waits");
  assert.ok(!first.enter(), "on the owner's own shard too");
  assert.ok(!first.isQuiet(), "those that backed out have left no trace, the first one is still there");
  const before = woken[1]!;
  second.leave();
  assert.equal(woken[1], before + 1);
  assert.ok(first.isQuiet());
  const told = woken[0]!;
  first.disown();
  assert.equal(woken[0], told + 1, "who waited is told");
  assert.ok(second.enter());
});

test("units whose numbers differ have gates of their own", () => {
  const gates = allocateGates(SHARDS);
  const setup = { gates, shards: SHARDS, shard: 0 };
  const one = new Gate(setup, 0, () => {});
  const other = new Gate(setup, 1, () => {});
  assert.ok(one.own());
  assert.ok(other.enter());
});

test("a dead shard neither writes nor owns", () => {
  const { gates, first, second } = open();
  assert.ok(second.enter());
  assert.ok(first.own());
  forgetShard(gates, SHARDS, 1);
  assert.ok(first.isQuiet());
  forgetShard(gates, SHARDS, 0);
  assert.ok(second.own());
});

test("only the owner gives a gate up, and a write leaves once", () => {
  const { first, second } = open();
  assert.ok(first.own());
  assert.throws(() => second.disown(), /only the owner/);
  assert.throws(() => first.leave(), /leaves once/);
});

test("control's writes count like a shard's, and the owner's end is notified", () => {
  const { gates, first, second, woken } = open();
  let wakes = 0;
  const control = new Gate({ gates, shards: SHARDS, shard: SHARDS }, 0, () => void wakes++);
  assert.ok(control.enter());
  assert.ok(first.own());
  assert.ok(!first.isQuiet());
  assert.ok(!second.enter());
  control.leave();
  assert.equal(wakes, 1, "the owner is told");
  assert.ok(first.isQuiet());
  assert.ok(!control.enter());
  const ownerGone = () => {
    const { words, owner } = control;
    const wait = Atomics.waitAsync(words, owner, Atomics.load(words, owner), 10_000);
    assert(wait.async);
    return wait.value;
  };
  const gone = ownerGone();
  first.disown();
  assert.equal(woken[0], 1);
  assert.ok(control.enter());
  control.leave();
  assert.ok(second.own());
  const dead = ownerGone();
  forgetShard(gates, SHARDS, 1);
  return Promise.all([gone, dead]).then((told) => assert.deepEqual(told, ["ok", "ok"]));
});
