/**
 * A file system that is full: DATA PROTECT / SPACE ALLOCATION FAILED WRITE PROTECT (SBC-4 on thin provisioning), and nothing worse.
 * The connection lives, what was written is there, UNMAP gives space back and writing goes on.
 */
import assert from "node:assert/strict";
import { statfsSync } from "node:fs";
import { test } from "node:test";
import { read16, synchronizeCache16, unmap, unmapList, write16 } from "../../support/cdb.js";
import { type FileSystemType, MountedFileSystem, skipWithoutLoop } from "../../support/file-system.js";
import { DATA_PROTECT, SPACE_ALLOCATION_FAILED, senseOf } from "../../support/sense.js";
import { CACHE_MODES, logIn, serveUnits } from "../../support/served-units.js";
import { Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const BLOCK = 4096;
const CHUNK_BYTES = MIB;
const CHUNK_BLOCKS = CHUNK_BYTES / BLOCK;
/** Of each file system: the least that it can be made with, about. */
const SIZES: Readonly<Record<FileSystemType, number>> = { ext4: 64 * MIB, xfs: 320 * MIB, btrfs: 128 * MIB };

function chunk(number: number): Buffer {
  const bytes = Buffer.alloc(CHUNK_BYTES, number + 1);
  bytes.writeUInt32BE(number, 0);
  return bytes;
}

for (const type of Object.keys(SIZES) as FileSystemType[]) {
  for (const cache of CACHE_MODES) {
    test(`${type}, ${cache}`, { skip: skipWithoutLoop(type) }, async (context) => {
      const undo = new Undo(context);
      const fileSystem = new MountedFileSystem(type, SIZES[type]);
      undo.add(() => fileSystem.release());
      const path = fileSystem.path("disk.img");
      const target = await serveUnits(undo, [{ path, cache, blockLength: BLOCK, sizeBytes: 2 ** 30 }]);
      const initiator = await logIn(undo, target);
      const write = (number: number) =>
        initiator.command({ cdb: write16(number * CHUNK_BLOCKS, CHUNK_BLOCKS), write: chunk(number) });

      let full = 0;
      for (; ; full++) {
        const result = await write(full);
        if (result.status === 0) continue;
        assert.deepEqual(senseOf(result), { key: DATA_PROTECT, code: SPACE_ALLOCATION_FAILED, information: undefined });
        break;
      }
      assert.ok(full > 8, `full after ${full} MiB`);
      // It is no accident, and no end of the session.
      assert.equal(senseOf(await write(full)).code, SPACE_ALLOCATION_FAILED);
      await initiator.ping();
      // What was promised space keeps it.
      await initiator.good({ cdb: synchronizeCache16() });
      const last = full - 1;
      for (const number of [0, last]) {
        const data = await initiator.good({ cdb: read16(number * CHUNK_BLOCKS, CHUNK_BLOCKS), read: CHUNK_BYTES });
        assert.ok(data.equals(chunk(number)), `chunk ${number}`);
      }

      const list = unmapList([{ lba: 0, blocks: (full / 2) * CHUNK_BLOCKS }]);
      await initiator.good({ cdb: unmap(list.length), write: list });
      await initiator.good({ cdb: synchronizeCache16() });
      assert.ok(statfsSync(fileSystem.directory).bfree > 0, "UNMAP gave nothing back");
      // Where it failed before.
      await initiator.good({ cdb: write16(full * CHUNK_BLOCKS, CHUNK_BLOCKS), write: chunk(full) });
      await initiator.good({ cdb: synchronizeCache16() });
      const zeroes = await initiator.good({ cdb: read16(0, CHUNK_BLOCKS), read: CHUNK_BYTES });
      assert.ok(zeroes.equals(Buffer.alloc(CHUNK_BYTES)));
      for (const number of [last, full]) {
        const data = await initiator.good({ cdb: read16(number * CHUNK_BLOCKS, CHUNK_BLOCKS), read: CHUNK_BYTES });
        assert.ok(data.equals(chunk(number)), `chunk ${number}`);
      }
    });
  }
}
