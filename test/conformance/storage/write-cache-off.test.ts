/**
 * MODE SELECT switches the write cache off (WCE=0, SBC-4 on the Caching mode page): what was acknowledged before is made
 * durable, and whatever is acknowledged from then on is. Nobody sends SYNCHRONIZE CACHE any more. The power fails afterwards.
 */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { modeSense6, read16, write16, writeSame16 } from "../../support/cdb.js";
import { MountedFileSystem, skipWithoutPowerCut } from "../../support/file-system.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { logIn, serveUnits } from "../../support/served-units.js";
import type { RunningTarget } from "../../support/target.js";
import { Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const CHUNK_BLOCKS = MIB / 512;
const CACHING = 0x08;
const WCE = 0x04;

async function switchCacheOff(initiator: RawInitiator): Promise<void> {
  const sensed = await initiator.good({ cdb: modeSense6(CACHING), read: 255 });
  const page = Buffer.from(sensed.subarray(4 + sensed[3]!));
  assert.notEqual(page[2]! & WCE, 0);
  page[0]! &= 0x3f;
  page[2]! &= ~WCE;
  const list = Buffer.concat([Buffer.alloc(4), page]);
  await initiator.good({ cdb: Buffer.from([0x15, 0x10, 0, 0, list.length, 0]), write: list });
}

const chunk = (number: number): Buffer => Buffer.alloc(MIB, number + 1);

function write(session: RawInitiator, number: number): Promise<RawTask> {
  return session.start({ cdb: write16(number * CHUNK_BLOCKS, CHUNK_BLOCKS), write: chunk(number) });
}

/** WRITE SAME of the chunk. */
function repeat(session: RawInitiator, number: number): Promise<RawTask> {
  const write = chunk(number).subarray(0, 512);
  return session.start({ cdb: writeSame16(number * CHUNK_BLOCKS, CHUNK_BLOCKS), write });
}

async function finish(session: RawInitiator, tasks: readonly RawTask[]): Promise<void> {
  for (const task of tasks) assert.equal((await session.finish(task)).status, 0);
}

interface Scene {
  readonly undo: Undo;
  readonly target: RunningTarget;
  readonly initiator: RawInitiator;
  /** The power fails; afterwards these chunks must be there. */
  readonly assertSurvive: (numbers: readonly number[]) => Promise<void>;
}

async function setScene(context: TestContext, cache: "direct" | "writeback"): Promise<Scene> {
  const undo = new Undo(context);
  const fileSystem = new MountedFileSystem("ext4");
  undo.add(() => fileSystem.release());
  const unit = { path: fileSystem.path("disk.img"), cache, sizeBytes: 32 * MIB } as const;
  const target = await serveUnits(undo, [unit], 2);
  const assertSurvive = async (numbers: readonly number[]) => {
    fileSystem.cutPower();
    await target.kill9();
    await fileSystem.unmount();
    fileSystem.mount();
    await target.run();
    const again = await logIn(undo, target);
    for (const number of numbers) {
      const data = await again.good({ cdb: read16(number * CHUNK_BLOCKS, CHUNK_BLOCKS), read: MIB });
      assert.ok(data.equals(chunk(number)), `chunk ${number} is lost`);
    }
  };
  return { undo, target, initiator: await logIn(undo, target), assertSurvive };
}

for (const cache of ["direct", "writeback"] as const) {
  test(`what was acknowledged before (${cache})`, { skip: skipWithoutPowerCut() }, async (context) => {
    const { initiator, assertSurvive } = await setScene(context, cache);
    await finish(initiator, [await write(initiator, 0), await write(initiator, 1)]);
    await switchCacheOff(initiator);
    await assertSurvive([0, 1]);
  });

  test(`what was under way, and what came after it (${cache})`, { skip: skipWithoutPowerCut() }, async (context) => {
    const { undo, target, initiator, assertSurvive } = await setScene(context, cache);
    const other = await logIn(undo, target, 1, "iqn.2026-11.io.ringlun:other");
    const underWay = [await write(other, 2), await write(other, 3), await write(other, 4), await repeat(other, 7)];
    await Promise.all([switchCacheOff(initiator), finish(other, underWay)]);
    await finish(initiator, [await write(initiator, 5)]);
    await finish(initiator, [await repeat(initiator, 6)]);
    await assertSurvive([2, 3, 4, 5, 6, 7]);
  });
}
