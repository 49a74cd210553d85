import assert, { AssertionError } from "node:assert/strict";
import { describe, test } from "node:test";
import { parse } from "yaml";
import { type Steps, YamlStretch, YamlTextError } from "../../../../control/config/yaml-stretch.js";
import { YamlText } from "../../../../control/config/yaml-text.js";
import { readYamlTree } from "../../../../control/config/yaml-tree.js";
import fc from "../../../support/fast-check.js";
import { yamlText } from "./yaml-variants.js";

const FILE = `# whose disks these are

portalGroups: [{ tag: 1, portals: ["127.0.0.1:3260"] }]   # the only one
targets:
  # virtual machines
  - name: iqn.2026-11.io.ringlun:vm
    portalGroups: [ 1 ]
    luns:
      0: a   # system
      1: { unit: b, readOnly: true }

  - { name: "iqn.2026-11.io.ringlun:flow", portalGroups: [1], luns: { 0: a } }
units:
  a:   { file: ./a.img, size: 1MiB } # the first
  # the second
  b:
    file: 'b.img'
    size: 2MiB   # enough

  c: { file: c.img,
       size: 3MiB }
log: {level: info}
`;

function changed(change: (yaml: YamlText) => void, text = FILE): string {
  const yaml = new YamlText(text);
  change(yaml);
  assert.deepEqual(structuredClone(new YamlText(yaml.toString()).get([])), parse(yaml.toString()));
  return yaml.toString();
}

describe("a change leaves the rest of the text as it was", () => {
  const changes: [string, (yaml: YamlText) => void, [string, string]][] = [
    ["a value", (yaml) => yaml.set(["units", "a", "size"], "5GiB"), ["size: 1MiB", "size: 5GiB"]],
    ["a value of a block", (yaml) => yaml.set(["units", "b", "size"], 4096), ["size: 2MiB", "size: 4096"]],
    [
      "a key of a flow mapping",
      (yaml) => yaml.set(["units", "a", "readOnly"], true),
      ["size: 1MiB }", "size: 1MiB, readOnly: true }"],
    ],
    [
      "a key of a block mapping",
      (yaml) => yaml.set(["units", "b", "cache"], "direct"),
      ["# enough\n", "# enough\n    cache: direct\n"],
    ],
    [
      "an entry behind one of several lines",
      (yaml) => yaml.set(["units", "d"], { file: "a b.img", size: 1 }),
      ["size: 3MiB }\n", "size: 3MiB }\n  d: { file: a b.img, size: 1 }\n"],
    ],
    [
      "a LUN",
      (yaml) => yaml.set(["targets", 0, "luns", 2], "c"),
      ["readOnly: true }\n", "readOnly: true }\n      2: c\n"],
    ],
    ["a LUN of a flow mapping", (yaml) => yaml.set(["targets", 1, "luns", 7], "c"), ["{ 0: a }", "{ 0: a, 7: c }"]],
    [
      "a mapping that was not there",
      (yaml) => yaml.set(["targets", 1, "auth", "x"], "y"),
      ["luns: { 0: a } }", "luns: { 0: a }, auth: { x: y } }"],
    ],
    [
      "an entry goes",
      (yaml) => yaml.remove(["units", "a"]),
      ["  a:   { file: ./a.img, size: 1MiB } # the first\n", ""],
    ],
    ["a LUN goes", (yaml) => yaml.remove(["targets", 0, "luns", 0]), ["      0: a   # system\n", ""]],
    [
      "a LUN that is written as text",
      (yaml) => yaml.remove(["targets", 0, "luns", "0"]),
      ["      0: a   # system\n", ""],
    ],
    ["the last LUN goes", (yaml) => yaml.remove(["targets", 1, "luns", 0]), ["luns: { 0: a }", "luns: {}"]],
    [
      "an item goes",
      (yaml) => yaml.remove(["targets", 1]),
      ['  - { name: "iqn.2026-11.io.ringlun:flow", portalGroups: [1], luns: { 0: a } }\n', ""],
    ],
    [
      "an item comes",
      (yaml) => yaml.append(["targets"], { name: "iqn.2026-11.io.ringlun:new", luns: new Map([[0, "a"]]) }),
      ["luns: { 0: a } }\n", "luns: { 0: a } }\n  - { name: iqn.2026-11.io.ringlun:new, luns: { 0: a } }\n"],
    ],
    [
      "an item of a flow list",
      (yaml) => yaml.append(["portalGroups", 0, "portals"], "[::1]:3260"),
      ['"127.0.0.1:3260"]', '"127.0.0.1:3260", "[::1]:3260"]'],
    ],
    ["a key gets another name", (yaml) => yaml.rename(["units", "b"], "5"), ["  b:\n", '  "5":\n']],
    ["a list that was not there", (yaml) => yaml.append(["x"], 1), ["info}\n", "info}\nx: [1]\n"]],
  ];
  for (const [title, change, [from, to]] of changes) {
    test(title, () =>
      assert.equal(
        changed(change),
        FILE.replace(from, () => to),
      ),
    );
  }

  test("a block mapping that loses its last entry is empty", () => {
    assert.equal(
      changed((yaml) => yaml.remove(["units", "a"]), "units:\n  a: { null: true }\nlog: {}\n"),
      "units: {}\nlog: {}\n",
    );
  });

  test("what is empty, or missing, is made", () => {
    for (const text of [
      "units:\nlog: {}\n",
      "units: # none yet\nlog: {}\n",
      "units: {}\nlog: {}\n",
      "log: {}\n",
      "log: {}",
    ]) {
      const next = changed((yaml) => yaml.set(["units", "a", "size"], "1MiB"), text);
      assert.deepEqual(parse(next), { units: { a: { size: "1MiB" } }, log: {} }, text);
      assert.ok(!text.includes("none yet") || next.includes("# none yet"));
    }
  });
});

