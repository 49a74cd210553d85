/**
 * Resets of units that several sessions use, each from its request to its response; what they end in other sessions vanishes without a
 * word, and all are told of them by a unit attention.
 */
export interface Reset {
  readonly luns: readonly number[];
}

/** One for all sessions, which know the units by the same LUNs. */
export class Resets {
  readonly #underWay = new Set<Reset>();
  readonly #listeners: ((luns: readonly number[]) => void)[] = [];

  /** `began` is called whenever a reset begins. */
  listen(began: (luns: readonly number[]) => void): void {
    this.#listeners.push(began);
  }

  begin(luns: readonly number[]): Reset {
    const reset = { luns };
    this.#underWay.add(reset);
    for (const began of this.#listeners) began(luns);
    return reset;
  }

  end(reset: Reset): void {
    this.#underWay.delete(reset);
  }

  /** How many are under way, or may be. */
  of(lun: number): number {
    let count = 0;
    for (const { luns } of this.#underWay) if (luns.includes(lun)) count++;
    return count;
  }
}
