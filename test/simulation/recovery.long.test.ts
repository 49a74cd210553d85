/** The same as recovery.test.ts, with more seeds. */
import test from "node:test";
import { recover } from "../support/simulation/recovery-simulation.js";
import { seeds } from "../support/simulation/seeds.js";

const chosen = seeds(150);

for (const errorRecoveryLevel of [0, 1, 2]) {
  test(`ErrorRecoveryLevel ${errorRecoveryLevel}: SEED=${chosen[0]} to SEED=${chosen[chosen.length - 1]}`, () => {
    recover(chosen, errorRecoveryLevel);
  });
}
