/** CPU time of processes, user and system apart. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

export interface CpuTime {
  readonly userUs: number;
  readonly systemUs: number;
}

let tickUs: number | undefined;

/** The unit of /proc/PID/stat. */
function clockTickUs(): number {
  tickUs ??= 1e6 / Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
  return tickUs;
}

/**
 * Of a process with all its threads, ended ones and the kernel's io_uring workers included; undefined if there is no such process. Ticks of
 * 10 ms: measure for seconds. The kernel splits an exact sum into user and system by samples.
 */
export function cpuTimeOf(pid: number): CpuTime | undefined {
  return cpuTimeAt(`/proc/${pid}/stat`);
}

/** Of a process's first thread alone. */
export function mainThreadCpuTimeOf(pid: number): CpuTime | undefined {
  return cpuTimeAt(`/proc/${pid}/task/${pid}/stat`);
}

/** Milliseconds for which a process's first thread has run so far: exact, and not split (proc(5), schedstat). */
export function mainThreadMs(pid: number): number {
  return threadMs(pid, pid);
}

/** The same of all threads that there are now. */
export function processMs(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.reduce((sum, thread) => sum + threadMs(pid, thread), 0);
}

function threadMs(pid: number, thread: number | string): number {
  return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ", 1)[0]) / 1e6;
}

function cpuTimeAt(path: string): CpuTime | undefined {
  let stat: string;
  try {
    stat = readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
  return parseStat(stat, clockTickUs());
}

/** proc(5): the second field is the name in parentheses, which may hold anything; utime and stime are fields 14 and 15. */
export function parseStat(stat: string, unitUs: number): CpuTime {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { userUs: Number(fields[11]) * unitUs, systemUs: Number(fields[12]) * unitUs };
}

export function ownCpuTime(): CpuTime {
  const { user, system } = process.cpuUsage();
  return { userUs: user, systemUs: system };
}

export function elapsedCpuTime(from: CpuTime, to: CpuTime): CpuTime {
  return { userUs: to.userUs - from.userUs, systemUs: to.systemUs - from.systemUs };
}
