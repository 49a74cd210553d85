/** Writes that were acknowledged and lost: who hears of it. The kernel tells each loss once, to whoever asks first. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { errno } from "io-uring-node";
import type { CacheMode } from "../../../../dataplane/messages.js";
import { LunMapping } from "../../../../dataplane/session/lun-mapping.js";
import type { Session } from "../../../../dataplane/session/session.js";
import type { Shard } from "../../../../dataplane/shard.js";
import { allocateFailedFlushes, FailedFlushes } from "../../../../dataplane/storage/failed-flushes.js";
import type { Gate } from "../../../../dataplane/storage/gate.js";
import { LogicalUnit } from "../../../../dataplane/storage/logical-unit.js";
import { PENDING, type Store } from "../../../../dataplane/storage/store.js";
import type { TaskEngine } from "../../../../dataplane/task/engine.js";
import type { Gates } from "../../../../dataplane/task/gates.js";
import { Operations } from "../../../../dataplane/task/operations.js";
import { OPERATION_FLUSH, OPERATION_WRITE, Task } from "../../../../dataplane/task/task.js";
import { unitRecord } from "../../../support/unit-record.js";

const RECORD = unitRecord({ fd: 7, bufferedFd: 7, errorFds: [8] });

class Scene {
  /** What the kernel has to tell, and nobody has asked for yet. */
  loss = 0;
  /** What control is told. */
  readonly told: string[] = [];
  readonly unit: LogicalUnit;
  readonly #operations: Operations;
  readonly #results = new Map<Task, number>();

  /** `failedFlushes`: what the shards of a process share. */
  constructor(failedFlushes = allocateFailedFlushes(), cache: CacheMode = "writeback", inMemory = false) {
    const store = {
      inMemory,
      flush: () => PENDING,
      write: () => PENDING,
      takeLoss: () => {
        const { loss } = this;
        this.loss = 0;
        return loss;
      },
    };
    this.unit = new LogicalUnit(
      { ...RECORD, cache },
      store as unknown as Store,
      {} as Gate,
      new FailedFlushes(failedFlushes, RECORD.unitIndex),
      { lost: () => this.told.push("lost"), heard: (initiatorName) => this.told.push(initiatorName) },
    );
    const engine = { operated: (task: Task, result: number) => this.#results.set(task, result) };
    const gates = { enterOperation: () => true, leaveOperation: () => {} };
    const shard = { ring: { nowUs: 0 } } as unknown as Shard;
    this.#operations = new Operations(shard, engine as unknown as TaskEngine, gates as unknown as Gates);
  }

  session(): LunMapping {
    return new LunMapping(0, this.unit, false, 0);
  }

  begin(mapping: LunMapping, operation: number, durable = false): Task {
    const task = new Task(0, 0);
    task.unit = this.unit;
    task.mapping = mapping;
    task.session = { initiatorName: "host" } as Session;
    task.durable = durable;
    task.lossesBefore = this.unit.losses;
    this.#operations.start(task, operation, 0, 0, operation === OPERATION_WRITE ? 1 : 0);
    return task;
  }

  /** The kernel has completed it; what the command is told. */
  complete(task: Task, result: number): number {
    this.#operations.completed(task, result);
    return this.#results.get(task)!;
  }

  /** Likewise, after the command was aborted. */
  outlive(task: Task, result: number): void {
    this.#operations.outlived(task, result);
  }

  /** What the command is told, which its initiator acknowledges at once. */
  flush(mapping: LunMapping, result = 0): number {
    const task = this.begin(mapping, OPERATION_FLUSH);
    const told = this.complete(task, result);
    this.acknowledge(task);
    return told;
  }

  acknowledge({ mapping, lossesTold }: Task): void {
    if (lossesTold >= 0) this.unit.heard(mapping!, "host", lossesTold);
  }
}

