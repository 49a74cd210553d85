/**
 * How much is logged of one kind. Whoever can have us say something, and that is everybody who reaches a portal, must neither fill a
 * disk with it nor hide among it what others do.
 */
import { LOG_BUDGETS_MAX, LOG_LEFT_OUT_INTERVAL_MS, LOG_LINES, LOG_LINES_OF_PEER } from "./limits.js";

interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/** Lines that may still be logged, as of then. */
interface Budget {
  readonly lines: number;
  readonly atMs: number;
}

export class LogBudget {
  /** By message, and by message and address; what was heard of least lately comes first. */
  readonly #budgets = new Map<string, Budget>();
  readonly #leftOut = new Map<string, number>();
  readonly #tell: (message: string, lines: number) => void;

  /** @param tell called with each message of which lines were left out, and how many. */
  constructor(tell: (message: string, lines: number) => void) {
    this.#tell = tell;
  }

  /** Whether there may be one more line with this message. `peer`: the address that it is about. */
  admits(message: string, peer?: string, nowMs = performance.now()): boolean {
    const ofPeer = peer === undefined || this.#take(`${message}\0${peer}`, LOG_LINES_OF_PEER, nowMs);
    if (ofPeer && this.#take(message, LOG_LINES, nowMs)) return true;
    if (this.#leftOut.size === 0) setTimeout(() => this.#tellOfLeftOut(), LOG_LEFT_OUT_INTERVAL_MS).unref();
    this.#leftOut.set(message, (this.#leftOut.get(message) ?? 0) + 1);
    return false;
  }

  #take(key: string, { burst, perSecond }: Rate, nowMs: number): boolean {
    const { lines, atMs } = this.#budgets.get(key) ?? { lines: burst, atMs: nowMs };
    const left = Math.min(burst, lines + ((nowMs - atMs) / 1000) * perSecond);
    this.#budgets.delete(key);
    this.#budgets.set(key, { lines: left < 1 ? left : left - 1, atMs: nowMs });
    if (this.#budgets.size > LOG_BUDGETS_MAX) this.#forgetOne();
    return left >= 1;
  }

  #forgetOne(): void {
    for (const oldest of this.#budgets.keys()) {
      this.#budgets.delete(oldest);
      break;
    }
  }

  #tellOfLeftOut(): void {
    const leftOut = [...this.#leftOut];
    this.#leftOut.clear();
    for (const [message, lines] of leftOut) this.#tell(message, lines);
  }
}
