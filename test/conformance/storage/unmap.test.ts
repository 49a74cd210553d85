/** UNMAP, and WRITE SAME with zeroes, give the space of a file back to its file system; the range reads as zeroes (LBPRZ=1). */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import {
  inquiry,
  read16,
  readCapacity16,
  synchronizeCache16,
  unmap,
  unmapList,
  write16,
  writeSame16,
} from "../../support/cdb.js";
import { type FileSystemType, MountedFileSystem, skipWithoutLoop } from "../../support/file-system.js";
import { CACHE_MODES, logIn, serveUnits } from "../../support/served-units.js";
import { Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const BLOCK = 512;
const CHUNK_BLOCKS = MIB / BLOCK;
const WRITTEN_CHUNKS = 8;
const LBPME_AND_LBPRZ = 0xc0;
const LBPU_LBPWS_LBPWS10 = 0xe0;
const WRITE_SAME_UNMAP_NDOB = 0x09;

for (const type of ["ext4", "xfs", "btrfs"] satisfies FileSystemType[]) {
  for (const cache of CACHE_MODES) {
    test(`${type}, ${cache}`, { skip: skipWithoutLoop(type) }, async (context) => {
      const undo = new Undo(context);
      const fileSystem = new MountedFileSystem(type);
      undo.add(() => fileSystem.release());
      const path = fileSystem.path("disk.img");
      const initiator = await logIn(undo, await serveUnits(undo, [{ path, cache, sizeBytes: 64 * MIB }]));
      const allocated = async () => {
        await initiator.good({ cdb: synchronizeCache16() });
        return statSync(path).blocks * 512;
      };

      const capacity = await initiator.good({ cdb: readCapacity16(), read: 32 });
      assert.equal(capacity[14]! & LBPME_AND_LBPRZ, LBPME_AND_LBPRZ);
      const provisioning = await initiator.good({ cdb: inquiry(0xb2), read: 255 });
      assert.equal(provisioning[5]! & LBPU_LBPWS_LBPWS10, LBPU_LBPWS_LBPWS10);

      assert.equal(await allocated(), 0);
      const data = Buffer.alloc(MIB, 0xd7);
      for (let chunk = 0; chunk < WRITTEN_CHUNKS; chunk++) {
        await initiator.good({ cdb: write16(chunk * CHUNK_BLOCKS, CHUNK_BLOCKS), write: data });
      }
      const full = await allocated();
      assert.ok(full >= WRITTEN_CHUNKS * MIB, `${full}`);

      // Not at the edges of anything, and in two pieces.
      const list = unmapList([
        { lba: 3, blocks: CHUNK_BLOCKS },
        { lba: 4 * CHUNK_BLOCKS + 1, blocks: CHUNK_BLOCKS - 2 },
      ]);
      await initiator.good({ cdb: unmap(list.length), write: list });
      const afterUnmap = await allocated();
      assert.ok(afterUnmap <= full - 1.8 * MIB, `${full} became ${afterUnmap}`);
      await initiator.good({ cdb: writeSame16(6 * CHUNK_BLOCKS, CHUNK_BLOCKS, WRITE_SAME_UNMAP_NDOB) });
      const afterWriteSame = await allocated();
      assert.ok(afterWriteSame <= afterUnmap - 0.9 * MIB, `${afterUnmap} became ${afterWriteSame}`);

      const expected = Buffer.alloc(WRITTEN_CHUNKS * MIB, 0xd7);
      expected.fill(0, 3 * BLOCK, 3 * BLOCK + MIB);
      expected.fill(0, 4 * MIB + BLOCK, 5 * MIB - BLOCK);
      expected.fill(0, 6 * MIB, 7 * MIB);
      const found = await initiator.good({
        cdb: read16(0, WRITTEN_CHUNKS * CHUNK_BLOCKS),
        read: WRITTEN_CHUNKS * MIB,
      });
      assert.ok(found.equals(expected));
      assert.equal(statSync(path).size, 64 * MIB);

      // All of it, far more than was ever written.
      const everything = unmapList([{ lba: 0, blocks: (64 * MIB) / BLOCK }]);
      await initiator.good({ cdb: unmap(everything.length), write: everything });
      const afterAll = await allocated();
      assert.ok(afterAll < 64 * 1024, `${afterAll} bytes are left`);
    });
  }
}
