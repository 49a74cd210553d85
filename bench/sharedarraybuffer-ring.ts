/**
 * Records from one thread to another: sharedarraybuffer-ring against ringbuf.js and MessagePort.
 * node dist/bench/sharedarraybuffer-ring.js
 *
 * Throughput: the producer copies each record in, the consumer looks at its first and last byte. ringbuf.js carries bytes,
 * not records, so a length goes in front, and its consumer has to copy them out. MessagePort has no back-pressure: its
 * producer waits while more than a window is on its way. Round trip: one record there and back, both sides asleep between.
 *
 * Medians of alternating rounds, with the spread (largest less smallest, in parts of the median); a ratio is the median of
 * the ratios of the rounds. It takes two cores that are free.
 */
import { once } from "node:events";
import { isMainThread, MessageChannel, type MessagePort, parentPort, Worker, workerData } from "node:worker_threads";
import { RingBuffer } from "ringbuf.js";
import { allocateRing, Consumer, Producer } from "sharedarraybuffer-ring";
import { environment, formatEnvironment } from "./environment.js";
import { formatTable, median, spread } from "./statistics.js";

const ROUNDS = 7;
const RING_BYTES = 64 * 1024;
const LENGTHS = [16, 64, 256, 4096];
const ROUND_TRIPS = 5_000;
/** Records on their way through a MessagePort at a time. */
const WINDOW = 1024;
const LENGTH_BYTES = 4;

/** Each with its way through: made by the consumer's thread, which keeps the other end of it. */
type Job =
  | { kind: "ring"; ring: SharedArrayBuffer; length: number; records: number }
  | { kind: "ringbuf"; storage: SharedArrayBuffer; length: number; records: number }
  | { kind: "port"; port: MessagePort; consumed: Int32Array<SharedArrayBuffer>; length: number; records: number }
  | { kind: "echo ring"; requests: SharedArrayBuffer; replies: SharedArrayBuffer }
  | { kind: "echo port"; port: MessagePort };

const never = new Int32Array(new SharedArrayBuffer(4));

/** Polls, and gives the core away now and then in case the other side needs it. */
function until(condition: () => boolean): void {
  for (let attempts = 1; !condition(); attempts++) {
    if (attempts % 4096 === 0) Atomics.wait(never, 0, 0, 0.05);
  }
}

/** ringbuf.js declares its constructor's type parameter as a value. */
const ringbufOf = (storage: SharedArrayBuffer): RingBuffer => new RingBuffer(storage, Uint8Array as never);

// The producer's thread.

function produce(job: Exclude<Job, { kind: "echo ring" | "echo port" }>): void {
  const record = new Uint8Array(job.length);
  const mark = (index: number): void => {
    record[0] = index;
    record[job.length - 1] = index;
  };
  switch (job.kind) {
    case "ring": {
      const producer = new Producer(job.ring);
      for (let index = 0; index < job.records; index++) {
        mark(index);
        if (!producer.write(record)) until(() => producer.write(record));
      }
      break;
    }
    case "ringbuf": {
      const ringbuf = ringbufOf(job.storage);
      const framed = new Uint8Array(LENGTH_BYTES + job.length);
      new DataView(framed.buffer).setUint32(0, job.length, true);
      for (let index = 0; index < job.records; index++) {
        mark(index);
        framed.set(record, LENGTH_BYTES);
        // push() would take a part.
        if (ringbuf.available_write() < framed.length) until(() => ringbuf.available_write() >= framed.length);
        ringbuf.push(framed, framed.length);
      }
      break;
    }
    case "port": {
      for (let index = 0; index < job.records; index++) {
        mark(index);
        if (index - Atomics.load(job.consumed, 0) >= WINDOW)
          until(() => index - Atomics.load(job.consumed, 0) < WINDOW);
        job.port.postMessage(record);
      }
      break;
    }
  }
}

function echo(requests: SharedArrayBuffer, replies: SharedArrayBuffer): void {
  const consumer = new Consumer(requests);
  const producer = new Producer(replies);
  for (;;) {
    consumer.wait();
    consumer.next();
    if (consumer.length === 0) return;
    producer.write(consumer.bytes.subarray(consumer.offset, consumer.offset + consumer.length));
    consumer.release();
  }
}

function work(job: Job): void {
  switch (job.kind) {
    case "echo ring":
      echo(job.requests, job.replies);
      break;
    case "echo port":
      job.port.on("message", (record) => job.port.postMessage(record));
      break;
    default:
      produce(job);
  }
}

// The consumer's thread.

/** Nanoseconds per record, between the first and the last. */
class Stopwatch {
  readonly #records: number;
  #seen = 0;
  #startMs = 0;
  nsPerRecord = 0;

  constructor(records: number) {
    this.#records = records;
  }

