/** The same as recovery.test.ts, with the seeds behind those. */
import test from "node:test";
import { recover } from "../support/simulation/recovery-simulation.js";
import { seeds } from "../support/simulation/seeds.js";

const chosen = seeds(110, 40);

for (const errorRecoveryLevel of [0, 1, 2]) {
  test(`ErrorRecoveryLevel ${errorRecoveryLevel}: SEED=${chosen[0]} to SEED=${chosen[chosen.length - 1]}`, () => {
    recover(chosen, errorRecoveryLevel);
  });
}
