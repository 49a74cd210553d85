import assert from "node:assert/strict";
import { test } from "node:test";
import { YamlReader } from "../../../../control/config/yaml-reader.js";
import { readYamlTree, type TreeResult } from "../../../../control/config/yaml-tree.js";
import fc from "../../../support/fast-check.js";
import { slip, slipped, yamlText } from "./yaml-variants.js";

/** All that can be asked of it, as plain data. */
function told({ tree, faults }: TreeResult): unknown {
  if (tree === null) return { faults };
  const places: unknown[] = [];
  const walk = (value: unknown, path: (string | number)[]): void => {
    places.push([path, tree.position(path, "key"), tree.position(path, "value"), tree.keyIsText(path)]);
    places.push(tree.position([...path, "missing"], "value"));
    if (Array.isArray(value)) for (const [i, item] of value.entries()) walk(item, [...path, i]);
    else if (typeof value === "object" && value !== null) {
      for (const [key, part] of Object.entries(value)) walk(part, [...path, key]);
    }
  };
  walk(tree.value, []);
  return { faults, value: tree.value, places };
}

test("a text is read as it would be if the reader had not read others before", () => {
  let inPieces = 0;
  let reads = 0;
  const check = (reader: YamlReader, text: string): void => {
    const read = reader.read(text);
    assert.deepEqual(told(read), told(readYamlTree(text)));
    reads++;
    if (read.blocks !== null) inPieces++;
  };
  fc.assert(
    fc.property(yamlText, yamlText, fc.array(slip, { maxLength: 3 }), (text, other, slips) => {
      const reader = new YamlReader();
      check(reader, text);
      // Each slip alone, and all that were made so far.
      let all = text;
      for (const one of slips) {
        check(reader, slipped(text, one));
        all = slipped(all, one);
        check(reader, all);
      }
      check(reader, text + other);
      check(reader, other);
    }),
    { numRuns: 200 },
  );
  // Where they never could be told apart, nothing would have been tested.
  assert.ok(inPieces > reads / 4, `${inPieces} of ${reads}`);
});

test("what is written as it was is the same object, and is not read again", () => {
  const reader = new YamlReader();
  const targets = Array.from({ length: 5 }, (_, i) => `  - name: t${i}\n    luns: { 0: u${i} } # disk\n`);
  const text = (items: readonly string[], units: string) =>
    `log: { level: warn }\ntargets:\n${items.join("")}units:\n${units}`;
  const units = "  u0: { size: 1 }\n  # the second\n  u1:\n    size: 2\n";
  const meaning = (it: string) =>
    reader.read(it).tree?.value as { targets: object[]; units: Record<string, object>; log: object };
  const before = meaning(text(targets, units));
  const after = meaning(text(targets.toSpliced(1, 1, "  - name: new\n"), units.replace("size: 2", "size: 3")));
  assert.deepEqual(
    after.targets.map((target, i) => target === before.targets[i]),
    [true, false, true, true, true],
  );
  assert.equal(after.units.u0, before.units.u0);
  assert.notEqual(after.units.u1, before.units.u1);
  assert.equal(after.log, before.log);
});

test("what a piece says by way of another one is not taken from the one that was there before", () => {
  const reader = new YamlReader();
  for (const size of ["1GiB", "2GiB", "1GiB"]) {
    const text = `units:\n  a: &disk { size: ${size} }\n  b: *disk\n  c: { size: 3GiB }\n`;
    assert.deepEqual(told(reader.read(text)), told(readYamlTree(text)));
  }
});
