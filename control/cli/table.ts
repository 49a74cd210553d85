/** Tables and numbers for people. */
import { printable } from "../printable.js";

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  /** Numbers stand at the right. */
  readonly right?: boolean;
}

/** One line a row, under a line of titles; without rows the titles alone. */
export function table<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = rows.map((row) => columns.map(({ value }) => printable(value(row))));
  const widths = columns.map(({ title }, i) => Math.max(title.length, ...cells.map((line) => line[i]!.length)));
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, i) => (columns[i]!.right ? text.padStart(widths[i]!) : text.padEnd(widths[i]!)))
      .join("  ")
      .trimEnd();
  return `${[line(columns.map(({ title }) => title)), ...cells.map(line)].join("\n")}\n`;
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