  /** One more record. False when it was the last. */
  check(first: number, last: number): boolean {
    const wanted = this.#seen & 0xff;
    if (first !== wanted || last !== wanted) throw new Error(`record ${this.#seen} is not the one expected`);
    if (this.#seen === 0) this.#startMs = performance.now();
    if (++this.#seen < this.#records) return true;
    this.nsPerRecord = ((performance.now() - this.#startMs) * 1e6) / (this.#records - 1);
    return false;
  }
}

async function throughRing(worker: Worker, length: number, records: number): Promise<number> {
  const ring = allocateRing(RING_BYTES);
  worker.postMessage({ kind: "ring", ring, length, records } satisfies Job);
  const consumer = new Consumer(ring);
  const watch = new Stopwatch(records);
  let more = true;
  while (more) {
    if (!consumer.next()) until(() => consumer.next());
    more = watch.check(consumer.bytes[consumer.offset]!, consumer.bytes[consumer.offset + consumer.length - 1]!);
    consumer.release();
  }
  return watch.nsPerRecord;
}

async function throughRingbuf(worker: Worker, length: number, records: number): Promise<number> {
  const storage = RingBuffer.getStorageForCapacity(RING_BYTES, Uint8Array as never);
  worker.postMessage({ kind: "ringbuf", storage, length, records } satisfies Job);
  const ringbuf = ringbufOf(storage);
  const header = new Uint8Array(LENGTH_BYTES);
  const headerView = new DataView(header.buffer);
  const record = new Uint8Array(length);
  const watch = new Stopwatch(records);
  let more = true;
  while (more) {
    if (ringbuf.pop(header, LENGTH_BYTES) === 0) until(() => ringbuf.pop(header, LENGTH_BYTES) === LENGTH_BYTES);
    const bytes = headerView.getUint32(0, true);
    ringbuf.pop(record, bytes);
    more = watch.check(record[0]!, record[bytes - 1]!);
  }
  return watch.nsPerRecord;
}

async function throughPort(worker: Worker, length: number, records: number): Promise<number> {
  const { port1, port2 } = new MessageChannel();
  const consumed = new Int32Array(new SharedArrayBuffer(4));
  worker.postMessage({ kind: "port", port: port2, consumed, length, records } satisfies Job, [port2]);
  const watch = new Stopwatch(records);
  return new Promise((resolve, reject) => {
    port1.on("message", (record: Uint8Array) => {
      try {
        Atomics.add(consumed, 0, 1);
        if (watch.check(record[0]!, record[record.length - 1]!)) return;
        port1.close();
        resolve(watch.nsPerRecord);
      } catch (error) {
        reject(error);
      }
    });
  });
}

async function roundTripRing(worker: Worker, ask: (consumer: Consumer) => boolean | Promise<boolean>): Promise<number> {
  const requests = allocateRing(1024);
  const replies = allocateRing(1024);
  worker.postMessage({ kind: "echo ring", requests, replies } satisfies Job);
  const producer = new Producer(requests);
  const consumer = new Consumer(replies);
  const record = new Uint8Array(16);
  const startMs = performance.now();
  for (let trip = 0; trip < ROUND_TRIPS; trip++) {
    producer.write(record);
    const answer = ask(consumer);
    if (answer !== true) await answer;
    consumer.next();
    consumer.release();
  }
  const ns = ((performance.now() - startMs) * 1e6) / ROUND_TRIPS;
  producer.write(new Uint8Array(0));
  return ns;
}

async function roundTripPort(worker: Worker): Promise<number> {
  const { port1, port2 } = new MessageChannel();
  worker.postMessage({ kind: "echo port", port: port2 } satisfies Job, [port2]);
  const record = new Uint8Array(16);
  const startMs = performance.now();
  await new Promise<void>((resolve) => {
    let trips = 0;
    port1.on("message", () => (++trips < ROUND_TRIPS ? port1.postMessage(record) : resolve()));
    port1.postMessage(record);
  });
  const ns = ((performance.now() - startMs) * 1e6) / ROUND_TRIPS;
  port1.close();
  return ns;
}

type Subject = readonly [name: string, run: () => Promise<number>];

/** Alternates over the subjects, so that a disturbance meets all of them. The first round only warms up. */
async function report(title: string, subjects: readonly Subject[], unit: "records/s" | "us"): Promise<void> {
  const samples = subjects.map((): number[] => []);
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [at, [, run]] of subjects.entries()) {
      const ns = await run();
      if (round > 0) samples[at]!.push(ns);
    }
  }
  const rows = subjects.map(([name], at) => {
    const ns = median(samples[at]!);
    const shown = unit === "us" ? (ns / 1e3).toFixed(1) : `${(1e3 / ns).toFixed(2)} M`;
    const ratios = samples[at]!.map((sample, round) => sample / samples[0]![round]!);
    return [name, shown, `${(spread(samples[at]!) * 100).toFixed(0)} %`, median(ratios).toFixed(2)];
  });
  process.stdout.write(`\n${formatTable([[title, unit, "spread", "time, ratio"], ...rows])}\n`);
}

async function main(): Promise<void> {
  process.stdout.write(`${formatEnvironment(environment())}\n`);
  const worker = new Worker(new URL(import.meta.url), { workerData: "producer" });
  await once(worker, "online");
  for (const length of LENGTHS) {
    const many = length > 1000 ? 100_000 : 500_000;
    await report(
      `records of ${length} bytes`,
      [
        ["sharedarraybuffer-ring", () => throughRing(worker, length, many)],
        ["ringbuf.js", () => throughRingbuf(worker, length, many)],
        ["MessagePort", () => throughPort(worker, length, many / 10)],
      ],
      "records/s",
    );
  }
  await report(
    "round trip of 16 bytes",
    [
      ["sharedarraybuffer-ring, wait()", () => roundTripRing(worker, (consumer) => consumer.wait())],
      ["sharedarraybuffer-ring, waitAsync()", () => roundTripRing(worker, (consumer) => consumer.waitAsync())],
      ["MessagePort", () => roundTripPort(worker)],
    ],
    "us",
  );
  await worker.terminate();
}

if (isMainThread) await main();
else if (workerData === "producer") parentPort?.on("message", work);
