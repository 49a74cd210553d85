/** Threads: waking them, measuring them, placing them. */
import { orThrow } from "./errno.js";
import { addon } from "./native.js";

/**
 * An eventfd (blocking, O_CLOEXEC): read its eight bytes through a ring; `eventfdSignal` on any thread completes that
 * read.
 * @throws SystemError
 */
export function eventfd(): number {
  return orThrow(addon.eventfd(), "eventfd");
}

/** Adds one to an eventfd. @throws SystemError EBADF */
export function eventfdSignal(fd: number): void {
  orThrow(addon.eventfdSignal(fd), "eventfd write", `fd ${fd}`);
}

/** CPU time that this thread has used, user and system, microseconds. */
export function threadCpuUs(): number {
  return addon.threadCpuUs();
}

/** CLOCK_MONOTONIC in microseconds: the clock of `nowUs`. */
export function monotonicUs(): number {
  return addon.monotonicUs();
}

/** Binds this thread to these CPUs. @throws SystemError EINVAL: none of them is there. */
export function setThreadAffinity(cpus: readonly number[]): void {
  orThrow(addon.setThreadAffinity(Int32Array.from(cpus)), "sched_setaffinity", cpus.join(","));
}

/** The kernel's number of this thread. */
export function threadId(): number {
  return addon.threadId();
}
