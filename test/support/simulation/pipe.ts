/** One direction of a connection: a bounded stream of bytes that need time to arrive. */
import type { Random } from "./random.js";
import type { Timeline } from "./timeline.js";

export interface PipeOptions {
  /** Bytes written and not read yet. */
  readonly capacity: number;
  readonly delayUsMax: number;
}

export class Pipe {
  readonly #timeline: Timeline;
  readonly #random: Random;
  readonly #options: PipeOptions;
  /** What has arrived; of the first chunk, `#skip` bytes are read. */
  readonly #arrived: Uint8Array[] = [];
  #skip = 0;
  /** When the last of what is on its way arrives: nothing overtakes it. */
  #lastArrivalUs = 0;
  #held = 0;
  #finishing = false;
  /** Bytes that can be read. */
  available = 0;
  /** Everything was read, and nothing more will come. */
  #finishArrived = false;
  /** Both ends find out with an error; what was on its way is lost. */
  broken = false;
  onReadable: () => void = () => {};
  onWritable: () => void = () => {};

  constructor(timeline: Timeline, random: Random, options: PipeOptions) {
    this.#timeline = timeline;
    this.#random = random;
    this.#options = options;
  }

  get room(): number {
    return this.#options.capacity - this.#held;
  }

  get ended(): boolean {
    return this.#finishArrived && this.available === 0;
  }

  /** No more can be written: `finish` or `reset` was called. */
  get closed(): boolean {
    return this.#finishing || this.broken;
  }

  /** Copies what there is room for; returns how many bytes that were. */
  write(bytes: Uint8Array): number {
    const count = this.closed ? 0 : Math.min(bytes.length, this.room);
    if (count === 0) return 0;
    // Of shared memory there is no slice that would not be shared.
    const chunk = Buffer.allocUnsafe(count);
    chunk.set(bytes.subarray(0, count));
    this.#held += count;
    this.#arrive(() => {
      this.#arrived.push(chunk);
      this.available += count;
    });
    return count;
  }

  /** Fills as much of `target` as there is; returns how many bytes that were. */
  read(target: Uint8Array): number {
    let count = 0;
    while (count < target.length && this.available > 0) {
      const chunk = this.#arrived[0]!;
      const length = Math.min(target.length - count, chunk.length - this.#skip);
      target.set(chunk.subarray(this.#skip, this.#skip + length), count);
      count += length;
      this.available -= length;
      this.#skip += length;
      if (this.#skip === chunk.length) {
        this.#arrived.shift();
        this.#skip = 0;
      }
    }
    this.#held -= count;
    if (count > 0) this.#timeline.after(0, () => this.onWritable());
    return count;
  }

  /** The end of the stream follows what was written. */
  finish(): void {
    if (this.closed) return;
    this.#finishing = true;
    this.#arrive(() => {
      this.#finishArrived = true;
    });
    this.onWritable();
  }

  reset(): void {
    if (this.broken) return;
    this.broken = true;
    this.available = 0;
    this.#arrived.length = 0;
    this.onReadable();
    this.onWritable();
  }

  #arrive(deliver: () => void): void {
    const { nowUs } = this.#timeline;
    this.#lastArrivalUs = Math.max(this.#lastArrivalUs, nowUs + this.#random.below(this.#options.delayUsMax + 1));
    this.#timeline.after(this.#lastArrivalUs - nowUs, () => {
      if (this.broken) return;
      deliver();
      this.onReadable();
    });
  }
}
