/** The ring of the running kernel: files, time, cancellation, and the edges of both queues. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, fsyncSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { Worker } from "node:worker_threads";
import {
  ASYNC_CANCEL_ALL,
  CQE_F_MORE,
  errno,
  eventfd,
  eventfdSignal,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  fallocateSync,
  monotonicUs,
  O_CLOEXEC,
  O_CREAT,
  O_RDWR,
  POLLIN,
  Ring,
  RingClosedError,
  RWF_DSYNC,
  SQE_ASYNC,
  SQE_CQE_SKIP_SUCCESS,
  SQE_FIXED_FILE,
  SQE_IO_HARDLINK,
  SQE_IO_LINK,
  SystemError,
} from "io-uring-node";
import { temporaryFolder } from "../../../support/undo.js";
import { complete, current, Memory, resultOf } from "./completions.js";

const directory = temporaryFolder({ after });

/** Runs `body` with a ring, and checks that closing it needs no cancelling unless `body` leaves something in flight. */
function withRing(entries: number, body: (ring: Ring) => void, cqEntries?: number): void {
  const ring = Ring.open(cqEntries === undefined ? { entries } : { entries, cqEntries });
  try {
    body(ring);
  } finally {
    ring.close();
  }
}

/** A file of this directory, open for reading and writing. */
function withFile(name: string, body: (fd: number, path: string) => void): void {
  const path = join(directory, name);
  const fd = openSync(path, "w+");
  try {
    body(fd, path);
  } finally {
    closeSync(fd);
  }
}

test("kind, index and result come back; entries are rounded up", () => {
  withRing(5, (ring) => {
    assert.equal(ring.sqEntries, 8);
    assert.equal(ring.cqEntries, 16);
    ring.nop(0x7fff_ffff, 0xffff_ffff);
    ring.nop(0, 0);
    assert.equal(ring.inFlight(), 2);
    assert.deepEqual(complete(ring, 2), [
      { kind: 0x7fff_ffff, index: 0xffff_ffff, result: 0, flags: 0 },
      { kind: 0, index: 0, result: 0, flags: 0 },
    ]);
    assert.equal(ring.inFlight(), 0);
    assert.equal(ring.next(), false);
  });
});

test("enter comes back when the time is over, with the clock", () => {
  withRing(4, (ring) => {
    const before = monotonicUs();
    assert.ok(ring.nowUs > 0 && ring.nowUs <= before);
    assert.equal(ring.enter(1, 0.25), 0);
    assert.ok(ring.nowUs >= before + 250, `${ring.nowUs - before} us`);
    assert.ok(ring.nowUs <= monotonicUs());
    assert.equal(ring.enter(1, 0), 0);
    assert.equal(ring.enter(0, 1000), 0);
    assert.equal(ring.enter(1, Number.NaN), 0);
  });
});

test("enter without a limit comes back too, for the thread has to be stoppable", () => {
  withRing(4, (ring) => assert.equal(ring.enter(1, -1), 0));
});

test("more operations than the queue has entries are submitted on the way", () => {
  withRing(4, (ring) => {
    for (let at = 0; at < 11; at++) ring.nop(1, at);
    assert.equal(ring.inFlight(), 11);
    const completions = complete(ring, 11);
    assert.deepEqual(
      completions.map(({ index }) => index),
      Array.from({ length: 11 }, (_, at) => at),
    );
  });
});

test("completions that do not fit into the CQ are neither lost nor doubled", () => {
  withRing(
    8,
    (ring) => {
      const count = 100;
      for (let at = 0; at < count; at++) ring.nop(1, at);
      assert.equal(ring.enter(0, 0), 8);
      assert.equal(ring.overflowed(), true);
      assert.equal(ring.inFlight(), count);
      const indices = complete(ring, count).map(({ index }) => index);
      assert.deepEqual(
        indices.sort((a, b) => a - b),
        Array.from({ length: count }, (_, at) => at),
      );
      assert.equal(ring.inFlight(), 0);
      assert.equal(ring.overflowed(), false);
    },
    8,
  );
});

