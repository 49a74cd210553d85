/**
 * A copy goes on beside everything else, and ends before anybody is told that it has ended: before the response to an abort or
 * a reset, before PREEMPT AND ABORT, before the next session of its nexus, before the program's own end.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { read16, testUnitReady, write16, writeSame16 } from "../../support/cdb.js";
import { parseSense } from "../../support/pdu.js";
import { SessionNumbers } from "../../support/raw-connection.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { logIn, serveUnits } from "../../support/served-units.js";
import { type RunningTarget, TARGET_NAME } from "../../support/target.js";
import { ABORT_TASK, FUNCTION_COMPLETE, LOGICAL_UNIT_RESET } from "../../support/task-management.js";
import {
  beginExtendedCopy,
  copyAbort,
  copyIn,
  copyOut,
  cscd,
  listLid1,
  listLid4,
  nameOf,
  segment,
} from "../../support/third-party-copy.js";
import { Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const ID = 5;
/** So many times 32 MiB: seconds, however fast memory is. */
const SEGMENTS = 256;
const SEGMENT_BLOCKS = 65535;
/** Where the last thing that a copy writes is looked for. */
const LAST = SEGMENT_BLOCKS - 1;

interface Setup {
  readonly undo: Undo;
  readonly target: RunningTarget;
  readonly initiator: RawInitiator;
  readonly other: RawInitiator;
  readonly list: Buffer;
  /** The same for LID4. */
  readonly listLid4: (isImmediate: boolean) => Buffer;
}

/** LUN 0, full of data, is to be copied to LUN 1 again and again. In memory: nobody else waits for the disk. */
async function start(context: TestContext): Promise<Setup> {
  const undo = new Undo(context);
  const folder = undo.folder("/dev/shm");
  const unit = (name: string) => ({ path: join(folder, name), sizeBytes: 32 * MIB, cache: "writeback" as const });
  const target = await serveUnits(undo, [unit("a"), unit("b")], 2);
  const initiator = await logIn(undo, target, 2);
  const other = await logIn(undo, target, 2, "iqn.2026-11.io.ringlun:other");
  await initiator.good({ cdb: writeSame16(0, 65536), write: Buffer.alloc(512, 0xda) });
  const cscds = [cscd(await nameOf(initiator, 0)), cscd(await nameOf(initiator, 1))];
  const one = segment({ source: 0, destination: 1, from: 0, to: 0, blocks: SEGMENT_BLOCKS });
  const segments = Array.from({ length: SEGMENTS }, () => one);
  return {
    undo,
    target,
    initiator,
    other,
    list: listLid1(cscds, segments, { id: ID }),
    listLid4: (isImmediate) => listLid4(cscds, segments, { id: ID }, isImmediate),
  };
}

/** Begins the copy, and waits until it is well under way. */
async function begin({ initiator, list }: Setup): Promise<RawTask> {
  const task = await beginExtendedCopy(initiator, list);
  await untilItRuns(initiator);
  return task;
}

async function untilItRuns(initiator: RawInitiator): Promise<void> {
  for (;;) {
    const { status, data } = await initiator.command({ cdb: copyIn(0x00, ID), read: 64 });
    if (status !== 0) continue;
    assert.equal(data[4], 0x00, "in progress");
    if (data.readUInt32BE(8) > 0 || data.readUInt16BE(5) > 0) return;
  }
}

/** Nothing of the copy lands any more. */
async function assertOver(initiator: RawInitiator): Promise<void> {
  const marker = Buffer.alloc(512, 0x01);
  const places = [0, 2047, 30_000, LAST];
  for (const lba of places) await initiator.good({ cdb: write16(lba, 1), write: marker, lun: 1 });
  await sleep(300);
  for (const lba of places) {
    const data = await initiator.good({ cdb: read16(lba, 1), read: 512, lun: 1 });
    assert.ok(data.equals(marker), `block ${lba}`);
  }
}

async function assertAborted(initiator: RawInitiator, task: RawTask): Promise<void> {
  const { status, sense } = await initiator.finish(task);
  assert.equal(status, 2);
  const { key, asc, ascq } = parseSense(sense);
  assert.deepEqual([key, asc, ascq], [0xa, 0, 0], "COPY ABORTED");
}

const persistentReserveOut = (action: number, type: number, key: number, actionKey: number, lun = 0) => {
  const write = Buffer.alloc(24);
  write.writeBigUInt64BE(BigInt(key), 0);
  write.writeBigUInt64BE(BigInt(actionKey), 8);
  return { cdb: Buffer.from([0x5f, action, type, 0, 0, 0, 0, 0, 24, 0]), write, lun };
};

