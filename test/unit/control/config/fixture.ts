import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Fault } from "../../../../control/config/fault.js";
import { loadConfiguration } from "../../../../control/config/load.js";
import type { Configuration } from "../../../../control/config/schema.js";

/** Writes files under the folder; a name with a slash at its end makes a folder. */
export function writeFiles(folder: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [name, content] of Object.entries(files)) {
    if (name.endsWith("/")) mkdirSync(join(folder, name));
    else writeFileSync(join(folder, name), content, { mode: 0o600 });
  }
}

/** A document with nothing wrong in it but what is put in: whole sections, or lines of the one target. */
export function yaml(
  parts: { groups?: string; target?: string; name?: string; tags?: string; units?: string; more?: string } = {},
): string {
  return [
    `portalGroups: ${parts.groups ?? '[{ tag: 1, portals: ["127.0.0.1:3260"] }]'}`,
    "targets:",
    `  - name: ${parts.name ?? "iqn.2026-11.io.ringlun:vm"}`,
    `    portalGroups: ${parts.tags ?? "[1]"}`,
    ...(parts.target ?? "luns: { 0: vm0 }").split("\n").map((line) => `    ${line}`),
    `units: ${parts.units ?? "{ vm0: { null: true, size: 1GiB } }"}`,
    parts.more ?? "",
  ].join("\n");
}

export const MARK = "<!>";

/** Where the mark stands in the text, and the text without it. */
export function unmark(text: string): { text: string; line: number; column: number } {
  const offset = text.indexOf(MARK);
  assert(offset >= 0 && text.indexOf(MARK, offset + 1) === -1, `one ${MARK} belongs into ${text}`);
  const before = text.slice(0, offset).split("\n");
  return { text: text.replace(MARK, ""), line: before.length, column: (before.at(-1) ?? "").length + 1 };
}

export function loadFaults(folder: string, text: string | Uint8Array): readonly Fault[] {
  writeFiles(folder, { "ringlun.yaml": text });
  const result = loadConfiguration(join(folder, "ringlun.yaml"));
  assert(!result.ok, "the configuration was accepted");
  return result.faults;
}

export function loadSound(folder: string, text: string): { configuration: Configuration; warnings: readonly Fault[] } {
  writeFiles(folder, { "ringlun.yaml": text });
  const result = loadConfiguration(join(folder, "ringlun.yaml"));
  assert(result.ok, JSON.stringify(result));
  return result;
}
