/** WRITE AND VERIFY with BYTCHK=1 (SBC-4): as long as WRITE, and what it has written is there. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { read10 } from "../../support/cdb.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";

const BLOCK_BYTES = 512;
const BYTCHK_DATA = 0x02;

function writeAndVerify10(lba: number, blocks: number): Buffer {
  const cdb = Buffer.from([0x2e, BYTCHK_DATA, 0, 0, 0, 0, 0, 0, 0, 0]);
  cdb.writeUInt32BE(lba, 2);
  cdb.writeUInt16BE(blocks, 7);
  return cdb;
}

/** Different at every block. */
function data(blocks: number, seed: number): Buffer {
  const bytes = Buffer.alloc(blocks * BLOCK_BYTES, seed);
  for (let block = 0; block < blocks; block++) bytes.writeUInt32BE(block ^ (seed << 16), block * BLOCK_BYTES);
  return bytes;
}

for (const cache of ["direct", "writeback"] as const) {
  test(`several buffers of it, and less than it says (${cache})`, async (context) => {
    const target = await RunningTarget.start({ cache });
    context.after(() => target.stop());
    const initiator = await RawInitiator.connect(target.port);
    context.after(() => initiator.destroy());
    await initiator.login({ targetName: TARGET_NAME });
    for (const [lba, blocks] of [
      [0, 1],
      [7, 511],
      [3, 4100],
    ] as const) {
      const write = data(blocks, blocks & 0xff);
      await initiator.good({ cdb: writeAndVerify10(lba, blocks), write });
      const read = await initiator.good({ cdb: read10(lba, blocks), read: write.length });
      assert.ok(read.equals(write), `${blocks} blocks at ${lba}`);
    }
    const before = await initiator.good({ cdb: read10(0, 1200), read: 1200 * BLOCK_BYTES });
    const short = data(1001, 9).subarray(0, 1000 * BLOCK_BYTES + 100);
    const { status } = await initiator.command({ cdb: writeAndVerify10(0, 1200), write: short });
    assert.equal(status, 0);
    const after = await initiator.good({ cdb: read10(0, 1200), read: 1200 * BLOCK_BYTES });
    assert.ok(after.subarray(0, 1000 * BLOCK_BYTES).equals(short.subarray(0, 1000 * BLOCK_BYTES)), "whole blocks");
    assert.ok(after.subarray(1000 * BLOCK_BYTES).equals(before.subarray(1000 * BLOCK_BYTES)), "and no part of one");
  });
}
