/** Buffers of a shard: classes, what stands in for what, what is kept back, whose credit comes back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Arena } from "../../../../dataplane/arena.js";
import type { Slice } from "../../../../dataplane/buffer/slice.js";
import { SlicePool } from "../../../../dataplane/buffer/slice-pool.js";
import { Connection } from "../../../../dataplane/connection/connection.js";
import { SLICE_BYTES_MAX, SLICE_CLASSES } from "../../../../dataplane/limits.js";
import type { Task } from "../../../../dataplane/task/task.js";

function open(): SlicePool {
  return new SlicePool(new Arena(8 * 1024 * 1024));
}

/** All that `take` gives. */
function drain(take: () => Slice | null): Slice[] {
  const slices: Slice[] = [];
  for (let slice = take(); slice !== null; slice = take()) slices.push(slice);
  return slices;
}

test("a slice comes from the smallest class that is large enough, then from the next larger one", () => {
  const pool = open();
  const [small, , large] = SLICE_CLASSES.map(({ dataBytes }) => dataBytes) as [number, number, number];
  assert.equal(pool.acquire(1, null)?.capacity, small);
  assert.equal(pool.acquire(small + 1, null)?.capacity, SLICE_CLASSES[1].dataBytes);
  assert.equal(pool.acquire(large, null)?.capacity, large);
  const capacities = new Set(drain(() => pool.acquire(1, null)).map(({ capacity }) => capacity));
  assert.deepEqual([...capacities], [small, SLICE_CLASSES[1].dataBytes, large]);
  assert.equal(pool.wasEmpty, true);
});

test("where no slice is so large any more, a smaller one does for a part", () => {
  const pool = open();
  const lengths = drain(() => pool.acquireUpTo(SLICE_BYTES_MAX, null)).map(({ length, capacity }) => {
    assert.equal(length, capacity);
    return length;
  });
  assert.deepEqual(
    [...new Set(lengths)],
    [...SLICE_CLASSES].reverse().map(({ dataBytes }) => dataBytes),
  );
  assert.equal(pool.acquireUpTo(100, null), null);
  // What fits into a small one does not take more than it needs.
  assert.equal(open().acquireUpTo(100, null)?.length, 100);
});

test("a few of the smallest and of the largest are left to what is no SCSI data", () => {
  const pool = open();
  drain(() => pool.acquireUpTo(SLICE_BYTES_MAX, null));
  const all = (bytes: number) => pool.slices.filter(({ capacity }) => capacity === bytes).length;
  const large = drain(() => pool.acquireReserved(SLICE_BYTES_MAX));
  assert.ok(large.length >= 1 && large.length <= all(SLICE_BYTES_MAX) / 4);
  const small = drain(() => pool.acquireReserved(4096));
  assert.ok(small.length >= 4 && small.length <= all(4096) / 4);
  assert.ok(small.every(({ capacity }) => capacity === 4096));
});

test("free bytes are those that could hold so much", () => {
  const pool = open();
  const before = pool.freeBytes(SLICE_BYTES_MAX);
  pool.acquire(1, null);
  assert.equal(pool.freeBytes(SLICE_BYTES_MAX), before);
  const large = pool.acquire(SLICE_BYTES_MAX, null)!;
  assert.equal(pool.freeBytes(SLICE_BYTES_MAX), before - SLICE_BYTES_MAX);
  pool.release(large);
  assert.equal(pool.freeBytes(SLICE_BYTES_MAX), before);
  assert.ok(pool.freeBytes(1) > before);
});

test("a released slice gives its connection the credit back, and tells once of those whose tasks wait for it", () => {
  const pool = open();
  const connection = new Connection(0, 0);
  const slices = [pool.acquire(4096, null)!, pool.acquire(4096, null)!, pool.acquire(4096, null)!];
  for (const slice of slices) {
    slice.credit = connection;
    connection.creditBytes += slice.capacity;
  }
  pool.release(slices[0]!);
  assert.equal(connection.creditBytes, 2 * 4096);
  assert.deepEqual(pool.takeCredited(), [], "nobody waits");
  connection.starvedHead = {} as Task;
  pool.release(slices[1]!);
  // One that is still in a batch is not free before that is sent.
  slices[2]!.inBatch = true;
  pool.release(slices[2]!);
  assert.equal(connection.creditBytes, 4096);
  slices[2]!.inBatch = false;
  pool.release(slices[2]!);
  assert.equal(connection.creditBytes, 0);
  assert.deepEqual(pool.takeCredited(), [connection]);
  assert.deepEqual(pool.takeCredited(), []);
});
