/** A simulated initiator at work: logs in, sends its commands as its mood is, logs out; if it is cut off it comes again. */
import assert from "node:assert/strict";
import type { Cluster } from "../cluster.js";
import type { Machine } from "../machine.js";
import type { PipeOptions } from "../pipe.js";
import type { Random } from "../random.js";
import type { SimulatedUnit } from "../unit.js";
import type { World } from "../world.js";
import type { Command } from "./command.js";
import { type ConnectionListener, InitiatorConnection } from "./connection.js";
import type { Parameters } from "./parameters.js";

const THINK_US_MAX = 2000;
const STALL_US_MAX = 20_000_000;
/** Where data that does not come is asked for again, it always comes before. */
const STALL_US_MAX_WITH_RECOVERY = 500_000;
const TICK_US = 500_000;
/** A task that a reset may have ended without a word is asked for after so long. */
const PATIENCE_US = 1_000_000;
/** If nothing happens for so long although something is outstanding, something hangs. */
const PROGRESS_US_MAX = 60_000_000;
const IMMEDIATE_TASKS_MAX = 8;

export interface Habits {
  /** Commands that it has outstanding at most. */
  depth: number;
  readonly immediate: number;
  readonly ping: number;
  readonly text: number;
  readonly abortTask: number;
  readonly abortTaskSet: number;
  readonly resetUnit: number;
}

export function randomHabits(random: Random): Habits {
  const perhaps = (most: number) => (random.chance(0.5) ? (random.below(1000) / 1000) * most : 0);
  return {
    depth: random.spread(1, 64),
    immediate: perhaps(0.2),
    ping: perhaps(0.1),
    text: perhaps(0.05),
    abortTask: perhaps(0.2),
    abortTaskSet: perhaps(0.05),
    resetUnit: perhaps(0.03),
  };
}

export interface InitiatorOptions {
  readonly name: string;
  readonly parameters: Parameters;
  readonly luns: ReadonlyMap<number, SimulatedUnit>;
  readonly habits: Habits;
  readonly pingIntervalMs: number;
  readonly pipe: PipeOptions;
  /** Null: the work is done. */
  nextCommand(): Command | null;
  nextSessionId(): number;
  resetBegins(unit: SimulatedUnit, by: Initiator): void;
  resetEnds(unit: SimulatedUnit, by: Initiator): void;
}

export class Initiator implements ConnectionListener {
  readonly name: string;
  isFinished = false;
  readonly #world: World;
  readonly #cluster: Cluster;
  /** Of the last login. */
  #machine: Machine;
  readonly #random: Random;
  readonly #options: InitiatorOptions;
  #connection: InitiatorConnection | null = null;
  /** Units that others are resetting, as often as there are resets. */
  readonly #resetting: SimulatedUnit[] = [];
  #isDone = false;
  /** It does not come again. */
  #isLast = false;
  /** It pings a last time before it logs out. */
  #hasPinged = false;
  #isLoggingOut = false;
  /** It was cut off, or did not read for so long that the target may have given it up. */
  #mayBeClosed = false;
  /** When something has come last; in the future while it does not read. */
  #progressUs = 0;

  constructor(world: World, cluster: Cluster, random: Random, options: InitiatorOptions) {
    this.name = options.name;
    this.#world = world;
    this.#cluster = cluster;
    this.#machine = cluster.pick(random);
    this.#random = random;
    this.#options = options;
    this.#logIn();
    this.#tick();
  }

  /** Another initiator resets a unit. */
  resetBegan(unit: SimulatedUnit): void {
    this.#resetting.push(unit);
    this.#connection?.resetBegan(unit);
  }

  resetEnded(unit: SimulatedUnit): void {
    this.#resetting.splice(this.#resetting.indexOf(unit), 1);
    this.#connection?.resetEnded(unit);
  }

  /** The machine is gone, and it with it. */
  crashed(): void {
    this.#connection?.crashed();
    this.#connection = null;
    this.isFinished = true;
  }

