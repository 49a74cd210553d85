/** What is told of slow commands, and how much of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ShardMessage } from "../../../dataplane/messages.js";
import type { Shard } from "../../../dataplane/shard.js";
import { SlowCommands } from "../../../dataplane/slow-commands.js";
import { dataAwaited, dataCame, dataForgotten, storeBegins, storeEnds } from "../../../dataplane/task/stages.js";
import { TASK_ABORTED, TASK_RESPONDING, Task, TRANSFER_READ, TRANSFER_WRITE } from "../../../dataplane/task/task.js";

const MS = 1000;

class Fixture {
  readonly lines: Record<string, unknown>[] = [];
  readonly slowCommands: SlowCommands;
  readonly #limitUs = new Float64Array(new SharedArrayBuffer(8));

  constructor(limitMs: number) {
    const post = (message: ShardMessage): void => {
      assert.equal(message.type, "log");
      if (message.type === "log")
        this.lines.push({ ...message.fields, message: message.message, level: message.level });
    };
    const shard = { host: { post }, arena: { bytes: new Uint8Array(32) } } as unknown as Shard;
    this.#limitUs[0] = limitMs * MS;
    this.slowCommands = new SlowCommands(shard, this.#limitUs.buffer);
  }
}

function task(changes: Partial<Task>): Task {
  const made = new Task(0, 0);
  const names = { sessionId: 7, initiatorName: "iqn.x:i", targetName: "iqn.x:t" };
  return Object.assign(made, {
    state: TASK_RESPONDING,
    session: names,
    connection: { cid: 1 },
    unit: { name: "disk", blockLengthBytes: 512 },
    command: { name: "READ(10)" },
    cdbLength: 2,
    lun: 0,
    startedUs: 1000 * MS,
    ...changes,
  });
}

test("where the time of a READ went", () => {
  const { lines, slowCommands } = new Fixture(100);
  const read = task({
    transfer: TRANSFER_READ,
    storeStart: 5120,
    blocks: 4,
    begunUs: 1010 * MS,
    limitUs: 5 * MS,
    storeUs: 60 * MS,
  });
  slowCommands.ended(read, 1100 * MS);
  assert.deepEqual(lines, [
    {
      ...{ message: "slow command", level: "warn", sessionId: 7, initiator: "iqn.x:i", target: "iqn.x:t", cid: 1 },
      ...{ unit: "disk", lun: 0, command: "READ(10)", cdb: "0000", lba: 10, bytes: 2048, outcome: "good" },
      ...{ ms: 100, waitMs: 10, limitMs: 5, dataMs: 0, storeMs: 60, sendMs: 25 },
    },
  ]);
});

test("where that of a WRITE went; and what it ended with", () => {
  const { lines, slowCommands } = new Fixture(100);
  const write = task({ transfer: TRANSFER_WRITE, begunUs: 1000 * MS, dataWaitUs: 40 * MS, storeUs: 70 * MS });
  slowCommands.ended(
    Object.assign(write, { decidedUs: 1090 * MS, status: 2, senseKey: 3, asc: 0x0c, ascq: 0 }),
    1120 * MS,
  );
  const [{ ms, waitMs, dataMs, storeMs, sendMs, outcome } = assert.fail()] = lines;
  assert.deepEqual([ms, waitMs, dataMs, storeMs, sendMs, outcome], [120, 0, 40, 70, 30, "sense 03/0c/00"]);
});

test("one that is aborted before its turn has only waited; no range is made up for what has none", () => {
  const { lines, slowCommands } = new Fixture(100);
  slowCommands.ended(task({ state: TASK_ABORTED, command: null }), 1150 * MS);
  const [{ waitMs, sendMs, outcome, command, ...rest } = assert.fail()] = lines;
  assert.deepEqual([waitMs, sendMs, outcome, command], [150, 0, "aborted", ""]);
  assert(!("lba" in rest) && !("bytes" in rest));
});

test("nothing is told below the limit, nor where there is none", () => {
  const { lines, slowCommands } = new Fixture(100);
  slowCommands.ended(task({}), 1000 * MS + 100 * MS - 1);
  const none = new Fixture(0);
  none.slowCommands.ended(task({}), 1e12);
  assert.deepEqual([...lines, ...none.lines], []);
});

test("so many lines a second, and then how many more there were", () => {
  const { lines, slowCommands } = new Fixture(100);
  for (let i = 0; i < 25; i++) slowCommands.ended(task({}), 2000 * MS);
  assert.equal(lines.length, 10);
  slowCommands.sweep(2999 * MS);
  assert.equal(lines.length, 10);
  slowCommands.sweep(3000 * MS);
  assert.deepEqual(lines.slice(10), [{ level: "warn", message: "more slow commands", commands: 15 }]);
  slowCommands.ended(task({}), 3001 * MS);
  slowCommands.sweep(4000 * MS);
  assert.equal(lines.length, 12);
});

test("operations and R2Ts that overlap count once", () => {
  const counted = task({});
  storeBegins(counted, 10);
  storeBegins(counted, 20);
  storeEnds(counted, 30);
  storeEnds(counted, 50);
  storeBegins(counted, 100);
  storeEnds(counted, 101);
  assert.deepEqual([counted.storeBusy, counted.storeUs], [0, 41]);
  dataAwaited(counted, 10);
  dataAwaited(counted, 20);
  dataCame(counted, 30);
  dataCame(counted, 35);
  dataAwaited(counted, 40);
  dataForgotten(counted, 50);
  dataForgotten(counted, 60);
  assert.deepEqual([counted.outstandingR2T, counted.dataWaitUs], [0, 35]);
});
