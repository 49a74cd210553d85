/** Threads and processes that end, or are disturbed, while their ring is at work. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync, readSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { eventfd, eventfdSignal, Ring } from "io-uring-node";
import { temporaryFolder } from "../../../support/undo.js";
import type { BusyOptions } from "./busy-worker.js";
import { Memory } from "./completions.js";
import type { DroppingOptions } from "./dropping-worker.js";

const directory = temporaryFolder({ after });

/** A worker that is inside its loop; `options` say what it has in flight. */
async function startBusy(options: BusyOptions): Promise<Worker> {
  const worker = new Worker(new URL("./busy-worker.js", import.meta.url), { workerData: options });
  await once(worker, "message");
  return worker;
}

function readCounter(fd: number): bigint {
  const bytes = Buffer.alloc(8);
  assert.equal(readSync(fd, bytes), 8);
  return bytes.readBigUInt64LE();
}

test("a thread terminated in a blocked enter leaves nothing in flight", async () => {
  const fd = eventfd();
  const memory = new SharedArrayBuffer(64);
  const drained = new Int32Array(new SharedArrayBuffer(4));
  const worker = await startBusy({ fd, memory, drained, reads: 20 });
  assert.equal(drained[0], 0);
  await worker.terminate();
  assert.equal(drained[0], 1);
  eventfdSignal(fd);
  assert.deepEqual(
    new Uint8Array(memory),
    new Uint8Array(64),
    "nothing is received into memory that somebody else may have by now",
  );
  assert.equal(readCounter(fd), 1n, "and nothing was taken");
  closeSync(fd);
});

test("a thread that dies of an exception between completions leaves nothing in flight", async () => {
  const fd = eventfd();
  const drained = new Int32Array(new SharedArrayBuffer(4));
  const worker = await startBusy({ fd, memory: new SharedArrayBuffer(64), drained, reads: 20, failAfter: 3 });
  eventfdSignal(fd);
  const [error] = (await once(worker, "error")) as [Error];
  assert.match(error.message, /after 3 completions/);
  await once(worker, "exit");
  assert.equal(drained[0], 1);
  closeSync(fd);
});

test("a drain that does not get its time is reported as not confirmed", async () => {
  const fd = eventfd();
  const drained = new Int32Array(new SharedArrayBuffer(4));
  const worker = await startBusy({ fd, memory: new SharedArrayBuffer(64), drained, reads: 1, drainTimeoutMs: 0 });
  await worker.terminate();
  assert.equal(drained[0], -1);
  closeSync(fd);
});

test("a thread terminated with writes under way in the kernel waits for them", async () => {
  const path = join(directory, "written");
  const length = 8 << 20;
  writeFileSync(path, "");
  const fd = openSync(path, "r+");
  const drained = new Int32Array(new SharedArrayBuffer(4));
  const worker = await startBusy({ fd, memory: new SharedArrayBuffer(length), drained, writes: 4 });
  await worker.terminate();
  assert.equal(drained[0], 1);
  closeSync(fd);
});

test("a process exits in spite of operations in flight", async () => {
  const child = spawn(process.execPath, [fileURLToPath(new URL("./disturbed-process.js", import.meta.url)), "exit"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  assert.deepEqual(await once(child, "exit"), [7, null]);
});

test("a signal brings enter back without an error", async () => {
  const child = spawn(process.execPath, [fileURLToPath(new URL("./disturbed-process.js", import.meta.url)), "wait"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  // The child may not be inside enter yet when a signal comes.
  const repeat = setInterval(() => child.kill("SIGUSR2"), 20);
  const [code] = (await once(child, "exit")) as [number];
  clearInterval(repeat);
  assert.equal(code, 0);
});

test("a ring that nobody closed and nobody holds is drained and closed", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const fd = eventfd();
  const counter = new Memory(8);
  const drained = new Int32Array(new SharedArrayBuffer(4));
  const buffers = (() => {
    const ring = Ring.open({ entries: 8, drained });
    ring.read(fd, counter.address, 8, 0, 0, 1, 0);
    ring.enter(0, 0);
    return ring.registerBufferRing(1, 8);
  })();
  for (let turn = 0; turn < 100 && drained[0] === 0; turn++) {
    collect();
    await setImmediate();
  }
  assert.equal(drained[0], 1);
  // Its memory is unmapped: what is left of it must not lead there.
  buffers.add(1, 4096, 4096);
  assert.throws(() => buffers.publish(), TypeError);
  closeSync(fd);
});

test("a thread terminated before its garbage rings were closed closes them", async () => {
  const fd = eventfd();
  const drained = new Int32Array(new SharedArrayBuffer(4 * 8));
  const options: DroppingOptions = { fd, memory: new SharedArrayBuffer(64), drained };
  const worker = new Worker(new URL("./dropping-worker.js", import.meta.url), { workerData: options });
  await once(worker, "message");
  await worker.terminate();
  assert.deepEqual([...drained], new Array(8).fill(1));
  eventfdSignal(fd);
  assert.equal(readCounter(fd), 1n, "nothing reads any more");
  closeSync(fd);
});

test("a thousand rings, one after the other, leave no descriptor and no mapping", () => {
  const mappings = () => readFileSync("/proc/self/maps", "utf8").match(/\[io_uring\]/g)?.length ?? 0;
  // Newer versions of Node.js have rings of their own.
  const before = mappings();
  let highest = 0;
  for (let turn = 0; turn < 1000; turn++) {
    const ring = Ring.open({ entries: 4 });
    highest = Math.max(highest, ring.fd);
    assert.ok(turn % 100 !== 0 || mappings() > before);
    ring.close();
  }
  assert.ok(highest < 200, `descriptors went up to ${highest}`);
  assert.equal(mappings(), before);
});
