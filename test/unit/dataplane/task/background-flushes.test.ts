/** Flushes behind commands that have ended (IMMED=1): how many, for whom, and who hears of a failure. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errno } from "io-uring-node";
import { SENSE_DEFERRED } from "../../../../dataplane/scsi/sense.js";
import { senseKeyOf, UnitAttentions } from "../../../../dataplane/scsi/unit-attention.js";
import { LunMapping } from "../../../../dataplane/session/lun-mapping.js";
import type { Session } from "../../../../dataplane/session/session.js";
import type { Shard } from "../../../../dataplane/shard.js";
import { allocateFailedFlushes, FailedFlushes } from "../../../../dataplane/storage/failed-flushes.js";
import type { Gate } from "../../../../dataplane/storage/gate.js";
import { LogicalUnit } from "../../../../dataplane/storage/logical-unit.js";
import { PENDING, type Store } from "../../../../dataplane/storage/store.js";
import { BackgroundFlushes } from "../../../../dataplane/task/background-flushes.js";
import { Barrier } from "../../../../dataplane/task/barrier.js";
import { Task } from "../../../../dataplane/task/task.js";
import { unitRecord } from "../../../support/unit-record.js";

const RECORD = unitRecord({ unitIndex: 7, fd: 7, bufferedFd: 7, errorFds: [8] });

class Host {
  readonly mapping: LunMapping;
  readonly attentions = new UnitAttentions();
  readonly session: Session;

  constructor(unit: LogicalUnit, sessionId: number) {
    this.session = { sessionId, initiatorName: `host ${sessionId}`, attentions: this.attentions } as Session;
    this.mapping = new LunMapping(3, unit, false, 0);
  }

  /** What it was told. */
  acknowledge(): void {
    const { unit, lossesDeferred } = this.mapping;
    unit.heard(this.mapping, this.session.initiatorName, lossesDeferred);
  }

  /** Sense key, and ASC and ASCQ, of what it is told next; null: nothing. */
  told(): readonly [number, number] | null {
    const condition = this.attentions.take(3);
    return condition < 0 ? null : [senseKeyOf(condition), condition & 0xffff];
  }
}

class Scene {
  /** What a flush returns: PENDING, or the result of a store that need not wait. */
  result = PENDING;
  flushes = 0;
  /** What the kernel has to tell of earlier writes, and nobody has asked for yet. */
  loss = 0;
  readonly sessions = new Map<number, Session>();
  readonly unit: LogicalUnit;
  readonly background: BackgroundFlushes;

  constructor() {
    const store = {
      flush: (_kind: number, index: number) => {
        assert.equal(index, RECORD.unitIndex);
        this.flushes++;
        return this.result;
      },
      takeLoss: () => {
        const { loss } = this;
        this.loss = 0;
        return loss;
      },
    };
    const failedFlushes = new FailedFlushes(allocateFailedFlushes(), RECORD.unitIndex);
    const listener = { lost: () => {}, heard: () => {} };
    this.unit = new LogicalUnit(RECORD, store as unknown as Store, {} as Gate, failedFlushes, listener);
    const units = new Map([[RECORD.unitIndex, this.unit]]);
    this.background = new BackgroundFlushes({ units, sessions: this.sessions } as unknown as Shard);
  }

  host(): Host {
    const host = new Host(this.unit, this.sessions.size);
    this.sessions.set(host.session.sessionId, host.session);
    return host;
  }

  begin({ mapping, session }: Host): void {
    const task = new Task(0, 0);
    task.unit = this.unit;
    task.mapping = mapping;
    task.session = session;
    this.background.begin(task);
  }

  complete(result: number): void {
    this.background.completed(RECORD.unitIndex, result);
  }
}

const WRITE_ERROR = [SENSE_DEFERRED | 3, 0x0c00];
const SPACE_ALLOCATION_FAILED = [SENSE_DEFERRED | 7, 0x2707];

