/** Hostile initiators beside an honest one. What is found is shrunk and printed; it goes into found.test.ts. */
import test from "node:test";
import fc from "../support/fast-check.js";
import { encounter } from "../support/simulation/hostile/encounter.js";
import { actions, parameters } from "./arbitrary-actions.js";

const RUNS = 100;

test("an initiator that sends what it wants disturbs nobody", () => {
  const property = fc.property(fc.nat(), parameters, actions, (seed, negotiated, does) => {
    encounter({ seed, parameters: negotiated, actions: does });
  });
  fc.assert(property, { numRuns: RUNS });
});
