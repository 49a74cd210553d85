/** The shards as the rest of control sees them. What a shard is, and what becomes of a dead one, stands in shard.ts. */
import { setTimeout as sleep } from "node:timers/promises";
import { eventfdSignal } from "io-uring-node";
import type { CaptureSelection, ControlMessage, ShardMessage, UnitRecord } from "../dataplane/messages.js";
import { allocateFailedFlushes, FailedFlushes } from "../dataplane/storage/failed-flushes.js";
import { allocateGates, Gate } from "../dataplane/storage/gate.js";
import { WRITES_ENDED_POLL_MS } from "./limits.js";
import type { Logger } from "./logger.js";
import { Shard } from "./shard.js";
import type { Common } from "./shard-thread.js";

export interface ShardsOptions {
  readonly count: number;
  /** CPUs to which the shards' threads are bound, in turn; absent or empty: none is. */
  readonly affinity?: readonly number[];
  /** See ShardTask; default: true. */
  readonly busyPoll?: boolean;
  /** Those of the moment: every thread of a shard starts with them; `addUnit` tells of later ones. */
  readonly units: () => readonly UnitRecord[];
  /** One of each shard: see ShardTask. */
  readonly statistics: readonly SharedArrayBuffer[];
  /** See ShardTask. */
  readonly budgets: SharedArrayBuffer;
  readonly arenaBytes: number;
  readonly logger: Logger;
  /** All but `ready`, `log` and `stopped`, which end here. */
  readonly onMessage: (shard: number, message: ShardMessage) => void;
  /** The shard is dead: its connections are gone. Called before anything else of the clean-up. */
  readonly onDeath: (shard: number) => void;
  /** Writes of a dead shard may still land: nothing can be served safely any more. Must not return to normal service. */
  readonly onFatal: (reason: string) => void;
  /** Resolves when nothing that control has under way for sessions that are gone can touch these units any more. */
  readonly settled?: (unitIndexes: readonly number[]) => Promise<void>;
  /** The worker's module. Tests have their own. */
  readonly worker?: URL;
}

/** What the rest of control needs of the shards: small enough to be played by a test. */
export interface ShardControl {
  readonly count: number;
  /** The shards that take connections now. */
  serving(): number[];
  send(shard: number, message: ControlMessage): void;
  /** `connection`: from this call on the shard owns the descriptor in the record. */
  handOff(shard: number, message: ControlMessage & { type: "connection" }): void;
  /** Resolves when no operation of a dead shard, or of a session that is gone, can touch these units any more. */
  unitsSettled(unitIndexes: readonly number[]): Promise<void>;
  /** Resolves when at least one shard takes connections: at once, unless all are dead or being started. */
  available(): Promise<void>;
}

const WORKER = new URL("../dataplane/worker.js", import.meta.url);

export class Shards implements ShardControl {
  readonly #shards: Shard[] = [];
  readonly #waiting: (() => void)[] = [];
  readonly #common: Common;
  readonly #settled: (unitIndexes: readonly number[]) => Promise<void>;
  /** What is captured: threads that are started later are told too. */
  #selection: CaptureSelection | null = null;

