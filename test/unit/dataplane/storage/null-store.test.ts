import assert from "node:assert/strict";
import { test } from "node:test";
import { Arena } from "../../../../dataplane/arena.js";
import { NullStore } from "../../../../dataplane/storage/null-store.js";

test("a read gives zeroes, of exactly as many bytes as were asked for: what lay there before is somebody else's", () => {
  const arena = new Arena(16384);
  arena.bytes.fill(0xa5);
  assert.equal(new NullStore(arena).read(4096, 1000), 1000);
  assert.deepEqual(arena.bytes.subarray(4096, 5096), new Uint8Array(1000));
  assert.deepEqual([arena.bytes[4095], arena.bytes[5096]], [0xa5, 0xa5]);
});

test("everything else is done as soon as it is asked for, and leaves no trace", () => {
  const arena = new Arena(16384);
  arena.bytes.fill(0xa5);
  const store = new NullStore(arena);
  assert.equal(store.write(0, 4096), 4096);
  assert.deepEqual([store.flush(), store.discard(), store.zero(), store.takeLoss()], [0, 0, 0, 0]);
  assert.ok(arena.bytes.every((byte) => byte === 0xa5));
});
