/**
 * An initiator has heard of a loss when it has acknowledged the response that tells of it (ExpStatSN: RFC 7143 section 4.2.2.2). Where the
 * connection ends before that, the response need not have come, and the next SYNCHRONIZE CACHE fails again.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { synchronizeCache16, testUnitReady, write16 } from "../../support/cdb.js";
import { LoopDevice, MemoryFileSystem, skipWithoutLoop } from "../../support/file-system.js";
import { OPCODE_ASYNC_MESSAGE } from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { ringlun } from "../../support/ringlun.js";
import { MEDIUM_ERROR, senseOf, WRITE_ERROR } from "../../support/sense.js";
import { serveUnits } from "../../support/served-units.js";
import { type RunningTarget, TARGET_NAME } from "../../support/target.js";
import { TASK_REASSIGN } from "../../support/task-management.js";
import { Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const BLOCK = 512;
const SIZE_BYTES = 16 * MIB;
const SPACE_BYTES = 4 * MIB;
const SESSION = "{ errorRecoveryLevel: 2, defaultTime2Wait: 0, defaultTime2Retain: 20 }";
/** Nobody knows which blocks. */
const LOST = { key: MEDIUM_ERROR, code: WRITE_ERROR, information: undefined };

async function serve(undo: Undo): Promise<RunningTarget> {
  const memory = new MemoryFileSystem(SPACE_BYTES);
  undo.add(() => memory.release());
  const loop = new LoopDevice(memory.path("backing"), { sizeBytes: SIZE_BYTES });
  undo.add(() => loop.detach());
  return serveUnits(undo, [{ path: loop.device, cache: "writeback" }], 2, SESSION);
}

async function connect(
  undo: Undo,
  target: RunningTarget,
  keys: Readonly<Record<string, string>> = {},
  initiatorName = "iqn.2026-11.io.ringlun:writer",
): Promise<RawInitiator> {
  const initiator = await RawInitiator.connect(target.port);
  undo.add(() => initiator.destroy());
  await initiator.login({ targetName: TARGET_NAME, initiatorName, keys });
  return initiator;
}

/** More than there is room for behind the device, and acknowledged all the same. */
async function loseData(initiator: RawInitiator): Promise<void> {
  for (let lba = 0; lba < (2 * SPACE_BYTES) / BLOCK; lba += MIB / BLOCK) {
    await initiator.good({ cdb: write16(lba, MIB / BLOCK), write: Buffer.alloc(MIB, 1 + lba) });
  }
}

async function assertLost(initiator: RawInitiator): Promise<void> {
  assert.deepEqual(senseOf(await initiator.command({ cdb: synchronizeCache16() })), LOST);
}

test("who was told, and whose session ends before it has acknowledged that, is told again in the next; then it has heard", {
  skip: skipWithoutLoop(),
}, async (context) => {
  const undo = new Undo(context);
  const target = await serve(undo);
  const writer = await connect(undo, target);
  await loseData(writer);
  await assertLost(writer);
  writer.destroy();
  for (let session = 0; session < 2; session++) {
    const again = await connect(undo, target);
    await assertLost(again);
    again.destroy();
  }
  const hearing = await connect(undo, target);
  await assertLost(hearing);
  await hearing.good({ cdb: synchronizeCache16() });
  hearing.destroy();
  const next = await connect(undo, target);
  await next.good({ cdb: synchronizeCache16() });
});

test("a flush that was sent before the loss was told, and comes after, fails too: it acknowledges nothing", {
  skip: skipWithoutLoop(),
}, async (context) => {
  const undo = new Undo(context);
  const writer = await connect(undo, await serve(undo));
  await loseData(writer);
  const expStatSN = writer.expStatSN!;
  await assertLost(writer);
  const late = await writer.command({ cdb: synchronizeCache16(), fields: { expStatSN } });
  assert.deepEqual(senseOf(late), LOST);
  await writer.good({ cdb: synchronizeCache16() });
});

test("a deferred error that is not acknowledged is told by the next flush", {
  skip: skipWithoutLoop(),
}, async (context) => {
  const undo = new Undo(context);
  const target = await serve(undo);
  const writer = await connect(undo, target);
  await loseData(writer);
  const immediate = synchronizeCache16();
  immediate[1]! |= 0x02;
  await writer.good({ cdb: immediate });
  let told = await writer.command({ cdb: testUnitReady() });
  while (told.status === 0) told = await writer.command({ cdb: testUnitReady() });
  assert.equal(told.sense[0]! & 0x7f, 0x71, "deferred error");
  writer.destroy();
  const again = await connect(undo, target);
  await assertLost(again);
  await again.good({ cdb: synchronizeCache16() });
});

