/** Runs programs of others to their end, bounded in time. */
import { spawn } from "node:child_process";
import { findProgram, type Peer } from "./peers.js";

const TIMEOUT_MS = 60_000;

export interface PeerRun {
  /** null if it was killed. */
  readonly exitCode: number | null;
  readonly isTimedOut: boolean;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface PeerOptions {
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** So that nothing of what it said is lost when it is killed: programs keep what they print to a pipe for themselves. */
  readonly lineBuffered?: boolean;
  /** Ends the program before its time. */
  readonly signal?: AbortSignal;
}

/** Resolves when the program has ended, however it did; killed after timeoutMs. Rejects if it cannot be started. */
export function runPeer(peer: Peer, args: readonly string[], options: PeerOptions = {}): Promise<PeerRun> {
  const program = findProgram(peer);
  if (program === undefined) throw new Error(`${peer} is not installed; run: npm run peers:install`);
  const command = [...(options.lineBuffered ? ["stdbuf", "-oL"] : []), program, ...args];
  const child = spawn(command[0]!, command.slice(1), {
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  let isTimedOut = false;
  const timer = setTimeout(() => {
    isTimedOut = true;
    child.kill("SIGKILL");
  }, options.timeoutMs ?? TIMEOUT_MS);
  options.signal?.addEventListener("abort", () => child.kill("SIGKILL"));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exitCode) => {
      clearTimeout(timer);
      resolve({ exitCode, isTimedOut, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() });
    });
  });
}

/** What the program prints on stdout. Throws, with all that it said, unless it ends in time and with exit code 0. */
export async function peerOutput(peer: Peer, args: readonly string[], options: PeerOptions = {}): Promise<string> {
  const { exitCode, isTimedOut, stdout, stderr } = await runPeer(peer, args, options);
  if (exitCode !== 0) {
    const why = isTimedOut ? "did not end in time" : `ended with ${exitCode}`;
    throw new Error(`${[peer, ...args].join(" ")}: ${why}\n${stdout}${stderr}`);
  }
  return stdout.toString();
}

/** Promise.all, but when one fails the others are waited for all the same: a client whose target is gone tries for ever. */
export async function together<T>(promises: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}
