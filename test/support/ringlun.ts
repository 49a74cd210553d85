/** The command line as people use it: runs `ringlun` beside the target of a test. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../control/main.js", import.meta.url));

export interface CommandOutcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command that goes on until it is told to end. */
export class RunningCommand {
  readonly child: ChildProcess;
  readonly ended: Promise<CommandOutcome>;

  constructor(...args: string[]) {
    const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    const output = { stdout: "", stderr: "" };
    child.stdout.setEncoding("latin1").on("data", (text: string) => {
      output.stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output.stderr += text;
    });
    this.ended = new Promise((resolve) => child.once("close", (code) => resolve({ code, ...output })));
  }

  /** As Ctrl-C does. */
  interrupt(): Promise<CommandOutcome> {
    this.child.kill("SIGINT");
    return this.ended;
  }
}

/** Runs a command to its end. */
export function ringlun(...args: string[]): Promise<CommandOutcome> {
  return new RunningCommand(...args).ended;
}
