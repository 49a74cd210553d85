/**
 * How a shard waits. A thread that sleeps costs its waker an interrupt, and itself the way back: microseconds on a machine of one's
 * own, tens of them in a virtual machine, where that is most of what a 4 KiB read costs. One that looks again and again has at once
 * what comes soon. So a shard stays awake as long as going to sleep would cost a few times over, if what it waited for lately came
 * within that time, and if nobody else wants its CPU; else it sleeps at once.
 */
import type { SubmissionCompletionRing } from "io-uring-node";
import type { Arena } from "./arena.js";
import { AWAKE_US_MAX } from "./limits.js";

/** It stays awake for so many times the cost of a sleep. */
const PATIENCE = 3;
/** Longer waits count as this long, so that a load that begins is noticed after some twenty waits. */
const WAIT_US_MAX = 1000;
/** Part of the latest wait in what the next is expected to be. */
const WEIGHT = 1 / 8;
/** Two looks are a microsecond apart. Where it is more than this, somebody else was on the CPU ... */
const INTERRUPTED_US = 200;
/** ... and gets it for this long whenever there is nothing to do. */
const YIELD_US = 10_000;

const SLEEPS = 20;
const SLEEP_US = 100;
/** A sleep that is measured lasts no longer, whatever happens. */
const MEASURED_MS_MAX = 1000;
/** The shortest but two: what else the machine does makes sleeps longer, never shorter. */
const SLEEP_RANK = 2;

export class Vigil {
  readonly #ring: SubmissionCompletionRing;
  readonly #patienceUs: number;
  readonly #expectedUsMax: number;
  #expectedUs = WAIT_US_MAX;
  #yieldsUntilUs = 0;
  /** The time that was spent awake with nothing to do, in microseconds. */
  awakeUs = 0;

  /** `sleepUs`: what a sleep costs; 0: it always sleeps. */
  constructor(ring: SubmissionCompletionRing, sleepUs: number) {
    this.#ring = ring;
    this.#patienceUs = Math.min(sleepUs * PATIENCE, AWAKE_US_MAX);
    // What was slept through came the cost of a sleep before it was seen.
    this.#expectedUsMax = this.#patienceUs + sleepUs;
  }

  /** Submits, and waits for a completion, for `timeoutMs` at most. */
  wait(timeoutMs: number): void {
    const ring = this.#ring;
    if (this.#patienceUs === 0) {
      ring.enter(1, timeoutMs);
      return;
    }
    if (ring.enter(0, 0) > 0) return;
    const beganUs = ring.nowUs;
    const isAwake = this.#expectedUs < this.#expectedUsMax && beganUs >= this.#yieldsUntilUs;
    if (!isAwake || !this.#watch(Math.min(this.#patienceUs, timeoutMs * 1000))) ring.enter(1, timeoutMs);
    const waitedUs = Math.min(ring.nowUs - beganUs, WAIT_US_MAX);
    this.#expectedUs += (waitedUs - this.#expectedUs) * WEIGHT;
  }

  /** True: something came. */
  #watch(us: number): boolean {
    const ring = this.#ring;
    const beganUs = ring.nowUs;
    let hasCome = false;
    for (let seenUs = beganUs; !hasCome && seenUs - beganUs < us; seenUs = ring.nowUs) {
      hasCome = ring.enter(0, 0) > 0;
      if (hasCome || ring.nowUs - seenUs < INTERRUPTED_US) continue;
      this.#yieldsUntilUs = ring.nowUs + YIELD_US;
      break;
    }
    this.awakeUs += ring.nowUs - beganUs;
    return hasCome;
  }
}

/** What it costs this thread to sleep and to be woken, in microseconds: how late it is where it has asked for a time. `cell`: 16 bytes. */
export function measureSleepUs(ring: SubmissionCompletionRing, arena: Arena, cell: number): number {
  // Seconds and nanoseconds, both of 64 bits.
  arena.bytes.fill(0, cell, cell + 16);
  arena.view.setUint32(cell + 8, SLEEP_US * 1000, true);
  const lateUs = Array.from({ length: SLEEPS }, () => {
    ring.timeout(arena.address(cell), 0, 0, 0, 0);
    ring.enter(0, 0);
    const beganUs = ring.nowUs;
    ring.enter(1, MEASURED_MS_MAX);
    while (ring.next());
    return Math.max(0, ring.nowUs - beganUs - SLEEP_US);
  });
  return lateUs.sort((a, b) => a - b)[SLEEP_RANK]!;
}
