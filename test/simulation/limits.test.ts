/** Simulations in which limits of units and initiators come, change and go, and everything else is left to the seed. */
import test from "node:test";
import { seeds, simulate } from "../support/simulation/seeds.js";

const chosen = seeds(8);

test(`simulations with limits: SEED=${chosen[0]} to SEED=${chosen[chosen.length - 1]}`, () => {
  for (const seed of chosen) simulate(seed, { limits: true });
});
