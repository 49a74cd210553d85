/** One thread of a process stands still, as one that hangs would, while the others go on. */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { temporaryFolder } from "./undo.js";

/** A thread that is traced and stopped goes on when its tracer ends. */
const SOURCE = `
#include <cstdio>
#include <cstdlib>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int, char** argv) {
  const pid_t thread = atoi(argv[1]);
  if (ptrace(PTRACE_SEIZE, thread, 0, 0) != 0 || ptrace(PTRACE_INTERRUPT, thread, 0, 0) != 0) return 100;
  if (waitpid(thread, nullptr, __WALL) != thread) return 101;
  puts("stopped");
  fflush(stdout);
  pause();
}
`;

/** Threads of the process that wait for completions of a ring: its idle shards. None where the kernel does not tell. */
export function idleShards(pid: number): number[] {
  const waitsInRing = (thread: string) => /cqring_wait/.test(readFileSync(`/proc/${pid}/task/${thread}/wchan`, "utf8"));
  return readdirSync(`/proc/${pid}/task`).filter(waitsInRing).map(Number);
}

/** Resolves when the thread stands still, with what lets it go on; undefined: this process may not trace others. */
export async function stopThread(context: TestContext, thread: number): Promise<(() => Promise<void>) | undefined> {
  const folder = temporaryFolder(context);
  const program = join(folder, "stop");
  writeFileSync(`${program}.cc`, SOURCE);
  const [compiler, ...flags] = (process.env.CXX || "c++").split(" ");
  execFileSync(compiler!, [...flags, "-o", program, `${program}.cc`]);
  const tracer = spawn(program, [String(thread)], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(tracer, "exit");
  const goOn = async () => {
    tracer.kill("SIGKILL");
    await ended;
  };
  context.after(goOn);
  const hasStopped = await Promise.race([once(tracer.stdout, "data").then(() => true), ended.then(() => false)]);
  return hasStopped ? goOn : undefined;
}
