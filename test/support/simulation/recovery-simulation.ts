/**
 * A simulation of error recovery: sessions of several connections, on one shard or two, whose PDUs are lost and damaged and whose
 * connections break. It ends when all have done their work and everything on the units was read once more.
 */
import { RecoveringSession, type SessionOptions } from "../recovering/recovering-session.js";
import { Resets } from "../recovering/resets.js";
import { NO_WIRE_FAULTS, randomWireFaults, Tallies, type WireFaults } from "../recovering/wire-faults.js";
import { changeLimits } from "./changing-limits.js";
import { Cluster } from "./cluster.js";
import { type Faults, NO_FAULTS } from "./faults.js";
import { type Parameters, randomParameters } from "./initiator/parameters.js";
import { type Mix, NO_COMMANDS, randomCommand } from "./initiator/random-command.js";
import { rereadingCommands } from "./initiator/rereading.js";
import { Random } from "./random.js";
import { replayable } from "./seeds.js";
import { SimulatedPortal } from "./simulated-portal.js";
import { Timeline } from "./timeline.js";
import { randomUnit, type SimulatedUnit } from "./unit.js";
import type { World } from "./world.js";

const MEBIBYTE = 1024 * 1024;
const PIPE_BYTES = 256 * 1024;
/** Of Data-In: the shorter, the more PDUs a command has that may be lost. */
const SEGMENT_BYTES_MIN = 2048;
const BURST_BYTES_MIN = 4096;
const SETTLE_US = 20_000_000;

export interface RecoveryOptions {
  readonly errorRecoveryLevel: number;
  readonly tallies: Tallies;
  readonly shards?: number;
  readonly wireFaults?: Partial<WireFaults>;
  readonly session?: Partial<Parameters["session"]>;
  readonly mix?: Partial<Mix>;
  /** What each initiator does beside its commands. */
  readonly habits?: Partial<Pick<SessionOptions, "connections" | "depth" | "taskSetFunction" | "declare">>;
  readonly commands?: number;
  /** Of units and initiators limits come, change and go. */
  readonly limits?: boolean;
}

export class RecoverySimulation {
  readonly #random: Random;
  readonly #options: RecoveryOptions;
  readonly #world: World;
  readonly #units: readonly SimulatedUnit[];
  readonly #cluster: Cluster;
  readonly #resets = new Resets();
  #lastSessionId = 0;

