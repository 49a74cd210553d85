/** The load generator in a process of its own, as benches want it that measure something beside it. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { LoadResult } from "./load.js";

const LOAD = fileURLToPath(new URL("load.js", import.meta.url));

const children = new Set<ChildProcess>();

/** `args`: options of load.js, after the URL. @throws Error with what the load generator complains of */
export async function runLoad(url: string, args: readonly string[]): Promise<LoadResult> {
  const child = spawn(process.execPath, [LOAD, url, "--json", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  children.add(child);
  let output = "";
  let complaint = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (complaint += text));
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  }).finally(() => children.delete(child));
  if (exitCode !== 0) throw new Error(complaint.trim() || `the load generator ended with ${exitCode}`);
  return JSON.parse(output) as LoadResult;
}

/** Ends at once what still runs. */
export function killAllLoads(): void {
  for (const child of children) child.kill("SIGKILL");
  children.clear();
}
