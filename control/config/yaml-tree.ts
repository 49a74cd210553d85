/** YAML to plain data, with the place of everything in it. */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from "yaml";
import type { Path } from "./findings.js";

/** Values in a document, those that aliases repeat included: bounds what a few nested aliases can grow to. */
export const VALUES_MAX = 200_000;
const DEPTH_MAX = 64;
/** Faults of the syntax that are told. There are as many as a text that is no YAML has lines, or more. */
const FAULTS_MAX = 100;

/** In the place of messages of the parser that say too little to the author of a file. */
const REASONS: { readonly [code: string]: string } = {
  MULTIPLE_DOCS: "has a second document: remove it, or the line that separates it",
  RESOURCE_EXHAUSTION: "is nested too deeply to be read",
};

export interface Position {
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 units. */
  readonly column: number;
}

export interface TreeFault extends Position {
  readonly path: Path;
  readonly message: string;
}

/** A node of the document with the places of its key and its value, as offsets into the text. */
export interface Branch {
  /** What its offsets, and those below it, are counted from: an offset itself, counted from what those around it are. */
  readonly origin: number;
  keyOffset: number;
  valueOffset: number;
  /** Whether the key is text, quoted or not, and not a number, a boolean or null. */
  keyIsText: boolean;
  readonly children: Map<string | number, Branch>;
}

export interface YamlTree {
  /** Plain data: null, booleans, numbers, strings, arrays, and objects without a prototype. */
  readonly value: unknown;
  /** Where the value at `path` stands, or its key; where there is none, the nearest that encloses it. */
  position(path: Path, of: "key" | "value"): Position;
  keyIsText(path: Path): boolean;
}

export interface TreeResult {
  /** Null where the text could not be made sense of. */
  readonly tree: YamlTree | null;
  readonly faults: readonly TreeFault[];
}

/**
 * Reads one YAML 1.2 document and remembers where everything in it stands. A mapping's key is the text it was written
 * as, so that 0x10 is not 16 and 00 is not 0.
 */
export function readYamlTree(text: string): TreeResult {
  const place = placesIn(text);
  const document = parseYaml(text);
  const notes = [...document.errors, ...document.warnings];
  if (notes.length > 0) {
    // One a place: what the parser says next of the same place follows from the first.
    const faults = new Map<number, TreeFault>();
    for (const { code, pos, message } of notes) {
      if (faults.size === FAULTS_MAX) break;
      if (faults.has(pos[0])) continue;
      const reason = REASONS[code] ?? `is not valid YAML: ${message}`;
      faults.set(pos[0], { ...place(pos[0]), path: [], message: reason });
    }
    return { tree: null, faults: [...faults.values()] };
  }
  const reader = new TreeReader(place);
  const root = newBranch(0, true);
  const value = reader.read(document.contents, [], root);
  return { tree: reader.broken ? null : treeOf(value, root, place), faults: reader.faults };
}

export function parseYaml(text: string): Document.Parsed {
  return parseDocument(text, {
    logLevel: "error",
    prettyErrors: false,
    resolveKnownTags: false,
    schema: "core",
    uniqueKeys: false,
  });
}

