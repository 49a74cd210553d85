/** What is wrong with a configuration file, as people are told. */
import { printable } from "../printable.js";

/** One thing that is wrong with, or doubtful in, a configuration file. */
export interface Fault {
  /** `targets[0].luns.0`; empty for the file as a whole. */
  readonly path: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** What is wrong and what to do, to be read after the path. Never shows a secret. */
  readonly message: string;
}

/** `file:line:column: path: message`, one a line. */
export function formatFaults(file: string, faults: readonly Fault[]): string {
  return faults
    .map(({ path, line, column, message }) => `${file}:${line}:${column}: ${path === "" ? "" : `${path}: `}${message}`)
    .map(printable)
    .join("\n");
}
