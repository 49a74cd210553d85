/**
 * Losses of which a connection has told its initiator (storage/logical-unit.ts): until the initiator has acknowledged the response that
 * tells, it need not have got it. Where the connection ends before that, it is told again, by the next flush.
 */
import type { LunMapping } from "../session/lun-mapping.js";
import { serialLess } from "../wire/serial.js";

interface ToldLoss {
  /** Of the response. */
  readonly statSN: number;
  /** The unit's count of losses then. */
  readonly losses: number;
}

export class ToldLosses {
  /**
   * For each nexus the first response that tells, and is not acknowledged: a later one would be put off for as long as flushes
   * follow each other closely.
   */
  readonly #told = new Map<LunMapping, ToldLoss>();

  add(mapping: LunMapping, told: ToldLoss): void {
    if (!this.#told.has(mapping)) this.#told.set(mapping, told);
  }

  get isEmpty(): boolean {
    return this.#told.size === 0;
  }

  acknowledged(initiatorName: string, expStatSN: number): void {
    for (const [mapping, { statSN, losses }] of this.#told) {
      if (!serialLess(statSN, expStatSN)) continue;
      this.#told.delete(mapping);
      mapping.unit.heard(mapping, initiatorName, losses);
    }
  }
}
