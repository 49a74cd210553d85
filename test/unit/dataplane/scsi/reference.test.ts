import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { commandTable } from "../../../../dataplane/scsi/reference.js";
import { COMMANDS } from "../../../../dataplane/scsi/table.js";

const PAGE = "docs/SCSI.md";
const BEGIN = "<!-- commands: made from dataplane/scsi/table.ts -->\n";
const END = "\n<!-- end of commands -->";

/** Of the repository that this file was compiled in. */
function readPage(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, PAGE))) {
    assert.notEqual(folder, dirname(folder), `${PAGE} is not in any folder above the test`);
    folder = dirname(folder);
  }
  return readFileSync(join(folder, PAGE), "utf8");
}

test("the table of commands in docs/SCSI.md is that of the program", () => {
  const page = readPage();
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END, begin);
  assert.ok(begin >= 0 && end >= 0, "the marks around the table are gone");
  const table = commandTable();
  assert.equal(page.slice(begin + BEGIN.length, end), table, `put this table between the marks:\n\n${table}\n`);
});

test("rows say what holds for their commands", () => {
  const rows = commandTable().split("\n");
  assert.equal(rows.length, COMMANDS.length + 2);
  for (const row of [
    "| 00 | TEST UNIT READY | `00 00 00 00 00 00` | R | needs |  | shard |",
    "| 12 | INQUIRY | `12 01 ff ff ff 00` |  |  | unit attention, no unit, standby, unavailable, transition | shard, control |",
    "| 15 | MODE SELECT(6) | `15 11 00 00 ff 00` | WE EA R |  | standby | control |",
    "| 2a | WRITE(10) | `2a 1a ff ff ff ff 3f ff ff 00` | WE EA R | writes |  | shard |",
    "| 5f/01 | PERSISTENT RESERVE OUT, RESERVE | `5f 01 ff 00 00 ff ff ff ff 00` | by its rules |  | standby | control |",
    "| 9e/12 | GET LBA STATUS | `9e 12 ff ff ff ff ff ff ff ff ff ff ff ff 17 00` | EA R | needs |  | control |",
  ]) {
    assert.ok(rows.includes(row), row);
  }
});