test("operations go on while the CQ overflows", () => {
  withRing(
    4,
    (ring) => {
      let queued = 0;
      let read = 0;
      for (let turn = 0; turn < 200; turn++) {
        for (let at = 0; at < 7; at++) ring.nop(1, queued++);
        ring.enter(0, 0);
        // Fewer are read than come, until nothing is queued any more.
        for (let at = 0; at < 3 && ring.next(); at++) read++;
      }
      read += complete(ring, queued - read).length;
      assert.equal(read, 1400);
      assert.equal(ring.inFlight(), 0);
    },
    4,
  );
});

test("read and write, at offsets beyond 4 GiB", () => {
  withFile("plain", (fd) => {
    withRing(8, (ring) => {
      const out = Memory.of("read where it was written");
      const back = new Memory(100);
      const offset = 5 * 2 ** 32 + 123;
      ring.write(fd, out.address, out.bytes.length, offset, RWF_DSYNC, 1, 0);
      assert.equal(resultOf(ring, 1), 25);
      ring.read(fd, back.address, back.bytes.length, offset, 0, 2, 0);
      assert.equal(resultOf(ring, 2), 25);
      assert.equal(back.bytes.toString("utf8", 0, 25), "read where it was written");
      ring.read(fd, back.address, 100, offset + 25, 0, 3, 0);
      assert.equal(resultOf(ring, 3), 0);
      ring.read(-1, back.address, 100, 0, 0, 4, 0);
      assert.equal(resultOf(ring, 4), -errno.EBADF);
      ring.read(fd, 4096, 100, offset, 0, 5, 0);
      assert.equal(resultOf(ring, 5), -errno.EFAULT);
    });
  });
});

test("readv, writev, fsync, fdatasync", () => {
  withFile("vectors", (fd, path) => {
    withRing(8, (ring) => {
      const iovec = Memory.iovec(Memory.of("scattered "), Memory.of("and "), Memory.of("gathered"));
      ring.writev(fd, iovec.address, 3, 2, 0, 1, 0);
      assert.equal(resultOf(ring, 1), 22);
      ring.fsync(fd, 2, 0);
      assert.equal(resultOf(ring, 2), 0);
      ring.fdatasync(fd, 3, 0);
      assert.equal(resultOf(ring, 3), 0);
      assert.equal(readFileSync(path, "latin1"), "\0\0scattered and gathered");
      const [head, tail] = [new Memory(4), new Memory(100)];
      ring.readv(fd, Memory.iovec(head, tail).address, 2, 2, 0, 4, 0);
      assert.equal(resultOf(ring, 4), 22);
      assert.equal(head.bytes.toString(), "scat");
      assert.equal(tail.bytes.toString("utf8", 0, 18), "tered and gathered");
    });
  });
});

test("registered buffers: inside works, outside is refused", () => {
  withFile("fixed", (fd) => {
    withRing(8, (ring) => {
      const arena = new Memory(65536);
      ring.registerBuffers([
        { address: arena.address, length: 4096 },
        { address: arena.address + 8192, length: 4096 },
      ]);
      arena.bytes.fill("x", 0, 4096);
      ring.writeFixed(fd, arena.address + 1, 4095, 7, RWF_DSYNC, 0, 1, 0);
      assert.equal(resultOf(ring, 1), 4095);
      ring.writeFixed(fd, arena.address + 1, 4095, 7, 1 << 30, 0, 1, 0);
      assert.equal(resultOf(ring, 1), -errno.EOPNOTSUPP, "flags arrive: the kernel knows no such flag");
      ring.readFixed(fd, arena.address + 8192 + 100, 3000, 7, 0, 1, 2, 0);
      assert.equal(resultOf(ring, 2), 3000);
      assert.equal(arena.bytes.toString("latin1", 8292, 8292 + 3000), "x".repeat(3000));
      assert.equal(arena.bytes[8291], 0);
      ring.readFixed(fd, arena.address + 8192, 3000, 7, 0, 0, 3, 0);
      assert.equal(resultOf(ring, 3), -errno.EFAULT);
      ring.readFixed(fd, arena.address, 10, 7, 0, 2, 4, 0);
      assert.equal(resultOf(ring, 4), -errno.EFAULT);
      assert.throws(
        () => ring.registerBuffers([{ address: arena.address, length: 4096 }]),
        (error) => error instanceof SystemError && error.code === "EBUSY",
      );
    });
  });
});

