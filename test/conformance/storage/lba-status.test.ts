/** GET LBA STATUS (SBC-4): what was written is mapped, what was never written or was unmapped is not. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { getLbaStatus, unmap, unmapList, write16 } from "../../support/cdb.js";
import { logIn, serveUnits } from "../../support/served-units.js";
import { temporaryFolder, Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const CHUNK_BLOCKS = MIB / 512;
const MAPPED = 0;
const DEALLOCATED = 1;

for (const cache of ["direct", "writeback"] as const) {
  test(`cache ${cache}`, async (context) => {
    const undo = new Undo(context);
    const path = join(temporaryFolder(context), "disk.img");
    const initiator = await logIn(undo, await serveUnits(undo, [{ path, cache, sizeBytes: 8 * MIB }], 2));
    const statusOf = async (lba: number): Promise<{ blocks: number; status: number }> => {
      const data = await initiator.good({ cdb: getLbaStatus(lba, 24), read: 24 });
      assert.equal(data.readUInt32BE(0), 20);
      assert.equal(Number(data.readBigUInt64BE(8)), lba);
      return { blocks: data.readUInt32BE(16), status: data.readUInt8(20) };
    };

    assert.deepEqual(await statusOf(0), { blocks: 8 * CHUNK_BLOCKS, status: DEALLOCATED });
    const data = Buffer.alloc(MIB, 0xd7);
    for (const chunk of [1, 2, 3]) {
      await initiator.good({ cdb: write16(chunk * CHUNK_BLOCKS, CHUNK_BLOCKS), write: data });
    }
    assert.deepEqual(await statusOf(0), { blocks: CHUNK_BLOCKS, status: DEALLOCATED });
    assert.deepEqual(await statusOf(CHUNK_BLOCKS), { blocks: 3 * CHUNK_BLOCKS, status: MAPPED });
    const list = unmapList([{ lba: 2 * CHUNK_BLOCKS, blocks: CHUNK_BLOCKS }]);
    await initiator.good({ cdb: unmap(list.length), write: list });
    assert.deepEqual(await statusOf(CHUNK_BLOCKS), { blocks: CHUNK_BLOCKS, status: MAPPED });
    assert.deepEqual(await statusOf(2 * CHUNK_BLOCKS), { blocks: CHUNK_BLOCKS, status: DEALLOCATED });
  });
}