test("who was asked to log out, and has done so, is told of what is lost meanwhile when it is back", {
  skip: skipWithoutLoop(),
}, async (context) => {
  const undo = new Undo(context);
  const target = await serve(undo);
  const [writer, other] = [
    await connect(undo, target),
    await connect(undo, target, {}, "iqn.2026-11.io.ringlun:other"),
  ];
  await loseData(writer);
  const drain = ["drain", "target", TARGET_NAME, "--config", target.configPath];
  const drained = ringlun(...drain);
  await writer.expect(OPCODE_ASYNC_MESSAGE);
  await writer.logout();
  await other.expect(OPCODE_ASYNC_MESSAGE);
  await assertLost(other);
  await other.logout();
  assert.equal((await drained).code, 0);
  assert.equal((await ringlun(...drain, "--undo")).code, 0);
  const back = await connect(undo, target);
  await assertLost(back);
  await back.good({ cdb: synchronizeCache16() });
});

test("what cannot be made durable when the target ends is told when it is there again", {
  skip: skipWithoutLoop(),
}, async (context) => {
  const undo = new Undo(context);
  const target = await serve(undo);
  const writer = await connect(undo, target);
  await loseData(writer);
  const ended = target.terminate();
  await writer.expect(OPCODE_ASYNC_MESSAGE);
  await writer.logout();
  await ended;
  for (const isTold of [true, false]) {
    await target.run();
    const back = await connect(undo, target);
    if (isTold) await assertLost(back);
    await back.good({ cdb: synchronizeCache16() });
    back.destroy();
    await target.terminate();
  }
});

test("what a killed process has left in the page cache, and cannot be written, is told to everybody who comes back", {
  skip: skipWithoutLoop(),
}, async (context) => {
  const undo = new Undo(context);
  const target = await serve(undo);
  const names = ["first", "second"].map((name) => `iqn.2026-11.io.ringlun:${name}`);
  for (const name of names) await loseData(await connect(undo, target, {}, name));
  await target.kill9();
  await target.run();
  // One after the other: the kernel tells the first flush alone.
  for (const name of names) {
    const back = await connect(undo, target, {}, name);
    await assertLost(back);
    await back.good({ cdb: synchronizeCache16() });
  }
});

/** Takes the place of a connection that has gone without having acknowledged the last status that it got. */
async function takePlace(undo: Undo, target: RunningTarget, gone: RawInitiator): Promise<RawInitiator> {
  gone.destroy();
  const initiator = await RawInitiator.connect(target.port, { session: gone.session });
  undo.add(() => initiator.destroy());
  initiator.expStatSN = gone.expStatSN! - 1;
  await initiator.login({ targetName: TARGET_NAME, initiatorName: "iqn.2026-11.io.ringlun:writer" });
  return initiator;
}

for (const isReassigned of [true, false]) {
  const how = isReassigned ? "with the response, which is sent again for TASK REASSIGN" : "by the next flush";
  test(`at ErrorRecoveryLevel 2 another connection of the session is told ${how}`, {
    skip: skipWithoutLoop(),
  }, async (context) => {
    const undo = new Undo(context);
    const target = await serve(undo);
    const first = await connect(undo, target, { ErrorRecoveryLevel: "2" });
    await loseData(first);
    const flush = await first.start({ cdb: synchronizeCache16() });
    assert.deepEqual(senseOf(await first.finish(flush)), LOST);
    let connection = await takePlace(undo, target, first);
    if (isReassigned) {
      const reassign = async () => {
        const fields = { referencedTaskTag: flush.initiatorTaskTag };
        assert.equal((await connection.taskManagement(TASK_REASSIGN, fields)).response, 0);
        flush.end = undefined;
        connection.adopt(flush);
        assert.deepEqual(senseOf(await connection.finish(flush)), LOST);
      };
      await reassign();
      connection = await takePlace(undo, target, connection);
      await reassign();
    } else {
      await assertLost(connection);
    }
    await connection.good({ cdb: synchronizeCache16() });
  });
}
