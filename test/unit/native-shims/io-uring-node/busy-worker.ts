/** A thread like a shard's: blocks in its ring for ever, with operations in flight. */
import assert from "node:assert/strict";
import { parentPort, workerData } from "node:worker_threads";
import { addressOf, Ring, SQE_ASYNC } from "io-uring-node";

export interface BusyOptions {
  /** An eventfd for `reads`, a file for `writes`. */
  readonly fd: number;
  readonly memory: SharedArrayBuffer;
  readonly drained: Int32Array;
  /** Reads of the eventfd in flight. */
  readonly reads?: number;
  /** Writes of the whole memory in flight, each repeated for ever. */
  readonly writes?: number;
  /** Throw after this many completions, with others unread. */
  readonly failAfter?: number;
  readonly drainTimeoutMs?: number;
}

const { fd, memory, drained, reads = 0, writes = 0, failAfter, drainTimeoutMs = 10_000 } = workerData as BusyOptions;
const KIND_READ = 1;
const KIND_WRITE = 2;
const KIND_NOP = 3;

const ring = Ring.open({ entries: 64, drained, drainTimeoutMs });
const address = addressOf(new Uint8Array(memory));
const write = (index: number) =>
  ring.setSqeFlags(ring.write(fd, address, memory.byteLength, 0, 0, KIND_WRITE, index), SQE_ASYNC);

for (let at = 0; at < reads; at++) ring.read(fd, address, 8, 0, 0, KIND_READ, at);
for (let at = 0; at < writes; at++) write(at);
ring.enter(0, 0);
parentPort!.postMessage("busy");

let completions = 0;
for (;;) {
  ring.enter(1, -1);
  while (ring.next()) {
    completions++;
    if (ring.kind === KIND_WRITE) {
      assert.equal(ring.result, memory.byteLength);
      write(ring.index);
    }
    if (failAfter !== undefined) {
      if (completions === failAfter) throw new Error(`after ${completions} completions`);
      // Twice as many come as are read before the end.
      for (let at = 0; at < 2; at++) ring.nop(KIND_NOP, at);
    }
  }
}