test("other commands of both units do not wait for it, atomic ones included", async (context) => {
  const setup = await start(context);
  const { initiator, other } = setup;
  const task = await begin(setup);
  for (const who of [initiator, other]) {
    await who.good({ cdb: Buffer.from([0x5e, 0, 0, 0, 0, 0, 0, 1, 0, 0]), read: 256 });
    await who.good({ cdb: Buffer.from([0x5e, 0, 0, 0, 0, 0, 0, 1, 0, 0]), read: 256, lun: 1 });
  }
  await other.good(persistentReserveOut(0, 0, 0, 9, 1));
  await other.good(persistentReserveOut(0, 0, 9, 0, 1));
  // Of a block that the copy does not touch: COMPARE AND WRITE owns the unit for a moment, each time.
  for (let count = 0; count < 50; count++) {
    const write = Buffer.concat([Buffer.alloc(512, count), Buffer.alloc(512, count + 1)]);
    const cdb = Buffer.from([0x89, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 1, 0, 0]);
    await other.good({ cdb, write, lun: 1 });
  }
  const now = await initiator.good({ cdb: copyIn(0x00, ID), read: 64 });
  assert.equal(now[4], 0x00, "it is still in progress");
  await initiator.good({ cdb: copyAbort(ID) });
  await assertAborted(initiator, task);
  await assertOver(other);
});

test("ABORT TASK", async (context) => {
  const setup = await start(context);
  const { initiator } = setup;
  const task = await begin(setup);
  const response = await initiator.taskManagement(ABORT_TASK, {
    referencedTaskTag: task.initiatorTaskTag,
    refCmdSN: task.cmdSN,
    lun: Buffer.from(task.lun),
  });
  assert.equal(response.response, FUNCTION_COMPLETE);
  await assertOver(initiator);
  const status = await initiator.good({ cdb: copyIn(0x00, ID), read: 64 });
  assert.equal(status[4], 0x02, "completed with errors");
  assert.ok(status.readUInt16BE(5) < SEGMENTS);
});

test("COPY OPERATION ABORT", async (context) => {
  const setup = await start(context);
  const { initiator } = setup;
  const task = await begin(setup);
  await initiator.good({ cdb: copyAbort(ID) });
  await assertOver(initiator);
  await assertAborted(initiator, task);
  const details = await initiator.good({ cdb: copyIn(0x04, ID), read: 128 });
  assert.equal(details[56], 0x02);
});

test("LOGICAL UNIT RESET of the unit that it was sent to", async (context) => {
  const setup = await start(context);
  const { other } = setup;
  await begin(setup);
  const response = await other.taskManagement(LOGICAL_UNIT_RESET);
  assert.equal(response.response, FUNCTION_COMPLETE);
  await other.command({ cdb: testUnitReady(), lun: 1 });
  await assertOver(other);
});

test("LOGICAL UNIT RESET of its destination", async (context) => {
  const setup = await start(context);
  const { initiator, other } = setup;
  const task = await begin(setup);
  const lun = Buffer.from([0, 1, 0, 0, 0, 0, 0, 0]);
  const response = await other.taskManagement(LOGICAL_UNIT_RESET, { lun });
  assert.equal(response.response, FUNCTION_COMPLETE);
  await other.command({ cdb: testUnitReady(), lun: 1 });
  await assertOver(other);
  await assertAborted(initiator, task);
});

test("PREEMPT AND ABORT of its destination", async (context) => {
  const setup = await start(context);
  const { initiator, other } = setup;
  await initiator.good(persistentReserveOut(0, 0, 0, 1, 1));
  await other.good(persistentReserveOut(0, 0, 0, 2, 1));
  await initiator.good(persistentReserveOut(1, 1, 1, 0, 1));
  const task = await begin(setup);
  await other.good(persistentReserveOut(5, 1, 2, 1, 1));
  await assertOver(other);
  await assertAborted(initiator, task);
});

test("the end of its session, also in the background", async (context) => {
  for (const inBackground of [false, true]) {
    const setup = await start(context);
    const { undo, target } = setup;
    const logInAgain = async () => {
      const session = new SessionNumbers({ isid: Buffer.from([0x80, 0, 0, 0, 0, 0x77]) });
      const initiator = await RawInitiator.connect(target.port, { session });
      undo.add(() => initiator.destroy());
      await initiator.login({ targetName: TARGET_NAME });
      for (const lun of [0, 1]) await initiator.command({ cdb: testUnitReady(), lun });
      return initiator;
    };
    const initiator = await logInAgain();
    if (inBackground) {
      const list = setup.listLid4(true);
      await initiator.good({ cdb: copyOut(0x01, list.length), write: list });
      await untilItRuns(initiator);
    } else {
      await begin({ ...setup, initiator });
    }
    // Session reinstatement.
    await assertOver(await logInAgain());
    await target.terminate();
  }
});

test("the end of the program", async (context) => {
  const setup = await start(context);
  await begin(setup);
  const exit = await setup.target.terminate();
  assert.deepEqual(exit, { code: 0, signal: null });
  assert.deepEqual(
    setup.target.log.filter((line) => /failed|could not|did not stop/.test(line)),
    [],
  );
});