test("text that cannot be cut keeps its meaning and its comments", () => {
  const odd = `? targets
: - luns: # first
      0: a
    name: x
# the units
units: { a: { size: 1, }, # one
  b: { size: 2 } } # end
`;
  const changes: ((yaml: YamlText) => void)[] = [
    (yaml) => yaml.remove(["targets", 0, "luns"]),
    (yaml) => yaml.remove(["targets", 0, "luns", 0]),
    (yaml) => yaml.set(["units", "a", "cache"], "direct"),
    (yaml) => yaml.set(["units", "c"], { size: 3 }),
    (yaml) => yaml.remove(["units", "a"]),
  ];
  for (const change of changes) {
    const next = changed(change, odd);
    assert.match(next, /# the units/);
    assert.match(next, /# end/);
    assert.notDeepEqual(parse(next), parse(odd));
  }
});

test("what is not there, or stands there by an alias alone, is refused", () => {
  const yaml = new YamlText("units: { a: &disk { size: 1 }, b: *disk }\n");
  assert.throws(() => yaml.set(["units", "b", "size"], 2), YamlTextError);
  assert.throws(() => yaml.remove(["units", "c"]), YamlTextError);
  assert.throws(() => yaml.set(["units", "a", "size", "x"], 2), YamlTextError);
  assert.equal(yaml.get(["units", "c", "size"]), undefined);
  assert.equal(yaml.toString(), "units: { a: &disk { size: 1 }, b: *disk }\n");
});

test("text that YAML would take for something else is put in quotes", () => {
  const values = [
    "true",
    "null",
    "1",
    "0x10",
    "a, b",
    "a: b",
    "#x",
    "- a",
    "",
    "*",
    "&a",
    "{",
    "x # y",
    "iqn.1993-08.org:*",
    "é\u0007",
  ];
  const next = changed((yaml) => yaml.set(["x"], values), "log: {}\n");
  assert.deepEqual(parse(next).x, values);
});

test("lines that are added end as those around them do", () => {
  const add = (yaml: YamlText) => {
    yaml.set(["units", "d"], { file: "d.img" });
    yaml.set(["units", "b", "readOnly"], true);
    yaml.set(["targets", 0, "luns", 2], "c");
    yaml.set(["flow", "y"], 2);
    yaml.remove(["units", "a"]);
  };
  const text = `flow: {\n  x: 1\n}\n${FILE}`;
  const crlf = (one: string) => one.replaceAll("\n", "\r\n");
  assert.equal(changed(add, crlf(text)), crlf(changed(add, text)));
});

test("a block scalar that is replaced takes none of the line breaks behind it along", () => {
  for (const mark of [">+", "|+", "|", ">-"]) {
    const text = `units:\n  a: ${mark}\n      kept\n\n  b: { size: 1 }\ntargets:\n- x: 1\n- y: ${mark}\n    kept\n\nlog: {}\n`;
    assert.deepEqual(parse(changed((yaml) => yaml.set(["units", "a"], "text"), text)).units, {
      a: "text",
      b: { size: 1 },
    });
    const yaml = new YamlText(text);
    yaml.set(["targets", 1], "text");
    assert.deepEqual(parse(yaml.toString()), { ...parse(text), targets: [{ x: 1 }, "text"] });
  }
});

test("a change of a part of the text comes out as it would in the whole", () => {
  const step = fc.oneof(fc.constantFrom("targets", "units", "groups", "log", "x", "new"), fc.nat({ max: 3 }));
  const change = fc.record({
    kind: fc.constantFrom("set", "append", "remove", "rename"),
    /** 0 to 1: which of all the places in the text. */
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    below: fc.array(step, { maxLength: 2 }),
    value: fc.constantFrom<unknown>("text", 7, true, { a: 1, b: ["c"] }, []),
  });
  let changed = 0;
  fc.assert(
    fc.property(yamlText, fc.array(change, { minLength: 1, maxLength: 5 }), (text, changes) => {
      if (readYamlTree(text).faults.length > 0) return;
      let part: YamlText | YamlStretch = new YamlText(text);
      let whole = new YamlStretch(text);
      for (const { kind, at, below, value } of changes) {
        const places = placesOf(readYamlTree(part.toString()).tree?.value);
        const path = [...places[Math.floor(at * places.length)]!, ...below];
        // A list has no keys.
        if (path.some((one, depth) => typeof one === "string" && Array.isArray(part.get(path.slice(0, depth))))) return;
        const make = (yaml: YamlText | YamlStretch): string => {
          try {
            if (kind === "set") yaml.set(path, value);
            else if (kind === "append") yaml.append(path, value);
            else if (kind === "remove") yaml.remove(path);
            else yaml.rename(path, "renamed");
          } catch (error) {
            // A text that an edit has refused is thrown away.
            if (error instanceof YamlTextError || error instanceof AssertionError) return error.message;
            throw error;
          }
          changed++;
          return yaml.toString();
        };
        const outcome = make(part);
        assert.equal(outcome, make(whole), `${kind} ${path.join(".")} in\n${part}`);
        if (outcome !== part.toString() || readYamlTree(outcome).faults.length > 0) return;
        part = new YamlText(outcome);
        whole = new YamlStretch(outcome);
      }
    }),
    { numRuns: 300 },
  );
  assert.ok(changed > 100, `${changed}`);
});

/** The paths of all that is there, the document itself left out. */
function placesOf(value: unknown, path: Steps = []): Steps[] {
  const below =
    typeof value !== "object" || value === null
      ? []
      : Object.entries(value).flatMap(([key, part]) =>
          placesOf(part, [...path, Array.isArray(value) ? Number(key) : key]),
        );
  return path.length === 0 ? [...below, ["log"]] : [path, ...below];
}
