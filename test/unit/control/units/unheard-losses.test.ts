import assert from "node:assert/strict";
import { test } from "node:test";
import { INITIATORS_OF_UNIT_MAX } from "../../../../control/limits.js";
import { UnheardLosses } from "../../../../control/units/unheard-losses.js";

test("an initiator is told until it has heard; one that has come, or come back, after the loss has nothing to hear", () => {
  const losses = new UnheardLosses();
  for (const name of ["lost", "hears", "leaves"]) assert.equal(losses.sees("unit", name), false);
  losses.sees("other unit", "lost");
  losses.left("unit", "leaves");
  losses.lost("unit");
  losses.heard("unit", "hears");
  losses.heard("unit", "stranger");
  for (const name of ["hears", "leaves", "late", "stranger"]) assert.equal(losses.sees("unit", name), false, name);
  for (let login = 0; login < 2; login++) assert.equal(losses.sees("unit", "lost"), true);
  assert.equal(losses.sees("other unit", "lost"), false);
  losses.heard("unit", "lost");
  assert.equal(losses.sees("unit", "lost"), false);
});

test("no more initiators are kept than the limit says: the first go", () => {
  const losses = new UnheardLosses();
  for (let number = 0; number <= INITIATORS_OF_UNIT_MAX; number++) losses.sees("unit", `${number}`);
  losses.lost("unit");
  assert.equal(losses.sees("unit", `${INITIATORS_OF_UNIT_MAX}`), true);
  assert.equal(losses.sees("unit", "0"), false);
});
