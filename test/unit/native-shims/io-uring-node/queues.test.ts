/**
 * Both queues over ordinary memory: what the kernel would read, what it would have written, and how positions wrap. No
 * system call is made.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  CONTROL_FINISHED,
  CONTROL_SKIPS_QUEUED,
  CQE_F_MORE,
  CQE_F_NOTIF,
  createRingMemory,
  type ProvidedBuffers,
  RingClosedError,
  type RingMemory,
  SQ_CQ_OVERFLOW,
  SQE_BUFFER_SELECT,
  SQE_CQE_SKIP_SUCCESS,
  SQE_IO_LINK,
  SQE_WORDS,
  SubmissionCompletionRing,
  SystemError,
} from "io-uring-node";
import { current } from "./completions.js";

/** A kernel that takes SQEs and completes each at once with `result` = its slot, or as `answer` says. */
class ToyRing extends SubmissionCompletionRing {
  override readonly fd = 1000;
  readonly shared: RingMemory;
  submissions = 0;
  takes = Number.POSITIVE_INFINITY;
  answer: (toy: ToyRing, slot: number) => void = (toy, slot) => toy.post(toy.userData(slot), slot, 0);

  constructor(memory: RingMemory) {
    super(memory);
    this.shared = memory;
  }

  static open(entries: number, cqEntries = entries * 2, from = 0): ToyRing {
    const memory = createRingMemory(entries, cqEntries);
    for (const at of [memory.sqHeadAt, memory.sqTailAt, memory.cqHeadAt, memory.cqTailAt]) memory.positions[at] = from;
    return new ToyRing(memory);
  }

  userData(slot: number): [number, number] {
    const at = slot * SQE_WORDS + 8;
    return [this.shared.sqes[at]!, this.shared.sqes[at + 1]!];
  }

  post([low, high]: [number, number], result: number, flags: number): void {
    const { positions, cqes, cqHeadAt, cqTailAt, cqEntries } = this.shared;
    const tail = positions[cqTailAt]!;
    assert.ok(((tail - positions[cqHeadAt]!) | 0) < cqEntries, "the CQ overflows");
    cqes.set([low, high, result, flags], (tail & (cqEntries - 1)) * 4);
    positions[cqTailAt] = tail + 1;
  }

  override enter(): number {
    this.submit();
    return this.refresh();
  }

  protected override submit(): void {
    const queued = this.publish();
    this.submissions++;
    for (let count = Math.min(queued, this.takes); count > 0; count--) {
      const slot = this.shared.positions[this.shared.sqHeadAt]!++ & (this.shared.sqEntries - 1);
      const flags = (this.shared.sqes[slot * SQE_WORDS]! >>> 8) & 0xff;
      if ((flags & SQE_CQE_SKIP_SUCCESS) !== 0) this.shared.control[CONTROL_FINISHED]!++;
      else this.answer(this, slot);
    }
    this.refresh();
  }

  override registerBuffers(): void {}
  override registerFiles(): void {}
  override updateFile(): void {}
  override registerBufferRing(): ProvidedBuffers {
    throw new Error("not here");
  }
  override close(): void {
    this.markClosed();
  }
}

/** struct io_uring_sqe, as a C programmer would fill it in: by byte offset, in little-endian order, over zeroes. */
interface Sqe {
  opcode: number;
  flags?: number;
  ioprio?: number;
  fd?: number;
  off?: number | bigint;
  addr?: number | bigint;
  len?: number;
  opFlags?: number;
  bufIndex?: number;
  spliceFd?: number;
  userData?: [number, number];
}

function encode(sqe: Sqe): Buffer {
  const bytes = Buffer.alloc(64);
  bytes.writeUInt8(sqe.opcode, 0);
  bytes.writeUInt8(sqe.flags ?? 0, 1);
  bytes.writeUInt16LE(sqe.ioprio ?? 0, 2);
  bytes.writeInt32LE(sqe.fd ?? -1, 4);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(sqe.off ?? 0)), 8);
  bytes.writeBigUInt64LE(BigInt(sqe.addr ?? 0), 16);
  bytes.writeUInt32LE((sqe.len ?? 0) >>> 0, 24);
  bytes.writeUInt32LE(sqe.opFlags ?? 0, 28);
  const [kind, index] = sqe.userData ?? [KIND, INDEX];
  bytes.writeUInt32LE(kind, 32);
  bytes.writeUInt32LE(index, 36);
  bytes.writeUInt16LE(sqe.bufIndex ?? 0, 40);
  bytes.writeInt32LE(sqe.spliceFd ?? 0, 44);
  return bytes;
}

