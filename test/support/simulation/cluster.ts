/** One shard, or several that serve the same units, with what control does between them. */
import assert from "node:assert/strict";
import type { LimitsRecord } from "../../../dataplane/messages.js";
import { allocateFailedFlushes } from "../../../dataplane/storage/failed-flushes.js";
import { allocateGates } from "../../../dataplane/storage/gate.js";
import { allocateBudgets, Budget } from "../../../dataplane/throttle/budget.js";
import { Machine, type MachineOptions } from "./machine.js";
import type { Random } from "./random.js";
import type { World } from "./world.js";

/** Whatever is waited for has come to pass after so long. */
const SIMULATED_US_MAX = 3600 * 1_000_000;
/** As long as a shard without anything to do sleeps. */
const SLEEP_US = 1_000_000;

/** More than are in force and on their way to the shards at a time. */
const BUDGETS = 64;

export type Limits = Omit<LimitsRecord, "budget">;

export class Cluster {
  readonly machines: readonly Machine[];
  readonly respondToText: (text: string) => string;
  readonly #world: World;
  readonly #budgets: SharedArrayBuffer;
  #lastConnectionId = 0;
  #lastBudget = 0;

  constructor(world: World, shards: number, options: MachineOptions, respondToText: (text: string) => string) {
    this.#world = world;
    this.respondToText = respondToText;
    const gates = allocateGates(shards);
    const failedFlushes = allocateFailedFlushes();
    const budgets = allocateBudgets(BUDGETS);
    this.#budgets = budgets;
    this.machines = Array.from(
      { length: shards },
      (_, shard) =>
        new Machine(world, options, {
          shard,
          shards,
          gates,
          failedFlushes,
          budgets,
          respondToText,
          wakeOthers: (by) => this.#wakeOthers(by),
          resetUnit: (by, unitIndex, done) => this.#resetUnit(by, unitIndex, done),
          nextConnectionId: () => ++this.#lastConnectionId,
        }),
    );
  }

  pick(random: Random): Machine {
    return random.pick(this.machines);
  }

  /** Turns until something has come to pass. */
  turnUntil(isDone: () => boolean): void {
    const { timeline } = this.#world;
    const endUs = timeline.nowUs + SIMULATED_US_MAX;
    let sleepsUntilUs = timeline.nowUs + SLEEP_US;
    while (!isDone()) {
      assert(timeline.nowUs < endUs, "the simulation comes to an end");
      if (this.machines.length === 1) {
        this.machines[0]!.turn();
        continue;
      }
      const runnable = this.machines.filter(({ isRunnable }) => isRunnable);
      if (runnable.length > 0) {
        this.#world.random.pick(runnable).turn();
      } else if (!timeline.step(sleepsUntilUs)) {
        for (const machine of this.machines) machine.turn();
        sleepsUntilUs = timeline.nowUs + SLEEP_US;
      }
    }
  }

  /** Limits of a unit that every shard takes over, each in its time; null: none any more. */
  limitUnit(unitIndex: number, limits: Limits | null): void {
    const change = { limits: this.#grant(limits) };
    for (const machine of this.machines) machine.changeUnit(unitIndex, change);
  }

  /** Limits of all sessions together. */
  limitSessions(limits: Limits | null): void {
    const record = this.#grant(limits);
    for (const machine of this.machines) {
      for (const sessionId of machine.shard.sessions.keys()) {
        machine.limitSession(sessionId, record);
      }
    }
  }

  #grant(limits: Limits | null): LimitsRecord | null {
    if (limits === null) return null;
    this.#lastBudget = (this.#lastBudget + 1) % BUDGETS;
    const record = { ...limits, budget: this.#lastBudget };
    new Budget(this.#budgets, record).reset(this.#world.timeline.nowUs);
    return record;
  }

  get hasSessions(): boolean {
    return this.machines.some(({ shard }) => shard.sessions.size > 0);
  }

  /** When no session is left. */
  assertNothingLeft(): void {
    for (const machine of this.machines) machine.assertNothingLeft();
  }

  stop(graceMs: number): void {
    for (const machine of this.machines) machine.send({ type: "stop", graceMs });
  }

  get stopped(): boolean {
    return this.machines.every(({ stopped }) => stopped);
  }

  /** Power cut. */
  crash(): void {
    for (const machine of this.machines) machine.crash();
  }

  #wakeOthers(by: Machine): void {
    for (const machine of this.machines) if (machine !== by) machine.wake();
  }

  #resetUnit(by: Machine, unitIndex: number, done: () => void): void {
    let pending = this.machines.length - 1;
    if (pending === 0) return done();
    const confirm = () => {
      pending--;
      if (pending === 0) done();
    };
    for (const machine of this.machines) if (machine !== by) machine.resetUnit(unitIndex, confirm);
  }
}
