/**
 * Small changes to a YAML text that leave the rest of it as people have written it. Each is made in as little of the text as it is
 * about: an entry of a section (`units.vm0`, `targets[7]`) where entries can be told apart, else the whole.
 */
import { type Block, type ReadText, YamlReader } from "./yaml-reader.js";
import { type Steps, YamlStretch, YamlTextError } from "./yaml-stretch.js";

/** Where a change is made, and the path to what it is about from there. */
interface Place {
  readonly start: number;
  readonly end: number;
  readonly path: Steps;
}

/** Of what is in the text, or is to come. */
type Change = (stretch: YamlStretch, path: Steps) => void;

export class YamlText {
  #text: string;
  readonly #reader: YamlReader;
  #read!: ReadText;
  /** Null where a part of it can be changed by itself. */
  #whole!: YamlStretch | null;

  /**
   * @param text has no fault that a reader would find.
   * @param reader that knows it, or one that is like it.
   */
  constructor(text: string, reader: YamlReader = new YamlReader()) {
    this.#text = text;
    this.#reader = reader;
    this.#take(text);
  }

  toString(): string {
    return this.#text;
  }

  /** Plain data; undefined where there is nothing. */
  get(path: Steps): unknown {
    if (this.#whole !== null) return this.#whole.get(path);
    let value = this.#read.tree?.value;
    for (const step of path) {
      if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return undefined;
      value = (value as Readonly<Record<string | number, unknown>>)[step];
    }
    return value;
  }

  /** Replaces the value at the path, or adds it: the mapping around it too, where it is missing or empty. */
  set(path: Steps, value: unknown): void {
    const place = path.length > 1 ? (this.#placeOf(path) ?? this.#placeBehind(path)) : undefined;
    this.#change(place, path, (stretch, at) => stretch.set(at, value));
  }

  /** Adds an item to the list at the path, which is made where it is missing. */
  append(path: Steps, value: unknown): void {
    const place = path.length === 1 ? this.#placeBehind(path) : this.#placeOf(path);
    this.#change(place, path, (stretch, at) => stretch.append(at, value));
  }

  /** Removes an entry, with the comment in its line. A mapping or list that loses its last one stays, empty. */
  remove(path: Steps): void {
    const place = path.length === 2 ? this.#placeBeside(path) : this.#placeOf(path);
    this.#change(place, path, (stretch, at) => stretch.remove(at));
  }

  /** Another key for what the path leads to. */
  rename(path: Steps, key: string): void {
    this.#change(this.#placeOf(path), path, (stretch, at) => stretch.rename(at, key));
  }

  #change(place: Place | undefined, path: Steps, change: Change): void {
    const text = place && changedWithin(this.#text, place, change);
    if (text !== undefined) {
      this.#take(text);
      return;
    }
    const whole = this.#whole ?? new YamlStretch(this.#text);
    change(whole, path);
    if (this.#whole === null) this.#take(whole.toString());
    else this.#text = whole.toString();
  }

  #take(text: string): void {
    this.#text = text;
    this.#read = this.#reader.read(text);
    this.#whole = this.#read.blocks === null ? new YamlStretch(text) : null;
  }

  /** Of an entry that is there. */
  #placeOf([section, step, ...below]: Steps): Place | undefined {
    const block = this.#blockOf(section);
    const piece = step === undefined ? undefined : block?.pieces[indexOf(block, step)];
    return piece && { ...piece, path: [block?.kind === "list" ? 0 : step!, ...below] };
  }

  /** Of one that is to come: the last one, which it is added to. */
  #placeBehind([section, ...below]: Steps): Place | undefined {
    const last = this.#blockOf(section)?.pieces.at(-1);
    return last && { ...last, path: below };
  }

  /** Of one that is to go: with its neighbour, so that it is not the only one. */
  #placeBeside([section, step]: Steps): Place | undefined {
    const block = this.#blockOf(section);
    const index = block === undefined ? -1 : indexOf(block, step!);
    const before = Math.max(index - 1, 0);
    const [first, second] = block?.pieces.slice(before) ?? [];
    if (index === -1 || second === undefined) return undefined;
    return { start: first!.start, end: second.end, path: [block?.kind === "list" ? index - before : step!] };
  }

  #blockOf(section: Steps[0] | undefined): Block | undefined {
    return this.#read.blocks?.get(String(section));
  }
}

function indexOf({ kind, keys }: Block, step: string | number): number {
  return kind === "list" ? Number(step) : keys.indexOf(String(step));
}

/** Undefined where the place is written so that it cannot be changed by itself. */
function changedWithin(text: string, { start, end, path }: Place, change: Change): string | undefined {
  const stretch = new YamlStretch(text.slice(start, end));
  try {
    change(stretch, path);
  } catch (error) {
    // It is said of the whole text.
    if (error instanceof YamlTextError) return undefined;
    throw error;
  }
  return stretch.isRewritten ? undefined : `${text.slice(0, start)}${stretch}${text.slice(end)}`;
}