  /** Control ends its connection, or all of its session. */
  closeByControl(): void {
    const connection = this.#connection;
    if (connection === null) return;
    this.#mayBeClosed = true;
    const { connectionId, sessionId, expStatSN } = connection;
    const reason = "administration";
    if (this.#random.chance(0.5)) this.#machine.send({ type: "endConnection", connectionId, expStatSN, reason });
    else this.#machine.send({ type: "endSession", sessionId, reason });
  }

  /** The target stops: who is not gone in time is closed, and nobody can come again. */
  stopping(): void {
    this.#isLast = true;
    this.#mayBeClosed = true;
  }

  // ---- what the connection says

  progressed(): void {
    this.#progressUs = Math.max(this.#progressUs, this.#world.timeline.nowUs);
    if (this.#isDone) this.#finish();
  }

  resetBegins(unit: SimulatedUnit): void {
    this.#options.resetBegins(unit, this);
  }

  resetEnds(unit: SimulatedUnit): void {
    this.#options.resetEnds(unit, this);
  }

  logoutRequested(): void {
    assert(this.#isLast, "the target stops");
    this.#isDone = true;
  }

  closed(reason: string): void {
    const wasLoggingOut = this.#isLoggingOut;
    if (!this.#mayBeClosed) assert(wasLoggingOut && reason === "logout", `${this.name} was closed: ${reason}`);
    this.#connection = null;
    if (wasLoggingOut || this.#isLast || this.#random.chance(0.2)) this.isFinished = true;
    else this.#world.timeline.after(this.#random.spread(1, 1_000_000), () => this.#logIn());
  }

  // ----

  #logIn(): void {
    if (this.isFinished) return;
    const { luns, parameters, pingIntervalMs, pipe, name } = this.#options;
    this.#mayBeClosed = this.#isLast;
    this.#hasPinged = false;
    this.#isLoggingOut = false;
    this.#progressUs = this.#world.timeline.nowUs;
    const sessionId = this.#options.nextSessionId();
    this.#machine = this.#cluster.pick(this.#random);
    const options = { sessionId, cid: 0, initiatorName: name, parameters, luns, pingIntervalMs, pipe };
    this.#connection = new InitiatorConnection(this.#world, this.#machine, this.#random, options, this);
    for (const unit of this.#resetting) this.#connection.resetBegan(unit);
    this.#work(this.#connection);
  }

  /** Now and then it does something, until this connection is gone or the work is done. */
  #work(connection: InitiatorConnection): void {
    this.#world.timeline.after(this.#random.spread(1, THINK_US_MAX), () => {
      if (this.#connection !== connection) return;
      const burst = this.#random.spread(1, 16);
      for (let i = 0; i < burst && this.#connection === connection && !this.#isDone; i++) this.#act(connection);
      if (this.#isDone) this.#finish();
      else this.#work(connection);
    });
  }

  #act(connection: InitiatorConnection): void {
    const { habits } = this.#options;
    const random = this.#random;
    if (!connection.isOpen || connection.tasks.size >= habits.depth) return;
    if (random.chance(this.#world.faults.stall)) this.#stall(connection);
    if (random.chance(this.#world.faults.disconnect)) {
      this.#mayBeClosed = true;
      return connection.cut(random.chance(0.3) ? 0 : random.spread(1, 100_000));
    }
    if (random.chance(habits.ping)) return connection.ping(random.pick([0, 1, 100, 4000]), random.chance(0.5));
    if (random.chance(habits.text)) return this.#text(connection);
    if (random.chance(habits.abortTask)) {
      const tasks = [...connection.tasks.values()].filter(({ isManaged }) => !isManaged);
      if (tasks.length > 0) return connection.abortTask(random.pick(tasks));
    }
    const luns = [...this.#options.luns.keys()];
    if (random.chance(habits.abortTaskSet)) return connection.abortTaskSet(random.pick(luns));
    if (random.chance(habits.resetUnit)) return connection.resetUnit(random.pick(luns));
    const command = this.#options.nextCommand();
    if (command === null) {
      this.#isDone = true;
      return;
    }
    const immediate = random.chance(habits.immediate) && connection.immediateTasks < IMMEDIATE_TASKS_MAX;
    connection.command(command, immediate);
  }

  #text(connection: InitiatorConnection): void {
    const text = `X-io.ringlun.simulated=${"x".repeat(this.#random.spread(1, 8000))}\0`;
    connection.text(text, this.#cluster.respondToText(text));
  }

  #stall(connection: InitiatorConnection): void {
    const { nowUs } = this.#world.timeline;
    if (nowUs < this.#progressUs) return;
    const recovers = this.#options.parameters.session.errorRecoveryLevel > 0;
    const us = this.#random.spread(1000, recovers ? STALL_US_MAX_WITH_RECOVERY : STALL_US_MAX);
    this.#progressUs = nowUs + us;
    // It does not answer pings, nor send what it is asked for.
    this.#mayBeClosed = true;
    connection.stall(us);
  }

  /** All work is sent: when all is answered, a last ping shows the window; then it logs out. */
  #finish(): void {
    const connection = this.#connection;
    if (connection === null || !connection.isIdle || !connection.isOpen || this.#isLoggingOut) return;
    if (!this.#hasPinged) {
      this.#hasPinged = true;
      return connection.ping(0, true);
    }
    connection.assertWindowIsWhole();
    this.#isLoggingOut = true;
    connection.logout();
  }

  #tick(): void {
    this.#world.timeline.after(TICK_US, () => {
      if (this.isFinished) return;
      const { nowUs } = this.#world.timeline;
      const connection = this.#connection;
      if (connection !== null) {
        assert(nowUs - this.#progressUs < PROGRESS_US_MAX, `${this.name} hangs: ${connection.describe()}`);
        this.#lookAfterVanished(connection, nowUs);
        // What it has sent last may have left after what it has received last.
        if (this.#isDone) this.#finish();
      }
      this.#tick();
    });
  }

  /** Other initiators' resets end tasks without a word: nobody but ABORT TASK can tell which. */
  #lookAfterVanished(connection: InitiatorConnection, nowUs: number): void {
    for (const task of connection.tasks.values()) {
      if (task.mayVanish && !task.isManaged && nowUs - task.sentUs > PATIENCE_US && connection.isOpen) {
        connection.abortTask(task);
      }
    }
  }
}