  constructor(seed: number, options: RecoveryOptions) {
    const random = new Random(seed);
    this.#random = random;
    this.#options = options;
    this.#world = { timeline: new Timeline(), random: random.fork(), faults: randomFaults(random) };
    const count = random.between(1, 2);
    this.#units = Array.from({ length: count }, (_, index) =>
      randomUnit(random, index, { kind: "file", inMemory: false }),
    );
    const machine = {
      units: this.#units,
      arenaBytes: random.pick([24, 48]) * MEBIBYTE,
      sqEntries: 64,
      cqEntries: 128,
      fixedBuffers: true,
    };
    this.#cluster = new Cluster(this.#world, options.shards ?? 2, machine, (text) => text);
  }

  run(): void {
    const count = this.#random.between(1, 3);
    const sessions = Array.from({ length: count }, (_, index) => this.#session(index));
    const areFinished = () => sessions.every(({ isFinished }) => isFinished);
    if (this.#options.limits === true) {
      changeLimits(this.#world, this.#random, () => this.#cluster, this.#units, areFinished);
    }
    this.#cluster.turnUntil(areFinished);
    this.#settle();
    this.#world.faults = NO_FAULTS;
    this.#reread();
    this.#cluster.turnUntil(() => !this.#cluster.hasSessions);
    this.#cluster.assertNothingLeft();
  }

  #session(index: number): RecoveringSession {
    const random = this.#random.fork();
    const luns = new Map(this.#units.map((unit, lun) => [lun, unit]));
    const mix = { ...randomMix(random), ...this.#options.mix };
    let left = this.#options.commands ?? random.between(20, 60);
    return this.#open(random, `iqn.2026-11.io.ringlun:initiator${index}`, luns, {
      connections: random.between(1, 4),
      depth: random.spread(1, 24),
      immediate: random.chance(0.4) ? 0.15 : 0,
      ping: random.chance(0.5) ? 0.05 : 0,
      abortTask: random.chance(0.3) ? 0.05 : 0,
      taskSetFunction: random.chance(0.3) ? 0.05 : 0,
      declare: random.chance(0.3) ? 0.05 : 0,
      ...this.#options.habits,
      faults: { ...randomWireFaults(random), ...this.#options.wireFaults },
      nextCommand: () => (left-- > 0 ? randomCommand(random, mix, luns) : null),
    });
  }

  #open(
    random: Random,
    initiatorName: string,
    luns: ReadonlyMap<number, SimulatedUnit>,
    options: Omit<SessionOptions, "initiatorName" | "luns" | "session" | "connectionParameters" | "resets" | "tallies">,
  ): RecoveringSession {
    const pipe = { capacity: PIPE_BYTES, delayUsMax: this.#world.faults.networkDelayUsMax };
    const portal = new SimulatedPortal(this.#world, this.#cluster, luns, pipe, () => ++this.#lastSessionId);
    const { errorRecoveryLevel, tallies } = this.#options;
    const maxBurstLength = random.spread(BURST_BYTES_MIN, 1 << 20);
    // The target says the same on each connection: a command is retried as it was.
    const { maxRecvDataSegmentLength } = randomParameters(random).connection;
    return new RecoveringSession(this.#world.timeline, portal, random, {
      ...options,
      initiatorName,
      luns: [...luns.keys()],
      resets: this.#resets,
      session: {
        ...randomParameters(random).session,
        maxConnections: 8,
        maxBurstLength,
        firstBurstLength: Math.min(maxBurstLength, random.spread(512, 1 << 17)),
        errorRecoveryLevel,
        defaultTime2Wait: random.below(2),
        defaultTime2Retain: random.chance(0.1) ? 0 : random.between(5, 30),
        ...this.#options.session,
      },
      connectionParameters: () => ({
        ...randomParameters(random).connection,
        maxRecvDataSegmentLength,
        maxSendDataSegmentLength: random.spread(SEGMENT_BYTES_MIN, 1 << 18),
      }),
      tallies,
    });
  }

  /** What was left to the target comes to its end. */
  #settle(): void {
    const { timeline } = this.#world;
    const endUs = timeline.nowUs + SETTLE_US;
    this.#cluster.turnUntil(() => timeline.nowUs >= endUs);
  }

  /** Whatever was written is there, and nothing else. */
  #reread(): void {
    const random = this.#random.fork();
    const luns = new Map(this.#units.map((unit, lun) => [lun, unit]));
    const commands = [...luns].flatMap(([lun, unit]) => rereadingCommands(random, lun, unit));
    const auditor = this.#open(random, "iqn.2026-11.io.ringlun:auditor", luns, {
      connections: 1,
      depth: 8,
      immediate: 0,
      ping: 0,
      abortTask: 0,
      taskSetFunction: 0,
      declare: 0,
      faults: NO_WIRE_FAULTS,
      nextCommand: () => commands.pop() ?? null,
    });
    this.#cluster.turnUntil(() => auditor.isFinished);
  }
}

/** Simulations of these seeds; prints what went wrong in them and what was done about it. */
export function recover(seeds: readonly number[], errorRecoveryLevel: number): Tallies {
  const tallies = new Tallies();
  for (const seed of seeds) {
    replayable(seed, () => new RecoverySimulation(seed, { errorRecoveryLevel, tallies }).run());
  }
  console.log(`${tallies.faults.total} faults at ErrorRecoveryLevel ${errorRecoveryLevel}\n${tallies.faults}`);
  console.log(`and what followed\n${tallies.recoveries}`);
  return tallies;
}

/** The kernel is well, now and then storage is not: a command that fails is recovered like any other. */
function randomFaults(random: Random): Faults {
  return {
    ...NO_FAULTS,
    mediumError: random.chance(0.3) ? 0.03 : 0,
    storageDelayUsMax: random.spread(10, 20_000),
    networkDelayUsMax: random.spread(1, 2000),
    turnUsMax: random.spread(1, 500),
  };
}

function randomMix(random: Random): Mix {
  return {
    weights: {
      ...NO_COMMANDS,
      read: random.between(1, 10),
      write: random.between(1, 10),
      writeSame: random.below(2),
      unmap: random.below(2),
      verifyData: random.below(2),
      writeAndVerify: random.below(2),
      compareAndWrite: random.chance(0.5) ? random.between(1, 5) : 0,
      orWrite: random.chance(0.5) ? random.between(1, 5) : 0,
      writeAtomic: random.chance(0.5) ? random.between(1, 5) : 0,
      synchronize: random.below(2),
      inquire: 1,
      ready: 1,
    },
    bytesMax: random.chance(0.05) ? 1 << 20 : random.pick([4096, 4096, 16384, 65536]),
    unitPart: random.pick([0.2, 0.02, 0.005]),
  };
}
