/** A file that gets all of its blocks before it is used, on a thread of its own: it keeps nobody else waiting. */
import { Worker } from "node:worker_threads";
import type { AllocationMessage, AllocationTask } from "./worker.js";

export type AllocationEnd =
  | { readonly kind: "done" }
  | { readonly kind: "stopped" }
  | { readonly kind: "failed"; readonly reason: string };

const WORKER = new URL("./worker.js", import.meta.url);

export class Allocation {
  /** Resolves when the thread is gone; unless all is done, so is the file. Never rejects. */
  readonly ended: Promise<AllocationEnd>;
  readonly path: string;
  doneBytes = 0;
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));

  constructor(path: string, sizeBytes: number) {
    this.path = path;
    const task: AllocationTask = { path, sizeBytes, stop: this.#stop.buffer };
    // None of the process's own flags: some are for the whole process, and a thread refuses to start with them.
    const worker = new Worker(WORKER, { workerData: task, execArgv: [] });
    let end: AllocationEnd = { kind: "failed", reason: "its thread has ended" };
    worker.on("message", (message: AllocationMessage) => {
      if (message.type === "progress") this.doneBytes = message.doneBytes;
      else end = message.type === "failed" ? { kind: "failed", reason: message.reason } : { kind: message.type };
    });
    worker.on("error", (error) => {
      end = { kind: "failed", reason: error.message };
    });
    this.ended = new Promise((resolve) => worker.on("exit", () => resolve(end)));
  }

  stop(): void {
    Atomics.store(this.#stop, 0, 1);
  }
}
