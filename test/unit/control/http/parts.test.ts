import assert from "node:assert/strict";
import { test } from "node:test";
import { jsonPieces, partsOf } from "../../../../control/http/parts.js";

function* elements<T>(...all: T[]): Iterable<T> {
  yield* all;
}

test("JSON of documents is what JSON.stringify makes of them, arrays or not", () => {
  const documents = [
    {},
    [],
    [1, null, 'a"b', { c: [2, {}] }],
    { a: [], "b\n": [[], [1]], c: { d: [3] }, e: null, f: "[]", g: 1.5, h: false },
  ];
  for (const document of documents) assert.equal([...jsonPieces(() => document)].join(""), JSON.stringify(document));
});

test("elements are made when their turn comes, each a piece", () => {
  let made = 0;
  function* counted() {
    for (const element of ["x", "y", "z"]) {
      made++;
      yield { element };
    }
  }
  const pieces = jsonPieces(() => ({ first: elements(1, 2), second: counted(), third: elements() }));
  for (let count = 0; made === 0; count++) {
    assert.ok(count < 6);
    pieces.next();
  }
  assert.equal(pieces.next().value, ',{"element":"y"}');
  assert.equal(made, 2);
  assert.equal([...pieces].join(""), ',{"element":"z"}],"third":[]}');
});

/** A text of so many pieces, each of which takes a millisecond: how many were made in each turn of the loop. */
async function piecesByTurn(texts: number, pieces: number): Promise<number[]> {
  const made: number[] = [0];
  let isOver = false;
  const turn = () => {
    made.push(0);
    if (!isOver) setImmediate(turn);
  };
  let nowMs = 0;
  function* slow() {
    for (let piece = 0; piece < pieces; piece++) {
      nowMs++;
      made[made.length - 1]!++;
      yield `${piece},`;
    }
  }
  const expected = [...slow()].join("");
  made.fill(0);
  setImmediate(turn);
  const read = async () => {
    let text = "";
    for await (const part of partsOf(slow(), () => nowMs)) text += part;
    assert.equal(text, expected);
  };
  await Promise.all(Array.from({ length: texts }, read));
  isOver = true;
  return made;
}

test("two milliseconds' worth of pieces are made in a turn, of however many texts at once", async () => {
  for (const texts of [1, 20]) {
    const made = await piecesByTurn(texts, 50);
    assert.equal(
      made.reduce((sum, count) => sum + count, 0),
      texts * 50,
    );
    assert.equal(Math.max(...made), 2, `${texts} texts: ${made}`);
  }
});
