/** Simulated time: what is to happen when. Events of the same microsecond happen in the order in which they were planned. */
interface Event {
  readonly timeUs: number;
  readonly order: number;
  readonly run: () => void;
}

const ANSWER_US = 100_000;
/** No clock starts at zero. */
const START_US = 5_000_000;

export class Timeline {
  nowUs = START_US;
  /** For initiators that wait for an answer: more than it takes through any pipe and shard of a simulation. */
  readonly answerUs = ANSWER_US;
  /** A binary heap, the next event first. */
  readonly #heap: Event[] = [];
  #order = 0;

  after(delayUs: number, run: () => void): void {
    const heap = this.#heap;
    const event: Event = { timeUs: this.nowUs + delayUs, order: this.#order++, run };
    let at = heap.length;
    for (; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  /** Runs the next event that is due by `untilUs`. False: there was none, and it is `untilUs` now. */
  step(untilUs: number): boolean {
    const next = this.#heap[0];
    if (next === undefined || next.timeUs > untilUs) {
      this.nowUs = Math.max(this.nowUs, untilUs);
      return false;
    }
    this.#removeFirst();
    this.nowUs = next.timeUs;
    next.run();
    return true;
  }

  /** Runs all that is due by `untilUs`. */
  runUntil(untilUs: number): void {
    while (this.step(untilUs));
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(left: Event, right: Event): boolean {
  return left.timeUs < right.timeUs || (left.timeUs === right.timeUs && left.order < right.order);
}
