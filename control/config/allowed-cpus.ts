/** Which CPUs this process may run on: those of the machine, as far as taskset, a container or systemd leave them to it. */
import { readFileSync } from "node:fs";

const STATUS = "/proc/self/status";

/** As the kernel writes it, `0-3,8`; undefined where it does not say. */
export function readAllowedCpus(): string | undefined {
  try {
    return /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync(STATUS, "latin1"))?.[1];
  } catch {
    return undefined;
  }
}

export function isAmong(cpu: number, list: string): boolean {
  return list.split(",").some((range) => {
    const [first, last = first] = range.split("-").map(Number);
    return first !== undefined && last !== undefined && first <= cpu && cpu <= last;
  });
}
