/** WRITE AND VERIFY with BYTCHK=1, slice by slice: written, read back, compared; and what it ends with. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Slice } from "../../../../dataplane/buffer/slice.js";
import { allocateCounters, COUNTER } from "../../../../dataplane/counters.js";
import type { Shard } from "../../../../dataplane/shard.js";
import type { LogicalUnit } from "../../../../dataplane/storage/logical-unit.js";
import { Comparison } from "../../../../dataplane/task/comparison.js";
import type { TaskEngine } from "../../../../dataplane/task/engine.js";
import { OPERATION_READ, OPERATION_WRITE, Task, TRANSFER_WRITE_AND_COMPARE } from "../../../../dataplane/task/task.js";

const BLOCK = 512;
const EIO = -5;
/** Where the slices and the buffer for the medium stand. */
const SLICES = [0, 1024];
const MEDIUM = 4096;

class Scene {
  readonly bytes = new Uint8Array(8192);
  readonly counters = new Float64Array(allocateCounters());
  readonly task = new Task(0, 0);
  /** What was asked of the engine. */
  readonly log: string[] = [];
  readonly #comparison: Comparison;

  /** Two slices of two blocks, to be written from block 10 on. */
  constructor() {
    const slices = SLICES.map((offset, i) => ({ offset, length: 2 * BLOCK, transferOffset: 2 * BLOCK * i }) as Slice);
    slices[0]!.nextOfTask = slices[1]!;
    slices[1]!.nextOfTask = null;
    const { task, log, bytes } = this;
    task.unit = { blockLengthBytes: BLOCK } as LogicalUnit;
    task.transfer = TRANSFER_WRITE_AND_COMPARE;
    task.lba = 10;
    task.transferLength = 4 * BLOCK;
    task.firstSlice = slices[0]!;
    const engine = {
      bytes,
      operations: {
        start: (_task: Task, operation: number, memory: number, lba: number, blocks: number) => {
          const names = new Map([
            [OPERATION_READ, "read"],
            [OPERATION_WRITE, "write"],
          ]);
          log.push(`${names.get(operation)} ${memory} ${lba} ${blocks}`);
          task.operation = operation;
          task.operationLength = blocks * BLOCK;
        },
      },
      unlinkFirst: () => {
        task.firstSlice = task.firstSlice!.nextOfTask;
      },
      pump: () => log.push("on"),
      good: () => log.push("good"),
      fail: (_task: Task, errno: number, _lba: number, moved: number, writes: boolean) =>
        log.push(`fail ${errno} ${moved} ${writes ? "writing" : "reading"}`),
      checkCondition: () => log.push(`sense ${task.senseKey} ${task.senseInformation}`),
    };
    const shard = {
      counters: this.counters,
      slices: { acquire: () => ({ offset: MEDIUM }), release: () => log.push("release") },
    };
    this.#comparison = new Comparison(shard as unknown as Shard, engine as unknown as TaskEngine);
    bytes.fill(7, 0, 2048);
    bytes.fill(7, MEDIUM, MEDIUM + 2 * BLOCK);
  }

  next(): void {
    this.#comparison.compareSlice(this.task, this.task.firstSlice!);
  }

  complete(result = 0): void {
    this.#comparison.operated(this.task, result);
  }
}

test("each slice is written, read back and compared before the next one", () => {
  const scene = new Scene();
  scene.next();
  scene.complete();
  scene.complete();
  assert.deepEqual(scene.log.splice(0), ["write 0 10 2", `read ${MEDIUM} 10 2`, "release", "on"]);
  scene.next();
  scene.complete();
  scene.complete();
  assert.deepEqual(scene.log, ["write 1024 12 2", `read ${MEDIUM} 12 2`, "release", "good"]);
  assert.equal(scene.counters[COUNTER.written_bytes], 4 * BLOCK);
});

test("what the medium has changed is a MISCOMPARE, at its offset in the transfer", () => {
  const scene = new Scene();
  scene.next();
  scene.complete();
  scene.complete();
  scene.next();
  scene.complete();
  scene.bytes[MEDIUM + 600] = 8;
  scene.complete();
  assert.equal(scene.log.at(-1), `sense 14 ${2 * BLOCK + 600}`);
});

test("a failure says which way it was, and what is through", () => {
  const scene = new Scene();
  scene.next();
  scene.complete(EIO);
  assert.deepEqual(scene.log.splice(0), ["write 0 10 2", "fail -5 0 writing"]);
  const other = new Scene();
  other.next();
  other.complete();
  other.complete(EIO);
  assert.equal(other.log.at(-1), "fail -5 0 reading");
  const third = new Scene();
  third.next();
  third.complete();
  third.complete();
  third.next();
  third.complete(EIO);
  assert.equal(third.log.at(-1), `fail -5 ${2 * BLOCK} writing`);
});