describe("a flush", () => {
  test("that succeeds while nothing was lost is good", () => {
    const scene = new Scene();
    assert.equal(scene.flush(scene.session()), 0);
  });

  test("fails once for every session, although the kernel tells only the first", () => {
    const scene = new Scene();
    const sessions = [scene.session(), scene.session(), scene.session()];
    scene.loss = -errno.ENOSPC;
    assert.deepEqual(
      sessions.map((session) => scene.flush(session)),
      [-errno.ENOSPC, -errno.ENOSPC, -errno.ENOSPC],
    );
    assert.deepEqual(
      sessions.map((session) => scene.flush(session)),
      [0, 0, 0],
    );
  });

  test("that fails by itself fails those of the others too", () => {
    const scene = new Scene();
    const [first, second] = [scene.session(), scene.session()];
    assert.equal(scene.flush(first, -errno.EIO), -errno.EIO);
    assert.equal(scene.flush(second), -errno.EIO);
    assert.equal(scene.flush(first), 0);
  });

  test("that fails after its command was aborted fails those of the others: nobody else is told", () => {
    const scene = new Scene();
    const [aborted, other] = [scene.session(), scene.session()];
    scene.outlive(scene.begin(aborted, OPERATION_FLUSH), 0);
    assert.equal(scene.flush(other), 0);
    scene.outlive(scene.begin(aborted, OPERATION_FLUSH), -errno.EIO);
    scene.outlive(scene.begin(aborted, OPERATION_WRITE), -errno.ENOSPC);
    assert.deepEqual(scene.told, ["lost"]);
    assert.equal(scene.flush(other), -errno.EIO);
    assert.equal(scene.flush(other), 0);
  });

  test("that succeeded while another one in flight took the error is not good", () => {
    const scene = new Scene();
    const [first, second] = [scene.session(), scene.session()];
    const taker = scene.begin(first, OPERATION_FLUSH);
    const other = scene.begin(second, OPERATION_FLUSH);
    // The kernel has told `taker`; `other` comes back first.
    scene.loss = -errno.EIO;
    assert.equal(scene.complete(other, 0), -errno.EIO);
    assert.equal(scene.complete(taker, -errno.EIO), -errno.EIO);
  });

  test("that was in flight while the session heard of a loss fails too: they may be of different applications", () => {
    const scene = new Scene();
    const session = scene.session();
    const flushes = [0, 1].map(() => scene.begin(session, OPERATION_FLUSH));
    scene.loss = -errno.EIO;
    for (const flush of flushes) {
      assert.equal(scene.complete(flush, 0), -errno.EIO);
      scene.acknowledge(flush);
    }
    assert.equal(scene.flush(session), 0);
  });

  test("fails as long as the session has not acknowledged that it was told", () => {
    const scene = new Scene();
    const session = scene.session();
    const flush = () => scene.begin(session, OPERATION_FLUSH);
    scene.loss = -errno.EIO;
    const first = flush();
    for (const unacknowledged of [first, flush()]) assert.equal(scene.complete(unacknowledged, 0), -errno.EIO);
    scene.acknowledge(first);
    assert.equal(scene.complete(flush(), 0), 0);
  });

  test("fails where something is lost after a loss was told, and before that is acknowledged", () => {
    const scene = new Scene();
    const session = scene.session();
    scene.loss = -errno.EIO;
    const told = scene.begin(session, OPERATION_FLUSH);
    assert.equal(scene.complete(told, 0), -errno.EIO);
    scene.loss = -errno.ENOSPC;
    scene.acknowledge(told);
    assert.deepEqual(scene.told, ["lost", "lost"], "its initiator has not heard of all");
    assert.equal(scene.flush(session), -errno.ENOSPC);
    assert.deepEqual(scene.told, ["lost", "lost", "host"]);
    // An older response is acknowledged on another connection.
    scene.acknowledge(told);
    assert.equal(scene.flush(session), 0);
  });

  test("of a session that began after the loss was told is good: it had written nothing before", () => {
    const scene = new Scene();
    scene.loss = -errno.EIO;
    scene.flush(scene.session());
    assert.equal(scene.flush(scene.session()), 0);
  });
});

describe("a flush that has failed on another shard", () => {
  test("fails the next one of every session on this one: a device tells a failure to one flush alone", () => {
    const shared = allocateFailedFlushes();
    const [here, there] = [new Scene(shared), new Scene(shared)];
    const sessions = [here.session(), here.session()];
    assert.equal(there.flush(there.session(), -errno.ENOSPC), -errno.ENOSPC);
    assert.deepEqual(
      sessions.map((session) => here.flush(session)),
      [-errno.EIO, -errno.EIO],
    );
    assert.deepEqual(
      sessions.map((session) => here.flush(session)),
      [0, 0],
    );
  });

  test("fails one that was in flight meanwhile, and is told once where the kernel tells of it, too", () => {
    const shared = allocateFailedFlushes();
    const [here, there] = [new Scene(shared), new Scene(shared)];
    const session = here.session();
    const flush = here.begin(session, OPERATION_FLUSH);
    there.flush(there.session(), -errno.EIO);
    here.loss = -errno.ENOSPC;
    assert.equal(here.complete(flush, 0), -errno.ENOSPC);
    here.acknowledge(flush);
    assert.equal(here.flush(session), 0);
  });

  test("is nothing to a session that began after it, nor to other units", () => {
    const shared = allocateFailedFlushes();
    const [here, there] = [new Scene(shared), new Scene(shared)];
    there.flush(there.session(), -errno.EIO);
    assert.equal(here.flush(here.session()), 0);
    assert.equal(new FailedFlushes(shared, RECORD.unitIndex + 1).count, 0);
  });
});

