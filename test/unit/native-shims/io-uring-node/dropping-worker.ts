/** A thread that has dropped rings with operations in flight, and is blocked before the collector's word could reach them. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parentPort, workerData } from "node:worker_threads";
import { addressOf, Ring } from "io-uring-node";

export interface DroppingOptions {
  /** An eventfd. */
  readonly fd: number;
  readonly memory: SharedArrayBuffer;
  /** One word per ring. */
  readonly drained: Int32Array;
}

const { fd, memory, drained } = workerData as DroppingOptions;
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const address = addressOf(new Uint8Array(memory));

for (let at = 0; at < drained.length; at++) {
  const ring = Ring.open({ entries: 4, drained: drained.subarray(at, at + 1) });
  ring.registerBufferRing(1, 4);
  ring.read(fd, address, 8, 0, 0, 1, 0);
  ring.enter(0, 0);
}
collect();
parentPort!.postMessage("dropped");
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
