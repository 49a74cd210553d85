/**
 * Blocks of one page, some of which are written (by direct I/O, where the unit is `direct`) while others are unmapped or
 * zeroed, which goes through the page cache: nobody's neighbour changes.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { read16, unmap, unmapList, write16, writeSame16 } from "../../support/cdb.js";
import { type FileSystemType, MountedFileSystem, skipWithoutLoop } from "../../support/file-system.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { logIn, serveUnits } from "../../support/served-units.js";
import { Undo } from "../../support/undo.js";

const BLOCK = 512;
const BLOCKS = 64;
const ROUNDS = 10;

const ZEROES = Buffer.alloc(BLOCK);

/** Begins to change a block, and says what it will hold. */
type Change = (initiator: RawInitiator, lba: number, round: number) => Promise<readonly [RawTask, Buffer]>;

const write: Change = async (initiator, lba, round) => {
  const data = Buffer.alloc(BLOCK, 1 + ((lba + 3 * round) % 255));
  return [await initiator.start({ cdb: write16(lba, 1), write: data }), data];
};

const zero: Change = async (initiator, lba) => [
  await initiator.start({ cdb: writeSame16(lba, 1), write: ZEROES }),
  ZEROES,
];

const discard: Change = async (initiator, lba) => {
  const list = unmapList([{ lba, blocks: 1 }]);
  return [await initiator.start({ cdb: unmap(list.length), write: list }), ZEROES];
};

/** Changes every other block, all of them at once, and reads them back; again and again. */
async function change(initiator: RawInitiator, first: number, changes: readonly Change[]): Promise<void> {
  const lbas = Array.from({ length: BLOCKS / 2 }, (_, i) => first + 2 * i);
  for (let round = 0; round < ROUNDS; round++) {
    const expected = new Map<number, Buffer>();
    const tasks: RawTask[] = [];
    for (const lba of lbas) {
      const [task, data] = await changes[(lba + round) % changes.length]!(initiator, lba, round);
      tasks.push(task);
      expected.set(lba, data);
    }
    for (const task of tasks) assert.equal((await initiator.finish(task)).status, 0);
    const reads: [number, RawTask][] = [];
    for (const lba of lbas) reads.push([lba, await initiator.start({ cdb: read16(lba, 1), read: BLOCK })]);
    for (const [lba, task] of reads) {
      const { data } = await initiator.finish(task);
      assert.ok(data.equals(expected.get(lba)!), `block ${lba} of round ${round} begins with ${data[0]}`);
    }
  }
}

for (const type of ["ext4", "xfs"] satisfies FileSystemType[]) {
  test(`${type}: writes beside UNMAP and WRITE SAME`, { skip: skipWithoutLoop(type) }, async (context) => {
    const undo = new Undo(context);
    const fileSystem = new MountedFileSystem(type);
    undo.add(() => fileSystem.release());
    const target = await serveUnits(undo, [{ path: fileSystem.path("disk.img"), sizeBytes: 1024 * BLOCK }], 2);
    const initiators = [
      await logIn(undo, target, 1, "iqn.2026-11.io.ringlun:writes"),
      await logIn(undo, target, 1, "iqn.2026-11.io.ringlun:unmaps"),
    ] as const;
    await Promise.all([change(initiators[0], 0, [write]), change(initiators[1], 1, [write, discard, zero])]);
  });
}
