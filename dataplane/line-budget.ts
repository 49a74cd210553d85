/** Lines of a shard's log of one kind: so many in a second; of more only the number is told. */

const SECOND_US = 1_000_000;

export class LineBudget {
  readonly #perSecondMax: number;
  readonly #tellOfMore: (count: number) => void;
  #secondUs = 0;
  #told = 0;
  #leftOut = 0;

  /** @param tellOfMore called with the number of lines that were left out, at most once a second. */
  constructor(perSecondMax: number, tellOfMore: (count: number) => void) {
    this.#perSecondMax = perSecondMax;
    this.#tellOfMore = tellOfMore;
  }

  /** Whether there may be one more line. */
  take(nowUs: number): boolean {
    this.sweep(nowUs);
    const isWithin = this.#told < this.#perSecondMax;
    if (isWithin) this.#told++;
    else this.#leftOut++;
    return isWithin;
  }

  /** Called every second, at least: those that there was no line for are told of together. */
  sweep(nowUs: number): void {
    if (nowUs - this.#secondUs < SECOND_US) return;
    const count = this.#leftOut;
    this.#secondUs = nowUs;
    this.#told = 0;
    this.#leftOut = 0;
    if (count > 0) this.#tellOfMore(count);
  }
}
