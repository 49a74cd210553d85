/** From a file to a configuration, or to all that is wrong with it, each with its line. The door to this folder. */
import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { resolve } from "node:path";
import type { Fault } from "./fault.js";
import { type Finding, formatPath } from "./findings.js";
import { systemReason } from "./named-files.js";
import { parseConfiguration, placesOf } from "./parse.js";
import type { Configuration } from "./schema.js";
import { YamlReader } from "./yaml-reader.js";
import { readYamlTree, type TreeFault, type YamlTree } from "./yaml-tree.js";

const FILE_LENGTH_MAX_BYTES = 16 * 2 ** 20;

export type LoadResult =
  | {
      readonly ok: true;
      readonly configuration: Configuration;
      readonly warnings: readonly Fault[];
      /** Of the text: another one, another digest. */
      readonly digest: string;
    }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/**
 * Reads and checks a configuration file and the files that it names. All of its faults are found at once, in order.
 *
 * @param reader that may know an earlier text of the file.
 */
export function loadConfiguration(path: string, reader = new YamlReader()): LoadResult {
  const file = resolve(path);
  let read: { bytes: Buffer; mode: number };
  try {
    read = readBounded(file);
  } catch (error) {
    return refuse(`cannot be read: ${systemReason(error)}`, 1);
  }
  return checkConfiguration(read.bytes, { file, mode: read.mode }, reader);
}

/** Checks the bytes of a configuration file, which it may be or become, and the files that they name. */
export function checkConfiguration(
  bytes: Uint8Array,
  { file, mode }: { readonly file: string; readonly mode: number },
  reader: YamlReader,
): LoadResult {
  if (bytes.length > FILE_LENGTH_MAX_BYTES) {
    return refuse(`is larger than ${FILE_LENGTH_MAX_BYTES} bytes: that is no configuration`, 1);
  }
  if (!isUtf8(bytes)) return refuse("is not UTF-8 text", lineThatIsNotUtf8(bytes));

  const { tree, faults } = reader.read(Buffer.from(bytes).toString());
  if (tree === null) return { ok: false, faults: faults.map(placeTreeFault).sort(byPlace) };
  const result = parseConfiguration(tree.value, { file, mode, keyIsText: (keyPath) => tree.keyIsText(keyPath) });
  if (result.ok && faults.length === 0) {
    const warnings = result.warnings.map((warning) => place(warning, tree)).sort(byPlace);
    return { ok: true, configuration: result.configuration, warnings, digest: digestOf(bytes) };
  }
  const found = result.ok ? [] : result.faults.map((fault) => place(fault, tree));
  return { ok: false, faults: [...faults.map(placeTreeFault), ...found].sort(byPlace) };
}

/**
 * Where the program that serves the file listens: what it serves may be an earlier text, while this one has faults. As far as the file
 * says where.
 *
 * @throws SystemError where it cannot be read
 */
export function apiSocketOf(path: string): string {
  const file = resolve(path);
  const { bytes } = readBounded(file);
  const document = mappingOf(readYamlTree(bytes.toString()).tree?.value);
  return placesOf(
    { file },
    { stateDir: textOf(document.stateDir), api: { socket: textOf(mappingOf(document.api).socket) } },
  ).socket;
}

export function mappingOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** All of the file, or one byte more than is allowed. */
function readBounded(file: string): { bytes: Buffer; mode: number } {
  const descriptor = openSync(file, "r");
  try {
    const chunks: Buffer[] = [];
    let left = FILE_LENGTH_MAX_BYTES + 1;
    while (left > 0) {
      const chunk = Buffer.alloc(Math.min(left, 65_536));
      const length = readSync(descriptor, chunk);
      if (length === 0) break;
      chunks.push(chunk.subarray(0, length));
      left -= length;
    }
    return { bytes: Buffer.concat(chunks), mode: fstatSync(descriptor).mode & 0o777 };
  } finally {
    closeSync(descriptor);
  }
}

/** A line break is never part of another character: the first line that is not UTF-8 by itself holds the fault. */
function lineThatIsNotUtf8(bytes: Uint8Array): number {
  let line = 1;
  for (let start = 0; start < bytes.length; line++) {
    const end = bytes.indexOf(0x0a, start);
    if (end === -1 || !isUtf8(bytes.subarray(start, end))) break;
    start = end + 1;
  }
  return line;
}

function refuse(message: string, line: number): LoadResult {
  return { ok: false, faults: [{ path: "", line, column: 1, message }] };
}

function place({ path, message, of }: Finding, tree: YamlTree): Fault {
  return { path: formatPath(path), ...tree.position(path, of), message };
}

function placeTreeFault({ path, line, column, message }: TreeFault): Fault {
  return { path: formatPath(path), line, column, message };
}

function byPlace(a: Fault, b: Fault): number {
  return a.line - b.line || a.column - b.column || (a.path < b.path ? -1 : Number(a.path > b.path));
}
