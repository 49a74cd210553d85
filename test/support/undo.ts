/** What a test has set up and must end, the last first. */
import type { TestContext } from "node:test";

export class Undo {
  readonly #steps: (() => unknown)[] = [];

  constructor(context: TestContext) {
    context.after(() => this.#run());
  }

  add(step: () => unknown): void {
    this.#steps.push(step);
  }

  /** Every step is taken; the first failure is told. */
  async #run(): Promise<void> {
    const errors: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw errors[0];
  }
}
