/** The work of one operation from where it stands to its end: a plain loop, for a thread that may wait. */
import { ERASE_BYTES, Medium, type MediumUnit, WRITE_BYTES } from "./medium.js";
import { type Overwrite, type Position, passesOf, patternOf, type Work } from "./work.js";

/** How often it tells where it is. */
const REPORT_MS = 250;
/** How often what was done is made durable, so that it need not be done again after a crash. */
const CHECKPOINT_MS = 10_000;

export interface Job {
  readonly unit: MediumUnit;
  readonly sizeBytes: number;
  readonly work: Work;
  readonly from: Position;
  /** What it writes in a second, at most; null: all that it can. What it erases without writing does not count. */
  readonly bytesPerSecond: number | null;
}

export interface Hooks {
  readonly nowMs: () => number;
  /** Ends the work soon, where it is. */
  readonly isStopped: () => boolean;
  /** Waits, but no longer than until it is stopped. */
  readonly pause: (ms: number) => void;
  /** All up to the position is done; `isDurable`: for good. */
  readonly report: (position: Position, isDurable: boolean) => void;
}

const ZERO = Uint8Array.of(0);

/** @returns whether all is done, for good; false: it was stopped. @throws what Medium does. */
export function doWork({ unit, sizeBytes, work, from, bytesPerSecond }: Job, hooks: Hooks): boolean {
  const medium = new Medium(unit);
  let reportedMs = hooks.nowMs();
  let durableMs = reportedMs;
  const reportNow = (position: Position, isDurable: boolean): void => {
    if (isDurable) medium.flush();
    reportedMs = hooks.nowMs();
    if (isDurable) durableMs = reportedMs;
    hooks.report(position, isDurable);
  };
  const pace = new Pace(bytesPerSecond, hooks);
  for (let { pass, offset } = from; pass < passesOf(work); pass++, offset = 0) {
    medium.fill(work.kind === "overwrite" ? patternOf(work as Overwrite, pass) : ZERO);
    let erases = work.kind === "erase";
    while (offset < sizeBytes) {
      if (hooks.isStopped()) {
        reportNow({ pass, offset }, true);
        return false;
      }
      const length = Math.min(sizeBytes - offset, erases ? ERASE_BYTES : WRITE_BYTES);
      if (erases) {
        erases = medium.erase(offset, length);
        if (!erases) continue;
      } else {
        medium.write(offset, length);
        pace.wrote(length);
      }
      offset += length;
      const nowMs = hooks.nowMs();
      if (nowMs - durableMs >= CHECKPOINT_MS) reportNow({ pass, offset }, true);
      else if (nowMs - reportedMs >= REPORT_MS) reportNow({ pass, offset }, false);
    }
    // Each pass reaches the medium before the next one takes its place in a cache.
    reportNow({ pass: pass + 1, offset: 0 }, true);
  }
  return true;
}

/** Keeps the writes to their rate. */
class Pace {
  readonly #bytesPerSecond: number | null;
  readonly #hooks: Hooks;
  #nextMs: number;

  constructor(bytesPerSecond: number | null, hooks: Hooks) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#hooks = hooks;
    this.#nextMs = hooks.nowMs();
  }

  wrote(bytes: number): void {
    if (this.#bytesPerSecond === null) return;
    const nowMs = this.#hooks.nowMs();
    // What the medium itself has held up is not caught up with.
    this.#nextMs = Math.max(this.#nextMs, nowMs - REPORT_MS) + (1000 * bytes) / this.#bytesPerSecond;
    if (this.#nextMs > nowMs) this.#hooks.pause(this.#nextMs - nowMs);
  }
}
