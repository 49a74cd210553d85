/** The same as random.test.ts, for some minutes. */
import test from "node:test";
import { seeds, simulate } from "../support/simulation/seeds.js";

const chosen = seeds(750);

test(`simulations: SEED=${chosen[0]} to SEED=${chosen[chosen.length - 1]}`, () => {
  for (const seed of chosen) simulate(seed);
});
