/** Long answers, made of many small pieces: a part at a time, so that control does other things in between. */
import { ownTurn } from "../turns.js";

/** After so long control lets others go first. */
const AT_ONCE_MS = 2;

/** A document whose arrays may be long: their elements are made when their turn comes. */
export type Lazily<Document> = {
  readonly [Key in keyof Document]: Document[Key] extends readonly (infer Element)[]
    ? Iterable<Element>
    : Document[Key];
};

/** @param nowMs the clock; tests have their own. */
export async function* partsOf(pieces: Iterable<string>, nowMs = () => performance.now()): AsyncGenerator<string> {
  await ownTurn();
  let text = "";
  let begunMs = nowMs();
  for (const piece of pieces) {
    text += piece;
    if (nowMs() - begunMs < AT_ONCE_MS) continue;
    yield text;
    text = "";
    await ownTurn();
    begunMs = nowMs();
  }
  yield text;
}

/**
 * JSON of an array, or of an object, whose fields that are iterable become arrays: a piece for each element.
 *
 * @param make called when the first piece is asked for.
 */
export function* jsonPieces(make: () => object): Generator<string> {
  const document = make();
  if (isIterable(document)) {
    yield* arrayPieces(document);
    return;
  }
  let before = "{";
  for (const [key, value] of Object.entries(document)) {
    yield `${before}${JSON.stringify(key)}:`;
    before = ",";
    if (isIterable(value)) yield* arrayPieces(value);
    else yield JSON.stringify(value);
  }
  yield before === "{" ? "{}" : "}";
}

function* arrayPieces(elements: Iterable<unknown>): Generator<string> {
  let before = "[";
  for (const element of elements) {
    yield before + JSON.stringify(element);
    before = ",";
  }
  yield before === "[" ? "[]" : "]";
}

function isIterable(value: unknown): value is Iterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.iterator in value;
}
