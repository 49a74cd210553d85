/**
 * Connections are cut, digests damaged, PDUs lost, at random and under a verified load: no wrong byte, no lost or doubled write, no
 * hang, at ErrorRecoveryLevel 0, 1 and 2 (RFC 7143 chapter 7).
 */
import test from "node:test";
import { Tallies } from "../support/recovering/wire-faults.js";
import { RecoverySimulation } from "../support/simulation/recovery-simulation.js";
import { replayable, seeds } from "../support/simulation/seeds.js";

const chosen = seeds(60);

for (const errorRecoveryLevel of [0, 1, 2]) {
  test(`ErrorRecoveryLevel ${errorRecoveryLevel}: SEED=${chosen[0]} to SEED=${chosen[chosen.length - 1]}`, () => {
    const tallies = new Tallies();
    for (const seed of chosen) {
      replayable(seed, () => new RecoverySimulation(seed, { errorRecoveryLevel, tallies }).run());
    }
    console.log(`${tallies.faults.total} faults at ErrorRecoveryLevel ${errorRecoveryLevel}\n${tallies.faults}`);
    console.log(`and what followed\n${tallies.recoveries}`);
  });
}