describe("control is told", () => {
  test("of a loss once, and of every initiator that has heard of it", () => {
    const scene = new Scene();
    const [first, second] = [scene.session(), scene.session()];
    scene.loss = -errno.EIO;
    scene.flush(first);
    scene.flush(second);
    scene.flush(first);
    assert.deepEqual(scene.told, ["lost", "host", "host"]);
  });

  test("of a loss that a durable write has heard of, which is no news to its initiator's flushes", () => {
    const scene = new Scene();
    const session = scene.session();
    const write = scene.begin(session, OPERATION_WRITE, true);
    scene.loss = -errno.EIO;
    scene.complete(write, 512);
    assert.deepEqual(scene.told, ["lost"]);
    assert.equal(scene.flush(session), -errno.EIO);
    assert.deepEqual(scene.told, ["lost", "host"]);
  });

  test("of nothing when it has the shard ask: it knows", () => {
    const scene = new Scene();
    const session = scene.session();
    scene.loss = -errno.EIO;
    assert.ok(scene.unit.hearLosses());
    assert.deepEqual(scene.told, []);
    assert.equal(scene.flush(session), -errno.EIO);
    assert.equal(scene.flush(session), 0);
  });
});

describe("a durable write", () => {
  test("fails if anything was lost while it was in flight", () => {
    const scene = new Scene();
    const session = scene.session();
    const writes = [0, 1, 2].map(() => scene.begin(session, OPERATION_WRITE, true));
    scene.loss = -errno.EIO;
    assert.deepEqual(
      writes.map((write) => scene.complete(write, 512)),
      [-errno.EIO, -errno.EIO, -errno.EIO],
    );
  });

  test("that began after the loss was told is good", () => {
    const scene = new Scene();
    const session = scene.session();
    scene.loss = -errno.EIO;
    scene.flush(session);
    assert.equal(scene.complete(scene.begin(session, OPERATION_WRITE, true), 512), 512);
  });

  test("that fails may be one for which the device could not empty its cache: the flushes of all sessions fail", () => {
    for (const end of ["complete", "outlive"] as const) {
      const scene = new Scene();
      const sessions = [scene.session(), scene.session()];
      scene[end](scene.begin(sessions[0]!, OPERATION_WRITE, true), -errno.EIO);
      for (const session of sessions) assert.equal(scene.flush(session), -errno.EIO);
    }
  });

  test("for which there is no space is nothing to others, nor is one that fails where all writes are durable, or no device is", () => {
    for (const [cache, inMemory, result] of [
      ["direct", false, -errno.ENOSPC],
      ["writethrough", false, -errno.EIO],
      ["direct", true, -errno.EIO],
    ] as const) {
      const scene = new Scene(allocateFailedFlushes(), cache, inMemory);
      const session = scene.session();
      assert.equal(scene.complete(scene.begin(session, OPERATION_WRITE, true), result), result);
      assert.equal(scene.flush(session), 0);
    }
  });

  test("does not keep from the other sessions what it was told", () => {
    const scene = new Scene();
    const [first, second] = [scene.session(), scene.session()];
    const write = scene.begin(first, OPERATION_WRITE, true);
    scene.loss = -errno.EIO;
    assert.equal(scene.complete(write, 512), -errno.EIO);
    assert.equal(scene.flush(second), -errno.EIO);
  });
});

test("a write that need not be durable is good whatever was lost: its flush will tell", () => {
  const scene = new Scene();
  const session = scene.session();
  const write = scene.begin(session, OPERATION_WRITE);
  scene.loss = -errno.EIO;
  assert.equal(scene.complete(write, 512), 512);
  assert.equal(scene.flush(session), -errno.EIO);
});
