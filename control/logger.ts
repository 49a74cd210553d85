/** The program's log. */
import { type DestinationStream, destination, type Logger, pino } from "pino";

import { printable } from "./printable.js";

export type { Logger } from "pino";

/**
 * The program's log: JSON lines on standard error, one-liners for people where that is a terminal. Standard output stays
 * free for `ready`. Secrets cannot come in by way of the configuration (config/secret.ts holds them privately); the
 * redaction below is for the case that somebody logs a key by the name it has in the file.
 */
export function createLogger(level: string): Logger {
  const stream = process.stderr.isTTY ? readableStream() : destination({ dest: 2, sync: true });
  return pino(
    { level, base: null, timestamp: true, redact: { paths: ["secret", "*.secret", "*.*.secret"], censor: "(secret)" } },
    stream,
  );
}

/** Turns pino's JSON lines into `12:34:56.789 warn  message key=value`. */
function readableStream(): DestinationStream {
  // A terminal that was closed: what would be said to it is lost, and the end still clean.
  process.stderr.on("error", () => {});
  return {
    write(line: string): void {
      process.stderr.write(`${formatLine(line)}\n`);
    },
  };
}

/** One JSON line of pino's as a line for people; what is not such a line is passed through. */
export function formatLine(line: string): string {
  let record: Record<string, unknown>;
  try {
    record = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line.trimEnd();
  }
  const { level, time, msg, err, ...fields } = record;
  const clock = typeof time === "number" ? new Date(time).toISOString().slice(11, 23) : "";
  const label = pino.levels.labels[Number(level)] ?? String(level);
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${formatValue(value)}`);
  const cause = (err as { stack?: string } | undefined)?.stack;
  const text = printable(`${label.padEnd(5)} ${String(msg ?? "")}${rest.join("")}`);
  // What an error says may have come from anywhere; its lines are its own.
  const trace = cause === undefined ? [] : cause.split("\n").map(printable);
  return [`${clock} ${text}`, ...trace].join("\n");
}

function formatValue(value: unknown): string {
  return typeof value === "string" && /^[\w.:/[\]-]+$/.test(value) ? value : JSON.stringify(value);
}
