/** `ringlun capture`: the PDUs of a program that serves, as a pcapng file or for `tshark -r -`. */
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { resolve } from "node:path";
import type { Command } from "commander";
import { blocksOf } from "../capture/block-stream.js";
import { BLOCK_ENHANCED_PACKET, droppedOf } from "../capture/pcapng.js";
import { systemReason } from "../config/named-files.js";
import { CAPTURE_TIME_MAX_S, CAPTURE_TIME_MIN_S } from "../limits.js";
import { client, type GlobalOptions, run, show } from "./asking.js";
import { CaptureFiles } from "./capture-files.js";
import { type Client, ClientError } from "./client.js";
import { bytes, seconds, wholeNumber } from "./typed-values.js";

const PATH = "/api/v1/capture";

interface CaptureOptions extends GlobalOptions {
  readonly session?: number;
  readonly unit?: string;
  readonly headers?: boolean;
  readonly out?: string;
  readonly seconds?: number;
  readonly maxSize?: number;
  readonly files?: number;
}

export function addCaptureCommand(program: Command): void {
  client(program, "capture", "the PDUs of a session, a unit or everything from now on, as pcapng, until Ctrl-C")
    .option("--session <id>", "only this session, by its ID as `ringlun sessions` shows it", wholeNumber)
    .option("--unit <name>", "only commands and task management for this unit")
    .option("--headers", "without the data of reads, writes and pings")
    .option("-o, --out <file>", "where to (default: standard output, for tshark -r -)")
    .option("--seconds <number>", "end after so long", seconds(CAPTURE_TIME_MIN_S, CAPTURE_TIME_MAX_S))
    .option("--max-size <size>", "end before it is longer, as 100MiB; with --files, begin the next file", bytes)
    .option("--files <count>", "keep the last so many files of --max-size each: FILE-00001.pcapng ...", wholeNumber)
    .action(run(capture));
}

/** What there was. */
interface Outcome {
  packets: number;
  /** PDUs that were left out, because this could not keep up. */
  dropped: number;
}

async function capture(asker: Client, options: CaptureOptions): Promise<void> {
  const { out, files: filesMax, maxSize } = options;
  const invalid = (message: string) => new ClientError(message, 400);
  if (filesMax !== undefined && (maxSize === undefined || out === undefined)) {
    throw invalid("--files goes with --out and --max-size");
  }
  if (out === undefined && process.stdout.isTTY) {
    throw invalid("a capture is no text: give --out FILE, or pipe it: ringlun capture | tshark -r -");
  }
  const events = await asker.stream(pathOf(options));
  const release = endOnSignal(asker, events);
  const outcome: Outcome = { packets: 0, dropped: 0 };
  try {
    if (out === undefined) {
      await copyOut(events, outcome);
      process.stderr.write(textOf(outcome));
    } else {
      const paths = await save(events, out, options, outcome);
      show(options, { ...outcome, files: paths }, textOf);
    }
  } finally {
    release();
    events.destroy();
  }
}

function pathOf({ session, unit, headers, seconds, maxSize, files }: CaptureOptions): string {
  const query = new URLSearchParams({ data: headers === true ? "headers" : "whole" });
  if (session !== undefined) query.set("session", String(session));
  if (unit !== undefined) query.set("unit", unit);
  if (seconds !== undefined) query.set("seconds", String(seconds));
  if (maxSize !== undefined && files === undefined) query.set("maxBytes", String(maxSize));
  return `${PATH}?${query}`;
}

/** The first signal asks for the end, so that the file is whole; the second one goes without. */
function endOnSignal(asker: Client, events: IncomingMessage): () => void {
  let isAsked = false;
  const end = () => {
    if (isAsked) events.destroy();
    else asker.ask(PATH, { method: "DELETE" }).catch(() => events.destroy());
    isAsked = true;
  };
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, end);
  return () => {
    for (const signal of ["SIGINT", "SIGTERM"]) process.off(signal, end);
  };
}

async function* counted(events: IncomingMessage, outcome: Outcome): AsyncGenerator<Buffer> {
  try {
    for await (const block of blocksOf(events)) {
      if (block.readUInt32LE(0) === BLOCK_ENHANCED_PACKET) outcome.packets++;
      outcome.dropped += droppedOf(block) ?? 0;
      yield block;
    }
  } catch (error) {
    // The program has ended, or we have: what was written is good.
    if ((error as NodeJS.ErrnoException).code !== "ECONNRESET" && !events.destroyed) throw error;
  }
}

/** Until the end, or until nobody reads it any more. */
async function copyOut(events: IncomingMessage, outcome: Outcome): Promise<void> {
  const { stdout } = process;
  const closed = new AbortController();
  events.once("close", () => closed.abort());
  stdout.on("error", () => events.destroy());
  for await (const block of counted(events, outcome)) {
    // Whoever reads may go meanwhile: then the error's listener closes the other end.
    if (!stdout.write(block)) await once(stdout, "drain", closed).catch(() => {});
  }
}

async function save(
  events: IncomingMessage,
  out: string,
  { maxSize, files: filesMax }: CaptureOptions,
  outcome: Outcome,
): Promise<string[]> {
  const path = resolve(out);
  const bytesMax = filesMax === undefined ? null : (maxSize ?? null);
  const files = writing(path, () => new CaptureFiles({ path, bytesMax, filesMax: filesMax ?? 1 }));
  for await (const block of counted(events, outcome)) writing(path, () => files.write(block));
  files.close();
  return files.paths;
}

function writing<T>(path: string, step: () => T): T {
  try {
    return step();
  } catch (error) {
    throw new ClientError(`${path} cannot be written: ${systemReason(error)}`);
  }
}

function textOf({ packets, dropped }: Outcome): string {
  const lost = dropped === 0 ? "" : `, and ${dropped} PDUs left out: they were not read in time`;
  return `${packets} packets captured${lost}\n`;
}
