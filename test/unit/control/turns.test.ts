import assert from "node:assert/strict";
import { test } from "node:test";
import { ownTurn } from "../../../control/turns.js";

test("each has a turn of the loop to itself, in the order of asking, however many ask", async () => {
  let turns = 0;
  let isOver = false;
  const count = () => {
    turns++;
    if (!isOver) setImmediate(count);
  };
  const given: [who: number, turn: number][] = [];
  const work = async (who: number) => {
    for (let piece = 0; piece < 3; piece++) {
      await ownTurn();
      given.push([who, turns]);
    }
  };
  setImmediate(count);
  await Promise.all([0, 1, 2, 3].map(work));
  isOver = true;
  assert.deepEqual(
    given.map(([who]) => who),
    [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3],
  );
  assert.equal(new Set(given.map(([, turn]) => turn)).size, given.length);
});

test("who asks when nobody waits any more is given one too", async () => {
  await ownTurn();
  await new Promise((resolve) => setTimeout(resolve, 1));
  await ownTurn();
});
