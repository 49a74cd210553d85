/** Hostile initiators beside an honest one. What is found is shrunk and printed; it goes into found.test.ts. */
import test from "node:test";
import fc from "../support/fast-check.js";
import { encounter } from "../support/simulation/hostile/encounter.js";
import { actions, parameters } from "./arbitrary-actions.js";

const RUNS = 100;

test("initiators that send what they want disturb nobody", () => {
  const others = fc.array(actions, { maxLength: 2 });
  const property = fc.property(fc.nat(), parameters, actions, others, (seed, negotiated, does, othersDo) => {
    encounter({ seed, parameters: negotiated, actions: does, others: othersDo });
  });
  fc.assert(property, { numRuns: RUNS });
});
