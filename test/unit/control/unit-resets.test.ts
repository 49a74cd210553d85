import assert from "node:assert/strict";
import { test } from "node:test";
import { UnitResets } from "../../../control/unit-resets.js";
import { FakeShards } from "./support/fixtures.js";

test("the shard that asks is told when all others have answered", () => {
  const shards = new FakeShards(3);
  const resets = new UnitResets(shards);
  resets.begin(1, 77, 4);
  assert.deepEqual(shards.sent, [
    { shard: 0, message: { type: "resetUnit", exchange: 1, unitIndex: 4 } },
    { shard: 2, message: { type: "resetUnit", exchange: 1, unitIndex: 4 } },
  ]);
  resets.done(0, 1);
  resets.done(0, 1);
  resets.done(1, 99);
  assert.equal(shards.sent.length, 2);
  resets.done(2, 1);
  assert.deepEqual(shards.sent[2], { shard: 1, message: { type: "unitResetDone", exchange: 77 } });
  resets.done(2, 1);
  assert.equal(shards.sent.length, 3);
});

test("a shard alone is told at once", () => {
  const shards = new FakeShards(1);
  new UnitResets(shards).begin(0, 5, 4);
  assert.deepEqual(shards.sent, [{ shard: 0, message: { type: "unitResetDone", exchange: 5 } }]);
});

test("two resets at a time are told apart", () => {
  const shards = new FakeShards(2);
  const resets = new UnitResets(shards);
  resets.begin(0, 5, 4);
  resets.begin(1, 5, 4);
  resets.done(0, 2);
  assert.deepEqual(shards.sent.at(-1), { shard: 1, message: { type: "unitResetDone", exchange: 5 } });
  resets.done(1, 1);
  assert.deepEqual(shards.sent.at(-1), { shard: 0, message: { type: "unitResetDone", exchange: 5 } });
});

test("a shard that dies has nothing left to abort, and nobody to tell", () => {
  const shards = new FakeShards(2);
  const resets = new UnitResets(shards);
  resets.begin(0, 5, 4);
  resets.shardDied(1);
  assert.deepEqual(shards.sent.at(-1), { shard: 0, message: { type: "unitResetDone", exchange: 5 } });
  resets.begin(1, 6, 4);
  const sent = shards.sent.length;
  resets.shardDied(1);
  resets.done(0, 2);
  assert.equal(shards.sent.length, sent);
});
