/**
 * Reads a YAML text again and again, as it is changed a little each time: pieces that are written as they were the last time are
 * not read anew, and what they mean is the very same object as then. The outcome is that of `readYamlTree`, which is asked
 * wherever the text is written so that its pieces cannot be read by themselves, or has a fault.
 */
import { isCollection, isPair, type Node } from "yaml";
import type { Path } from "./findings.js";
import { cut, type Kind, type Piece, type Section } from "./yaml-pieces.js";
import {
  type Branch,
  newBranch,
  parseYaml,
  placesIn,
  readYamlTree,
  TreeReader,
  type TreeResult,
  treeOf,
  VALUES_MAX,
} from "./yaml-tree.js";

/** A section of the text whose entries are pieces. */
export interface Block {
  readonly kind: Kind;
  readonly pieces: readonly Piece[];
  /** Of a mapping, as they are written. */
  readonly keys: readonly string[];
}

export interface ReadText extends TreeResult {
  /** By the sections' keys; null where the text was read as a whole. */
  readonly blocks: ReadonlyMap<string, Block> | null;
}

/** What a piece means. */
interface Part {
  /** Of a mapping's entry; an item of a list has none that would stay. */
  readonly key: string | number;
  readonly value: unknown;
  readonly branch: Branch;
  /** What the branch's offsets are counted from, seen from the beginning of the piece. */
  readonly origin: number;
  /** How many values that is. */
  readonly values: number;
}

export class YamlReader {
  /** The pieces of the last text, by what is written there. */
  #known: ReadonlyMap<string, Part> = new Map();

  read(text: string): ReadText {
    const sections = cut(text);
    const reading = new Reading(text, this.#known);
    const root = sections && reading.read(sections);
    if (root === null || root.values > VALUES_MAX) return { ...readYamlTree(text), blocks: null };
    this.#known = reading.parts;
    return { tree: treeOf(root.value, root.branch, placesIn(text)), faults: [], blocks: reading.blocks };
  }
}

/** Of one text. What it returns is null where the pieces are not what they seemed. */
class Reading {
  readonly parts = new Map<string, Part>();
  readonly blocks = new Map<string, Block>();
  readonly #text: string;
  readonly #known: ReadonlyMap<string, Part>;

  constructor(text: string, known: ReadonlyMap<string, Part>) {
    this.#text = text;
    this.#known = known;
  }

  read(sections: readonly Section[]): Omit<Part, "key" | "origin"> | null {
    const whole = this.#partsOf(
      sections.filter(({ entries }) => entries === null),
      [],
    );
    if (whole === null) return null;
    let next = 0;
    const parts: Part[] = [];
    for (const section of sections) {
      const part = section.entries === null ? whole[next++]! : this.#readBlock(section, section.entries);
      if (part === null) return null;
      parts.push(part);
    }
    return join("mapping", sections, parts, 0, sections[0]!.start);
  }

  #readBlock({ start }: Section, { key, kind, offset, pieces }: NonNullable<Section["entries"]>): Part | null {
    const parts = this.#partsOf(pieces, [key]);
    if (parts === null) return null;
    const joined = join(kind, pieces, parts, start, offset - start);
    if (joined === null) return null;
    this.blocks.set(key, { kind, pieces, keys: kind === "list" ? [] : parts.map((part) => String(part.key)) });
    return { key, ...joined, origin: 0 };
  }

  /** @param path of the collection that they are entries of. */
  #partsOf(pieces: readonly Piece[], path: Path): Part[] | null {
    const texts = pieces.map(({ start, end }) => this.#text.slice(start, end));
    const parts: Part[] = [];
    for (let i = 0; i < pieces.length; ) {
      const known = this.#known.get(texts[i]!);
      if (known !== undefined) {
        parts.push(known);
        i++;
        continue;
      }
      // What is new is read in one go with those behind it that are new, too.
      let end = i + 1;
      while (end < pieces.length && pieces[end]!.start === pieces[end - 1]!.end && !this.#known.has(texts[end]!)) end++;
      const run = this.#readRun(pieces.slice(i, end), path);
      if (run === null) return null;
      for (const part of run) parts.push(part);
      i = end;
    }
    for (const [i, part] of parts.entries()) this.parts.set(texts[i]!, part);
    return parts;
  }

  #readRun(pieces: readonly Piece[], path: Path): Part[] | null {
    const start = pieces[0]!.start;
    const text = this.#text.slice(start, pieces.at(-1)!.end);
    const { errors, warnings, contents } = parseYaml(text);
    if (errors.length > 0 || warnings.length > 0 || !isCollection(contents)) return null;
    const items = contents.items as readonly unknown[];
    const isCut = items.length === pieces.length && items.every((item, i) => isWithin(item, pieces[i]!, start));
    if (!isCut) return null;
    const reader = new TreeReader(placesIn(text));
    const root = newBranch(0, true);
    const value = reader.read(contents, path, root) as Readonly<Record<string | number, unknown>>;
    // An alias means what another piece may say.
    if (reader.faults.length > 0 || reader.hasAnchors) return null;
    return [...root.children].map(([key, branch], i) => ({
      key,
      value: value[key],
      branch,
      origin: start - pieces[i]!.start,
      values: valuesOf(branch),
    }));
  }
}

/** @param origin what the piece's offsets are counted from. */
function isWithin(item: unknown, { start, end }: Piece, origin: number): boolean {
  const [first, last] = isPair(item) ? [item.key, item.value ?? item.key] : [item, item];
  const [from, to] = [(first as Node | null)?.range, (last as Node | null)?.range];
  return from != null && to != null && start <= origin + from[0] && origin + to[1] <= end;
}

/** The collection whose entries these are, with its offsets, and those of its pieces, counted from `origin`. */
function join(
  kind: Kind,
  pieces: readonly Piece[],
  parts: readonly Part[],
  origin: number,
  valueOffset: number,
): Omit<Part, "key" | "origin"> | null {
  const branch = { ...newBranch(0, true), valueOffset };
  const value: Record<string | number, unknown> = kind === "list" ? ([] as never) : Object.create(null);
  let values = 1;
  for (const [i, part] of parts.entries()) {
    const key = kind === "list" ? i : part.key;
    // There twice.
    if (branch.children.has(key)) return null;
    branch.children.set(key, { ...part.branch, origin: pieces[i]!.start + part.origin - origin });
    value[key] = part.value;
    values += part.values;
  }
  return { value, branch, values };
}

function valuesOf({ children }: Branch): number {
  let count = 1;
  for (const child of children.values()) count += valuesOf(child);
  return count;
}