test("registered files can be exchanged while the ring runs", () => {
  withFile("one", (one, onePath) => {
    withFile("two", (two, twoPath) => {
      withRing(8, (ring) => {
        ring.registerFiles([-1, one]);
        const text = Memory.of("slot");
        const write = (slot: number) => {
          ring.setSqeFlags(ring.write(slot, text.address, 4, 0, 0, 1, 0), SQE_FIXED_FILE);
          return resultOf(ring, 1);
        };
        assert.equal(write(0), -errno.EBADF);
        assert.equal(write(1), 4);
        assert.equal(readFileSync(onePath, "latin1"), "slot");
        ring.updateFile(0, two);
        assert.equal(write(0), 4);
        assert.equal(readFileSync(twoPath, "latin1"), "slot");
        ring.updateFile(1, -1);
        assert.equal(write(1), -errno.EBADF);
        assert.throws(() => ring.updateFile(2, one), SystemError);
      });
    });
  });
});

test("openat, fallocate, closeFd", () => {
  withRing(8, (ring) => {
    const path = join(directory, "made");
    ring.openat(Memory.of(`${path}\0`).address, O_RDWR | O_CREAT | O_CLOEXEC, 0o600, 1, 0);
    const fd = resultOf(ring, 1);
    assert.ok(fd > 2);
    ring.fallocate(fd, 0, 0, 8192, 2, 0);
    assert.equal(resultOf(ring, 2), 0);
    assert.equal(readFileSync(path).length, 8192);
    ring.fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096, 3, 0);
    assert.equal(resultOf(ring, 3), 0);
    ring.closeFd(fd, 4, 0);
    assert.equal(resultOf(ring, 4), 0);
    ring.closeFd(fd, 5, 0);
    assert.equal(resultOf(ring, 5), -errno.EBADF);
    ring.openat(Memory.of("/nowhere/at/all\0").address, O_RDWR | O_CLOEXEC, 0, 6, 0);
    assert.equal(resultOf(ring, 6), -errno.ENOENT);
  });
});

test("fallocate zeroes a range where the file system can", (t) => {
  withFile("zeroed", (fd, path) => {
    withRing(4, (ring) => {
      writeSync(fd, Buffer.alloc(3 * 4096, 1));
      const mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
      ring.fallocate(fd, mode, 4096, 4096, 1, 0);
      const result = resultOf(ring, 1);
      const expected = Buffer.alloc(3 * 4096, 1);
      if (result === 0) expected.fill(0, 4096, 8192);
      else {
        t.diagnostic("no FALLOC_FL_ZERO_RANGE in the directory for temporary files");
        assert.equal(result, -errno.EOPNOTSUPP);
        assert.equal(fallocateSync(fd, mode, 4096, 4096), -errno.EOPNOTSUPP);
      }
      assert.ok(readFileSync(path).equals(expected));
    });
  });
});

test("splice moves from a file through a pipe into another file", () => {
  const pipePath = join(directory, "pipe");
  execFileSync("mkfifo", [pipePath]);
  const pipe = openSync(pipePath, "r+");
  withFile("source", (source) => {
    withFile("sink", (sink, sinkPath) => {
      writeSync(source, "skipped, then moved");
      withRing(8, (ring) => {
        ring.splice(source, 14, pipe, -1, 5, 0, 1, 0);
        assert.equal(resultOf(ring, 1), 5);
        ring.splice(pipe, -1, sink, 3, 5, 0, 2, 0);
        assert.equal(resultOf(ring, 2), 5);
        assert.equal(readFileSync(sinkPath, "latin1"), "\0\0\0moved");
        ring.splice(source, 0, sink, 0, 5, 0, 3, 0);
        assert.equal(resultOf(ring, 3), -errno.EINVAL, "one of the two has to be a pipe");
      });
    });
  });
  closeSync(pipe);
});

