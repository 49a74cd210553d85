/**
 * Small changes to a stretch of YAML, or all of it, that leave the rest as people have written it: comments, order, quotes, line breaks. What is
 * changed is cut out and put in where it stands; the outcome is read again and compared with what was meant. Where it is not that
 * (the text is written in a way that this does not know), the whole text is written anew from its tree, which keeps the comments too.
 */
import assert from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  type Node,
  parseDocument,
} from "yaml";

/** Keys of mappings and indices of lists. A key is the text it is written as. */
export type Steps = readonly (string | number)[];

/** The text cannot be changed where that was wanted. */
export class YamlTextError extends Error {
  override readonly name = "YamlTextError";
}

type Collection = Extract<Node, { items: unknown[] }>;

/** What an entry of a collection takes in the text, its dash or key included. */
interface Span {
  readonly start: number;
  readonly end: number;
}

export class YamlStretch {
  #text: string;
  /** It was written anew, all of it. */
  isRewritten = false;
  #document!: Document.Parsed;

  /** @param text has no fault that a reader would find. */
  constructor(text: string) {
    this.#text = text;
    this.#read(text);
  }

  toString(): string {
    return this.#text;
  }

  /** Plain data; undefined where there is nothing. */
  get(path: Steps): unknown {
    const node = this.#find(path);
    return node === undefined ? undefined : node === null ? null : node.toJS(this.#document);
  }

  /** Replaces the value at the path, or adds it: the mapping around it too, where it is missing or empty. */
  set(path: Steps, value: unknown): void {
    assert(path.length > 0);
    const [parent, key] = [path.slice(0, -1), path.at(-1)!];
    const around = this.#find(parent);
    if (!isCollection(around)) {
      if (around !== undefined && around !== null && !isEmpty(around)) throw unexpected(parent);
      if (parent.length === 0) throw unexpected(parent);
      this.set(parent, new Map([[key, value]]));
    } else if (this.#find(path) === undefined) {
      this.#add(around, `${isSeq(around) ? "" : `${flow(key)}: `}${flow(value)}`, (document) =>
        document.setIn(this.#keys(path), document.createNode(value)),
      );
    } else this.#replace(path, value);
  }

  /** Adds an item to the list at the path, which is made where it is missing. */
  append(path: Steps, value: unknown): void {
    const list = this.#find(path);
    if (!isSeq(list)) {
      if (list !== undefined && list !== null && !isEmpty(list)) throw unexpected(path);
      this.set(path, [value]);
    } else this.#add(list, flow(value), (document) => document.addIn(this.#keys(path), document.createNode(value)));
  }

  /** Removes an entry, with the comment in its line. A mapping or list that loses its last one stays, empty. */
  remove(path: Steps): void {
    const parent = path.slice(0, -1);
    const around = this.#find(parent);
    if (!isCollection(around) || this.#find(path) === undefined) throw unexpected(path);
    if (around.items.length === 1) {
      if (parent.length > 0) this.#replace(parent, isSeq(around) ? [] : {});
      return;
    }
    const spans = this.#spansOf(around);
    const index = this.#indexOf(around, path.at(-1)!);
    let { start, end } = spans[index]!;
    if (around.flow !== true) [start, end] = [lineStart(this.#text, start), lineEnd(this.#text, end) + 1];
    else if (index + 1 < spans.length) end = spans[index + 1]!.start;
    else start = spans[index - 1]!.end;
    this.#change(start, end, "", (document) => document.deleteIn(this.#keys(path)));
  }

  /** Another key for what the path leads to. */
  rename(path: Steps, key: string): void {
    const around = this.#find(path.slice(0, -1));
    if (!isMap(around) || this.#find(path) === undefined) throw unexpected(path);
    const found = around.items[this.#indexOf(around, path.at(-1)!)]!.key as Node;
    const [start, end] = found.range!;
    this.#change(start, end, flow(key), (document) => {
      const map = document.getIn(this.#keys(path.slice(0, -1))) as typeof around;
      map.items[this.#indexOf(map, path.at(-1)!)]!.key = document.createNode(key) as never;
    });
  }

  // ---- how the text is changed

  #replace(path: Steps, value: unknown): void {
    const node = this.#find(path)!;
    let [start, end] = [node.range![0], endOf(node)];
    let text = flow(value);
    // A block collection begins in a line of its own, and what is empty anywhere: what takes its place stands behind the key.
    if (isEmpty(node) || (isCollection(node) && node.flow !== true)) {
      start = this.#colonOf(path) ?? start;
      if (isEmpty(node)) end = start;
      text = ` ${text}`;
    }
    // The line breaks behind a block scalar are a part of it, and end what the next key stands behind.
    while (end > start && this.#text[end - 1] === "\n") end--;
    this.#change(start, end, text, (document) => document.setIn(this.#keys(path), document.createNode(value)));
  }

  #add(around: Collection, text: string, model: (document: Document.Parsed) => void): void {
    const spans = this.#spansOf(around);
    const last = spans.at(-1);
    if (last === undefined) {
      const [start] = around.range!;
      const opening = this.#text[start];
      const whole = opening === "[" ? `[${text}]` : `{ ${text} }`;
      this.#change(start, endOf(around), whole, model);
      return;
    }
    const indent = this.#text.slice(lineStart(this.#text, last.start), last.start);
    const isOwnLine = indent.trim() === "";
    if (around.flow === true) {
      const isCrlf = this.#text[lineStart(this.#text, last.start) - 2] === "\r";
      const separator = isOwnLine ? `,${isCrlf ? "\r" : ""}\n${indent}` : ", ";
      this.#change(last.end, last.end, `${separator}${text}`, model);
      return;
    }
    const at = lineEnd(this.#text, last.end);
    // Lines end as the one before does.
    const end = this.#text[at - 1] === "\r" ? "\r" : "";
    // The first key of a mapping in a list stands behind the dash.
    const margin = isOwnLine ? indent : " ".repeat(indent.length);
    this.#change(at, at, `\n${margin}${isSeq(around) ? "- " : ""}${text}${end}`, model);
  }

  #change(start: number, end: number, text: string, model: (document: Document.Parsed) => void): void {
    const cut = `${this.#text.slice(0, start)}${text}${this.#text.slice(end)}`;
    model(this.#document);
    const meant = this.#document.toJS();
    const outcome = parse(cut);
    const isMeant = outcome.errors.length === 0 && isDeepStrictEqual(outcome.toJS(), meant);
    if (isMeant) [this.#text, this.#document] = [cut, outcome];
    else {
      this.isRewritten = true;
      this.#text = this.#document.toString({ lineWidth: 0 });
      this.#read(this.#text);
    }
  }

  #read(text: string): void {
    this.#document = parse(text);
    const [error] = this.#document.errors;
    if (error !== undefined) throw new YamlTextError(error.message);
  }

  // ---- what stands where

  /** Undefined where there is nothing; null where the document is empty. */
  #find(path: Steps): Node | null | undefined {
    let node: unknown = this.#document.contents;
    for (const step of path) {
      if (isAlias(node)) throw new YamlTextError(`${shown(path)} is written as an alias (*${node.source})`);
      if (!isCollection(node)) return undefined;
      const item = node.items[this.#indexOf(node as Collection, step)];
      if (item === undefined) return undefined;
      node = isPair(item) ? (item.value ?? item.key) : item;
    }
    if (isAlias(node)) throw new YamlTextError(`${shown(path)} is written as an alias (*${node.source})`);
    return isNode(node) ? (node as Node) : null;
  }

  #indexOf(around: Collection, step: string | number): number {
    if (isSeq(around)) return Number(step);
    return around.items.findIndex((item) => isPair(item) && keyText(item.key) === String(step));
  }

  /** The path in keys as the document has them: 0 where 0 is written, and not "0". */
  #keys(path: Steps): unknown[] {
    let node: unknown = this.#document.contents;
    return path.map((step) => {
      const item = isCollection(node) ? (node.items[this.#indexOf(node as Collection, step)] as unknown) : undefined;
      if (isPair(item)) {
        node = item.value;
        return isScalar(item.key) ? item.key.value : step;
      }
      node = item;
      return step;
    });
  }

  /** Where the colon behind the key ends; undefined of an item of a list. */
  #colonOf(path: Steps): number | undefined {
    const around = this.#find(path.slice(0, -1));
    if (!isMap(around)) return undefined;
    const key = around.items[this.#indexOf(around, path.at(-1)!)]!.key as Node;
    return this.#text.indexOf(":", endOf(key)) + 1;
  }

  #spansOf(around: Collection): Span[] {
    return around.items.map((item) => {
      if (isPair(item)) return { start: (item.key as Node).range![0], end: endOf((item.value ?? item.key) as Node) };
      const node = item as Node;
      const [start] = node.range!;
      return { start: around.flow === true ? start : this.#text.lastIndexOf("-", start - 1), end: endOf(node) };
    });
  }
}

function parse(text: string): Document.Parsed {
  return parseDocument(text, { logLevel: "error", prettyErrors: false, schema: "core", uniqueKeys: false });
}

/** Behind the last character that is the node's: neither a comment nor the line break after it. */
function endOf(node: Node): number {
  if (isCollection(node) && node.flow !== true) {
    const last = node.items.at(-1);
    if (isPair(last)) return endOf((last.value ?? last.key) as Node);
    if (isNode(last)) return endOf(last as Node);
  }
  return node.range![1];
}

function isEmpty(node: Node): boolean {
  return isScalar(node) && node.value === null && (node.source === "" || node.source === undefined);
}

function keyText(key: unknown): string {
  if (!isScalar(key)) return "";
  return typeof key.value === "string" ? key.value : (key.source ?? String(key.value));
}

function lineStart(text: string, offset: number): number {
  return text.lastIndexOf("\n", offset - 1) + 1;
}

/** Of the line that `offset`, the end of something, is in; where that is a line break already, there. */
function lineEnd(text: string, offset: number): number {
  if (offset > 0 && text[offset - 1] === "\n") return offset - 1;
  const end = text.indexOf("\n", offset);
  return end === -1 ? text.length : end;
}

/** In one line. */
function flow(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = [...(value instanceof Map ? value : Object.entries(value))];
    const pairs = entries.map(([key, part]) => `${flow(key)}: ${flow(part)}`);
    return pairs.length === 0 ? "{}" : `{ ${pairs.join(", ")} }`;
  }
  if (typeof value !== "string") return String(value);
  const read = parse(`[${value}]`);
  const isPlain = read.errors.length === 0 && isDeepStrictEqual(read.toJS(), [value]);
  return isPlain && /^[A-Za-z0-9_./]/.test(value) ? value : JSON.stringify(value);
}

function shown(path: Steps): string {
  return path.join(".");
}

function unexpected(path: Steps): YamlTextError {
  return new YamlTextError(`${path.length === 0 ? "the file" : shown(path)} is not written as was expected`);
}
