/** The mover at the gate of its destination, and in the queue for its turn; what it moves: test/conformance/copy/content. */
import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { StatisticsMemory } from "../../../../../control/statistics.js";
import { DataMover, type Extent } from "../../../../../control/units/copy/data-mover.js";
import type { Tolls } from "../../../../../control/units/copy/tolls.js";
import { Units } from "../../../../../control/units/units.js";
import type { UnitRecord } from "../../../../../dataplane/messages.js";
import { allocateFailedFlushes, FailedFlushes } from "../../../../../dataplane/storage/failed-flushes.js";
import { allocateGates, Gate } from "../../../../../dataplane/storage/gate.js";
import { nullUnit, silent } from "../../support/fixtures.js";

const MIB = 2 ** 20;
const SIZE_BYTES = 16 * MIB;

interface Setup {
  readonly mover: DataMover;
  /** A shard's part in the gates. */
  readonly shardGate: (unit: UnitRecord) => Gate;
  readonly from: UnitRecord;
  readonly to: UnitRecord;
  readonly paths: readonly [string, string];
  /** Bytes for which it has paid, part by part. */
  readonly paid: number[];
  /** Units of which it has told a loss. */
  readonly lost: number[];
  readonly failedFlushes: (unit: UnitRecord) => number;
  /** Whether the medium of the destination can be accessed. */
  readonly ready: { now: boolean };
  readonly controller: AbortController;
  /** Starts a copy of all that there is. */
  readonly move: (changes?: Partial<Extent>) => Promise<unknown>;
}

function start(context: TestContext): Setup {
  const folder = mkdtempSync(join(tmpdir(), "ringlun-mover-"));
  const units = new Units(silent, new StatisticsMemory(1));
  context.after(async () => {
    await units.closeAll();
    rmSync(folder, { recursive: true });
  });
  const paths = [join(folder, "from"), join(folder, "to")] as const;
  writeFileSync(paths[0], Buffer.alloc(SIZE_BYTES, 0xc0));
  const open = (path: string) =>
    units.open(
      { ...nullUnit(path), kind: "file", path, sizeBytes: SIZE_BYTES, cache: "writeback", thinThresholdBytes: null },
      path,
    );
  const [from, to] = [open(paths[0]), open(paths[1])];
  const gates = allocateGates(1);
  const failedFlushes = allocateFailedFlushes();
  const ready = { now: true };
  const paid: number[] = [];
  const lost: number[] = [];
  const mover = new DataMover(
    {
      gate: (unitIndex) => new Gate({ gates, shards: 1, shard: 1 }, unitIndex, () => {}),
      failedFlushes: (unitIndex) => new FailedFlushes(failedFlushes, unitIndex),
    },
    () => ready.now,
    ({ unitIndex }) => void lost.push(unitIndex),
    { pay: async (_units: unknown, bytes: number) => void paid.push(bytes) } as unknown as Tolls,
  );
  const controller = new AbortController();
  let looks = 0;
  const check = () => {
    // The first look is a moment before it becomes so.
    if (looks++ > 0 && !ready.now) return "not ready";
    return controller.signal.aborted ? "ended" : undefined;
  };
  const whole = { source: from, sourceOffset: 0, destination: to, destinationOffset: 0, length: SIZE_BYTES };
  return {
    mover,
    shardGate: ({ unitIndex }) => new Gate({ gates, shards: 1, shard: 0 }, unitIndex, () => {}),
    from,
    to,
    paths,
    paid,
    lost,
    failedFlushes: ({ unitIndex }) => new FailedFlushes(failedFlushes, unitIndex).count,
    ready,
    controller,
    move: (changes = {}) => mover.move({ ...whole, ...changes }, { check, signal: controller.signal }, () => {}),
  };
}

test("nothing is written while an atomic command owns the destination, and all of it when that has gone", async (t) => {
  const { shardGate, to, paths, move } = start(t);
  const gate = shardGate(to);
  assert.ok(gate.own());
  const moved = move();
  await sleep(50);
  assert.ok(gate.isQuiet(), "it waits outside");
  assert.ok(readFileSync(paths[1]).every((byte) => byte === 0));
  gate.disown();
  assert.equal(await moved, undefined);
  assert.ok(readFileSync(paths[1]).equals(readFileSync(paths[0])));
  assert.ok(gate.own() && gate.isQuiet(), "it has left the gate");
});

test("few parts are under way at once; what waits for its turn ends at once when it is to end", async (t) => {
  const { shardGate, to, controller, mover, move } = start(t);
  const gate = shardGate(to);
  assert.ok(gate.own());
  const first = [move(), move()];
  await sleep(20);
  const waiting = new AbortController();
  const extent = { source: null, sourceOffset: 0, destination: to, destinationOffset: 0, length: 512 };
  const check = () => (waiting.signal.aborted ? "ended" : undefined);
  const third = mover.move(extent, { check, signal: waiting.signal }, () => assert.fail("its turn has not come"));
  await sleep(20);
  waiting.abort();
  assert.equal(await third, "ended");
  const fourth = move();
  controller.abort();
  assert.equal(await fourth, "ended");
  gate.disown();
  // Those that were at the gate end their part.
  assert.deepEqual(await Promise.all(first), ["ended", "ended"]);
});

test("each part is paid for by what it has written: a hole by nothing", async (t) => {
  const { to, paid, move } = start(t);
  assert.equal(await move(), undefined);
  assert.equal(
    paid.reduce((sum, bytes) => sum + bytes),
    SIZE_BYTES,
  );
  assert.ok(paid.length >= 4 && Math.max(...paid) <= 4 * MIB, `${paid}`);
  paid.length = 0;
  assert.equal(await move({ source: null, destination: to }), undefined);
  assert.deepEqual(new Set(paid), new Set([to.thin ? 0 : MIB]));
});

test("a copy onto itself, and to units that keep nothing", async (t) => {
  const { from, paths, move } = start(t);
  assert.equal(await move({ destination: from }), undefined);
  assert.ok(readFileSync(paths[0]).every((byte) => byte === 0xc0));
  const units = new Units(silent, new StatisticsMemory(1));
  const nothing = units.open(nullUnit("nothing"), "nothing");
  assert.equal(await move({ destination: nothing }), undefined);
  assert.equal(await move({ source: nothing, destination: from, length: MIB }), undefined);
  const now = readFileSync(paths[0]);
  assert.ok(now.subarray(0, MIB).every((byte) => byte === 0) && now.subarray(MIB).every((byte) => byte === 0xc0));
});

test("a destination that becomes not ready between the look at it and the write is not written", async (t) => {
  const { shardGate, to, paths, ready, move } = start(t);
  ready.now = false;
  assert.equal(await move(), "not ready");
  assert.ok(readFileSync(paths[1]).every((byte) => byte === 0));
  const gate = shardGate(to);
  assert.ok(gate.own() && gate.isQuiet(), "it has left the gate");
});

test("a flush that fails is counted for the shards, and told for initiators that come back", async (t) => {
  const { mover, lost, failedFlushes, to } = start(t);
  const before = mover.lossesBefore(to);
  assert.equal(await mover.makeDurable(to, before), 0);
  assert.deepEqual([lost, failedFlushes(to)], [[], 0]);
  const unflushable = openSync("/dev/null", "r+");
  t.after(() => closeSync(unflushable));
  assert.ok((await mover.makeDurable({ ...to, bufferedFd: unflushable }, before)) < 0);
  assert.deepEqual([lost, failedFlushes(to)], [[to.unitIndex], 1]);
  assert.ok(
    (await mover.makeDurable(to, before)) < 0,
    "what was written before is not known to be durable by a later one",
  );
});
