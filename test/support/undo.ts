/** What a test, or all tests of a file, have set up and must end, the last first. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A test's context, or the hooks of a file. */
export interface Ending {
  after(step: () => unknown): void;
}

/** A new folder, which goes with all that is in it. */
export function temporaryFolder(ending: Ending, parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, "ringlun-test-"));
  ending.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

export class Undo {
  readonly #steps: (() => unknown)[] = [];

  constructor(context: Ending) {
    context.after(() => this.#run());
  }

  add(step: () => unknown): void {
    this.#steps.push(step);
  }

  folder(parent?: string): string {
    return temporaryFolder({ after: (step) => this.add(step) }, parent);
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
