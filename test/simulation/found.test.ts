/** What simulations have found once: the circumstances are pinned down, the rest is as the seed has it. */
import test from "node:test";
import { NO_COMMANDS } from "../support/simulation/initiator/random-command.js";
import { simulate } from "../support/simulation/seeds.js";

const NO_ACCIDENTS = { stall: 0, disconnect: 0 };

test("R2Ts go out in order although MaxBurstLength is shorter than a slice (RFC 7143 section 13.19)", () => {
  for (let seed = 1; seed <= 5; seed++) {
    simulate(seed, {
      faults: NO_ACCIDENTS,
      session: { initialR2T: true, maxOutstandingR2T: 8, maxBurstLength: 1978, firstBurstLength: 1978 },
      mix: { weights: { ...NO_COMMANDS, write: 1 }, bytesMax: 1 << 20 },
    });
  }
});

test("reads are whole although MaxBurstLength is no whole number of words", () => {
  for (let seed = 1; seed <= 5; seed++) {
    simulate(seed, {
      faults: NO_ACCIDENTS,
      session: { maxBurstLength: 1021, firstBurstLength: 1021 },
      mix: { weights: { ...NO_COMMANDS, read: 1, write: 1 } },
    });
  }
});

test("a send that a signal interrupts goes on", () => {
  for (let seed = 1; seed <= 5; seed++) simulate(seed, { faults: { ...NO_ACCIDENTS, interrupted: 0.2 } });
});

test("a connection that breaks inside a Data-Out is closed once", () => {
  for (let seed = 1; seed <= 20; seed++) {
    simulate(seed, {
      faults: { disconnect: 0.1 },
      session: { initialR2T: true },
      mix: { weights: { ...NO_COMMANDS, write: 1 }, bytesMax: 1 << 18 },
    });
  }
});

test("unsolicited data of a command that waits for a buffer is kept, or refused with TASK SET FULL", () => {
  for (let seed = 1; seed <= 5; seed++) {
    simulate(seed, {
      faults: NO_ACCIDENTS,
      arenaBytes: 20 * 1024 * 1024,
      session: { initialR2T: false, maxBurstLength: 1 << 18, firstBurstLength: 1 << 18 },
      mix: { weights: { ...NO_COMMANDS, read: 1, write: 3, writeSame: 3 } },
      habits: { depth: 64 },
    });
  }
});

test("WRITEs that wait for another buffer give back those that are full", () => {
  for (let seed = 1; seed <= 5; seed++) {
    simulate(seed, {
      faults: NO_ACCIDENTS,
      arenaBytes: 20 * 1024 * 1024,
      session: { initialR2T: true, immediateData: false, maxBurstLength: 1 << 18, maxOutstandingR2T: 2 },
      mix: { weights: { ...NO_COMMANDS, write: 1 }, bytesMax: 1 << 20 },
      habits: { depth: 64 },
    });
  }
});

test("WRITE SAME names no block where another command's flush has lost what it was to make durable", () => {
  for (let seed = 1; seed <= 30; seed++) {
    simulate(seed, {
      faults: { ...NO_ACCIDENTS, mediumError: 0.2, noSpace: 0 },
      unit: { kind: "file", cache: "writethrough", inMemory: false, alignmentBytes: 1 },
      mix: { weights: { ...NO_COMMANDS, writeSame: 1, synchronize: 1 }, bytesMax: 65536 },
      habits: { depth: 64 },
    });
  }
});

test("READs that wait for credit go on when data that is kept for retransmission can be given up", () => {
  for (let seed = 1; seed <= 30; seed++) {
    simulate(seed, {
      faults: NO_ACCIDENTS,
      arenaBytes: 20 * 1024 * 1024,
      session: { errorRecoveryLevel: 1 },
      mix: { weights: { ...NO_COMMANDS, read: 1 } },
    });
  }
});

test("nothing follows a Logout Response, be it the request to log out", () => {
  for (let seed = 1; seed <= 100; seed++) {
    simulate(seed, {
      stop: 1,
      crash: 0,
      commands: 4,
      faults: { ...NO_ACCIDENTS, networkDelayUsMax: 5000, turnUsMax: 5000 },
      mix: { weights: { ...NO_COMMANDS, ready: 1 } },
    });
  }
});

for (const [what, weights] of [
  ["COMPARE AND WRITEs", { compareAndWrite: 1 }],
  ["VERIFYs of data", { verifyData: 1 }],
  ["WRITEs behind a VERIFY", { write: 10, verify: 1 }],
] as const) {
  test(`${what} that hold their data and wait for a buffer do not wait for ever`, () => {
    for (let seed = 1; seed <= 15; seed++) {
      simulate(seed, {
        faults: NO_ACCIDENTS,
        arenaBytes: 17 * 1024 * 1024,
        crash: 0,
        stop: 0,
        commands: 100,
        session: {
          errorRecoveryLevel: 0,
          initialR2T: false,
          immediateData: true,
          firstBurstLength: 1 << 18,
          maxBurstLength: 1 << 18,
        },
        mix: { weights: { ...NO_COMMANDS, ...weights }, bytesMax: 1 << 18 },
        habits: { depth: 64, abortTask: 0, abortTaskSet: 0, resetUnit: 0 },
      });
    }
  });
}
