/** Commands that change the medium in one piece, on several shards at once: nothing comes in between, nothing is lost. */
import test from "node:test";
import { NO_COMMANDS } from "../support/simulation/initiator/random-command.js";
import { seeds, simulate } from "../support/simulation/seeds.js";

const chosen = seeds(40);

test(`atomic commands on two shards: SEED=${chosen[0]} to SEED=${chosen[chosen.length - 1]}`, () => {
  for (const seed of chosen) {
    simulate(seed, {
      shards: 2,
      crash: 0,
      stop: 0,
      unit: { kind: "file", inMemory: false },
      faults: { storageDelayUsMax: 3000, networkDelayUsMax: 50, stall: 0, disconnect: 0 },
      habits: { depth: 32 },
      mix: {
        weights: { ...NO_COMMANDS, read: 10, write: 10, compareAndWrite: 10, orWrite: 10, writeAtomic: 3 },
        bytesMax: 4096,
        unitPart: 0.002,
      },
    });
  }
});