test("an eventfd wakes a blocked enter from another thread", async () => {
  const ring = Ring.open({ entries: 4 });
  const fd = eventfd();
  const worker = new Worker(new URL("./signalling-worker.js", import.meta.url), { workerData: { fd } });
  await once(worker, "online");
  const counter = new Memory(8);
  ring.read(fd, counter.address, 8, 0, 0, 1, 2);
  assert.equal(resultOf(ring, 1), 8);
  assert.equal(counter.view.getBigUint64(0, true), 1n);
  await once(worker, "exit");
  ring.close();
  closeSync(fd);
});

test("polls: once, and many times", () => {
  const fd = eventfd();
  const counter = new Memory(8);
  withRing(8, (ring) => {
    ring.pollAdd(fd, POLLIN, false, 1, 0);
    assert.equal(ring.enter(1, 1), 0);
    eventfdSignal(fd);
    assert.equal(resultOf(ring, 1) & POLLIN, POLLIN);
    assert.equal(ring.inFlight(), 0);
    ring.pollAdd(fd, POLLIN, true, 2, 0);
    for (let turn = 0; turn < 3; turn++) {
      const [completion] = complete(ring, 1);
      assert.equal(completion!.flags & CQE_F_MORE, CQE_F_MORE);
      assert.equal(ring.inFlight(), 1);
      ring.read(fd, counter.address, 8, 0, 0, 3, 0);
      assert.equal(resultOf(ring, 3), 8);
      eventfdSignal(fd);
    }
  });
  closeSync(fd);
});

test("timeouts expire, count completions, and can be removed", () => {
  withRing(8, (ring) => {
    const [soon, late] = [Memory.timespec(1), Memory.timespec(3_600_000)];
    ring.timeout(soon.address, 0, 0, 1, 0);
    assert.equal(resultOf(ring, 1), -errno.ETIME);
    ring.timeout(late.address, 1, 0, 2, 0);
    ring.nop(3, 0);
    assert.deepEqual(
      complete(ring, 2).map(({ kind, result }) => [kind, result]),
      [
        [3, 0],
        [2, 0],
      ],
    );
    ring.timeout(late.address, 0, 0, 4, 0xffff_ffff);
    ring.timeoutRemove(4, 0xffff_ffff, 0, 5, 0);
    const results = new Map(complete(ring, 2).map(({ kind, result }) => [kind, result]));
    assert.deepEqual([results.get(4), results.get(5)], [-errno.ECANCELED, 0]);
    ring.timeoutRemove(4, 0xffff_ffff, 0, 6, 0);
    assert.equal(resultOf(ring, 6), -errno.ENOENT);
  });
});

test("a linked timeout bounds an operation", () => {
  const fd = eventfd();
  withRing(8, (ring) => {
    const counter = new Memory(8);
    ring.setSqeFlags(ring.read(fd, counter.address, 8, 0, 0, 1, 0), SQE_IO_LINK);
    ring.linkTimeout(Memory.timespec(1).address, 0, 2, 0);
    const results = new Map(complete(ring, 2).map(({ kind, result }) => [kind, result]));
    assert.ok(results.get(1) === -errno.ECANCELED || results.get(1) === -errno.EINTR);
    assert.ok(results.has(2));
  });
  closeSync(fd);
});

test("links run in order; a failure breaks a link and not a hard link", () => {
  withRing(8, (ring) => {
    const run = (flag: number) => {
      ring.setSqeFlags(ring.closeFd(-1, 1, 0), flag);
      ring.nop(2, 0);
      return complete(ring, 2).map(({ kind, result }) => [kind, result]);
    };
    assert.deepEqual(run(SQE_IO_LINK), [
      [1, -errno.EBADF],
      [2, -errno.ECANCELED],
    ]);
    assert.deepEqual(run(SQE_IO_HARDLINK), [
      [1, -errno.EBADF],
      [2, 0],
    ]);
  });
});

