import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, type Column, duration, table } from "../../../../control/cli/table.js";
import { printable } from "../../../../control/printable.js";

test("columns are as wide as what is in them; numbers stand at the right", () => {
  const columns: readonly Column<{ name: string; n: number }>[] = [
    { title: "NAME", value: ({ name }) => name },
    { title: "N", value: ({ n }) => String(n), right: true },
    { title: "X", value: () => "" },
  ];
  const rows = [
    { name: "a", n: 5 },
    { name: "longer", n: 12345 },
  ];
  assert.equal(table(rows, columns), "NAME        N  X\na           5\nlonger  12345\n");
  assert.equal(table([], columns), "NAME  N  X\n");
});

test("what has no room in a line goes on in the next", () => {
  const columns: readonly Column<string[]>[] = ["AAA", "BBB", "CCC", "DDD"].map((title, i) => ({
    title,
    value: (row) => row[i]!,
    right: i === 3,
  }));
  const rows = [["a", "b", "a long one", "4"]];
  assert.equal(table(rows, columns, 25), "AAA  BBB  CCC         DDD\na    b    a long one    4\n");
  assert.equal(table(rows, columns, 24), "AAA  BBB  CCC\n  DDD\na    b    a long one\n    4\n");
  // Where there is no room for anything each has a line.
  assert.equal(table(rows, columns, 3), "AAA\n  BBB\n  CCC\n  DDD\na\n  b\n  a long one\n    4\n");
});

test("nothing in a name moves the cursor", () => {
  assert.equal(printable("a\x1b[2Jb\nc\u202e"), "a\\u001b[2Jb\\u000ac\\u202e");
});

test("bytes and seconds in units for people", () => {
  assert.deepEqual([0, 1023, 1024, 1536, 2 ** 40, 2 ** 60].map(bytes), [
    "0 B",
    "1023 B",
    "1 KiB",
    "1.5 KiB",
    "1 TiB",
    "1024 PiB",
  ]);
  assert.deepEqual([undefined, 0.00012, 0.0015, 2.5].map(duration), ["-", "120 us", "1.5 ms", "2.50 s"]);
});
