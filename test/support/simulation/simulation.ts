/**
 * One simulation: a shard or a few, a few units, a few initiators, everything else as the seed has it. It ends when all initiators
 * have done their work and everything on the units was read once more, without faults.
 */
import { changeLimits } from "./changing-limits.js";
import { Cluster } from "./cluster.js";
import { type Faults, NO_FAULTS, randomFaults } from "./faults.js";
import type { Command } from "./initiator/command.js";
import { type Habits, Initiator, randomHabits } from "./initiator/initiator.js";
import { type Parameters, randomParameters } from "./initiator/parameters.js";
import { type Mix, randomCommand, randomMix } from "./initiator/random-command.js";
import { rereadingCommands } from "./initiator/rereading.js";
import type { MachineOptions } from "./machine.js";
import type { PipeOptions } from "./pipe.js";
import { Random } from "./random.js";
import { Timeline } from "./timeline.js";
import { randomUnit, type SimulatedUnit } from "./unit.js";
import type { World } from "./world.js";

const MEBIBYTE = 1024 * 1024;
/** Text that control answers with: longer than a PDU may be, for some initiators. */
const ANSWER = `X-io.ringlun.answer=${"y".repeat(3000)}\0`;
const CRASH = 0.2;
const CRASH_US_MAX = 10_000_000;
const STOP = 0.15;
const SETTLE_US = 1_000_000;
const SEVERAL_SHARDS = 0.3;
const ADMINISTRATION = 0.2;
const ADMINISTRATION_US_MAX = 2_000_000;

const QUIET: Habits = {
  depth: 8,
  immediate: 0,
  ping: 0,
  text: 0,
  abortTask: 0,
  abortTaskSet: 0,
  resetUnit: 0,
};

/** What is not left to the seed. */
export interface Overrides {
  readonly faults?: Partial<Faults>;
  readonly unit?: Partial<SimulatedUnit["record"]>;
  readonly session?: Partial<Parameters["session"]>;
  readonly connection?: Partial<Parameters["connection"]>;
  readonly mix?: Partial<Mix>;
  readonly habits?: Partial<Habits>;
  readonly arenaBytes?: number;
  readonly shards?: number;
  /** Of each initiator. */
  readonly commands?: number;
  /** Probability of a power cut, after which everything starts again with what storage has kept. */
  readonly crash?: number;
  /** Probability of an orderly stop, after which another shard goes on. */
  readonly stop?: number;
  /** Of units and initiators limits come, change and go. */
  readonly limits?: boolean;
}

export class Simulation {
  readonly #overrides: Overrides;
  readonly #random: Random;
  readonly #world: World;
  readonly #units: readonly SimulatedUnit[];
  readonly #machineOptions: MachineOptions;
  readonly #shards: number;
  #cluster: Cluster;
  #initiators: Initiator[] = [];
  #lastSessionId = 0;

