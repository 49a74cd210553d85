/** The work of one operation, on a thread of its own: it keeps neither the main thread nor libuv's few threads from others. */
import { Worker } from "node:worker_threads";
import type { Job } from "./job.js";
import type { Position } from "./work.js";
import type { WorkerMessage, WorkerTask } from "./worker.js";

export type WorkEnd =
  /** All is done, and durable. */
  | { readonly kind: "done" }
  /** As asked for, at the position that was reported last. */
  | { readonly kind: "stopped" }
  | { readonly kind: "failed"; readonly reason: string };

const WORKER = new URL("./worker.js", import.meta.url);

export class BackgroundWork {
  /** Resolves when the thread is gone: from then on nothing of the work touches the unit. Never rejects. */
  readonly ended: Promise<WorkEnd>;
  readonly #stop = new Int32Array(new SharedArrayBuffer(4));

  constructor(job: Job, onPosition: (position: Position, isDurable: boolean) => void) {
    const task: WorkerTask = { job, stop: this.#stop.buffer };
    // None of the process's own flags: some are for the whole process, and a thread refuses to start with them.
    const worker = new Worker(WORKER, { workerData: task, execArgv: [] });
    let end: WorkEnd = { kind: "failed", reason: "its thread has ended" };
    worker.on("message", (message: WorkerMessage) => {
      switch (message.type) {
        case "position":
          onPosition(message.position, message.isDurable);
          break;
        case "failed":
          end = { kind: "failed", reason: message.reason };
          break;
        default:
          end = { kind: message.type };
      }
    });
    worker.on("error", (error) => {
      end = { kind: "failed", reason: error.message };
    });
    this.ended = new Promise((resolve) => worker.on("exit", () => resolve(end)));
  }

  /** Has it end soon. */
  stop(): void {
    Atomics.store(this.#stop, 0, 1);
    Atomics.notify(this.#stop, 0);
  }
}
