/** The thread that works on files (file-thread.ts starts it), one job after the other. It may wait for a file system as long as that takes. */
import { parentPort } from "node:worker_threads";
import { JOBS, type JobName } from "./jobs.js";

export interface JobMessage {
  readonly id: number;
  readonly name: JobName;
  readonly args: readonly unknown[];
}

export type JobAnswer =
  | { readonly id: number; readonly ok: true; readonly result: unknown }
  | { readonly id: number; readonly ok: false; readonly name: string; readonly message: string };

parentPort!.on("message", ({ id, name, args }: JobMessage) => {
  let answer: JobAnswer;
  try {
    answer = { id, ok: true, result: (JOBS[name] as (...them: readonly unknown[]) => unknown)(...args) };
  } catch (error) {
    const { name: kind, message } = error as Error;
    answer = { id, ok: false, name: kind, message };
  }
  parentPort!.postMessage(answer);
});
