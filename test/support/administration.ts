/** Asks a target that runs, as its administrators do: over HTTP, and with the command line. */
import { spawn } from "node:child_process";
import { type IncomingMessage, request } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../control/main.js", import.meta.url));

export interface Asked {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** The UNIX socket beside a configuration file. */
export function socketOf(configPath: string): string {
  return join(`${configPath}.state`, "api.sock");
}

/** `place`: a UNIX socket, or a TCP port of this machine. */
export async function ask(
  { method = "GET", path, headers = {}, body }: Asked,
  place: string | number,
  // biome-ignore lint/suspicious/noExplicitAny: JSON, in tests that say what they expect of it
): Promise<{ readonly status: number | undefined; readonly document: any }> {
  const at = typeof place === "number" ? { host: "127.0.0.1", port: place } : { socketPath: place };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ ...at, method, path, headers: { connection: "close", ...headers } }, resolve)
      .on("error", reject)
      .end(body);
  });
  let text = "";
  for await (const part of response.setEncoding("utf8")) text += part;
  return { status: response.statusCode, document: JSON.parse(text) };
}

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `ringlun ARGS --config configPath` */
export function ringlun(configPath: string, ...args: string[]): Promise<CommandResult> {
  return command(...args, "--config", configPath);
}

/** `ringlun ARGS` */
export async function command(...args: string[]): Promise<CommandResult> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text) => (output.stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text) => (output.stderr += text));
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, ...output })));
}