  private constructor({ count, budgets, busyPoll = true, settled = async () => {} }: ShardsOptions) {
    const wakeFds = new SharedArrayBuffer(4 * count);
    const slowCommandsUs = new SharedArrayBuffer(8);
    this.#common = {
      shards: count,
      busyPoll,
      gates: allocateGates(count),
      failedFlushes: allocateFailedFlushes(),
      budgets,
      wakeFds,
      slowCommandsUs,
    };
    this.#settled = settled;
    new Int32Array(wakeFds).fill(-1);
  }

  /** Resolves when all shards are ready. Rejects with what the first one to fail says; then none is left running. */
  static async start(options: ShardsOptions): Promise<Shards> {
    const { count, arenaBytes, logger, onMessage, onDeath, onFatal, affinity = [], worker = WORKER } = options;
    const shards = new Shards(options);
    for (let shard = 0; shard < count; shard++) {
      shards.#shards.push(
        new Shard({
          shard,
          cpu: affinity[shard % affinity.length] ?? null,
          common: shards.#common,
          units: options.units,
          statistics: options.statistics[shard]!,
          arenaBytes,
          logger,
          onMessage: (message) => onMessage(shard, message),
          onServing: () => shards.#onServing(shard),
          onDeath: () => onDeath(shard),
          onFatal,
          worker,
        }),
      );
    }
    try {
      await Promise.all(shards.#shards.map((shard) => shard.start()));
    } catch (error) {
      await Promise.all(shards.#shards.map((shard) => shard.discard()));
      throw error;
    }
    return shards;
  }

  get count(): number {
    return this.#shards.length;
  }

  serving(): number[] {
    return this.#shards.filter(({ isServing }) => isServing).map(({ number }) => number);
  }

  send(shard: number, message: ControlMessage): void {
    this.#shards[shard]?.send(message);
  }

  handOff(shard: number, message: ControlMessage & { type: "connection" }): void {
    this.#shards[shard]?.handOff(message);
  }

  broadcast(message: ControlMessage): void {
    for (const shard of this.#shards) shard.send(message);
  }

  /** Makes a further unit known to the shards that run. */
  addUnit(unit: UnitRecord): void {
    this.broadcast({ type: "unit", unit });
  }

  /** Control's own part in the unit's gate, for what it writes itself. */
  gate(unitIndex: number): Gate {
    const { gates, shards } = this.#common;
    return new Gate({ gates, shards, shard: shards }, unitIndex, () => this.#wakeAll());
  }

  /** Of the unit: control counts its own, too. */
  failedFlushes(unitIndex: number): FailedFlushes {
    return new FailedFlushes(this.#common.failedFlushes, unitIndex);
  }

  #wakeAll(): void {
    for (const fd of new Int32Array(this.#common.wakeFds)) if (fd >= 0) eventfdSignal(fd);
  }

  async unitsSettled(unitIndexes: readonly number[]): Promise<void> {
    await Promise.all(this.#shards.map((shard) => shard.unitsSettled(unitIndexes)));
    // Afterwards: only then are all sessions of a dead shard gone.
    await this.#settled(unitIndexes);
  }

  async available(): Promise<void> {
    while (this.serving().length === 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Resolves when no write of the unit is in flight, on any shard or in control. None must begin meanwhile. */
  async writesEnded(unitIndex: number): Promise<void> {
    await this.alone(unitIndex, async () => {});
  }

  /** Runs it while nobody else writes to the unit, on any shard or in control. Other units that share its gate wait, too. */
  async alone<T>(unitIndex: number, run: () => Promise<T>): Promise<T> {
    const gate = this.gate(unitIndex);
    while (!gate.own()) await sleep(WRITES_ENDED_POLL_MS);
    try {
      while (!gate.isQuiet()) await sleep(WRITES_ENDED_POLL_MS);
      return await run();
    } finally {
      gate.disown();
    }
  }

  /** One shard's counters, as ShardTask.counters. */
  counters(shard: number): SharedArrayBuffer | undefined {
    return this.#shards[shard]?.counters;
  }

  /** From now on commands that take so long are told of in the log; 0: none. */
  tellSlowCommands(milliseconds: number): void {
    new Float64Array(this.#common.slowCommandsUs)[0] = milliseconds * 1000;
  }

  /** The ring of one shard's captured PDUs: see dataplane/capture/record.ts. */
  captured(shard: number): SharedArrayBuffer | undefined {
    return this.#shards[shard]?.captured;
  }

  /** From now on these PDUs are captured, on every shard; null: none. */
  capture(selection: CaptureSelection | null): void {
    this.#selection = selection;
    this.broadcast({ type: "capture", selection });
  }

  /** Starts of each shard beyond the first. */
  restarts(shard: number): number {
    return this.#shards[shard]?.restarts ?? 0;
  }

  /** Ends the shard's thread as if it had died, to test what follows. Resolves when it serves again. */
  async kill(shard: number): Promise<void> {
    await this.#shards[shard]?.kill();
  }

  /** Lets every shard tell its sessions and finish, for graceMs; ends what then still runs. */
  async stop(graceMs: number): Promise<void> {
    await Promise.all(this.#shards.map((shard) => shard.stop(graceMs)));
  }

  #onServing(shard: number): void {
    if (this.#selection !== null) this.send(shard, { type: "capture", selection: this.#selection });
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