  constructor(seed: number, overrides: Overrides = {}) {
    const random = new Random(seed);
    this.#overrides = overrides;
    this.#random = random;
    const faults = { ...randomFaults(random), ...overrides.faults };
    this.#world = { timeline: new Timeline(), random: random.fork(), faults };
    const count = random.between(1, 3);
    this.#units = Array.from({ length: count }, (_, index) => randomUnit(random, index, overrides.unit));
    const sqEntries = random.pick([8, 64, 4096]);
    this.#machineOptions = {
      units: this.#units,
      arenaBytes: overrides.arenaBytes ?? random.pick([20, 24, 32, 48]) * MEBIBYTE,
      sqEntries,
      cqEntries: sqEntries * random.pick([1, 2, 4]),
      fixedBuffers: random.chance(0.5),
    };
    this.#shards = overrides.shards ?? (random.chance(SEVERAL_SHARDS) ? random.between(2, 3) : 1);
    this.#cluster = this.#start();
  }

  run(): void {
    if (this.#random.chance(this.#overrides.crash ?? CRASH)) this.#workUntilCrash();
    if (this.#random.chance(this.#overrides.stop ?? STOP)) this.#workUntilStop();
    this.#work();
    this.#turnUntilFinished();
    this.#settle();
    this.#world.faults = NO_FAULTS;
    this.#reread();
    this.#stop();
  }

  // ----

  #work(): void {
    const count = this.#random.between(1, 4);
    for (let index = 0; index < count; index++) this.#initiators.push(this.#randomInitiator(index));
    if (this.#random.chance(ADMINISTRATION)) this.#administer();
    if (this.#overrides.limits !== true) return;
    const isOver = () => this.#areFinished;
    changeLimits(this.#world, this.#random, () => this.#cluster, this.#units, isOver);
  }

  /** Now and then control ends a connection or a session. */
  #administer(): void {
    this.#world.timeline.after(this.#random.spread(1000, ADMINISTRATION_US_MAX), () => {
      if (this.#areFinished) return;
      this.#random.pick(this.#initiators).closeByControl();
      this.#administer();
    });
  }

  /** The shard stops in order, and another one goes on. */
  #workUntilStop(): void {
    this.#work();
    const { timeline } = this.#world;
    const stopUs = timeline.nowUs + this.#random.spread(1000, CRASH_US_MAX);
    this.#cluster.turnUntil(() => timeline.nowUs >= stopUs || this.#areFinished);
    for (const initiator of this.#initiators) initiator.stopping();
    this.#cluster.stop(this.#random.between(0, 5000));
    this.#cluster.turnUntil(() => this.#cluster.stopped && this.#areFinished);
    this.#initiators = [];
    this.#cluster.assertNothingLeft();
    this.#cluster = this.#start();
  }

  #workUntilCrash(): void {
    this.#work();
    const { timeline } = this.#world;
    const crashUs = timeline.nowUs + this.#random.spread(1000, CRASH_US_MAX);
    this.#cluster.turnUntil(() => timeline.nowUs >= crashUs || this.#areFinished);
    this.#cluster.crash();
    for (const initiator of this.#initiators) initiator.crashed();
    this.#initiators = [];
    for (const unit of this.#units) unit.crash(this.#random);
    this.#cluster = this.#start();
  }

  get #areFinished(): boolean {
    return this.#initiators.every(({ isFinished }) => isFinished);
  }

  #start(): Cluster {
    return new Cluster(this.#world, this.#shards, this.#machineOptions, () => ANSWER);
  }

  #turnUntilFinished(): void {
    this.#cluster.turnUntil(() => this.#areFinished);
    this.#initiators = [];
  }

  /** What control has begun for those that are gone comes to its end. */
  #settle(): void {
    const { timeline } = this.#world;
    const endUs = timeline.nowUs + SETTLE_US;
    this.#cluster.turnUntil(() => timeline.nowUs >= endUs);
  }

  #randomInitiator(index: number): Initiator {
    const random = this.#random.fork();
    const luns = randomLuns(random, this.#units);
    const parameters = this.#randomParameters(random);
    const habits = { ...randomHabits(random), ...this.#overrides.habits };
    const mix = { ...randomMix(random), ...this.#overrides.mix };
    let capacity = random.spread(4096, MEBIBYTE);
    if (parameters.session.errorRecoveryLevel > 0) {
      // Data that takes too long is asked for again: no more is outstanding than can be sent in time.
      habits.depth = Math.min(habits.depth, 8);
      mix.bytesMax = Math.min(mix.bytesMax, 65536);
      capacity = Math.max(capacity, 65536);
    }
    let left = this.#overrides.commands ?? random.spread(5, 120);
    return this.#initiator(random, `iqn.2026-11.io.ringlun:initiator${index}`, {
      luns,
      parameters,
      habits,
      pingIntervalMs: random.chance(0.3) ? random.between(5000, 20_000) : 0,
      pipe: { capacity, delayUsMax: this.#world.faults.networkDelayUsMax },
      nextCommand: () => (left-- > 0 ? randomCommand(random, mix, luns) : null),
    });
  }

  /** Whatever was written is there. */
  #reread(): void {
    const random = this.#random.fork();
    const luns = new Map(this.#units.map((unit, lun) => [lun, unit]));
    const commands = [...luns].flatMap(([lun, unit]) => rereadingCommands(random, lun, unit));
    this.#initiators.push(
      this.#initiator(random, "iqn.2026-11.io.ringlun:auditor", {
        luns,
        parameters: this.#randomParameters(random),
        habits: QUIET,
        pingIntervalMs: 0,
        pipe: { capacity: MEBIBYTE, delayUsMax: 50 },
        nextCommand: () => commands.pop() ?? null,
      }),
    );
    this.#turnUntilFinished();
  }

  #stop(): void {
    const cluster = this.#cluster;
    cluster.turnUntil(() => !cluster.hasSessions);
    cluster.assertNothingLeft();
    cluster.stop(1000);
    cluster.turnUntil(() => cluster.stopped);
  }

  #randomParameters(random: Random): Parameters {
    const { session, connection } = randomParameters(random);
    return {
      session: { ...session, ...this.#overrides.session },
      connection: { ...connection, ...this.#overrides.connection },
    };
  }

  #initiator(
    random: Random,
    name: string,
    options: {
      readonly luns: ReadonlyMap<number, SimulatedUnit>;
      readonly parameters: Parameters;
      readonly habits: Habits;
      readonly pingIntervalMs: number;
      readonly pipe: PipeOptions;
      nextCommand(): Command | null;
    },
  ): Initiator {
    return new Initiator(this.#world, this.#cluster, random, {
      ...options,
      name,
      nextSessionId: () => ++this.#lastSessionId,
      resetBegins: (unit, by) => {
        for (const initiator of this.#initiators) if (initiator !== by) initiator.resetBegan(unit);
      },
      resetEnds: (unit, by) => {
        // Of an initiator from before a crash or a stop.
        if (!this.#initiators.includes(by)) return;
        for (const initiator of this.#initiators) if (initiator !== by) initiator.resetEnded(unit);
      },
    });
  }
}

/** One at least of the units, under any number. */
function randomLuns(random: Random, units: readonly SimulatedUnit[]): Map<number, SimulatedUnit> {
  const luns = new Map<number, SimulatedUnit>();
  for (const unit of units) if (random.chance(0.7)) luns.set(random.pick([0, 1, 2, 7, 300]), unit);
  if (luns.size === 0) luns.set(0, random.pick(units));
  return luns;
}
