/** Ranges that are too large for anything that touches blocks: UNMAP of a whole unit, the longest WRITE SAME of zeroes. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { inquiry, read16, synchronizeCache16, unmap, unmapList, write16, writeSame16 } from "../../support/cdb.js";
import { logIn, serveUnits } from "../../support/served-units.js";
import { Undo } from "../../support/undo.js";
import { TEMPORARY_FOLDER } from "../../support/variants.js";

const TIB = 2 ** 40;
const BLOCK = 512;
const BLOCKS = TIB / BLOCK;
/**
 * A hole is punched in well under a second, which a busy machine may stretch. What goes through the blocks needs several
 * minutes for a TiB, on the fastest of disks.
 */
const TIME_MS_MAX = 30_000;
const UNMAP = 0x08;
const NDOB = 0x01;
const LAST_BLOCKS = [0, BLOCKS / 3, BLOCKS - 1].map(Math.floor);

for (const cache of ["direct", "writethrough"] as const) {
  test(`UNMAP of a whole TiB, and the longest WRITE SAME of zeroes, cache ${cache}`, async (context) => {
    const undo = new Undo(context);
    const folder = undo.folder(TEMPORARY_FOLDER);
    const path = join(folder, "disk.img");
    const initiator = await logIn(undo, await serveUnits(undo, [{ path, sizeBytes: TIB, cache }]));
    const data = Buffer.alloc(BLOCK * 8, 0xd7);
    const allocated = async () => {
      await initiator.good({ cdb: synchronizeCache16() });
      return statSync(path).blocks * 512;
    };
    const timed = async (what: string, run: () => Promise<unknown>): Promise<void> => {
      const began = performance.now();
      await run();
      const tookMs = performance.now() - began;
      context.diagnostic(`${what}: ${tookMs.toFixed(1)} ms`);
      assert.ok(tookMs < TIME_MS_MAX, `${what}: ${tookMs} ms`);
    };

    for (const lba of LAST_BLOCKS) {
      await initiator.good({ cdb: write16(Math.min(lba, BLOCKS - 8), 8), write: data });
    }
    const before = await allocated();
    assert.ok(before >= 3 * data.length, `${before}`);
    const list = unmapList([{ lba: 0, blocks: BLOCKS }]);
    await timed("UNMAP of 1 TiB", () => initiator.good({ cdb: unmap(list.length), write: list }, TIME_MS_MAX));
    assert.ok((await allocated()) <= before - 3 * data.length, "the space is given back");
    for (const lba of LAST_BLOCKS) {
      const block = await initiator.good({ cdb: read16(lba, 1), read: BLOCK });
      assert.ok(block.equals(Buffer.alloc(BLOCK)), `block ${lba}`);
    }

    const limits = await initiator.good({ cdb: inquiry(0xb0), read: 255 });
    const longest = Number(limits.readBigUInt64BE(36));
    assert.ok(longest * BLOCK >= 2 ** 26, "MAXIMUM WRITE SAME LENGTH");
    const empty = await allocated();
    for (const flags of [NDOB, NDOB | UNMAP, 0, UNMAP]) {
      const last = longest + 7;
      await initiator.good({ cdb: write16(last, 8), write: data });
      const write = (flags & NDOB) === 0 ? { write: Buffer.alloc(BLOCK) } : {};
      await timed(`WRITE SAME (16) of ${longest} blocks, flags ${flags}`, () =>
        initiator.good({ cdb: writeSame16(8, longest, flags), ...write }, TIME_MS_MAX),
      );
      const edge = await initiator.good({ cdb: read16(last, 2), read: 2 * BLOCK });
      assert.deepEqual([edge[0], edge[BLOCK]], [0, 0xd7], "the last block of the range, and the first behind it");
    }
    // Holes, but for what was written at the end: the zeroes have gone nowhere.
    assert.ok((await allocated()) - empty <= 2 ** 20, "no block is in use for the zeroes");
  });
}