const KIND = 0x7fff_fff0;
const INDEX = 0xffff_fff1;
const ADDRESS = 0x7ffd_89ab_cdef;
const OFFSET = Number.MAX_SAFE_INTEGER;
const FD = 77;

// Numbers are the kernel's, not the package's constants: a wrong constant has to show.
const OPERATIONS: [name: string, queue: (ring: ToyRing) => number, expected: Sqe][] = [
  ["nop", (r) => r.nop(KIND, INDEX), { opcode: 0 }],
  ["accept", (r) => r.accept(FD, 0x80000, KIND, INDEX), { opcode: 13, fd: FD, opFlags: 0x80000 }],
  [
    "acceptMultishot",
    (r) => r.acceptMultishot(FD, 0x80000, KIND, INDEX),
    { opcode: 13, fd: FD, ioprio: 1, opFlags: 0x80000 },
  ],
  ["connect", (r) => r.connect(FD, ADDRESS, 28, KIND, INDEX), { opcode: 16, fd: FD, addr: ADDRESS, off: 28 }],
  [
    "recv",
    (r) => r.recv(FD, ADDRESS, 48, 0x100, KIND, INDEX),
    { opcode: 27, fd: FD, addr: ADDRESS, len: 48, opFlags: 0x100 },
  ],
  [
    "recvPollFirst",
    (r) => r.recvPollFirst(FD, ADDRESS, 48, 0x100, KIND, INDEX),
    { opcode: 27, ioprio: 1, fd: FD, addr: ADDRESS, len: 48, opFlags: 0x100 },
  ],
  [
    "recvSelect",
    (r) => r.recvSelect(FD, 8192, 0xfffe, 0x40, 1, KIND, INDEX),
    { opcode: 27, flags: 0x20, ioprio: 1, fd: FD, len: 8192, opFlags: 0x40, bufIndex: 0xfffe },
  ],
  [
    "recvMultishot",
    (r) => r.recvMultishot(FD, 3, 0, KIND, INDEX),
    { opcode: 27, flags: 0x20, ioprio: 2, fd: FD, bufIndex: 3 },
  ],
  [
    "send",
    (r) => r.send(FD, ADDRESS, 0xffff_ffff, 0x4000, KIND, INDEX),
    { opcode: 26, fd: FD, addr: ADDRESS, len: 0xffff_ffff, opFlags: 0x4000 },
  ],
  [
    "sendZeroCopy",
    (r) => r.sendZeroCopy(FD, ADDRESS, 48, 0x4000, 8, KIND, INDEX),
    { opcode: 47, ioprio: 8, fd: FD, addr: ADDRESS, len: 48, opFlags: 0x4000 },
  ],
  [
    "sendmsg",
    (r) => r.sendmsg(FD, ADDRESS, 0x4000, KIND, INDEX),
    { opcode: 9, fd: FD, addr: ADDRESS, len: 1, opFlags: 0x4000 },
  ],
  [
    "sendmsgZeroCopy",
    (r) => r.sendmsgZeroCopy(FD, ADDRESS, 0x4000, 8, KIND, INDEX),
    { opcode: 48, ioprio: 8, fd: FD, addr: ADDRESS, len: 1, opFlags: 0x4000 },
  ],
  [
    "recvmsg",
    (r) => r.recvmsg(FD, ADDRESS, 0x100, KIND, INDEX),
    { opcode: 10, fd: FD, addr: ADDRESS, len: 1, opFlags: 0x100 },
  ],
  [
    "read",
    (r) => r.read(FD, ADDRESS, 4096, OFFSET, 8, KIND, INDEX),
    { opcode: 22, fd: FD, addr: ADDRESS, len: 4096, off: OFFSET, opFlags: 8 },
  ],
  [
    "read at the current position",
    (r) => r.read(FD, ADDRESS, 4096, -1, 0, KIND, INDEX),
    { opcode: 22, fd: FD, addr: ADDRESS, len: 4096, off: -1n },
  ],
  [
    "readFixed",
    (r) => r.readFixed(FD, ADDRESS, 4096, 2 ** 32, 8, 0xffff, KIND, INDEX),
    { opcode: 4, fd: FD, addr: ADDRESS, len: 4096, off: 2 ** 32, opFlags: 8, bufIndex: 0xffff },
  ],
  [
    "write",
    (r) => r.write(FD, ADDRESS, 4096, 2 ** 32 - 1, 2, KIND, INDEX),
    { opcode: 23, fd: FD, addr: ADDRESS, len: 4096, off: 2 ** 32 - 1, opFlags: 2 },
  ],
  [
    "writeFixed",
    (r) => r.writeFixed(FD, ADDRESS, 4096, OFFSET, 2, 1, KIND, INDEX),
    { opcode: 5, fd: FD, addr: ADDRESS, len: 4096, off: OFFSET, opFlags: 2, bufIndex: 1 },
  ],
  [
    "readv",
    (r) => r.readv(FD, ADDRESS, 9, OFFSET, 8, KIND, INDEX),
    { opcode: 1, fd: FD, addr: ADDRESS, len: 9, off: OFFSET, opFlags: 8 },
  ],
  [
    "writev",
    (r) => r.writev(FD, ADDRESS, 9, OFFSET, 2, KIND, INDEX),
    { opcode: 2, fd: FD, addr: ADDRESS, len: 9, off: OFFSET, opFlags: 2 },
  ],
  ["fsync", (r) => r.fsync(FD, KIND, INDEX), { opcode: 3, fd: FD }],
  ["fdatasync", (r) => r.fdatasync(FD, KIND, INDEX), { opcode: 3, fd: FD, opFlags: 1 }],
  [
    "fallocate",
    (r) => r.fallocate(FD, 3, OFFSET, 2 ** 40 + 1, KIND, INDEX),
    { opcode: 17, fd: FD, off: OFFSET, addr: 2 ** 40 + 1, len: 3 },
  ],
  [
    "openat",
    (r) => r.openat(ADDRESS, 0o2000102, 0o600, KIND, INDEX),
    { opcode: 18, fd: -100, addr: ADDRESS, len: 0o600, opFlags: 0o2000102 },
  ],
  ["closeFd", (r) => r.closeFd(FD, KIND, INDEX), { opcode: 19, fd: FD }],
  [
    "timeout",
    (r) => r.timeout(ADDRESS, 5, 0x20, KIND, INDEX),
    { opcode: 11, addr: ADDRESS, len: 1, off: 5, opFlags: 0x20 },
  ],
  [
    "timeoutRemove",
    (r) => r.timeoutRemove(0x7123_4567, 0x89ab_cdef, 0, KIND, INDEX),
    { opcode: 12, addr: 0x89ab_cdef_7123_4567n },
  ],
  ["linkTimeout", (r) => r.linkTimeout(ADDRESS, 0, KIND, INDEX), { opcode: 15, addr: ADDRESS, len: 1 }],
  [
    "cancel",
    (r) => r.cancel(0x7123_4567, 0x89ab_cdef, 1, KIND, INDEX),
    { opcode: 14, addr: 0x89ab_cdef_7123_4567n, opFlags: 1 },
  ],
  ["cancelFd", (r) => r.cancelFd(FD, 1, KIND, INDEX), { opcode: 14, fd: FD, opFlags: 3 }],
  ["pollAdd", (r) => r.pollAdd(FD, 0x2001, false, KIND, INDEX), { opcode: 6, fd: FD, opFlags: 0x2001 }],
  ["pollAdd multishot", (r) => r.pollAdd(FD, 1, true, KIND, INDEX), { opcode: 6, fd: FD, len: 1, opFlags: 1 }],
  [
    // Bit 31 of user_data tells the receiving ring that this is none of its own operations.
    "msgRing",
    (r) => r.msgRing(FD, 0x7123_4567, 0x89ab_cdef, -5, KIND, INDEX),
    { opcode: 40, fd: FD, off: 0x89ab_cdef_f123_4567n, len: -5 },
  ],
  [
    "splice",
    (r) => r.splice(5, OFFSET, FD, -1, 65536, 4, KIND, INDEX),
    { opcode: 30, fd: FD, off: -1n, addr: OFFSET, len: 65536, opFlags: 4, spliceFd: 5 },
  ],
  ["shutdownSocket", (r) => r.shutdownSocket(FD, 2, KIND, INDEX), { opcode: 34, fd: FD, len: 2 }],
];