/** Where the lines begin is found out when the first place is asked for. */
export function placesIn(text: string): (offset: number) => Position {
  let lines: LineCounter | undefined;
  return (offset) => {
    lines ??= linesOf(text);
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
}

function linesOf(text: string): LineCounter {
  const lines = new LineCounter();
  for (let start = 0; ; ) {
    lines.addNewLine(start);
    start = text.indexOf("\n", start) + 1;
    if (start === 0) return lines;
  }
}

export function newBranch(keyOffset: number, keyIsText: boolean): Branch {
  return { origin: 0, keyOffset, valueOffset: keyOffset, keyIsText, children: new Map() };
}

export function treeOf(value: unknown, root: Branch, place: (offset: number) => Position): YamlTree {
  return {
    value,
    position(path, of) {
      let branch = root;
      let { origin } = root;
      for (const [depth, step] of path.entries()) {
        const child = branch.children.get(step);
        if (child === undefined) return place(depth === 0 ? 0 : origin + branch.valueOffset);
        branch = child;
        origin += child.origin;
      }
      return place(origin + (of === "key" ? branch.keyOffset : branch.valueOffset));
    },
    keyIsText(path) {
      let branch: Branch | undefined = root;
      for (const step of path) branch = branch?.children.get(step);
      return branch?.keyIsText ?? true;
    },
  };
}

export class TreeReader {
  readonly faults: TreeFault[] = [];
  /** Part of the document has no meaning: nothing further can be said of the rest. */
  broken = false;
  readonly #place: (offset: number) => Position;
  /** What each anchor stands for at this point of the document. */
  readonly #anchors = new Map<string, Node>();
  readonly #expanding = new Set<string>();
  #values = 0;

  constructor(place: (offset: number) => Position) {
    this.#place = place;
  }

  /** Something in what was read stands for what another part of the document may say. */
  get hasAnchors(): boolean {
    return this.#anchors.size > 0;
  }

  read(node: Node | null, path: Path, branch: Branch): unknown {
    if (node === null) return null;
    const offset = node.range?.[0] ?? branch.valueOffset;
    if (++this.#values > VALUES_MAX) {
      // Once is enough: the reading ends here and everywhere above.
      if (this.#values === VALUES_MAX + 1)
        this.#break(offset, path, `has more than ${VALUES_MAX} values, aliases included`);
      return null;
    }
    if (path.length > DEPTH_MAX) return this.#break(offset, path, `is nested deeper than ${DEPTH_MAX} levels`);
    if (isAlias(node)) return this.#readAlias(node.source, offset, path, branch);
    if ("anchor" in node && node.anchor && this.#expanding.size === 0) this.#anchors.set(node.anchor, node);
    // An empty value has no place of its own that means anything: its key has.
    branch.valueOffset = isScalar(node) && node.source === "" && node.value === null ? branch.keyOffset : offset;
    if (isMap(node)) return this.#readMap(node.items as Pair<Node | null, Node | null>[], path, branch);
    if (isSeq(node)) return this.#readSequence(node.items as (Node | null)[], path, branch);
    if (isScalar(node) && (node.value === null || ["string", "number", "boolean"].includes(typeof node.value))) {
      return node.value;
    }
    return this.#break(offset, path, "is of a type that has no place in a configuration: remove the tag");
  }

  #readAlias(name: string, offset: number, path: Path, branch: Branch): unknown {
    const node = this.#anchors.get(name);
    if (node === undefined)
      return this.#break(offset, path, `refers to the anchor &${name}, which nothing before it has`);
    if (this.#expanding.has(name)) return this.#break(offset, path, `refers to the anchor &${name} from within it`);
    this.#expanding.add(name);
    const value = this.read(node, path, branch);
    this.#expanding.delete(name);
    return value;
  }

  #readSequence(items: readonly (Node | null)[], path: Path, branch: Branch): unknown[] {
    return items.map((item, index) => {
      const child = this.#grow(branch, index, item?.range?.[0] ?? branch.valueOffset, true);
      return this.read(item, [...path, index], child);
    });
  }

  #readMap(pairs: readonly Pair<Node | null, Node | null>[], path: Path, branch: Branch): Record<string, unknown> {
    const result: Record<string, unknown> = Object.create(null);
    for (const { key, value } of pairs) {
      const offset = key?.range?.[0] ?? value?.range?.[0] ?? branch.valueOffset;
      if (!isScalar(key) || key.range === null) {
        this.#break(offset, path, "has a key that is not plain text");
        continue;
      }
      const text = typeof key.value === "string" ? key.value : (key.source ?? "");
      const keyPath = [...path, text];
      if (text === "" && key.value === null) this.#break(offset, path, "has a colon without a key before it");
      else if (text === "__proto__") this.#break(offset, keyPath, "is not allowed as a key or a name: take another");
      else if (Object.hasOwn(result, text)) {
        const first = this.#place(branch.children.get(text)?.keyOffset ?? 0);
        this.#report(offset, keyPath, `is there twice, first in line ${first.line}: remove one`);
      } else {
        const child = this.#grow(branch, text, offset, typeof key.value === "string");
        result[text] = this.read(value, keyPath, child);
      }
    }
    return result;
  }

  #grow(branch: Branch, step: string | number, keyOffset: number, keyIsText: boolean): Branch {
    const child = newBranch(keyOffset, keyIsText);
    branch.children.set(step, child);
    return child;
  }

  #report(offset: number, path: Path, message: string): void {
    this.faults.push({ ...this.#place(offset), path, message });
  }

  #break(offset: number, path: Path, message: string): null {
    this.broken = true;
    this.#report(offset, path, message);
    return null;
  }
}
