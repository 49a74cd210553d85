/** Synchronous files, memory and threads. */
import assert from "node:assert/strict";
import { existsSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import {
  addressOf,
  adviseHugePages,
  blockDeviceGeometry,
  closeSync,
  dup,
  errno,
  eventfd,
  eventfdSignal,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  fallocateSync,
  fstatfsType,
  lockFile,
  monotonicUs,
  preadSync,
  pwriteSync,
  RWF_DSYNC,
  SystemError,
  seekData,
  seekHole,
  setThreadAffinity,
  statxDirectIo,
  threadCpuUs,
  threadId,
  writeBackError,
} from "io-uring-node";
import { temporaryFolder } from "../../../support/undo.js";
import { Memory } from "./completions.js";

const directory = temporaryFolder({ after });

function openNew(name: string): { fd: number; path: string } {
  const path = join(directory, name);
  return { fd: openSync(path, "w+"), path };
}

test("pread and pwrite, with results as numbers", () => {
  const { fd, path } = openNew("data");
  const out = Memory.of("somewhere");
  assert.equal(pwriteSync(fd, out.address, 9, 6_000_000_000, RWF_DSYNC), 9);
  const back = new Memory(20);
  assert.equal(preadSync(fd, back.address + 1, 19, 6_000_000_000), 9);
  assert.equal(back.bytes.toString("utf8", 1, 10), "somewhere");
  assert.equal(preadSync(fd, back.address, 20, 7_000_000_000), 0);
  assert.equal(preadSync(-1, back.address, 20, 0), -errno.EBADF);
  assert.equal(preadSync(fd, 4096, 9, 6_000_000_000), -errno.EFAULT);
  assert.equal(pwriteSync(fd, out.address, 9, -2, 0), -errno.EINVAL);
  closeSync(fd);
  const readOnly = openSync(path, "r");
  assert.equal(pwriteSync(readOnly, out.address, 9, 0, 0), -errno.EBADF);
  closeSync(readOnly);
});

test("write-back that has not failed is no error, written back or not; failures are tried in test/conformance/storage", () => {
  const { fd } = openNew("written");
  const out = Memory.of("somewhere");
  assert.equal(writeBackError(fd), 0);
  assert.equal(pwriteSync(fd, out.address, 9, 2 ** 40, 0), 9);
  assert.equal(writeBackError(fd), 0);
  closeSync(fd);
  assert.equal(writeBackError(-1), -errno.EBADF);
  const wake = eventfd();
  assert.equal(writeBackError(wake), -errno.ESPIPE);
  closeSync(wake);
});

test("holes are made and found", () => {
  const { fd } = openNew("sparse");
  const block = new Memory(65536);
  block.bytes.fill(1);
  for (let at = 0; at < 4; at++) assert.equal(pwriteSync(fd, block.address, 65536, at * 65536, 0), 65536);
  assert.equal(fallocateSync(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 131072), 0);
  assert.equal(seekHole(fd, 0), 65536);
  assert.equal(seekData(fd, 65536), 196608);
  assert.equal(seekHole(fd, 196608), 262144);
  assert.equal(seekData(fd, 262144), -errno.ENXIO);
  assert.equal(fallocateSync(fd, 0, 2 ** 33, 4096), 0);
  assert.equal(seekHole(fd, 2 ** 33 + 4096), -errno.ENXIO);
  closeSync(fd);
});

test("a lock keeps others out until its last duplicate is closed", () => {
  const { fd, path } = openNew("locked");
  assert.equal(lockFile(fd), 0);
  assert.equal(lockFile(fd), 0, "the same open file may take it again");
  const copy = dup(fd);
  const other = openSync(path, "r+");
  const reader = openSync(path, "r");
  assert.equal(lockFile(other), -errno.EWOULDBLOCK);
  assert.equal(lockFile(reader, false), -errno.EWOULDBLOCK);
  closeSync(fd);
  assert.equal(lockFile(other), -errno.EWOULDBLOCK);
  closeSync(copy);
  assert.equal(lockFile(reader, false), 0);
  assert.equal(lockFile(other, false), 0, "shared locks go together");
  assert.equal(lockFile(other), -errno.EWOULDBLOCK);
  assert.equal(lockFile(reader), -errno.EBADF, "an exclusive lock needs a writer");
  closeSync(reader);
  assert.equal(lockFile(other), 0);
  closeSync(other);
});

test("locks on different ranges of a file do not meet, and one on all of it meets either", () => {
  const { fd, path } = openNew("locked in parts");
  const other = openSync(path, "r+");
  const third = openSync(path, "r+");
  assert.equal(lockFile(fd, true, 0, 2 ** 52), 0);
  assert.equal(lockFile(other, true, 2 ** 52 - 1, 1), -errno.EWOULDBLOCK);
  assert.equal(lockFile(other, true, 2 ** 52), 0);
  assert.equal(lockFile(third), -errno.EWOULDBLOCK);
  closeSync(fd);
  assert.equal(lockFile(third), -errno.EWOULDBLOCK);
  closeSync(other);
  assert.equal(lockFile(third), 0);
  closeSync(third);
});

test("file systems and devices tell what they are", (t) => {
  const proc = openSync("/proc/self/status", "r");
  assert.equal(fstatfsType(proc), 0x9fa0);
  assert.throws(
    () => blockDeviceGeometry(proc),
    (error) => error instanceof SystemError && error.code === "ENOTBLK",
  );
  assert.equal(statxDirectIo(proc), undefined);
  closeSync(proc);
  assert.equal(fstatfsType(proc), -errno.EBADF);
  const { fd } = openNew("direct");
  const alignment = statxDirectIo(fd);
  if (alignment === undefined) t.diagnostic("no direct I/O, or no report of it, in the directory for temporary files");
  else {
    for (const align of [alignment.memoryAlign, alignment.offsetAlign]) {
      assert.ok(align > 0 && align <= 1 << 20 && (align & (align - 1)) === 0, `${align}`);
    }
  }
  closeSync(fd);
});

test("a block device's geometry is what sysfs says", (t) => {
  const names = existsSync("/sys/class/block") ? readdirSync("/sys/class/block") : [];
  for (const name of names) {
    let fd: number;
    try {
      fd = openSync(`/dev/${name}`, "r");
    } catch {
      continue;
    }
    const geometry = blockDeviceGeometry(fd);
    assert.equal(geometry.sizeBytes, 512 * Number(readFileSync(`/sys/class/block/${name}/size`, "utf8")));
    assert.ok([512, 4096].includes(geometry.logicalBlockBytes));
    assert.ok(geometry.physicalBlockBytes >= geometry.logicalBlockBytes);
    assert.equal(geometry.discard, geometry.discardMaxBytes > 0);
    closeSync(fd);
    return;
  }
  t.skip("no block device can be opened here");
});

test("an address is where the kernel finds the bytes, whatever the view", () => {
  const { fd, path } = openNew("views");
  writeFileSync(path, "0123456789abcdef");
  const buffer = new SharedArrayBuffer(64);
  const base = addressOf(new Uint8Array(buffer));
  assert.equal(addressOf(new Uint8Array(buffer, 5)), base + 5);
  assert.equal(addressOf(new DataView(buffer, 7)), base + 7);
  assert.equal(addressOf(new Float64Array(buffer, 8, 1)), base + 8);
  assert.equal(addressOf(new BigUint64Array(buffer, 16)), base + 16);
  assert.equal(addressOf(Buffer.from(buffer, 3)), base + 3);
  assert.equal(preadSync(fd, base + 5, 16, 0), 16);
  assert.equal(Buffer.from(buffer).toString("latin1", 5, 21), "0123456789abcdef");
  assert.throws(() => addressOf(buffer as unknown as Uint8Array), TypeError);
  assert.throws(() => addressOf(undefined as unknown as Uint8Array), TypeError);
  closeSync(fd);
});

test("advice about huge pages concerns whole pages only", () => {
  assert.equal(adviseHugePages(new Uint8Array(new SharedArrayBuffer(100))), 0);
  const result = adviseHugePages(new Uint8Array(new SharedArrayBuffer(4 << 20)));
  assert.ok(result === 0 || result === -errno.EINVAL, `a kernel without huge pages says EINVAL: ${result}`);
});

test("clocks go forward, threads have numbers and places", () => {
  const [cpu, wall] = [threadCpuUs(), monotonicUs()];
  while (threadCpuUs() === cpu);
  assert.ok(threadCpuUs() > cpu);
  assert.ok(monotonicUs() > wall);
  assert.equal(threadId(), process.pid, "the main thread has the process's number");
  const allowed = /Cpus_allowed_list:\s*(\d+)/.exec(readFileSync("/proc/thread-self/status", "utf8"));
  setThreadAffinity([Number(allowed![1])]);
  assert.match(readFileSync("/proc/thread-self/status", "utf8"), new RegExp(`Cpus_allowed_list:\\s*${allowed![1]}\\n`));
  for (const cpus of [[], [-1], [1 << 20]]) {
    assert.throws(
      () => setThreadAffinity(cpus),
      (error) => error instanceof SystemError && error.code === "EINVAL",
    );
  }
  assert.throws(
    () => eventfdSignal(-1),
    (error) => error instanceof SystemError && error.code === "EBADF",
  );
});
