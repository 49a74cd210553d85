/** The thread that allocates one file (allocation.ts starts it). It may wait for a file system as long as that takes. */
import { closeSync, constants, fsyncSync, openSync, unlinkSync, writeSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { errnoMessage, errnoName, fallocateSync } from "io-uring-node";

/** What it is started with. */
export interface AllocationTask {
  /** Of a file that is not there. */
  readonly path: string;
  readonly sizeBytes: number;
  /** Int32 [0]: other than 0 once it is to stop. */
  readonly stop: SharedArrayBuffer;
}

/** What it says. Its last word is one of the last three. Unless that is `done`, the file is gone. */
export type AllocationMessage =
  | { readonly type: "progress"; readonly doneBytes: number }
  | { readonly type: "done" }
  | { readonly type: "stopped" }
  | { readonly type: "failed"; readonly reason: string };

const FILE_MODE = 0o600;
/** Between two looks whether to go on. */
const STEP_BYTES = 64 * 2 ** 20;
const ZEROES = new Uint8Array(2 ** 20);
/** Where the file system allocates only what is written. */
const UNSUPPORTED = new Set(["EOPNOTSUPP", "ENOSYS", "EINVAL"]);

function say(message: AllocationMessage): void {
  parentPort!.postMessage(message);
}

/** @returns whether all of it is allocated; false: it was to stop. */
function allocate(fd: number, { sizeBytes, stop }: AllocationTask): boolean {
  const flag = new Int32Array(stop);
  for (let done = 0; done < sizeBytes; ) {
    if (Atomics.load(flag, 0) !== 0) return false;
    const length = Math.min(STEP_BYTES, sizeBytes - done);
    const result = fallocateSync(fd, 0, done, length);
    if (result < 0) {
      if (!UNSUPPORTED.has(errnoName(-result))) throw new Error(errnoMessage(result));
      for (let written = 0; written < length; ) {
        written += writeSync(fd, ZEROES, 0, Math.min(ZEROES.length, length - written), done + written);
      }
    }
    done += length;
    say({ type: "progress", doneBytes: done });
  }
  fsyncSync(fd);
  return true;
}

const task = workerData as AllocationTask;
try {
  const fd = openSync(task.path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY, FILE_MODE);
  let isDone = false;
  try {
    isDone = allocate(fd, task);
  } finally {
    closeSync(fd);
    if (!isDone) unlinkSync(task.path);
  }
  say({ type: isDone ? "done" : "stopped" });
} catch (error) {
  say({ type: "failed", reason: (error as Error).message });
}
