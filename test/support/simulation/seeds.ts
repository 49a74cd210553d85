/** Runs simulations seed by seed. SEED=n in the environment repeats one, SEED=random looks for new ones. */
import assert from "node:assert/strict";
import { FIRST_SEED, GIVEN_SEED } from "../seed.js";
import { type Overrides, Simulation } from "./simulation.js";

/** The seeds of a run: as many as are asked for, behind those `before` that another run has; or the one that is to be repeated. */
export function seeds(count: number, before = 0): readonly number[] {
  if (GIVEN_SEED !== undefined) return [GIVEN_SEED];
  return Array.from({ length: count }, (_, index) => FIRST_SEED + before + index);
}

export function simulate(seed: number, overrides: Overrides = {}): void {
  replayable(seed, () => new Simulation(seed, overrides).run());
}

/** What fails in `run` names the seed. */
export function replayable(seed: number, run: () => void): void {
  try {
    run();
  } catch (error) {
    const message = `SEED=${seed}: ${error instanceof Error ? error.stack : error}`;
    throw new assert.AssertionError({ message });
  }
}
