/** LOG SENSE and LOG SELECT (SPC-5, SBC-4): the pages say what the target has done and what its file system has. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inquiry, read10, testUnitReady, unmap, unmapList, verify10, write10 } from "../../support/cdb.js";
import { MemoryFileSystem, skipWithoutLoop } from "../../support/file-system.js";
import { logIn, serveUnits } from "../../support/served-units.js";
import { Undo } from "../../support/undo.js";
import { assertSense, hex, serve } from "./fixture.js";

const fixture = serve();
const MIB = 2 ** 20;
const PROVISIONING = 0x0c;
const STATISTICS = 0x19;

function logSense(page: number, subpage = 0, length = 4096, flags = 0): Buffer {
  return Buffer.from([0x4d, flags, page, subpage, 0, 0, 0, length >> 8, length & 0xff, 0]);
}

test("page 00h lists pages, and each of them can be read by its code", async () => {
  const initiator = await fixture.login("pages");
  const list = await initiator.good({ cdb: logSense(0x00), read: 4096 });
  assert.equal(hex(list), "0000000a00020305060c0d0e192f");
  for (const code of list.subarray(4)) {
    for (const subpage of [0x00, 0xff]) {
      const page = await initiator.good({ cdb: logSense(code, subpage), read: 4096 });
      assert.equal(page[0]! & 0x3f, code);
      assert.equal(page[1], subpage);
      assert.equal(page.readUInt16BE(2), page.length - 4);
      assert.equal((await initiator.good({ cdb: logSense(code, subpage, 1), read: 4096 })).length, 1);
    }
  }
  assertSense(await initiator.command({ cdb: logSense(0x00, 0, 255, 0x01), read: 255 }), 5, 0x24, 0);
});

test("what two sessions on two shards have read and written is counted, and reset for both; the other is told", async () => {
  const [one, other] = [await fixture.login("one"), await fixture.login("other")];
  const counted = async () => {
    const page = await one.good({ cdb: logSense(STATISTICS), read: 4096 });
    return [8, 16, 24, 32].map((at) => Number(page.readBigUInt64BE(at)));
  };
  await one.good({ cdb: Buffer.from([0x4c, 0x02, STATISTICS, 0, 0, 0, 0, 0, 0, 0]) });
  assertSense(await other.command({ cdb: testUnitReady() }), 6, 0x2a, 0x02);
  assert.deepEqual(await counted(), [0, 0, 0, 0]);
  for (const initiator of [one, other]) await initiator.good({ cdb: write10(0, 3), write: Buffer.alloc(3 * 512) });
  await other.good({ cdb: read10(0, 2), read: 1024 });
  assert.deepEqual(await counted(), [1, 2, 6, 2]);
});

test("the error counters say what was moved by which kind of command", async () => {
  const initiator = await fixture.login("counters");
  const [WRITES, READS, VERIFIES, NON_MEDIUM] = [0x02, 0x03, 0x05, 0x06];
  const counters = async (page: number) => {
    const data = await initiator.good({ cdb: logSense(page), read: 4096 });
    return Array.from({ length: (data.length - 4) / 12 }, (_, i) => Number(data.readBigUInt64BE(8 + 12 * i)));
  };
  await initiator.good({ cdb: Buffer.from([0x4c, 0x02, 0, 0, 0, 0, 0, 0, 0, 0]) });
  await initiator.good({ cdb: write10(0, 5), write: Buffer.alloc(5 * 512, 1) });
  await initiator.good({ cdb: read10(0, 4), read: 4 * 512 });
  await initiator.good({ cdb: verify10(0, 3) });
  await initiator.good({ cdb: verify10(0, 2, 0x02), write: Buffer.alloc(2 * 512, 1) });
  assertSense(await initiator.command({ cdb: verify10(0, 1, 0x02), write: Buffer.alloc(512, 2) }), 0xe, 0x1d, 0);
  const compareAndWrite = Buffer.from([0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
  await initiator.good({ cdb: compareAndWrite, write: Buffer.alloc(2 * 512, 1) });
  assert.deepEqual(await counters(WRITES), [6 * 512, 0]);
  assert.deepEqual(await counters(READS), [4 * 512, 0]);
  assert.deepEqual(await counters(VERIFIES), [5 * 512, 0]);
  assert.deepEqual(await counters(NON_MEDIUM), [0]);
});

test("Logical Block Provisioning follows the file system", { skip: skipWithoutLoop() }, async (context) => {
  const undo = new Undo(context);
  const memory = new MemoryFileSystem(64 * MIB);
  undo.add(() => memory.release());
  const target = await serveUnits(undo, [{ path: memory.path("disk.img"), sizeBytes: 1024 * MIB, cache: "writeback" }]);
  const initiator = await logIn(undo, target);
  const setBlocks = 2 ** (await initiator.good({ cdb: inquiry(0xb2), read: 255 })).readUInt8(4);
  /** Available and used, in MiB. */
  const resources = async () => {
    const page = await initiator.good({ cdb: logSense(PROVISIONING), read: 4096 });
    assert.equal(page.length, 28);
    return [page.readUInt32BE(8), page.readUInt32BE(20)].map((count) => (count * setBlocks * 512) / MIB);
  };
  assert.deepEqual(await resources(), [64, 0]);
  for (let i = 0; i < 10; i++) {
    await initiator.good({ cdb: write10(i * 100_000, 2048), write: Buffer.alloc(MIB, 1) });
  }
  assert.deepEqual(await resources(), [54, 10]);
  const list = unmapList([{ lba: 0, blocks: 2_000_000 }]);
  await initiator.good({ cdb: unmap(list.length), write: list });
  assert.deepEqual(await resources(), [64, 0]);
});