for (const [name, queue, expected] of OPERATIONS) {
  test(`${name} writes every byte of its SQE`, () => {
    const ring = ToyRing.open(2);
    const { sqes } = ring.shared;
    sqes.fill(0xffff_ffff);
    assert.equal(queue(ring), 0);
    assert.deepEqual(Buffer.from(sqes.buffer, 0, 64), encode(expected));
    assert.ok(
      sqes.subarray(SQE_WORDS).every((word) => word === 0xffff_ffff),
      "the next slot is touched",
    );
  });
}

test("the table above covers every operation", () => {
  const others =
    /^(constructor|enter|submit|close|next|sqSpace|submittedCount|inFlight|overflowed|publish|refresh|markClosed|setSqeFlags|register.*|updateFile|closed)$/;
  const operations = Object.getOwnPropertyNames(SubmissionCompletionRing.prototype).filter(
    (name) => !others.test(name),
  );
  const covered = new Set(OPERATIONS.map(([name]) => name.split(" ")[0]));
  assert.deepEqual(
    operations.filter((name) => !covered.has(name)),
    [],
  );
});

test("what was filled is counted, across the end of numbers too", () => {
  const ring = ToyRing.open(4, 4, 0xffff_fffe);
  const before = ring.submittedCount;
  for (let i = 0; i < 3; i++) ring.nop(KIND, INDEX);
  assert.equal((ring.submittedCount - before) >>> 0, 3);
});

