/** What goes over the loopback interface to and from one port, captured by dumpcap and read by tshark. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { peerOutput, runPeer } from "./peer-process.js";
import { findProgram } from "./peers.js";

const TIMEOUT_MS = 20_000;
const POLL_MS = 200;
/** dumpcap's buffer for packets that it has not yet written. */
const BUFFER_MIB = "64";

/** Capturing takes root, or sudo without a password; undefined where neither is to be had. */
function dumpcapCommand(): string[] | undefined {
  const dumpcap = findProgram("dumpcap");
  if (dumpcap === undefined) return undefined;
  if (process.geteuid!() === 0) return [dumpcap];
  return spawnSync("sudo", ["-n", "true"]).status === 0 ? ["sudo", "-n", dumpcap] : undefined;
}

/** As skipWithout, for tests that capture. */
export function skipWithoutCapture(): string | false {
  if (process.env.CI === "true" || dumpcapCommand() !== undefined) return false;
  return "capturing takes dumpcap (run: npm run peers:install) and root, or sudo without a password";
}

export class PacketCapture {
  readonly #path: string;
  readonly #port: number;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #output = "";

  private constructor(path: string, port: number, command: readonly string[]) {
    this.#path = path;
    this.#port = port;
    const args = ["-q", "-i", "lo", "-f", `tcp port ${port}`, "-B", BUFFER_MIB, "-w", path];
    this.#child = spawn(command[0]!, [...command.slice(1), ...args], { stdio: ["ignore", "ignore", "pipe"] });
    this.#closed = once(this.#child, "close");
    this.#child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      this.#output += text;
    });
  }

  /** Resolves when packets are being captured into the new file `path`. */
  static async start(path: string, port: number): Promise<PacketCapture> {
    const command = dumpcapCommand();
    if (command === undefined) throw new Error("dumpcap is not installed, or may not capture");
    const capture = new PacketCapture(path, port, command);
    await capture.#until(() => /^File: /m.test(capture.#output), "dumpcap did not start");
    return capture;
  }

  async #until(check: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const deadline = performance.now() + TIMEOUT_MS;
    while (!(await check())) {
      if (this.#child.exitCode !== null || performance.now() > deadline) throw new Error(`${what}:\n${this.#output}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  /** Ends the capture when there is a packet in it that matches the filter. Throws if packets were lost. */
  async stop(filter: string): Promise<void> {
    // The file grows meanwhile: tshark may complain of its last packet.
    const args = this.#arguments(["-Y", filter, "-T", "fields", "-e", "frame.number"]);
    const seen = async (): Promise<boolean> => (await runPeer("tshark", args)).stdout.length > 0;
    await this.#until(seen, `no packet that matches ${filter}`);
    await this.end();
    const dropped = /Packets received\/dropped on interface.*: \d+\/(\d+)/.exec(this.#output);
    if (dropped === null || dropped[1] !== "0") throw new Error(`packets were lost:\n${this.#output}`);
  }

  /** Ends the capture, wherever it stands. */
  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGINT");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), TIMEOUT_MS);
    await this.#closed;
    clearTimeout(timer);
  }

  /** What tshark prints with these arguments, the port taken for iSCSI. */
  async tshark(...args: string[]): Promise<string> {
    return peerOutput("tshark", this.#arguments(args));
  }

  /** The values of a field, one line for each packet that matches the filter and has the field. */
  async fields(filter: string, field: string): Promise<string[]> {
    // In two passes: only the second knows of a segment in which PDU it ends up.
    return (await this.tshark("-2", "-Y", filter, "-T", "fields", "-e", field)).split("\n").filter(Boolean);
  }

  #arguments(args: readonly string[]): string[] {
    // Two cores may hand segments to the loopback interface in another order than they were sent in.
    const inOrder = ["-o", "tcp.reassemble_out_of_order:TRUE"];
    return ["-n", "-r", this.#path, "-d", `tcp.port==${this.#port},iscsi`, ...inOrder, ...args];
  }
}
