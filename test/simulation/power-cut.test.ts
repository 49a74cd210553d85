/** Power cuts: what was acknowledged as durable is there afterwards, and no block holds what was never written to it. */
import test from "node:test";
import { seeds, simulate } from "../support/simulation/seeds.js";

const chosen = seeds(30);

test(`what was acknowledged as durable survives: SEED=${chosen[0]} to SEED=${chosen[chosen.length - 1]}`, () => {
  for (const seed of chosen) {
    simulate(seed, {
      crash: 1,
      faults: { stall: 0, disconnect: 0 },
      mix: {
        weights: {
          read: 5,
          write: 20,
          writeSame: 2,
          unmap: 2,
          verify: 0,
          synchronize: 3,
          ready: 0,
          inquire: 0,
          illegal: 0,
        },
        bytesMax: 65536,
        unitPart: 0.1,
      },
    });
  }
});
