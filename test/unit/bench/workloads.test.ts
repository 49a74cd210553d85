import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BlockStamps } from "../../../bench/initiator/block-stamps.js";
import type { Connection } from "../../../bench/initiator/connection.js";
import { InitiatorError, VerifyError } from "../../../bench/initiator/errors.js";
import { OPERATION_CDB, OPERATION_READ, OPERATION_WRITE, Task, type Workload } from "../../../bench/initiator/task.js";
import {
  CheckWorkload,
  FillWorkload,
  type LoadMeter,
  type LoadShape,
  LoadWorkload,
  Verification,
} from "../../../bench/initiator/workloads.js";
import { WriteHistory } from "../../../bench/initiator/write-history.js";
import { Arena } from "../../../dataplane/arena.js";

const AREA = { seed: 5, lba: 100, slots: 16, slotBlocks: 2, blockLength: 512 };
const SLOT_BYTES = 1024;
const STATUS_CHECK_CONDITION = 0x02;
const STATUS_BUSY = 0x08;

class Meter implements LoadMeter {
  readonly events: string[] = [];
  begin(nowUs: number): void {
    this.events.push(`begin ${nowUs}`);
  }
  record(latencyUs: number): void {
    this.events.push(`record ${latencyUs}`);
  }
  end(nowUs: number): void {
    this.events.push(`end ${nowUs}`);
  }
}

/** The unit as a Buffer, and tasks with data buffers. */
class Disk {
  readonly arena = new Arena(64 * SLOT_BYTES + 8192);
  readonly bytes = Buffer.alloc((AREA.lba + AREA.slots * AREA.slotBlocks) * AREA.blockLength);
  readonly history = new WriteHistory(AREA);
  readonly verification = new Verification(this.history, new BlockStamps(this.arena, 512, AREA.slotBlocks, AREA.seed));

  task(): Task {
    return new Task(null as unknown as Connection, 0, this.arena.take(SLOT_BYTES, 8));
  }

  /** What a target does. */
  perform(task: Task): void {
    const at = task.lba * AREA.blockLength;
    if (task.operation === OPERATION_WRITE)
      this.bytes.set(this.arena.bytes.slice(task.data, task.data + task.length), at);
    if (task.operation === OPERATION_READ) this.arena.bytes.set(this.bytes.subarray(at, at + task.length), task.data);
    task.status = 0;
  }

  run(workload: Workload): void {
    const task = this.task();
    while (workload.next(task, 0)) {
      this.perform(task);
      workload.done(task, 0);
    }
    assert(workload.finished);
  }
}

function loadWith(shape: Partial<LoadShape>, disk?: Disk): { workload: LoadWorkload; meter: Meter } {
  const meter = new Meter();
  const whole = {
    area: AREA,
    readPercent: 100,
    sequential: false,
    fua: false,
    synchronizeEvery: 0,
    rampUs: 0,
    durationUs: 1e9,
    seed: 1,
    ...shape,
  };
  return { workload: new LoadWorkload(whole, meter, disk?.verification ?? null, 4096), meter };
}

