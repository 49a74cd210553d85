/** An io_uring without Linux: takes the SQEs that a shard queues, has the simulated kernel execute them, posts CQEs. */
import assert from "node:assert/strict";
import {
  CONTROL_FINISHED,
  CQE_WORDS,
  createRingMemory,
  type MemoryRegion,
  ProvidedBuffers,
  type RingMemory,
  SQ_CQ_OVERFLOW,
  SQE_WORDS,
  SubmissionCompletionRing,
} from "io-uring-node";
import type { Kernel } from "./kernel.js";
import { type CompletionSink, Operation } from "./operation.js";
import { ProvidedGroup } from "./provided-group.js";
import type { World } from "./world.js";

const ENTER_MS_MAX = 1000;

type Completion = readonly [userLow: number, userHigh: number, result: number, flags: number];

export class SimulatedRing extends SubmissionCompletionRing implements CompletionSink {
  readonly fd = 3;
  isDead = false;
  readonly regions: MemoryRegion[] = [];
  readonly groups = new Map<number, ProvidedGroup>();
  readonly #world: World;
  readonly #kernel: Kernel;
  /** `enter` waits, as it does for a thread of its own; otherwise its user turns only when there is something to do. */
  readonly #waits: boolean;
  /** For which the CQ had no room. */
  readonly #overflow: Completion[] = [];

  constructor(world: World, kernel: Kernel, sqEntries: number, cqEntries: number, waits: boolean) {
    super(createRingMemory(sqEntries, cqEntries));
    this.#world = world;
    this.#kernel = kernel;
    this.#waits = waits;
    this.nowUs = world.timeline.nowUs;
  }

  override enter(minComplete: number, timeoutMs: number): number {
    const { timeline, random, faults } = this.#world;
    this.publish();
    this.#take();
    this.#postOverflow();
    // While the thread was busy with its turn, and while it was on its way into the kernel, time went by.
    timeline.runUntil(timeline.nowUs + random.below(faults.turnUsMax + 1));
    const waitMs = timeoutMs < 0 ? ENTER_MS_MAX : Math.min(ENTER_MS_MAX, timeoutMs);
    const endUs = timeline.nowUs + waitMs * 1000;
    if (this.#waits && !random.chance(faults.emptyEnter)) {
      while (this.#ready() < Math.min(minComplete, this.cqEntries) && timeline.step(endUs));
    }
    this.nowUs = timeline.nowUs;
    return this.refresh();
  }

  /** An `enter` would submit or bring something. */
  get hasWork(): boolean {
    return this.sqSpace() < this.sqEntries || this.#ready() > 0 || this.#overflow.length > 0;
  }

  protected override submit(): void {
    this.publish();
    this.#take();
    this.refresh();
  }

  override registerBuffers(regions: readonly MemoryRegion[]): void {
    assert(this.regions.length === 0, "buffers are registered once");
    this.regions.push(...regions);
  }

  override registerFiles(): void {
    assert.fail("a shard registers no files");
  }

  override updateFile(): void {
    assert.fail("a shard registers no files");
  }

  override registerBufferRing(group: number, entries: number): ProvidedBuffers {
    const provided = new ProvidedGroup(entries);
    this.groups.set(group, provided);
    return new ProvidedBuffers(group, provided.memory);
  }

  override close(): void {
    this.isDead = true;
    this.markClosed();
  }

  complete(userLow: number, userHigh: number, result: number, flags: number): void {
    const completion: Completion = [userLow, userHigh, result, flags];
    if (this.#overflow.length === 0 && this.#post(completion)) return;
    this.#overflow.push(completion);
    this.memory.positions[this.memory.sqFlagsAt] = SQ_CQ_OVERFLOW;
  }

  #take(): void {
    const { positions, sqHeadAt, sqTailAt, sqes } = this.memory as RingMemory;
    while (positions[sqHeadAt] !== positions[sqTailAt]) {
      const at = (positions[sqHeadAt]! & (this.sqEntries - 1)) * SQE_WORDS;
      const operation = new Operation(sqes.subarray(at, at + SQE_WORDS), this);
      positions[sqHeadAt] = positions[sqHeadAt]! + 1;
      if (operation.skipsSuccess) this.memory.control[CONTROL_FINISHED]!++;
      this.#kernel.start(operation, this);
    }
  }

  #ready(): number {
    const { positions, cqHeadAt, cqTailAt } = this.memory;
    return (positions[cqTailAt]! - positions[cqHeadAt]!) | 0;
  }

  #post(completion: Completion): boolean {
    if (this.#ready() === this.cqEntries) return false;
    const { positions, cqTailAt, cqes } = this.memory;
    cqes.set(completion, (positions[cqTailAt]! & (this.cqEntries - 1)) * CQE_WORDS);
    positions[cqTailAt] = positions[cqTailAt]! + 1;
    return true;
  }

  #postOverflow(): void {
    let count = 0;
    while (count < this.#overflow.length && this.#post(this.#overflow[count]!)) count++;
    this.#overflow.splice(0, count);
    if (this.#overflow.length === 0) this.memory.positions[this.memory.sqFlagsAt] = 0;
  }
}
