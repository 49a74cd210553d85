/**
 * The page cache could not write back what was acknowledged. The kernel tells that once per open file description, to whichever
 * operation asks first. Every session whose writes may be lost has to hear of it: its next SYNCHRONIZE CACHE fails, on whatever
 * shard it is, and whoever asked before.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CDB_FUA, read16, synchronizeCache16, testUnitReady, write16 } from "../../support/cdb.js";
import { LoopDevice, MemoryFileSystem, skipWithoutLoop } from "../../support/file-system.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { MEDIUM_ERROR, senseOf, WRITE_ERROR } from "../../support/sense.js";
import { logIn, serveUnits } from "../../support/served-units.js";
import type { RunningTarget } from "../../support/target.js";
import { Undo } from "../../support/undo.js";
import { shardsUsed } from "../../support/variants.js";

const MIB = 2 ** 20;
const BLOCK = 512;
const SIZE_BYTES = 16 * MIB;
const SPACE_BYTES = 4 * MIB;
const SESSIONS = 4;
/** Nobody knows which blocks. */
const LOST = { key: MEDIUM_ERROR, code: WRITE_ERROR, information: undefined };

interface Scene {
  readonly target: RunningTarget;
  readonly sessions: readonly RawInitiator[];
  /** More memory behind the device: from now on it takes all. */
  readonly makeRoom: () => void;
}

const nameOf = (session: number): string => `iqn.2026-11.io.ringlun:session-${session}`;

/** Four sessions on two shards. */
async function logInAll(undo: Undo, target: RunningTarget): Promise<RawInitiator[]> {
  const sessions: RawInitiator[] = [];
  for (let session = 0; session < SESSIONS; session++) {
    sessions.push(await logIn(undo, target, 1, nameOf(session)));
  }
  assert.deepEqual(shardsUsed(target), [0, 1]);
  return sessions;
}

/** Four sessions, and a device behind which there is less space than it claims: writing back to it fails. */
async function setScene(undo: Undo, cache: "writeback" | "writethrough"): Promise<Scene> {
  const memory = new MemoryFileSystem(SPACE_BYTES);
  undo.add(() => memory.release());
  const loop = new LoopDevice(memory.path("backing"), { sizeBytes: SIZE_BYTES });
  undo.add(() => loop.detach());
  const target = await serveUnits(undo, [{ path: loop.device, cache }], 2);
  const sessions = await logInAll(undo, target);
  return { target, sessions, makeRoom: () => memory.resize(2 * SIZE_BYTES) };
}

function part(session: number): { readonly lba: number; readonly blocks: number; readonly data: Buffer } {
  const blocks = (2 * MIB) / BLOCK;
  return { lba: session * blocks, blocks, data: Buffer.alloc(2 * MIB, session + 1) };
}

test("each session hears of it at its next SYNCHRONIZE CACHE, once", { skip: skipWithoutLoop() }, async (context) => {
  const { sessions, makeRoom } = await setScene(new Undo(context), "writeback");
  // Acknowledged, since it fits into the cache.
  for (const [number, session] of sessions.entries()) {
    const { lba, blocks, data } = part(number);
    await session.good({ cdb: write16(lba, blocks), write: data });
  }
  // One after the other: all but the first have a kernel that knows of no failure any more.
  for (const session of sessions) {
    assert.deepEqual(senseOf(await session.command({ cdb: synchronizeCache16() })), LOST);
  }
  for (const session of sessions) await session.good({ cdb: synchronizeCache16() });

  // They write again what they do not know to be safe.
  makeRoom();
  for (const [number, session] of sessions.entries()) {
    const { lba, blocks, data } = part(number);
    await session.good({ cdb: write16(lba, blocks), write: data });
    await session.good({ cdb: synchronizeCache16() });
    const found = await session.good({ cdb: read16(lba, blocks), read: data.length });
    assert.ok(found.equals(data));
  }
});

async function setSceneOfCachingDevice(undo: Undo): Promise<RawInitiator[]> {
  const memory = new MemoryFileSystem(SPACE_BYTES);
  undo.add(() => memory.release());
  const small = new LoopDevice(memory.path("backing"), { sizeBytes: SIZE_BYTES });
  undo.add(() => small.detach());
  // Its cache is the page cache of the device behind it.
  const loop = new LoopDevice(small.device, { content: Buffer.alloc(0) });
  undo.add(() => loop.detach());
  const target = await serveUnits(undo, [{ path: loop.device, cache: "direct" }], 2);
  const sessions = await logInAll(undo, target);
  for (const [number, session] of sessions.entries()) {
    const { lba, blocks, data } = part(number);
    await session.good({ cdb: write16(lba, blocks), write: data });
  }
  return sessions;
}

test("a device that cannot empty its own cache tells that to one flush alone: the others hear of it all the same", {
  skip: skipWithoutLoop(),
}, async (context) => {
  const sessions = await setSceneOfCachingDevice(new Undo(context));
  for (const session of sessions) {
    assert.deepEqual(senseOf(await session.command({ cdb: synchronizeCache16() })), LOST);
  }
  for (const session of sessions) await session.good({ cdb: synchronizeCache16() });
});

