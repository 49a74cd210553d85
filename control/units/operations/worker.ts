/** The thread that does the work of one operation (background-work.ts starts it). It may wait for a medium as long as that takes. */
import { parentPort, workerData } from "node:worker_threads";
import { doWork, type Job } from "./job.js";
import type { Position } from "./work.js";

/** What it is started with. */
export interface WorkerTask {
  readonly job: Job;
  /** Int32 [0]: other than 0 once it is to stop. */
  readonly stop: SharedArrayBuffer;
}

/** What it says. Its last word is one of the last three. */
export type WorkerMessage =
  | { readonly type: "position"; readonly position: Position; readonly isDurable: boolean }
  | { readonly type: "done" }
  | { readonly type: "stopped" }
  | { readonly type: "failed"; readonly reason: string };

function say(message: WorkerMessage): void {
  parentPort!.postMessage(message);
}

const { job, stop } = workerData as WorkerTask;
const flag = new Int32Array(stop);
try {
  const isDone = doWork(job, {
    nowMs: () => performance.now(),
    isStopped: () => Atomics.load(flag, 0) !== 0,
    pause: (ms) => Atomics.wait(flag, 0, 0, ms),
    report: (position, isDurable) => say({ type: "position", position, isDurable }),
  });
  say({ type: isDone ? "done" : "stopped" });
} catch (error) {
  say({ type: "failed", reason: (error as Error).message });
}
