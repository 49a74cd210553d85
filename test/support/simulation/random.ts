/** Randomness that a seed repeats: sfc32. Everything in a simulation that could be otherwise is decided here. */
const TWO_TO_32 = 0x1_0000_0000;
const WARM_UP_ROUNDS = 12;

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = (seed / TWO_TO_32) | 0;
    this.#c = 0x9e3779b9 | 0;
    for (let i = 0; i < WARM_UP_ROUNDS; i++) this.word();
  }

  /** A u32. */
  word(): number {
    const result = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0;
    return result >>> 0;
  }

  /** An integer from 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor((this.word() / TWO_TO_32) * count);
  }

  /** An integer from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** An integer from `low` (above 0) to `high`, each order of magnitude as likely as any other. */
  spread(low: number, high: number): number {
    const exponent = (this.word() / TWO_TO_32) * Math.log((high + 1) / low);
    return Math.min(high, Math.floor(low * Math.exp(exponent)));
  }

  chance(probability: number): boolean {
    return probability > 0 && this.word() / TWO_TO_32 < probability;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  /** A key of `weights`, as often as its weight says. */
  weighted<K extends string>(weights: Readonly<Record<K, number>>): K {
    const entries = Object.entries(weights) as [K, number][];
    let left = (this.word() / TWO_TO_32) * entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [key, weight] of entries) {
      left -= weight;
      if (left < 0) return key;
    }
    return entries[entries.length - 1]![0];
  }

  /** A stream of its own: what is drawn from it does not shift what is drawn here. */
  fork(): Random {
    return new Random(this.word() * 2 ** 20 + (this.word() >>> 12));
  }
}
