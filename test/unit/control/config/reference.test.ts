import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { referenceTable } from "../../../../control/config/reference.js";
import { temporaryFolder } from "../../../support/undo.js";
import { loadSound, writeFiles } from "./fixture.js";

const BEGIN = "<!-- keys: made from control/config/schema.ts -->\n";
const END = "\n<!-- end of keys -->";

/** A page of the repository that this file was compiled in. */
function readPage(name = "docs/CONFIGURATION.md"): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, name))) {
    assert.notEqual(folder, dirname(folder), `${name} is not in any folder above the test`);
    folder = dirname(folder);
  }
  return readFileSync(join(folder, name), "utf8");
}

test("the table of keys in docs/CONFIGURATION.md is that of the schema", () => {
  const page = readPage();
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END, begin);
  assert.ok(begin >= 0 && end >= 0, "the marks around the table are gone");
  const table = referenceTable();
  assert.equal(page.slice(begin + BEGIN.length, end), table, `put this table between the marks:\n\n${table}\n`);
});

test("every key is in the table, once", () => {
  const keys = [...referenceTable().matchAll(/^\| `([^`]+)` \| [^|]+ \| [^|]* \| [^|]+ \|$/gm)].map(([, key]) => key);
  assert.equal(new Set(keys).size, keys.length);
  assert.equal(referenceTable().split("\n").length, keys.length + 2);
  for (const key of [
    "portalGroups[].portals",
    "targets[].session.dataPDUInOrder",
    "units.*.null",
    "http.listen",
    "stateDir",
  ]) {
    assert.ok(keys.includes(key), key);
  }
});

test("the example in docs/CONFIGURATION.md has no fault", (t) => {
  const example = /```yaml\n(.*?)```/s.exec(readPage())?.[1];
  assert(example !== undefined);
  const { configuration, warnings } = loadSound(temporaryFolder(t), example);
  assert.deepEqual(warnings, []);
  assert.equal(configuration.targets[0]?.initiators?.[0]?.luns.length, 2);
});

test("the example in README.md has no fault", (t) => {
  const example = /```yaml\n(.*?)```/s.exec(readPage("README.md"))?.[1];
  assert(example !== undefined);
  const folder = temporaryFolder(t);
  writeFiles(folder, { "alice.secret": "0123456789abcdef\n", "install.iso": new Uint8Array(2048) });
  const { configuration, warnings } = loadSound(folder, example);
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    configuration.units.map(({ name, readOnly }) => [name, readOnly]),
    [
      ["vm0", false],
      ["iso", true],
    ],
  );
});
