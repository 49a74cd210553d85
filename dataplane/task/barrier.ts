/** Runs something once all that it waits for has ended: the response to a task management function, after the tasks it affects. */
export class Barrier {
  #waitingFor = 1;
  readonly #run: () => void;

  /** Starts held by its maker, who calls `leave` when all have joined. */
  constructor(run: () => void) {
    this.#run = run;
  }

  join(): void {
    this.#waitingFor++;
  }

  leave(): void {
    this.#waitingFor--;
    if (this.#waitingFor === 0) this.#run();
  }
}
