/**
 * Storage that fails: MEDIUM ERROR, with an LBA in INFORMATION before which all is good (SPC-5 on the INFORMATION field), a
 * residual that says so too, and a connection that lives.
 */
import assert from "node:assert/strict";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { read16, synchronizeCache10, verify10, write16 } from "../../support/cdb.js";
import {
  LoopDevice,
  MemoryFileSystem,
  MountedFileSystem,
  skipWithoutLoop,
  skipWithoutPowerCut,
} from "../../support/file-system.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import {
  DATA_PROTECT,
  MEDIUM_ERROR,
  SPACE_ALLOCATION_FAILED,
  senseOf,
  UNRECOVERED_READ_ERROR,
  WRITE_ERROR,
} from "../../support/sense.js";
import { type CacheMode, logIn, type ServedUnit, serveUnits } from "../../support/served-units.js";
import { Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const BLOCK = 512;
const SIZE_BYTES = 8 * MIB;
/** What is left of the storage. In the middle of a page, and of everything that is read at once. */
const CUT_BYTES = 4 * MIB + 12 * 1024;

const content = Buffer.alloc(SIZE_BYTES, 0x5a);
for (let at = 0; at < SIZE_BYTES; at += BLOCK) content.writeUInt32BE(at / BLOCK, at);

async function serve(undo: Undo, unit: ServedUnit): Promise<RawInitiator> {
  return logIn(undo, await serveUnits(undo, [unit]));
}

/** Reads [start, end), of which what lies behind CUT_BYTES cannot be read. */
async function readAcrossTheCut(initiator: RawInitiator, start: number, end: number): Promise<void> {
  const result = await initiator.command({ cdb: read16(start / BLOCK, (end - start) / BLOCK), read: end - start });
  const { key, code, information } = senseOf(result);
  assert.deepEqual([key, code], [MEDIUM_ERROR, UNRECOVERED_READ_ERROR]);
  assert.equal(result.data.length, end - start - result.residual, "the residual tells what has come");
  assert.ok(result.data.equals(content.subarray(start, start + result.data.length)), "what has come is right");
  assert.ok(information !== undefined && information * BLOCK <= CUT_BYTES, `INFORMATION ${information}`);
  assert.ok(information * BLOCK >= start + result.data.length, "INFORMATION is behind what has come");
  await initiator.ping();
}

const MODES: readonly CacheMode[] = ["direct", "writeback"];

for (const cache of MODES) {
  describe(`cache ${cache}`, () => {
    test("reading a file that was cut behind our back", async (context) => {
      const undo = new Undo(context);
      const path = join(undo.folder(), "disk.img");
      writeFileSync(path, content);
      const initiator = await serve(undo, { path, cache });
      truncateSync(path, CUT_BYTES);
      const lba = CUT_BYTES / BLOCK;
      for (const [first, blocks] of [
        [lba, 1],
        [lba - 1, 2],
        [lba - 24, 100],
        [lba + 1000, 8],
      ] as const) {
        const result = await initiator.command({ cdb: read16(first, blocks), read: blocks * BLOCK });
        assert.deepEqual(senseOf(result), {
          key: MEDIUM_ERROR,
          code: UNRECOVERED_READ_ERROR,
          information: Math.max(first, lba),
        });
      }
      await readAcrossTheCut(initiator, MIB, 6 * MIB);
      const verify = await initiator.command({ cdb: verify10(lba - 1000, 2000) });
      assert.deepEqual(senseOf(verify), { key: MEDIUM_ERROR, code: UNRECOVERED_READ_ERROR, information: lba });
      const before = await initiator.good({ cdb: read16(0, 2000), read: 2000 * BLOCK });
      assert.ok(before.equals(content.subarray(0, before.length)));
    });

    test("reading a device of which a part is gone", { skip: skipWithoutLoop() }, async (context) => {
      const undo = new Undo(context);
      const path = join(undo.folder(), "backing");
      const loop = new LoopDevice(path, { content });
      undo.add(() => loop.detach());
      const initiator = await serve(undo, { path: loop.device, cache });
      truncateSync(path, CUT_BYTES);
      await readAcrossTheCut(initiator, 0, SIZE_BYTES);
      await readAcrossTheCut(initiator, CUT_BYTES - 64 * 1024, CUT_BYTES + 64 * 1024);
      await readAcrossTheCut(initiator, CUT_BYTES, CUT_BYTES + 4096);
      const good = await initiator.good({ cdb: read16(0, 8192), read: 8192 * BLOCK });
      assert.ok(good.equals(content.subarray(0, good.length)));
    });
  });
}

test("writing to a file system that fails", { skip: skipWithoutPowerCut() }, async (context) => {
  const undo = new Undo(context);
  const fileSystem = new MountedFileSystem("ext4");
  undo.add(() => fileSystem.release());
  const unit = { path: fileSystem.path("disk.img"), cache: "direct", sizeBytes: SIZE_BYTES } as const;
  const target = await serveUnits(undo, [unit]);
  const initiator = await logIn(undo, target);
  await initiator.good({ cdb: write16(0, 2048), write: content.subarray(0, MIB) });
  fileSystem.cutPower();
  for (const [lba, blocks] of [
    [8, 8],
    [4096, 2048],
  ] as const) {
    const write = content.subarray(lba * BLOCK, (lba + blocks) * BLOCK);
    const result = await initiator.command({ cdb: write16(lba, blocks), write });
    assert.deepEqual(senseOf(result), { key: MEDIUM_ERROR, code: WRITE_ERROR, information: lba });
    assert.equal(result.residual, blocks * BLOCK);
  }
  const flush = senseOf(await initiator.command({ cdb: synchronizeCache10() }));
  assert.deepEqual(flush, { key: MEDIUM_ERROR, code: WRITE_ERROR, information: undefined });
  await initiator.ping();
  // Nothing of it could be kept, and that is no clean end.
  assert.deepEqual(await target.terminate(), { code: 1, signal: null });
});

test("writing to a device behind which there is no space", { skip: skipWithoutLoop() }, async (context) => {
  const undo = new Undo(context);
  const memory = new MemoryFileSystem(2 * MIB);
  undo.add(() => memory.release());
  const loop = new LoopDevice(memory.path("backing"), { sizeBytes: SIZE_BYTES });
  undo.add(() => loop.detach());
  const initiator = await serve(undo, { path: loop.device, cache: "direct" });
  const blocks = (MIB / BLOCK) * 3;
  const result = await initiator.command({ cdb: write16(0, blocks), write: content.subarray(0, blocks * BLOCK) });
  assert.deepEqual(senseOf(result), { key: DATA_PROTECT, code: SPACE_ALLOCATION_FAILED, information: undefined });
  // What the residual does not count is written.
  const through = blocks * BLOCK - result.residual;
  assert.ok(through <= 2 * MIB, `${through}`);
  const good = await initiator.good({ cdb: read16(0, through / BLOCK), read: through });
  assert.ok(good.equals(content.subarray(0, through)));
});
