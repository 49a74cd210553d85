/** Texts of configurations as people may write them, and what may become of one while it is edited: often something with faults. */
import fc from "../../../support/fast-check.js";

/** Mostly one of the first, at times one of what makes trouble. */
function mostly(usual: fc.Arbitrary<string>, ...odd: string[]): fc.Arbitrary<string> {
  return fc.oneof({ weight: 200, arbitrary: usual }, { weight: 1, arbitrary: fc.constantFrom(...odd) });
}

const ODD_NAMES = ["0x10", "null", "?x", "-y", "? z", "&n n", "{ k: 1 }", "same", "same", "[f]", '"two\n  lines"'];
const name = mostly(
  fc.oneof(
    fc.string({ unit: fc.constantFrom(..."abcdefghijklmnop"), minLength: 4, maxLength: 6 }),
    fc.string({ unit: fc.constantFrom(..."0123456789"), minLength: 5, maxLength: 6 }).map((it) => `1${it}`),
    fc.string({ unit: fc.constantFrom(..."abcd "), minLength: 6, maxLength: 8 }).map((it) => `"${it}"`),
  ),
  ...ODD_NAMES,
);
const comment = mostly(fc.constantFrom("", "", " # said", "   #"), "#close", " \t# tab");
const between = mostly(
  fc.constantFrom("", "", "\n", "# alone\n", "      # far in\n", "  \n", "# - a: x\n"),
  "\t\n",
  "...\n",
  "x\n",
);

const ODD_VALUES = [
  "&anchor x",
  "*anchor",
  "!!str 5",
  "!odd 5",
  "x: y",
  "- z",
  "{",
  '"open',
  "@",
  "{ x: *anchor }",
  "{ x: &anchor 1 }",
];
const value = mostly(
  fc.constantFrom(
    ...[
      "1GiB",
      "true",
      "~",
      "",
      "'it''s'",
      '"two\\nlines"',
      "plain, text",
      "0x10",
      "over\n      lines",
      "'over\n      b: lines'",
    ],
    ...["{ x: 1, y: [a, b] }", "[1,\n      2]", "{ x: 1,\n      y: { z: 2 } }", "[]", "{}", '"over\n      - a: lines"'],
    ...["|\n      text\n      # no comment\n\n", ">+\n      kept\n\n\n", "|-\n       less"],
  ),
  ...ODD_VALUES,
  '"over\n  - a: lines"',
  "'over\n  b: lines'",
);

const line = (indent: string, key: string, it: string, said: string): string => {
  // A comment behind what is of several lines is part of it.
  return `${indent}${key}: ${it}${it.includes("\n") ? "" : said}\n`;
};
const pairsAt = (indent: string) =>
  fc
    .uniqueArray(fc.tuple(name, value, comment, between), { maxLength: 4, selector: ([key]) => key })
    .map((entries) => entries.map(([key, it, said, after]) => line(indent, key, it, said) + after).join(""));

const mapping = fc
  .tuple(
    mostly(fc.constantFrom("  ", "    "), ""),
    fc.uniqueArray(
      fc.tuple(
        name,
        fc.oneof(
          value,
          pairsAt("      ").map((it) => `\n${it}`),
        ),
        comment,
        between,
      ),
      {
        maxLength: 6,
        selector: ([key]) => key,
      },
    ),
  )
  .map(([indent, entries]) => entries.map(([key, it, said, after]) => line(indent, key, it, said) + after).join(""));

const list = fc
  .tuple(
    fc.constantFrom("", "  ", "    "),
    fc.array(fc.tuple(name, value, pairsAt(""), comment, between), { maxLength: 6 }),
  )
  .map(([indent, items]) =>
    items
      .map(([key, it, more, said, after]) => {
        const lines = more.split("\n").map((each) => (each === "" ? "" : `${indent}  ${each}`));
        return line(indent, `- ${key}`, it, said) + lines.join("\n") + after;
      })
      .join(""),
  );

const section = fc
  .tuple(
    comment,
    between,
    fc.oneof(
      { weight: 3, arbitrary: list.map((it) => `\n${it}`) },
      { weight: 3, arbitrary: mapping.map((it) => `\n${it}`) },
      { weight: 1, arbitrary: value.map((it) => ` ${it}\n`) },
    ),
    between,
  )
  .map(([said, before, it, after]) => `:${it.startsWith("\n") ? `${said}\n${before}${it.slice(1)}` : it}${after}`);

/** A text with some of the sections `targets`, `units`, `groups` and `log`. */
export const yamlText: fc.Arbitrary<string> = fc
  .tuple(
    between,
    fc.array(section, { minLength: 4, maxLength: 4 }),
    fc.shuffledSubarray(["targets", "units", "groups", "log"], { minLength: 1 }),
    mostly(fc.constant(""), "---\n", "...\n", "%YAML 1.2\n", "null: 1\n", "units: {}\n", "? odd\n"),
  )
  .map(([head, sections, keys, tail]) => head + keys.map((key, i) => key + sections[i]).join("") + tail);

/** What is done to a text in one place. */
export interface Slip {
  /** 0 to 1: how far into the text, or into its lines. */
  readonly at: number;
  readonly kind: "insert" | "delete" | "line away" | "line twice" | "lines swapped" | "deeper" | "shallower";
  readonly text: string;
}

export const slip: fc.Arbitrary<Slip> = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  kind: fc.constantFrom("insert", "delete", "line away", "line twice", "lines swapped", "deeper", "shallower"),
  text: fc.constantFrom("x", " ", "\n", ":", "- ", "#", '"', "'", "{", "]", "&a ", "*a", "\t", "\r", "? ", "é"),
});

export function slipped(text: string, { at, kind, text: inserted }: Slip): string {
  const offset = Math.floor(at * (text.length + 1));
  const lines = text.split("\n");
  const index = Math.floor(at * lines.length);
  switch (kind) {
    case "insert":
      return text.slice(0, offset) + inserted + text.slice(offset);
    case "delete":
      return text.slice(0, offset) + text.slice(offset + 1);
    case "line away":
      return lines.toSpliced(index, 1).join("\n");
    case "line twice":
      return lines.toSpliced(index, 0, lines[index]!).join("\n");
    case "lines swapped":
      return lines.toSpliced(index, 2, ...lines.slice(index, index + 2).reverse()).join("\n");
    case "deeper":
      return lines.with(index, `  ${lines[index]}`).join("\n");
    case "shallower":
      return lines.with(index, lines[index]!.replace(/^ {1,2}/, "")).join("\n");
  }
}
