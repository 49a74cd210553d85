/** In the place of control/files/worker.ts: to open a unit named "hangs" hangs, until a file `release` is beside the unit's. */
import { existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parentPort } from "node:worker_threads";
import type { FileUnitConfiguration } from "../../../../control/config/schema.js";
import { JOBS } from "../../../../control/files/jobs.js";
import type { JobAnswer, JobMessage } from "../../../../control/files/worker.js";

const POLL_MS = 5;

parentPort!.on("message", ({ id, name, args }: JobMessage) => {
  const [unit] = args as [Partial<FileUnitConfiguration>];
  const hangs = name === "open" && unit.name === "hangs";
  const folder = hangs ? dirname(unit.path!) : "";
  if (hangs) {
    writeFileSync(join(folder, "begun"), "begun");
    while (!existsSync(join(folder, "release"))) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, POLL_MS);
  }
  const answer: JobAnswer = { id, ok: true, result: (JOBS[name] as (...them: readonly unknown[]) => unknown)(...args) };
  parentPort!.postMessage(answer);
  if (hangs) writeFileSync(join(folder, "answered"), "");
});