test("one operation is cancelled by name, all of a descriptor at once", () => {
  const fd = eventfd();
  withRing(16, (ring) => {
    const counter = new Memory(8);
    for (let at = 0; at < 3; at++) ring.read(fd, counter.address, 8, 0, 0, 1, at);
    ring.cancel(1, 1, 0, 2, 0);
    const results = complete(ring, 2).map(({ kind, index, result }) => [kind, index, result]);
    assert.deepEqual(
      results.sort((a, b) => a[0]! - b[0]!),
      [
        [1, 1, -errno.ECANCELED],
        [2, 0, 0],
      ],
    );
    ring.cancelFd(fd, ASYNC_CANCEL_ALL, 3, 0);
    assert.deepEqual(
      complete(ring, 3)
        .map(({ kind, index, result }) => [kind, index, result])
        .sort((a, b) => a[0]! - b[0]! || a[1]! - b[1]!),
      [
        [1, 0, -errno.ECANCELED],
        [1, 2, -errno.ECANCELED],
        [3, 0, 2],
      ],
    );
    ring.cancel(1, 1, 0, 4, 0);
    assert.equal(resultOf(ring, 4), -errno.ENOENT);
    assert.equal(ring.inFlight(), 0);
  });
  closeSync(fd);
});

test("without CQEs for success, only failures are told", () => {
  withRing(4, (ring) => {
    for (let turn = 0; turn < 10; turn++) {
      const fd = eventfd();
      ring.setSqeFlags(ring.closeFd(fd, 1, fd), SQE_CQE_SKIP_SUCCESS);
      ring.setSqeFlags(ring.closeFd(-1, 2, turn), SQE_CQE_SKIP_SUCCESS);
      ring.nop(3, turn);
      assert.deepEqual(
        complete(ring, 2).map(({ kind, index, result }) => [kind, index, result]),
        [
          [2, turn, -errno.EBADF],
          [3, turn, 0],
        ],
      );
      assert.equal(ring.inFlight(), 0);
    }
  });
});

test("SQE_ASYNC goes through a kernel thread and comes back", () => {
  withFile("async", (fd) => {
    withRing(4, (ring) => {
      const text = Memory.of("by a kernel thread");
      ring.setSqeFlags(ring.write(fd, text.address, 18, 0, 0, 1, 0), SQE_ASYNC);
      assert.equal(resultOf(ring, 1), 18);
    });
  });
});

test("a ring puts a completion into another ring", () => {
  withRing(4, (from) => {
    withRing(4, (to) => {
      from.msgRing(to.fd, 0x7abc_def0, 0xfedc_ba98, 42, 1, 0);
      assert.equal(resultOf(from, 1), 0);
      assert.deepEqual(complete(to, 1), [{ kind: 0x7abc_def0, index: 0xfedc_ba98, result: 42, flags: 0 }]);
      assert.equal(to.inFlight(), 0);
    });
  });
});

test("closing cancels what is in flight, confirms it, and is idempotent", () => {
  const fd = eventfd();
  const drained = new Int32Array(new SharedArrayBuffer(4));
  const ring = Ring.open({ entries: 8, drained });
  const counter = new Memory(8);
  for (let at = 0; at < 8; at++) ring.read(fd, counter.address, 8, 0, 0, 1, at);
  ring.timeout(Memory.timespec(3_600_000).address, 0, 0, 2, 0);
  ring.pollAdd(fd, POLLIN, true, 3, 0);
  ring.enter(0, 0);
  assert.equal(ring.inFlight(), 10);
  assert.equal(drained[0], 0);
  ring.close();
  assert.equal(drained[0], 1);
  assert.equal(ring.inFlight(), 0);
  ring.close();
  assert.equal(drained[0], 1);
  eventfdSignal(fd);
  assert.equal(counter.view.getBigUint64(0, true), 0n, "nothing reads any more");
  closeSync(fd);
});

