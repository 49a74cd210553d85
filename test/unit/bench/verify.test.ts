import assert from "node:assert/strict";
import { mkdtempSync, rmSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import {
  BlockStamps,
  STAMP_CORRUPT,
  STAMP_FOREIGN,
  STAMP_MISPLACED,
  STAMP_NONE,
} from "../../../bench/initiator/block-stamps.js";
import { WriteHistory } from "../../../bench/initiator/write-history.js";
import { Arena } from "../../../dataplane/arena.js";
import { digestOf } from "../../support/crc32c.js";
import fc from "../../support/fast-check.js";

const BLOCKS = 4;

function stampsOf(blockLength: number, seed = 1): { arena: Arena; at: number; stamps: BlockStamps } {
  const arena = new Arena(BLOCKS * blockLength + 8192);
  const at = arena.take(BLOCKS * blockLength, 4096);
  arena.bytes.fill(0xee);
  return { arena, at, stamps: new BlockStamps(arena, blockLength, BLOCKS, seed) };
}

describe("BlockStamps", () => {
  for (const blockLength of [512, 4096]) {
    test(`${blockLength}-byte blocks: what was stamped is found`, () => {
      const { at, stamps } = stampsOf(blockLength);
      for (const lba of [0, 0xffff_fffe, 2 ** 41 + 3]) {
        stamps.stamp(at, lba, BLOCKS, 0xffff_ffff);
        stamps.check(at, lba, BLOCKS);
        assert.deepEqual([...stamps.found], [0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff]);
      }
    });
  }

  test("the checksum is CRC32C, by an independent implementation", () => {
    const { arena, at, stamps } = stampsOf(512);
    stamps.stamp(at, 5, 1, 9);
    const crc = digestOf(arena.bytes.slice(at, at + 508)).readUInt32LE();
    assert.equal(arena.view.getUint32(at + 508), crc);
  });

  test("any flipped bit is noticed", () => {
    const { arena, at, stamps } = stampsOf(512);
    fc.assert(
      fc.property(fc.nat(512 * BLOCKS - 1), fc.nat(7), (byte, bit) => {
        stamps.stamp(at, 100, BLOCKS, 3);
        arena.bytes[at + byte]! ^= 1 << bit;
        stamps.check(at, 100, BLOCKS);
        const damaged = Math.floor(byte / 512);
        for (let block = 0; block < BLOCKS; block++) {
          if (block !== damaged) assert.equal(stamps.found[block], 3);
          else assert(stamps.found[block] === STAMP_CORRUPT || stamps.found[block] === STAMP_NONE);
        }
      }),
    );
  });

  test("tells wrong places, other runs, unwritten blocks and half-written ones apart", () => {
    const { arena, at, stamps } = stampsOf(512);
    stamps.stamp(at, 100, BLOCKS, 3);
    stamps.check(at, 101, BLOCKS);
    assert.deepEqual([...stamps.found], Array(BLOCKS).fill(STAMP_MISPLACED));
    new BlockStamps(arena, 512, BLOCKS, 2).stamp(at, 100, 1, 3);
    arena.bytes.fill(0, at + 512, at + 1024);
    const third = arena.bytes.slice(at + 1024, at + 1280);
    stamps.stamp(at + 1024, 102, 1, 4);
    arena.bytes.set(third, at + 1024);
    stamps.check(at, 100, BLOCKS);
    assert.deepEqual([...stamps.found], [STAMP_FOREIGN, STAMP_NONE, STAMP_CORRUPT, 3]);
  });
});

const AREA = { seed: 1, lba: 0, slots: 3, slotBlocks: 2, blockLength: 512 };

describe("WriteHistory", () => {
  test("a slot has one command at a time", () => {
    const history = new WriteHistory(AREA);
    assert(history.claim(1));
    assert(!history.claim(1));
    assert(history.claim(2));
    history.release(1);
    assert(history.claim(1));
  });

  test("what was never written may hold anything; after that, only what was acknowledged last", () => {
    const history = new WriteHistory(AREA);
    for (const found of [STAMP_NONE, STAMP_FOREIGN, 0, 17]) assert.equal(history.judge(0, found), undefined);
    const first = history.issue(0);
    history.acknowledge(0, false);
    const second = history.issue(0);
    assert.notEqual(first, second);
    assert.equal(history.judge(0, first), undefined);
    history.acknowledge(0, false);
    assert.equal(history.judge(0, second), undefined);
    for (const found of [first, STAMP_NONE, STAMP_CORRUPT, STAMP_MISPLACED, second + 1]) {
      assert.equal(history.judge(0, found), `generation ${second}`);
    }
  });

  test("after a crash: nothing older than the last synchronised or FUA write, nothing newer than the last issued", () => {
    const history = new WriteHistory(AREA);
    const lost = history.issue(0);
    history.acknowledge(0, false);
    const kept = history.issue(0);
    history.acknowledge(0, false);
    history.beginSynchronize();
    // Acknowledged while the SYNCHRONIZE CACHE is under way: not covered by it.
    const during = history.issue(0);
    history.acknowledge(0, false);
    assert.equal(history.judgeAfterCrash(0, lost), undefined);
    history.endSynchronize();
    assert.notEqual(history.judgeAfterCrash(0, lost), undefined);
    assert.notEqual(history.judgeAfterCrash(0, STAMP_NONE), undefined);
    assert.equal(history.judgeAfterCrash(0, kept), undefined);
    assert.equal(history.judgeAfterCrash(0, during), undefined);
    const inFlight = history.issue(0);
    assert.equal(history.judgeAfterCrash(0, inFlight), undefined);
    assert.notEqual(history.judgeAfterCrash(0, inFlight + 1), undefined);
    assert.notEqual(history.judgeAfterCrash(0, STAMP_CORRUPT), undefined);

    const forced = history.issue(1);
    history.acknowledge(1, true);
    assert.notEqual(history.judgeAfterCrash(1, STAMP_NONE), undefined);
    assert.equal(history.judgeAfterCrash(1, forced), undefined);
    // A SYNCHRONIZE CACHE that was sent before takes nothing back.
    assert.equal(history.judgeAfterCrash(2, STAMP_NONE), undefined);
    assert.notEqual(history.judgeAfterCrash(2, 1), undefined);
  });

  test("a synchronisation that ends late does not undo a newer FUA write", () => {
    const history = new WriteHistory(AREA);
    const old = history.issue(0);
    history.acknowledge(0, false);
    history.beginSynchronize();
    const forced = history.issue(0);
    history.acknowledge(0, true);
    history.endSynchronize();
    assert.notEqual(history.judgeAfterCrash(0, old), undefined);
    assert.equal(history.judgeAfterCrash(0, forced), undefined);
  });

  test("survives a file, and refuses one that was cut off", () => {
    const directory = mkdtempSync(join(tmpdir(), "ringlun-history-"));
    try {
      const path = join(directory, "state");
      const history = new WriteHistory(AREA);
      history.issue(2);
      history.acknowledge(2, true);
      history.issue(2);
      history.save(path);
      const loaded = WriteHistory.load(path);
      assert.deepEqual(loaded.area, AREA);
      assert.equal(loaded.generation, 2);
      for (const [found, right] of [
        [0, false],
        [1, true],
        [2, true],
        [3, false],
      ] as const) {
        assert.equal(loaded.judgeAfterCrash(2, found) === undefined, right, `generation ${found}`);
      }
      truncateSync(path, 40);
      assert.throws(() => WriteHistory.load(path));
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
