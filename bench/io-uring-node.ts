/**
 * What io-uring-node costs: a turn of the loop, an operation, a digest. node dist/bench/io-uring-node.js
 *
 * CPU time of this thread: other work on the machine is not counted. Medians of alternating rounds, with the spread
 * (largest less smallest, in parts of the median). CRC32C is compared with fast-crc32c.
 */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import {
  CRC32C_JOB_WORDS,
  crc32c,
  crc32cBatch,
  crc32cImplementations,
  createRingMemory,
  MSG_NOSIGNAL,
  monotonicUs,
  type ProvidedBuffers,
  Ring,
  type RingMemory,
  SubmissionCompletionRing,
  threadCpuUs,
  threadId,
} from "io-uring-node";
import { environment, formatEnvironment } from "./environment.js";
import { formatTable, median, spread } from "./statistics.js";

const { calculate } = createRequire(import.meta.url)("fast-crc32c") as { calculate(bytes: Uint8Array): number };

const ROUNDS = 9;
const ROUND_US = 20_000;

interface Subject {
  readonly name: string;
  /** Runs it this often. */
  readonly run: (times: number) => void;
  /** How many operations one run is: the result is per operation. */
  readonly operations: number;
  /** Of one operation, where throughput is of interest. */
  readonly bytes?: number;
}

/**
 * Alternates over the subjects, so that a disturbance meets all of them; nanoseconds per operation, a sample per round.
 */
function measure(subjects: readonly Subject[]): number[][] {
  const timesOf = subjects.map(({ run }) => {
    // Warm up, and find out how many runs fill a round.
    for (let times = 16; ; times *= 2) {
      const start = threadCpuUs();
      run(times);
      const us = threadCpuUs() - start;
      if (us > ROUND_US) return Math.max(1, Math.round((times * ROUND_US) / us));
    }
  });
  const samples = subjects.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    subjects.forEach(({ run, operations }, at) => {
      const start = threadCpuUs();
      run(timesOf[at]!);
      samples[at]!.push(((threadCpuUs() - start) * 1e3) / timesOf[at]! / operations);
    });
  }
  return samples;
}

function report(title: string, subjects: readonly Subject[]): void {
  const samples = measure(subjects);
  const rows = subjects.map(({ name, bytes }, at) => [
    name,
    median(samples[at]!).toFixed(1),
    `${(spread(samples[at]!) * 100).toFixed(0)} %`,
    bytes === undefined ? "" : (bytes / median(samples[at]!)).toFixed(2),
  ]);
  process.stdout.write(`\n${formatTable([[title, "ns", "spread", "GB/s"], ...rows])}\n`);
}

/** Takes everything at once and completes it: what is left is the cost of preparing SQEs and reading CQEs. */
class InstantRing extends SubmissionCompletionRing {
  override readonly fd = -1;
  readonly #memory: RingMemory;

  constructor(memory: RingMemory) {
    super(memory);
    this.#memory = memory;
  }

  override enter(): number {
    this.submit();
    return this.refresh();
  }

  /** CQEs keep what they held: their content does not matter here. */
  protected override submit(): void {
    const { positions, sqHeadAt, cqTailAt } = this.#memory;
    const queued = this.publish();
    positions[sqHeadAt]! += queued;
    positions[cqTailAt]! += queued;
    this.refresh();
  }

  override registerBuffers(): void {}
  override registerFiles(): void {}
  override updateFile(): void {}
  override registerBufferRing(): ProvidedBuffers {
    throw new Error("no buffers here");
  }
  override close(): void {
    this.markClosed();
  }
}

function turns(): void {
  const ring = Ring.open({ entries: 256 });
  const nops = (count: number): Subject => ({
    name: `nop: queue, ${count} per enter, next`,
    operations: count,
    run(times) {
      for (; times > 0; times--) {
        for (let at = 0; at < count; at++) ring.nop(1, at);
        assert.equal(ring.enter(count, 1000), count);
        while (ring.next());
      }
    },
  });
  report("turns", [
    { name: "a native call (clock)", operations: 1, run: (times) => repeat(times, monotonicUs) },
    { name: "a native call and a system call (gettid)", operations: 1, run: (times) => repeat(times, threadId) },
    { name: "enter with nothing to do", operations: 1, run: (times) => repeat(times, () => ring.enter(0, 0)) },
    nops(1),
    nops(32),
    nops(256),
  ]);
  ring.close();
}

function repeat(times: number, body: () => void): void {
  for (; times > 0; times--) body();
}

function eachOf(ranges: readonly Uint8Array[], body: (range: Uint8Array) => unknown): void {
  for (const range of ranges) body(range);
}

function queues(): void {
  const count = 256;
  const ring = new InstantRing(createRingMemory(count, count));
  const address = 0x7ffd_89ab_c000;
  const offset = 5 * 2 ** 32;
  const subject = (name: string, prepare: (at: number) => void): Subject => ({
    name,
    operations: count,
    run(times) {
      for (; times > 0; times--) {
        for (let at = 0; at < count; at++) prepare(at);
        ring.enter();
        while (ring.next());
      }
    },
  });
  report("an SQE prepared and its CQE read, without a kernel", [
    subject("nop", (at) => ring.nop(1, at)),
    subject("recv", (at) => ring.recv(7, address + at, 48, 0, 2, at)),
    subject("sendmsg", (at) => ring.sendmsg(7, address + at, MSG_NOSIGNAL, 3, at)),
    subject("readFixed", (at) => ring.readFixed(7, address + at, 4096, offset + at * 4096, 0, 0, 4, at)),
  ]);
}

function digests(): void {
  const jobsMax = 64;
  process.stdout.write(`\nCRC32C here: ${crc32cImplementations().join(", ")}\n`);
  for (const length of [48, 512, 4096, 65_536]) {
    // At most 256 KiB together: what has just been received lies in the caches, too.
    const count = Math.min(jobsMax, (256 * 1024) / length);
    const arena = new Uint8Array(new SharedArrayBuffer(count * length));
    arena.forEach((_, at) => {
      arena[at] = Math.imul(at, 0x9e37_79b1) >>> 24;
    });
    const jobs = new Uint32Array(count * CRC32C_JOB_WORDS);
    for (let at = 0; at < count; at++) jobs.set([at * length, length], at * CRC32C_JOB_WORDS);
    const ranges = Array.from({ length: count }, (_, at) => Buffer.from(arena.slice(at * length, (at + 1) * length)));
    crc32cBatch(arena, jobs, count);
    ranges.forEach((range, at) => {
      assert.equal(jobs[at * CRC32C_JOB_WORDS + 3], calculate(range));
    });
    report(`CRC32C of ${length} bytes`, [
      {
        name: `crc32cBatch, ${count} at once`,
        operations: count,
        bytes: length,
        run: (times) => repeat(times, () => crc32cBatch(arena, jobs, count)),
      },
      {
        name: "crc32c",
        operations: count,
        bytes: length,
        run: (times) => repeat(times, () => eachOf(ranges, crc32c)),
      },
      {
        name: "fast-crc32c",
        operations: count,
        bytes: length,
        run: (times) => repeat(times, () => eachOf(ranges, calculate)),
      },
    ]);
  }
}

process.stdout.write(`${formatEnvironment(environment())}\n`);
turns();
queues();
digests();
