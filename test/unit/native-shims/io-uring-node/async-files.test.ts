/** Files on libuv's threads: results as numbers, and nothing waits meanwhile. */
import assert from "node:assert/strict";
import { closeSync, ftruncateSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  copyFileRange,
  errno,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  fallocate,
  fdatasync,
  pread,
  pwrite,
  RWF_DSYNC,
  seekData,
  seekDataAsync,
  seekHole,
  seekHoleAsync,
} from "io-uring-node";
import { temporaryFolder } from "../../../support/undo.js";
import { Memory } from "./completions.js";

const directory = temporaryFolder({ after });

function openNew(name: string): { fd: number; path: string } {
  const path = join(directory, name);
  return { fd: openSync(path, "w+"), path };
}

test("pread, pwrite and fdatasync", async () => {
  const { fd } = openNew("data");
  const out = Memory.of("somewhere");
  assert.equal(await pwrite(fd, out.address, 9, 6_000_000_000, RWF_DSYNC), 9);
  const back = new Memory(20);
  assert.equal(await pread(fd, back.address + 1, 19, 6_000_000_000), 9);
  assert.equal(back.bytes.toString("utf8", 1, 10), "somewhere");
  assert.equal(await pread(-1, back.address, 20, 0), -errno.EBADF);
  assert.equal(await pwrite(fd, out.address, 9, -2, 0), -errno.EINVAL);
  assert.equal(await fdatasync(fd), 0);
  assert.equal(await fdatasync(-1), -errno.EBADF);
  closeSync(fd);
});

test("holes are made and found, as the synchronous calls find them", async () => {
  const { fd } = openNew("holes");
  const block = new Memory(65536);
  for (let at = 0; at < 4; at++) assert.equal(await pwrite(fd, block.address, 65536, at * 65536, 0), 65536);
  assert.equal(await fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 65536), 0);
  assert.equal(await seekHoleAsync(fd, 0), 65536);
  assert.equal(await seekDataAsync(fd, 65536), 131072);
  assert.deepEqual([seekHole(fd, 0), seekData(fd, 65536)], [65536, 131072]);
  assert.equal(await seekDataAsync(fd, 4 * 65536), -errno.ENXIO);
  closeSync(fd);
});

test("copyFileRange copies between files and within one, and says where it cannot", async () => {
  const { fd, path } = openNew("from");
  const { fd: to, path: toPath } = openNew("to");
  const text = Memory.of("0123456789");
  await pwrite(fd, text.address, 10, 4096, 0);
  assert.equal(await copyFileRange(fd, 4097, to, 2, 5), 5);
  assert.deepEqual(readFileSync(toPath), Buffer.from("\0\x0012345"));
  assert.equal(await copyFileRange(fd, 4096, fd, 0, 10), 10);
  assert.equal(readFileSync(path).toString("utf8", 0, 10), "0123456789");
  assert.equal(await copyFileRange(fd, 4106, to, 0, 10), 0, "the end of the source");
  ftruncateSync(fd, 8192);
  assert.equal(await copyFileRange(fd, 0, fd, 4, 10), -errno.EINVAL, "ranges overlap");
  assert.equal(await copyFileRange(fd, 0, -1, 0, 10), -errno.EBADF);
  closeSync(fd);
  closeSync(to);
});

test("wrong arguments throw, and begin nothing", () => {
  assert.throws(() => pread(0.5, 0, 0, 0), TypeError);
  assert.throws(() => copyFileRange(0, Number.NaN, 0, 0, 0), TypeError);
});