describe("LoadWorkload", () => {
  test("measures what ends within the measured time, and then is finished", () => {
    const disk = new Disk();
    const { workload, meter } = loadWith({ rampUs: 100, durationUs: 1000 });
    const task = disk.task();
    const command = (startUs: number, endUs: number): void => {
      assert(workload.next(task, startUs));
      task.begin(startUs);
      workload.done(task, endUs);
    };
    command(50, 80);
    command(80, 149);
    command(149, 150);
    command(150, 300);
    command(300, 1149);
    assert(!workload.finished);
    command(1149, 1150);
    assert(workload.finished);
    assert(!workload.next(task, 1150));
    assert.deepEqual(meter.events, ["begin 150", "record 1", "record 150", "record 849", "end 1150"]);
  });

  test("sequential goes through the area and begins again; random stays within it and reaches all of it", () => {
    const task = new Disk().task();
    const { workload: sequential } = loadWith({ sequential: true });
    for (let count = 0; count < 40; count++) {
      sequential.next(task, 0);
      assert.equal(task.lba, AREA.lba + (count % AREA.slots) * AREA.slotBlocks);
      assert.equal(task.length, SLOT_BYTES);
    }
    const { workload: random } = loadWith({});
    const reached = new Set<number>();
    for (let count = 0; count < 1000; count++) {
      random.next(task, 0);
      reached.add((task.lba - AREA.lba) / AREA.slotBlocks);
    }
    assert.deepEqual(
      [...reached].sort((a, b) => a - b),
      [...Array(AREA.slots).keys()],
    );
  });

  test("the mix is what was asked for", () => {
    const task = new Disk().task();
    for (const readPercent of [0, 70, 100]) {
      const { workload } = loadWith({ readPercent, fua: true });
      let reads = 0;
      for (let count = 0; count < 10_000; count++) {
        workload.next(task, 0);
        if (task.operation === OPERATION_READ) reads++;
        assert.equal(task.fua, task.operation === OPERATION_WRITE);
        assert.equal(task.data, task.operation === OPERATION_WRITE ? 4096 : -1);
      }
      assert(Math.abs(reads / 100 - readPercent) < (readPercent % 100 === 0 ? 0.001 : 3), `${reads} of 10000`);
    }
  });

  test("verified: never two commands on one slot; a task goes without where all are taken", () => {
    const disk = new Disk();
    const { workload } = loadWith({ readPercent: 50 }, disk);
    const tasks: Task[] = [];
    for (let count = 0; count < AREA.slots + 4; count++) {
      const task = disk.task();
      if (workload.next(task, 0)) tasks.push(task);
    }
    assert.equal(new Set(tasks.map((task) => task.lba)).size, tasks.length);
    const [first] = tasks;
    disk.perform(first!);
    workload.done(first!, 0);
    const seen = first!.lba;
    let again = false;
    for (let attempt = 0; attempt < 200 && !again; attempt++) again = workload.next(first!, 0) && first!.lba === seen;
    assert(again, "the slot of an ended command is free again");
  });

  test("SYNCHRONIZE CACHE after every so many writes, one at a time; it covers what was acknowledged before", () => {
    const disk = new Disk();
    const { workload } = loadWith({ readPercent: 0, synchronizeEvery: 3 }, disk);
    const write = (): number => {
      const task = disk.task();
      assert(workload.next(task, 0));
      assert.equal(task.operation, OPERATION_WRITE);
      disk.perform(task);
      workload.done(task, 0);
      return task.note;
    };
    const slots = [write(), write(), write()];
    const synchronize = disk.task();
    assert(workload.next(synchronize, 0));
    assert.equal(synchronize.operation, OPERATION_CDB);
    assert.equal(synchronize.cdb[0], 0x35);
    for (let count = 0; count < 4; count++) write();
    assert.equal(disk.history.judgeAfterCrash(slots[0]!, 0), undefined);
    workload.done(synchronize, 0);
    assert.notEqual(disk.history.judgeAfterCrash(slots[0]!, 0), undefined);
    assert(workload.next(synchronize, 0));
    assert.equal(synchronize.operation, OPERATION_CDB);
  });

  test("BUSY is counted; any other failure ends the run", () => {
    const disk = new Disk();
    const { workload, meter } = loadWith({}, disk);
    const task = disk.task();
    workload.next(task, 0);
    task.status = STATUS_BUSY;
    workload.done(task, 0);
    assert.equal(workload.refusals, 1);
    assert.deepEqual(meter.events, ["begin 0"]);
    workload.next(task, 0);
    task.status = STATUS_CHECK_CONDITION;
    assert.throws(() => workload.done(task, 0), InitiatorError);
  });
});

describe("filling and checking", () => {
  test("what was filled checks out; a block that changed does not", () => {
    const disk = new Disk();
    disk.run(new FillWorkload(AREA, disk.verification));
    disk.run(new CheckWorkload(AREA, disk.verification, false));
    disk.bytes[(AREA.lba + 7) * AREA.blockLength + 300]! ^= 1;
    assert.throws(
      () => disk.run(new CheckWorkload(AREA, disk.verification, false)),
      (error) => {
        assert(error instanceof VerifyError);
        assert.match(error.message, /LBA 107: a damaged block, expected generation 4/);
        return true;
      },
    );
  });

  test("a lost write is found: the older generation is not the acknowledged one", () => {
    const disk = new Disk();
    disk.run(new FillWorkload(AREA, disk.verification));
    const before = Buffer.from(disk.bytes);
    disk.run(new FillWorkload(AREA, disk.verification));
    const at = AREA.lba * AREA.blockLength;
    before.copy(disk.bytes, at, at, at + 512);
    assert.throws(
      () => disk.run(new CheckWorkload(AREA, disk.verification, false)),
      /LBA 100: generation 1, expected generation 17/,
    );
    disk.run(new CheckWorkload(AREA, disk.verification, true));
  });
});
