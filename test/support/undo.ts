/** What a test, or all tests of a file, have set up and must end, the last first. */

/** A test's context, or the hooks of a file. */
export interface Ending {
  after(step: () => Promise<void>): void;
}

export class Undo {
  readonly #steps: (() => unknown)[] = [];

  constructor(context: Ending) {
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
