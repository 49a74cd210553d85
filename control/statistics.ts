/**
 * The memory in which shards count the commands of units and sessions (dataplane/statistics.ts), who has which block of it, and
 * what those have counted in all that are gone: totals of initiators and targets only ever rise.
 */
import {
  allocateStatistics,
  IN_FLIGHT,
  STATISTICS_BLOCK_SHARED,
  STATISTICS_BLOCKS,
  statisticsBlock,
} from "../dataplane/statistics.js";
import { INITIATORS_COUNTED_MAX } from "./limits.js";
import type { Session } from "./session-registry.js";

export class StatisticsMemory {
  /** One for each shard, as ShardTask.statistics. */
  readonly shards: readonly SharedArrayBuffer[];
  /** Given back, last one first: a block that was in use has its pages already. */
  readonly #free: number[] = [];
  #next = STATISTICS_BLOCK_SHARED + 1;

  constructor(shards: number) {
    this.shards = Array.from({ length: shards }, allocateStatistics);
  }

  /** A block that counts from zero on; where none is left, the one that nobody reads. */
  allocate(): number {
    const block = this.#free.pop() ?? (this.#next < STATISTICS_BLOCKS ? this.#next++ : STATISTICS_BLOCK_SHARED);
    if (block !== STATISTICS_BLOCK_SHARED) for (const memory of this.shards) statisticsBlock(memory, block).fill(0);
    return block;
  }

  /** No shard counts in it any more. */
  release(block: number): void {
    if (block !== STATISTICS_BLOCK_SHARED) this.#free.push(block);
  }

  /** What all shards have counted in the block. */
  read(block: number): Float64Array {
    const sum = statisticsBlock(this.shards[0]!, block).slice();
    for (const memory of this.shards.slice(1)) addTo(sum, statisticsBlock(memory, block));
    return sum;
  }
}

/** What sessions count, by initiator and by target. */
export class SessionStatistics {
  readonly #memory: StatisticsMemory;
  /** sessionId -> its block, and whose it is. */
  readonly #live = new Map<number, { readonly block: number; readonly session: Session }>();
  readonly #initiators: Totals;
  readonly #targets: Totals;

  constructor(memory: StatisticsMemory) {
    this.#memory = memory;
    this.#initiators = new Totals(INITIATORS_COUNTED_MAX);
    this.#targets = new Totals(Number.POSITIVE_INFINITY);
  }

  /** The session's block; it has one from the first call on. */
  blockOf(session: Session): number {
    const live = this.#live.get(session.sessionId);
    if (live !== undefined) return live.block;
    const block = this.#memory.allocate();
    this.#live.set(session.sessionId, { block, session });
    return block;
  }

  /** The session is gone: what it counted stays with its initiator and target. */
  close({ sessionId }: Session): void {
    const live = this.#live.get(sessionId);
    if (live === undefined) return;
    this.#live.delete(sessionId);
    const counted = this.#memory.read(live.block);
    // Of a shard that has died.
    counted[IN_FLIGHT] = 0;
    this.#memory.release(live.block);
    const { initiatorName, targetName } = live.session.identity;
    this.#initiators.add(initiatorName, counted);
    this.#targets.add(targetName, counted);
  }

  /** What a session has counted; undefined: nothing is counted for it (discovery). */
  session(sessionId: number): Float64Array | undefined {
    const live = this.#live.get(sessionId);
    return live && this.#memory.read(live.block);
  }

  byInitiator(): Map<string, Float64Array> {
    return this.#with(this.#initiators, ({ identity }) => identity.initiatorName);
  }

  byTarget(): Map<string, Float64Array> {
    return this.#with(this.#targets, ({ identity }) => identity.targetName);
  }

  #with(gone: Totals, nameOf: (session: Session) => string): Map<string, Float64Array> {
    const totals = gone.copy();
    for (const { block, session } of this.#live.values()) totals.add(nameOf(session), this.#memory.read(block));
    return totals.byName;
  }
}

/** Under this name stand all for which there was no room. No iSCSI name is empty. */
const OTHERS = "";

class Totals {
  readonly byName = new Map<string, Float64Array>();
  readonly #namesMax: number;

  constructor(namesMax: number) {
    this.#namesMax = namesMax;
  }

  add(name: string, counted: Float64Array): void {
    const known = this.byName.get(name);
    if (known !== undefined) addTo(known, counted);
    else if (this.byName.size < this.#namesMax) this.byName.set(name, counted.slice());
    else this.#addToOthers(counted);
  }

  copy(): Totals {
    const copy = new Totals(this.#namesMax);
    for (const [name, counted] of this.byName) copy.byName.set(name, counted.slice());
    return copy;
  }

  #addToOthers(counted: Float64Array): void {
    const others = this.byName.get(OTHERS);
    if (others === undefined) this.byName.set(OTHERS, counted.slice());
    else addTo(others, counted);
  }
}

function addTo(sum: Float64Array, counted: Float64Array): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += counted[i]!;
}