test("setSqeFlags adds to the flags that the operation has", () => {
  const ring = ToyRing.open(2);
  const slot = ring.recvMultishot(FD, 3, 0, KIND, INDEX);
  ring.setSqeFlags(slot, SQE_IO_LINK);
  const expected = encode({ opcode: 27, flags: SQE_BUFFER_SELECT | SQE_IO_LINK, ioprio: 2, fd: FD, bufIndex: 3 });
  assert.deepEqual(Buffer.from(ring.shared.sqes.buffer, 0, 64), expected);
});

for (const from of [0, 0x7fff_fffd, 0xffff_fffd]) {
  test(`completions come back in order while positions pass ${(from + 3).toString(16)}`, () => {
    const ring = ToyRing.open(4, 4, from);
    for (let turn = 0; turn < 8; turn++) {
      for (let at = 0; at < 3; at++) ring.nop(turn, 0xffff_fff0 + at);
      assert.equal(ring.inFlight(), 3);
      assert.equal(ring.sqSpace(), 1);
      assert.equal(ring.enter(), 3);
      assert.equal(ring.sqSpace(), 4);
      for (let at = 0; at < 3; at++) {
        assert.ok(ring.next());
        assert.equal(ring.kind, turn);
        assert.equal(ring.index, 0xffff_fff0 + at);
        assert.equal(ring.inFlight(), 2 - at);
      }
      assert.equal(ring.next(), false);
    }
    assert.equal(ring.shared.positions[ring.shared.sqTailAt], (from + 24) | 0);
    assert.equal(ring.shared.positions[ring.shared.cqHeadAt], (from + 24) | 0);
  });
}

test("a full queue is submitted without being asked", () => {
  const ring = ToyRing.open(4, 16);
  for (let at = 0; at < 10; at++) ring.nop(1, at);
  assert.equal(ring.submissions, 2);
  assert.equal(ring.sqSpace(), 2);
  assert.equal(ring.enter(), 10);
  for (let at = 0; ring.next(); at++) assert.equal(ring.index, at);
  assert.equal(ring.inFlight(), 0);
});

test("a kernel that takes only some leaves the rest queued", () => {
  const ring = ToyRing.open(4, 16);
  ring.takes = 1;
  for (let at = 0; at < 6; at++) ring.nop(1, at);
  assert.equal(ring.sqSpace(), 0);
  ring.takes = 0;
  assert.throws(
    () => ring.nop(1, 99),
    (error) => error instanceof SystemError && error.code === "EAGAIN",
  );
  ring.takes = 4;
  assert.equal(ring.enter(), 6);
  const indices: number[] = [];
  while (ring.next()) indices.push(ring.index);
  assert.deepEqual(indices, [0, 1, 2, 3, 4, 5]);
});

