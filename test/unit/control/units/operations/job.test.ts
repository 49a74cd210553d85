/** The work of an operation on real files: what it leaves, where it stops, where it goes on, how it fails. */
import assert from "node:assert/strict";
import {
  closeSync,
  constants,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fstatfsType, seekData, TMPFS_MAGIC } from "io-uring-node";
import { doWork, type Hooks, type Job } from "../../../../../control/units/operations/job.js";
import { ERASE_BYTES } from "../../../../../control/units/operations/medium.js";
import type { Position, Work } from "../../../../../control/units/operations/work.js";
import { TEMPORARY_FOLDER } from "../../../../support/variants.js";

const MIB = 2 ** 20;
const SIZE = 5 * MIB + 8192;
const ERASE: Work = { kind: "erase" };

const TMPFS = "/dev/shm";

function skipWithoutTmpfs(): string | false {
  const fd = openSync(TMPFS, constants.O_RDONLY);
  try {
    return fstatfsType(fd) === TMPFS_MAGIC ? false : `${TMPFS} is no tmpfs`;
  } finally {
    closeSync(fd);
  }
}

interface Setup {
  readonly path: string;
  readonly job: (changes?: Partial<Job>, unit?: Partial<Job["unit"]>) => Job;
}

/** A file full of FFh. */
function setUp(context: TestContext, { direct = false, sizeBytes = SIZE, folder = TEMPORARY_FOLDER } = {}): Setup {
  const directory = mkdtempSync(join(folder, "ringlun-job-"));
  const path = join(directory, "disk.img");
  writeFileSync(path, Buffer.alloc(sizeBytes, 0xff));
  const bufferedFd = openSync(path, constants.O_RDWR);
  const fd = direct ? openSync(path, constants.O_RDWR | constants.O_DIRECT) : bufferedFd;
  context.after(() => {
    closeSync(bufferedFd);
    if (direct) closeSync(fd);
    rmSync(directory, { recursive: true });
  });
  const unit = {
    fd,
    bufferedFd,
    alignmentBytes: direct ? 4096 : 1,
    rangeAlignmentBytes: 1,
    blockLengthBytes: 512 as const,
  };
  return {
    path,
    job: (changes = {}, unitChanges = {}) => ({
      unit: { ...unit, thin: true, ...unitChanges },
      sizeBytes,
      work: ERASE,
      from: { pass: 0, offset: 0 },
      bytesPerSecond: null,
      ...changes,
    }),
  };
}

class Recorder implements Hooks {
  readonly reports: { readonly position: Position; readonly isDurable: boolean }[] = [];
  readonly pausesMs: number[] = [];
  /** Advances with every look at it. */
  clockMs = 0;
  stepMs = 0;
  stopAfterLooks = Number.POSITIVE_INFINITY;

  readonly nowMs = () => {
    this.clockMs += this.stepMs;
    return this.clockMs;
  };
  readonly isStopped = () => this.stopAfterLooks-- <= 0;
  readonly pause = (ms: number) => {
    this.pausesMs.push(ms);
    this.clockMs += ms;
  };
  readonly report = (position: Position, isDurable: boolean) => {
    this.reports.push({ position, isDurable });
  };
}

function overwrite(pattern: string, passes = 1, invert = false): Work {
  return { kind: "overwrite", pattern, passes, invert };
}

test("erasing leaves zeroes, and no data in a file that can have holes", (context) => {
  const { path, job } = setUp(context);
  const hooks = new Recorder();
  assert.equal(doWork(job(), hooks), true);
  assert.ok(readFileSync(path).equals(Buffer.alloc(SIZE)));
  const fd = openSync(path, constants.O_RDONLY);
  assert.ok(seekData(fd, 0) < 0, "no data is left");
  closeSync(fd);
  assert.deepEqual(hooks.reports.at(-1), { position: { pass: 1, offset: 0 }, isDurable: true });
});

test("a unit that is not thin is zeroed", (context) => {
  const { path, job } = setUp(context);
  assert.equal(doWork(job({}, { thin: false }), new Recorder()), true);
  assert.ok(readFileSync(path).equals(Buffer.alloc(SIZE)));
});

for (const direct of [false, true]) {
  for (const blockLengthBytes of [512, 4096] as const) {
    test(`overwriting repeats the pattern from the start of each block, ${direct ? "direct" : "buffered"}, blocks of ${blockLengthBytes}`, (context) => {
      const { path, job } = setUp(context, { direct });
      assert.equal(doWork(job({ work: overwrite("010203") }, { blockLengthBytes }), new Recorder()), true);
      const block = Buffer.alloc(blockLengthBytes);
      for (let at = 0; at < blockLengthBytes; at++) block[at] = (at % 3) + 1;
      const expected = Buffer.alloc(SIZE, block);
      assert.ok(readFileSync(path).equals(expected));
    });
  }
}

