/** What a result depends on beside the code: printed with every bench. */
import { execFileSync } from "node:child_process";
import { cpus, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";

export interface Environment {
  readonly machine: string;
  readonly kernel: string;
  readonly node: string;
  /** Abbreviated, with "+" behind it where the work tree differs; "unknown" outside of a repository. */
  readonly commit: string;
  readonly date: string;
}

function git(...args: string[]): string {
  const cwd = fileURLToPath(new URL(".", import.meta.url));
  return execFileSync("git", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
}

function commit(): string {
  try {
    return git("rev-parse", "--short=12", "HEAD") + (git("status", "--porcelain") === "" ? "" : "+");
  } catch {
    return "unknown";
  }
}

export function environment(): Environment {
  const processors = cpus();
  return {
    machine: `${processors.length} x ${processors[0]?.model.trim() ?? "unknown processor"}, ${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: release(),
    node: process.version,
    commit: commit(),
    date: new Date().toISOString(),
  };
}

export function formatEnvironment({ machine, kernel, node, commit, date }: Environment): string {
  return `${machine}; Linux ${kernel}; Node ${node}; commit ${commit}; ${date}`;
}
