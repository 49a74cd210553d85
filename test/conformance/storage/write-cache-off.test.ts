/**
 * MODE SELECT switches the write cache off (WCE=0, SBC-4 on the Caching mode page): what was acknowledged before is made
 * durable, and whatever is acknowledged from then on is. Nobody sends SYNCHRONIZE CACHE any more. The power fails afterwards.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { modeSense6, read16, write16, writeSame16 } from "../../support/cdb.js";
import { MountedFileSystem, skipWithoutPowerCut } from "../../support/file-system.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { logIn, serveUnits } from "../../support/served-units.js";
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

for (const cache of ["direct", "writeback"] as const) {
  test(`cache ${cache}`, { skip: skipWithoutPowerCut() }, async (context) => {
    const undo = new Undo(context);
    const fileSystem = new MountedFileSystem("ext4");
    undo.add(() => fileSystem.release());
    const unit = { path: fileSystem.path("disk.img"), cache, sizeBytes: 32 * MIB } as const;
    const target = await serveUnits(undo, [unit], 2);
    const initiator = await logIn(undo, target);
    const chunk = (number: number) => Buffer.alloc(MIB, number + 1);
    const write = (session: RawInitiator, number: number): Promise<RawTask> =>
      session.start({ cdb: write16(number * CHUNK_BLOCKS, CHUNK_BLOCKS), write: chunk(number) });

    for (const number of [0, 1]) assert.equal((await initiator.finish(await write(initiator, number))).status, 0);
    // Some are under way meanwhile, on the other shard.
    const other = await logIn(undo, target, 1, "iqn.2026-11.io.ringlun:other");
    const underWay = [await write(other, 2), await write(other, 3), await write(other, 4)];
    const finishAll = async () => {
      for (const task of underWay) assert.equal((await other.finish(task)).status, 0);
    };
    await Promise.all([switchCacheOff(initiator), finishAll()]);
    assert.equal((await initiator.finish(await write(initiator, 5))).status, 0);
    const pattern = Buffer.alloc(512, 7);
    await initiator.good({ cdb: writeSame16(6 * CHUNK_BLOCKS, CHUNK_BLOCKS), write: pattern });

    fileSystem.cutPower();
    await target.kill9();
    await fileSystem.unmount();
    fileSystem.mount();
    await target.run();
    const again = await logIn(undo, target);
    for (let number = 0; number <= 6; number++) {
      const data = await again.good({ cdb: read16(number * CHUNK_BLOCKS, CHUNK_BLOCKS), read: MIB });
      assert.ok(data.equals(chunk(number)), `chunk ${number} is lost`);
    }
  });
}
