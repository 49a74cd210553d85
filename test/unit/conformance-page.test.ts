/** docs/CONFORMANCE.md names the test of every row: those names must be right, and none of its rows without one but said so. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));
const KINDS = ["unit", "simulation", "fuzz", "interop", "linux"];

/** Cells of the rows below a table's head whose last column is "Tests". */
function rows(): string[][] {
  const found: string[][] = [];
  let isTable = false;
  for (const line of readFileSync(join(ROOT, "docs", "CONFORMANCE.md"), "utf8").split("\n")) {
    const cells = line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim());
    if (cells.length === 0) isTable = false;
    else if (cells.at(-1) === "Tests") isTable = true;
    else if (isTable && !/^-+$/.test(cells[0]!)) found.push(cells);
  }
  return found;
}

function fileOf(name: string): string {
  const folder = KINDS.includes(name.split("/")[0]!) ? "test" : "test/conformance";
  return `${folder}/${name}.test.ts`;
}

test("every test that docs/CONFORMANCE.md names is there", () => {
  const names = rows().flatMap((cells) => Array.from(cells.at(-1)!.matchAll(/`([^`]+)`/g), ([, name]) => name!));
  assert.ok(names.length > 100);
  const missing = names.map(fileOf).filter((file) => !existsSync(join(ROOT, file)));
  assert.deepEqual(missing, []);
});

test("every requirement is met, partly met or not met, and has a test unless it is not", () => {
  for (const cells of rows()) {
    const met = cells.at(-2)!;
    assert.match(met, /^(yes|partly:|no:)/, cells.join(" | "));
    if (!met.startsWith("no:")) assert.match(cells.at(-1)!, /`/, cells.join(" | "));
  }
});
