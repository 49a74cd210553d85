/** Power cuts: what was acknowledged as durable is there afterwards, and no block holds what was never written to it. */
import test from "node:test";
import { NO_COMMANDS } from "../support/simulation/initiator/random-command.js";
import { seeds, simulate } from "../support/simulation/seeds.js";

const chosen = seeds(30);

test(`what was acknowledged as durable survives: SEED=${chosen[0]} to SEED=${chosen[chosen.length - 1]}`, () => {
  for (const seed of chosen) {
    simulate(seed, {
      crash: 1,
      faults: { stall: 0, disconnect: 0 },
      mix: {
        weights: {
          ...NO_COMMANDS,
          read: 5,
          write: 20,
          writeSame: 2,
          unmap: 2,
          writeAndVerify: 1,
          writeAtomic: 1,
          synchronize: 3,
        },
        bytesMax: 65536,
        unitPart: 0.1,
      },
    });
  }
});
