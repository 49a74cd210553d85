import assert from "node:assert/strict";
import { test } from "node:test";
import { ringEntries } from "../../../dataplane/limits.js";

const SQE_BYTES = 64;
const CQE_BYTES = 16;
const MEMLOCK_BYTES = 8 * 1024 * 1024;

test("the rings of few shards are large", () => {
  for (const shards of [1, 2, 8]) assert.deepEqual(ringEntries(shards), { entries: 4096, cqEntries: 16384 });
  assert.deepEqual(ringEntries(9), { entries: 2048, cqEntries: 8192 });
});

test("the rings of any number of shards fit into an ordinary user's locked memory, with room for as many again", () => {
  for (let shards = 1; shards <= 256; shards++) {
    const { entries, cqEntries } = ringEntries(shards);
    assert.equal(entries & (entries - 1), 0, "a power of two, which the kernel does not round up");
    assert.ok(entries >= 128);
    assert.ok(shards * (entries * SQE_BYTES + cqEntries * CQE_BYTES) <= MEMLOCK_BYTES / 2, `${shards} shards`);
  }
});