test("who has asked is told of a failure once, and of success nothing", () => {
  const scene = new Scene();
  const host = scene.host();
  scene.begin(host);
  scene.complete(0);
  assert.equal(host.told(), null);
  scene.begin(host);
  scene.complete(-errno.EIO);
  assert.deepEqual(host.told(), WRITE_ERROR);
  host.acknowledge();
  scene.begin(host);
  scene.complete(0);
  assert.equal(host.told(), null);
});

test("who has not acknowledged the deferred error is told again when it asks again", () => {
  const scene = new Scene();
  const host = scene.host();
  scene.begin(host);
  scene.complete(-errno.EIO);
  assert.deepEqual(host.told(), WRITE_ERROR);
  for (let flush = 0; flush < 2; flush++) {
    scene.begin(host);
    scene.complete(0);
  }
  assert.deepEqual(host.told(), WRITE_ERROR);
  assert.equal(host.told(), null);
});

test("what was lost before, and told to no flush yet, is told too", () => {
  const scene = new Scene();
  const host = scene.host();
  scene.begin(host);
  scene.loss = -errno.ENOSPC;
  scene.complete(0);
  assert.deepEqual(host.told(), SPACE_ALLOCATION_FAILED);
});

test("who has not asked hears of it at the next flush, as of every loss", () => {
  const scene = new Scene();
  const [asker, other] = [scene.host(), scene.host()];
  scene.begin(asker);
  scene.complete(-errno.EIO);
  assert.equal(other.told(), null);
  assert.equal(scene.unit.lossSince(other.mapping.lossesHeard), -errno.EIO);
  assert.equal(
    scene.unit.lossSince(asker.mapping.lossesDeferred),
    0,
    "it knows when it has acknowledged the deferred error",
  );
  assert.equal(scene.unit.lossSince(asker.mapping.lossesHeard), -errno.EIO, "which it has not");
});

test("who has asked, and is gone meanwhile, has not heard of it", () => {
  const scene = new Scene();
  const [gone, asker] = [scene.host(), scene.host()];
  for (const host of [gone, asker]) scene.begin(host);
  scene.complete(0);
  scene.sessions.delete(gone.session.sessionId);
  scene.begin(gone);
  scene.begin(asker);
  scene.complete(-errno.EIO);
  scene.complete(0);
  assert.equal(gone.told(), null);
  assert.deepEqual(asker.told(), WRITE_ERROR);
});

test("who asks while one is in flight is served by the next one, all of them by one", () => {
  const scene = new Scene();
  const [first, second, third] = [scene.host(), scene.host(), scene.host()];
  scene.begin(first);
  for (const host of [second, third, second, first]) scene.begin(host);
  assert.equal(scene.flushes, 1);
  scene.complete(0);
  assert.equal(scene.flushes, 2);
  scene.complete(-errno.EIO);
  for (const host of [first, second, third]) {
    assert.deepEqual(host.told(), WRITE_ERROR);
    assert.equal(host.told(), null);
  }
  assert.equal(scene.flushes, 2);
  scene.begin(first);
  assert.equal(scene.flushes, 3);
});

test("a unit is closed when its flush is over, and none is begun for those who are gone", () => {
  const scene = new Scene();
  let isClosed = false;
  const close = () => {
    const barrier = new Barrier(() => {
      isClosed = true;
    });
    scene.background.end(scene.unit, barrier);
    barrier.leave();
  };
  scene.begin(scene.host());
  scene.begin(scene.host());
  close();
  assert.equal(isClosed, false);
  scene.complete(0);
  assert.deepEqual([isClosed, scene.flushes], [true, 1]);
  isClosed = false;
  close();
  assert.equal(isClosed, true);
});

test("a store that need not wait", () => {
  const scene = new Scene();
  const host = scene.host();
  scene.result = 0;
  scene.begin(host);
  assert.equal(host.told(), null);
  scene.result = -errno.EIO;
  scene.begin(host);
  assert.deepEqual(host.told(), WRITE_ERROR);
});