test("all passes are made, each of them made durable before the next", (context) => {
  const { path, job } = setUp(context, { sizeBytes: MIB });
  const hooks = new Recorder();
  assert.equal(doWork(job({ work: overwrite("0f", 3, true) }), hooks), true);
  assert.ok(readFileSync(path).equals(Buffer.alloc(MIB, 0x0f)));
  assert.deepEqual(
    hooks.reports.filter(({ isDurable }) => isDurable).map(({ position }) => position),
    [1, 2, 3].map((pass) => ({ pass, offset: 0 })),
  );
});

test("stopped, it tells where it is, for good, and goes on from there to the same end", (context) => {
  const { path, job } = setUp(context);
  const hooks = new Recorder();
  hooks.stopAfterLooks = 3;
  const work = overwrite("a5");
  assert.equal(doWork(job({ work }), hooks), false);
  assert.deepEqual(hooks.reports, [{ position: { pass: 0, offset: 3 * MIB }, isDurable: true }]);
  const half = readFileSync(path);
  assert.ok(half.subarray(0, 3 * MIB).equals(Buffer.alloc(3 * MIB, 0xa5)));
  assert.equal(half[3 * MIB], 0xff);
  assert.equal(doWork(job({ work, from: hooks.reports[0]!.position }), new Recorder()), true);
  assert.ok(readFileSync(path).equals(Buffer.alloc(SIZE, 0xa5)));
});

test("it goes on in the pass in which it was", (context) => {
  const { path, job } = setUp(context, { sizeBytes: 2 * MIB });
  const from = { pass: 1, offset: MIB };
  assert.equal(doWork(job({ work: overwrite("00", 2), from }), new Recorder()), true);
  const content = readFileSync(path);
  assert.equal(content[0], 0xff, "this half was done before");
  assert.ok(content.subarray(MIB).equals(Buffer.alloc(MIB)));
});

test("progress is told now and then, and made durable more rarely", (context) => {
  const { job } = setUp(context, { sizeBytes: 40 * MIB });
  const hooks = new Recorder();
  hooks.stepMs = 300;
  doWork(job({ work: overwrite("00") }), hooks);
  const durable = hooks.reports.filter(({ isDurable }) => isDurable).length;
  assert.ok(durable >= 2 && hooks.reports.length > 4 * durable, `${durable} of ${hooks.reports.length}`);
  const offsets = hooks.reports.map(({ position: { pass, offset } }) => pass * 40 * MIB + offset);
  assert.deepEqual(
    offsets,
    [...offsets].sort((a, b) => a - b),
  );
});

test("it keeps to its rate, and what it erases without writing does not count", (context) => {
  const { job } = setUp(context);
  const hooks = new Recorder();
  doWork(job({ work: overwrite("00"), bytesPerSecond: MIB }), hooks);
  const totalMs = hooks.pausesMs.reduce((sum, ms) => sum + ms, 0);
  assert.ok(Math.abs(totalMs - (1000 * SIZE) / MIB) < 300, `${totalMs} ms`);
  const erasing = new Recorder();
  doWork(job({ bytesPerSecond: 1 }), erasing);
  assert.deepEqual(erasing.pausesMs, []);
});

test("where ranges cannot be zeroed in place, zeroes are written", { skip: skipWithoutTmpfs() }, (context) => {
  // tmpfs punches holes, and zeroes no ranges.
  const { path, job } = setUp(context, { folder: TMPFS });
  const hooks = new Recorder();
  assert.equal(doWork(job({ bytesPerSecond: MIB }, { thin: false }), hooks), true);
  assert.ok(readFileSync(path).equals(Buffer.alloc(SIZE)));
  assert.ok(hooks.pausesMs.length >= 5, "what is written counts");
});

test("an error ends it with what the system says", (context) => {
  const { path, job } = setUp(context);
  const readOnly = openSync(path, constants.O_RDONLY);
  context.after(() => closeSync(readOnly));
  const unit = { fd: readOnly, bufferedFd: readOnly };
  assert.throws(
    () => doWork(job({ work: overwrite("00") }, unit), new Recorder()),
    /write: bad file descriptor \(EBADF\)/,
  );
  assert.throws(() => doWork(job({}, unit), new Recorder()), /fallocate: bad file descriptor \(EBADF\)/);
});

test("a large sparse unit is erased piece by piece", (context) => {
  const { path, job } = setUp(context, { sizeBytes: MIB });
  const sizeBytes = 3 * ERASE_BYTES + 4096;
  const fd = openSync(path, constants.O_RDWR);
  ftruncateSync(fd, sizeBytes);
  closeSync(fd);
  const hooks = new Recorder();
  hooks.stopAfterLooks = 2;
  assert.equal(doWork(job({ sizeBytes }), hooks), false);
  assert.deepEqual(hooks.reports.at(-1)!.position, { pass: 0, offset: 2 * ERASE_BYTES });
});