test("closing waits for what cannot be cancelled: the kernel reads no memory afterwards", () => {
  const length = 32 << 20;
  const page = 4096;
  const source = new Memory(length);
  const back = Buffer.alloc(page);
  withFile("under-way", (fd) => {
    for (let round = 0; round < 3; round++) {
      const ring = Ring.open({ entries: 8 });
      for (let at = 0; at < 3; at++) {
        ring.setSqeFlags(ring.write(fd, source.address, length, 0, 0, 1, at), SQE_ASYNC);
      }
      // Writes to one file run one after the other: when the first is done, the second has begun.
      complete(ring, 1);
      ring.close();
      // A write that is still under way would come to the last page only now.
      source.bytes.fill(9, length - page);
      // Takes the file's lock, so whoever still writes is done when it returns.
      fsyncSync(fd);
      readSync(fd, back, 0, page, length - page);
      assert.ok(
        back.every((byte) => byte === 0),
        "memory that may have another owner by now was written to the file",
      );
      source.bytes.fill(0, length - page);
    }
  });
});

test("what is queued but not submitted is not done when the ring closes", () => {
  withFile("unsubmitted", (fd, path) => {
    const drained = new Int32Array(new SharedArrayBuffer(4));
    const ring = Ring.open({ entries: 8, drained });
    const text = Memory.of("never");
    ring.write(fd, text.address, 5, 0, 0, 1, 0);
    ring.close();
    assert.equal(drained[0], 1);
    assert.equal(readFileSync(path).length, 0);
  });
});

test("closing confirms a ring whose CQ has overflowed and whose SQEs have no CQEs", () => {
  const drained = new Int32Array(new SharedArrayBuffer(4));
  const ring = Ring.open({ entries: 4, cqEntries: 4, drained });
  for (let at = 0; at < 50; at++) ring.nop(1, at);
  ring.setSqeFlags(ring.nop(2, 0), SQE_CQE_SKIP_SUCCESS);
  ring.enter(0, 0);
  for (let at = 0; at < 3; at++) assert.ok(ring.next());
  ring.setSqeFlags(ring.nop(3, 0), SQE_CQE_SKIP_SUCCESS);
  ring.close();
  assert.equal(drained[0], 1);
});

test("closing within no time cannot confirm what is in flight", () => {
  const fd = eventfd();
  const drained = new Int32Array(new SharedArrayBuffer(4));
  const ring = Ring.open({ entries: 8, drained, drainTimeoutMs: 0 });
  const counter = new Memory(8);
  ring.read(fd, counter.address, 8, 0, 0, 1, 0);
  ring.enter(0, 0);
  ring.close();
  assert.equal(drained[0], -1);
  closeSync(fd);
});

test("a closed ring refuses everything, and its memory is gone", () => {
  const ring = Ring.open({ entries: 4 });
  const buffers = ring.registerBufferRing(1, 8);
  ring.nop(1, 1);
  ring.enter(1, 1000);
  ring.close();
  assert.throws(() => ring.next(), RingClosedError);
  assert.throws(() => ring.enter(0, 0), RingClosedError);
  assert.throws(() => ring.nop(1, 1), RingClosedError);
  assert.throws(() => ring.registerBuffers([]), RingClosedError);
  assert.throws(() => ring.registerFiles([]), RingClosedError);
  assert.throws(() => ring.updateFile(0, 0), RingClosedError);
  assert.throws(() => ring.registerBufferRing(2, 8), RingClosedError);
  buffers.add(1, 4096, 4096);
  assert.throws(() => buffers.publish(), TypeError);
});

test("an exception in the middle of the completions loses none of the others", () => {
  withRing(8, (ring) => {
    for (let at = 0; at < 5; at++) ring.nop(1, at);
    ring.enter(5, 1000);
    ring.next();
    ring.nop(2, 0);
    assert.deepEqual(
      complete(ring, 5).map(({ kind, index }) => [kind, index]),
      [
        [1, 1],
        [1, 2],
        [1, 3],
        [1, 4],
        [2, 0],
      ],
    );
    assert.deepEqual(current(ring), { kind: 2, index: 0, result: 0, flags: 0 });
  });
});
