/** The same as random.test.ts, with the seeds behind those. */
import test from "node:test";
import { seeds, simulate } from "../support/simulation/seeds.js";

const chosen = seeds(650, 100);

test(`simulations: SEED=${chosen[0]} to SEED=${chosen[chosen.length - 1]}`, () => {
  for (const seed of chosen) simulate(seed);
});
