/** Runs simulations seed by seed. SEED=n in the environment repeats one. */
import assert from "node:assert/strict";
import { type Overrides, Simulation } from "./simulation.js";

/** The seeds of a run: as many as are asked for, from an arbitrary one on, or the one that is to be repeated. */
export function seeds(count: number): readonly number[] {
  const { SEED } = process.env;
  if (SEED !== undefined) return [Number(SEED)];
  const first = Date.now();
  return Array.from({ length: count }, (_, index) => first + index);
}

export function simulate(seed: number, overrides: Overrides = {}): void {
  try {
    new Simulation(seed, overrides).run();
  } catch (error) {
    const message = `SEED=${seed}: ${error instanceof Error ? error.stack : error}`;
    throw new assert.AssertionError({ message });
  }
}
