/** Tables and numbers for people. */
import { printable } from "../printable.js";
import { lineLengthMax } from "./screen.js";

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  /** Numbers stand at the right. */
  readonly right?: boolean;
}

/**
 * One line a row, under a line of titles; without rows the titles alone. What has no room in a line goes on in the next one,
 * titles like rows.
 */
export function table<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  lengthMax: number = lineLengthMax(),
): string {
  const cells = rows.map((row) => columns.map(({ value }) => printable(value(row))));
  const widths = columns.map(({ title }, i) => Math.max(title.length, ...cells.map((line) => line[i]!.length)));
  const breaks = lineBreaks(widths, lengthMax);
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, i) => (columns[i]!.right ? text.padStart(widths[i]!) : text.padEnd(widths[i]!)))
      .map((text, i) => (i === 0 ? "" : breaks.has(i) ? `\n${GAP}` : GAP) + text)
      .join("")
      .replace(/ +$/gm, "");
  return `${[line(columns.map(({ title }) => title)), ...cells.map(line)].join("\n")}\n`;
}

const GAP = "  ";

/** The columns that begin a line, the first one aside. Lines after the first are set in. */
function lineBreaks(widths: readonly number[], lengthMax: number): ReadonlySet<number> {
  const breaks = new Set<number>();
  let length = 0;
  for (const [i, width] of widths.entries()) {
    if (i > 0 && length + GAP.length + width > lengthMax) {
      breaks.add(i);
      length = 0;
    }
    length += (i === 0 ? 0 : GAP.length) + width;
  }
  return breaks;
}

const BINARY_UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** `1536` -> `1.5 KiB` */
export function bytes(count: number): string {
  let unit = 0;
  while (count >= 1024 && unit < BINARY_UNITS.length - 1) {
    count /= 1024;
    unit++;
  }
  return `${unit === 0 || Number.isInteger(count) ? count.toFixed(0) : count.toFixed(1)} ${BINARY_UNITS[unit]}`;
}

/** Of seconds: `0.00012` -> `120 us` */
export function duration(seconds: number | undefined): string {
  if (seconds === undefined) return "-";
  if (seconds < 0.001) return `${(seconds * 1e6).toFixed(0)} us`;
  return seconds < 1 ? `${(seconds * 1e3).toFixed(1)} ms` : `${seconds.toFixed(2)} s`;
}