test("so it does with a durable write, for which it has to empty it", { skip: skipWithoutLoop() }, async (context) => {
  const sessions = await setSceneOfCachingDevice(new Undo(context));
  const { lba, data } = part(0);
  const written = await sessions[0]!.command({ cdb: write16(lba, 1, CDB_FUA), write: data.subarray(0, BLOCK) });
  assert.equal(senseOf(written).key, MEDIUM_ERROR);
  for (const session of sessions) {
    assert.deepEqual(senseOf(await session.command({ cdb: synchronizeCache16() })), LOST);
  }
  for (const session of sessions) await session.good({ cdb: synchronizeCache16() });
});

test("whose session has ended meanwhile hears of it when it is back, once; so where the unit is opened anew; who had logged out does not", {
  skip: skipWithoutLoop(),
}, async (context) => {
  const undo = new Undo(context);
  const { target, sessions } = await setScene(undo, "writeback");
  for (const [number, session] of sessions.entries()) {
    const { lba, blocks, data } = part(number);
    await session.good({ cdb: write16(lba, blocks), write: data });
  }
  const [lost, left, ...others] = sessions as [RawInitiator, RawInitiator, ...RawInitiator[]];
  lost.destroy();
  await left.logout();
  for (const session of others) {
    assert.deepEqual(senseOf(await session.command({ cdb: synchronizeCache16() })), LOST);
  }
  const again = await logIn(undo, target, 1, nameOf(0));
  assert.deepEqual(senseOf(await again.command({ cdb: synchronizeCache16() })), LOST);
  await again.good({ cdb: synchronizeCache16() });
  for (const number of [0, 1]) {
    const next = await logIn(undo, target, 1, nameOf(number));
    await next.good({ cdb: synchronizeCache16() });
  }
  const [writer] = others as [RawInitiator];
  for (const number of sessions.keys()) {
    const { lba, blocks, data } = part(number);
    await writer.good({ cdb: write16(lba, blocks), write: data });
  }

  // The unit is opened anew, and cannot be flushed before: nobody would be told by the kernel any more.
  const text = readFileSync(target.configPath, "utf8");
  await target.configure(text.replace("readOnly: false", "readOnly: false, removable: true"));
  target.reload();
  await target.waitForLog(/configuration reloaded/);
  for (const number of [0, 1]) {
    const next = await logIn(undo, target, 1, nameOf(number));
    assert.deepEqual(senseOf(await next.command({ cdb: synchronizeCache16() })), LOST);
    await next.good({ cdb: synchronizeCache16() });
  }
});

test("with IMMED=1 it is told instead of a later command, as a deferred error", {
  skip: skipWithoutLoop(),
}, async (context) => {
  const { sessions } = await setScene(new Undo(context), "writeback");
  for (const [number, session] of sessions.entries()) {
    const { lba, blocks, data } = part(number);
    await session.good({ cdb: write16(lba, blocks), write: data });
  }
  const immediate = synchronizeCache16();
  immediate[1]! |= 0x02;
  const [first, ...others] = sessions as [RawInitiator, ...RawInitiator[]];
  await first.good({ cdb: immediate });
  let told = await first.command({ cdb: testUnitReady() });
  while (told.status === 0) told = await first.command({ cdb: testUnitReady() });
  assert.equal(told.sense[0]! & 0x7f, 0x71, "deferred error");
  assert.deepEqual([told.sense[2]! & 0x0f, told.sense.readUInt16BE(12)], [MEDIUM_ERROR, WRITE_ERROR]);
  // It knows; the others are still to be told.
  await first.good({ cdb: synchronizeCache16() });
  for (const session of others) assert.deepEqual(senseOf(await session.command({ cdb: synchronizeCache16() })), LOST);
});

test("flushes that are in flight at once are all told", { skip: skipWithoutLoop() }, async (context) => {
  const { sessions } = await setScene(new Undo(context), "writeback");
  for (const [number, session] of sessions.entries()) {
    const { lba, blocks, data } = part(number);
    await session.good({ cdb: write16(lba, blocks), write: data });
  }
  const results = await Promise.all(sessions.map((session) => session.command({ cdb: synchronizeCache16() })));
  for (const result of results) assert.deepEqual(senseOf(result), LOST);
});

for (const cache of ["writeback", "writethrough"] as const) {
  test(`of durable writes that are in flight at once, none is told to be stored that is not (${cache})`, {
    skip: skipWithoutLoop(),
  }, async (context) => {
    const { sessions } = await setScene(new Undo(context), cache);
    const blocks = (64 * 1024) / BLOCK;
    let failed = 0;
    const good: { readonly lba: number; readonly data: Buffer }[] = [];
    for (let lba = 0; lba < SIZE_BYTES / BLOCK; lba += sessions.length * blocks) {
      const writes = sessions.map((_, number) => ({
        lba: lba + number * blocks,
        data: Buffer.alloc(blocks * BLOCK, 1 + ((lba + number) % 255)),
      }));
      const results = await Promise.all(
        writes.map((write, number) =>
          sessions[number]!.command({ cdb: write16(write.lba, blocks, CDB_FUA), write: write.data }),
        ),
      );
      for (const [number, result] of results.entries()) {
        if (result.status === 0) {
          good.push(writes[number]!);
        } else {
          const { key, code } = senseOf(result);
          assert.deepEqual([key, code], [MEDIUM_ERROR, WRITE_ERROR]);
          failed++;
        }
      }
    }
    // What was acknowledged takes space behind the device: more than there is cannot have been.
    assert.ok(good.length * blocks * BLOCK <= SPACE_BYTES, `${good.length} acknowledged, ${failed} failed`);
    assert.ok(failed >= (SIZE_BYTES - SPACE_BYTES) / (blocks * BLOCK), `${failed}`);
  });
}