test("an operation is in flight until its CQE without CQE_F_MORE is read", () => {
  const ring = ToyRing.open(4);
  ring.answer = (toy, slot) => {
    toy.post(toy.userData(slot), 100, CQE_F_MORE);
    toy.post(toy.userData(slot), 0, CQE_F_NOTIF);
  };
  ring.sendZeroCopy(FD, ADDRESS, 100, 0, 0, 7, 8);
  assert.equal(ring.enter(), 2);
  ring.next();
  assert.deepEqual(current(ring), { kind: 7, index: 8, result: 100, flags: CQE_F_MORE });
  assert.equal(ring.inFlight(), 1);
  ring.next();
  assert.deepEqual(current(ring), { kind: 7, index: 8, result: 0, flags: CQE_F_NOTIF });
  assert.equal(ring.inFlight(), 0);
});

test("a message from another ring ends none of our operations", () => {
  const [ring, other] = [ToyRing.open(4), ToyRing.open(4)];
  ring.answer = () => {};
  ring.recv(FD, ADDRESS, 1, 0, 1, 1);
  ring.enter();
  other.msgRing(ring.fd, 0x7fff_ffff, 0xffff_ffff, -1, 1, 1);
  const [offLow, offHigh] = other.shared.sqes.subarray(2, 4) as unknown as [number, number];
  ring.post([offLow, offHigh], -1, 0);
  assert.equal(ring.next(), true);
  assert.deepEqual(current(ring), { kind: 0x7fff_ffff, index: 0xffff_ffff, result: -1, flags: 0 });
  assert.equal(ring.inFlight(), 1);
});

test("an SQE whose success has no CQE is in flight until it is submitted, and its failure counts for nothing", () => {
  const ring = ToyRing.open(4);
  ring.setSqeFlags(ring.closeFd(FD, 3, 9), SQE_CQE_SKIP_SUCCESS);
  ring.nop(1, 1);
  assert.equal(ring.inFlight(), 2);
  assert.equal(ring.shared.control[CONTROL_SKIPS_QUEUED], 1);
  assert.equal(ring.enter(), 1);
  assert.equal(ring.inFlight(), 1);
  ring.post(ring.userData(0), -9, 0);
  assert.ok(ring.next() && ring.next());
  assert.deepEqual(current(ring), { kind: 3, index: 9, result: -9, flags: 0 });
  assert.equal(ring.inFlight(), 0);
});

test("CQEs are given back, with the count of what they finished, when all are read, and before enter", () => {
  const ring = ToyRing.open(8);
  const { positions, control, cqHeadAt } = ring.shared;
  for (let at = 0; at < 3; at++) ring.nop(1, at);
  ring.enter();
  ring.next();
  ring.next();
  assert.deepEqual([positions[cqHeadAt], control[CONTROL_FINISHED]], [0, 0], "nothing is published half-way");
  ring.enter();
  assert.deepEqual([positions[cqHeadAt], control[CONTROL_FINISHED]], [2, 2]);
  ring.next();
  assert.equal(ring.next(), false);
  assert.deepEqual([positions[cqHeadAt], control[CONTROL_FINISHED]], [3, 3]);
});

test("next looks for completions that came after enter", () => {
  const ring = ToyRing.open(4);
  assert.equal(ring.next(), false);
  ring.post([5, 6], 7, 0);
  assert.equal(ring.next(), true);
  assert.deepEqual(current(ring), { kind: 5, index: 6, result: 7, flags: 0 });
});

test("overflowed tells what the kernel's flag says", () => {
  const ring = ToyRing.open(4);
  assert.equal(ring.overflowed(), false);
  ring.shared.positions[ring.shared.sqFlagsAt] = SQ_CQ_OVERFLOW;
  assert.equal(ring.overflowed(), true);
});

test("a closed ring refuses everything", () => {
  const ring = ToyRing.open(4);
  ring.nop(1, 1);
  ring.enter();
  ring.nop(1, 2);
  ring.close();
  assert.equal(ring.closed, true);
  assert.equal(ring.inFlight(), 0);
  assert.throws(() => ring.next(), RingClosedError);
  assert.throws(() => ring.enter(), RingClosedError);
  assert.throws(() => ring.overflowed(), RingClosedError);
  for (const [name, queue] of OPERATIONS) assert.throws(() => queue(ring), RingClosedError, name);
});

test("a queue's size is a power of two", () => {
  for (const entries of [0, 3, -4, 1.5, Number.NaN]) {
    assert.throws(() => createRingMemory(entries, 4), RangeError);
    assert.throws(() => createRingMemory(4, entries), RangeError);
  }
});
