/** The program's log. */
import { fstatSync } from "node:fs";
import { type DestinationStream, destination, type Logger, pino } from "pino";
import { LOG_UNWRITTEN_BYTES_MAX } from "./limits.js";
import { LogBudget } from "./log-budget.js";
import { printable } from "./printable.js";

export type { Logger } from "pino";

const STANDARD_ERROR = 2;

/**
 * The program's log: JSON lines on standard error, one-liners for people where that is a terminal, and with their priority
 * where it is systemd's journal. Standard output stays free for `ready`. Secrets cannot come in by way of the configuration (config/secret.ts holds them privately); the
 * redaction below is for the case that somebody logs a key by the name it has in the file.
 */
export function createLogger(level: string, stream = standardError()): Logger {
  const budget = new LogBudget((message, lines) => logger.warn({ of: message, lines }, "lines left out"));
  const logger = pino(
    {
      level,
      base: null,
      timestamp: true,
      redact: { paths: ["secret", "*.secret", "*.*.secret"], censor: "(secret)" },
      hooks: {
        logMethod(args, method) {
          const [first, second] = args as [unknown, unknown];
          const message = typeof first === "string" ? first : String(second);
          if (budget.admits(message, peerOf(first) ?? peerOf(this.bindings()))) method.apply(this, args);
        },
      },
    },
    stream,
  );
  return logger;
}

/** The address that a line is about, without the port. */
function peerOf(fields: unknown): string | undefined {
  const { peer } = typeof fields === "object" && fields !== null ? (fields as { peer?: unknown }) : {};
  return typeof peer === "string" ? peer.replace(/:\d+$/, "") : undefined;
}

function standardError(): DestinationStream {
  const lines = destination({ dest: STANDARD_ERROR, sync: true, maxLength: LOG_UNWRITTEN_BYTES_MAX });
  // A disk that is full, for instance: the target goes on, and what does not fit in the meantime is lost.
  lines.on("error", () => {});
  return process.stderr.isTTY ? readableStream() : isJournal() ? withPriority(lines) : lines;
}

/** $JOURNAL_STREAM names the device and inode of the journal's socket (systemd.exec(5)); standard error may have been led elsewhere. */
function isJournal(): boolean {
  const { dev, ino } = fstatSync(STANDARD_ERROR);
  return process.env.JOURNAL_STREAM === `${dev}:${ino}`;
}

/** By pino's levels: LOG_CRIT, LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG (sd-daemon(3)). */
const PRIORITIES: Readonly<Record<string, number>> = { 60: 2, 50: 3, 40: 4, 30: 6, 20: 7, 10: 7 };

/** `journalctl --priority=warning` finds what is one. */
function withPriority(lines: DestinationStream): DestinationStream {
  return {
    write(line: string): void {
      const level = /^\{"level":(\d+)/.exec(line)?.[1] ?? "";
      lines.write(`<${PRIORITIES[level] ?? 6}>${line}`);
    },
  };
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
