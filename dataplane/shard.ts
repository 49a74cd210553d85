/**
 * A shard: all that one worker thread has, wired together. The parts know each other through this object; what each part
 * is for stands at its head. The kernel and the clock are reached through `ring` alone.
 *
 *     ring completion -> loop -> receiver -> dispatcher -> tasks (scsi/, storage/) -> transmitter -> ring submission
 */
import type { ProvidedBuffers, SubmissionCompletionRing } from "io-uring-node";
import { Arena } from "./arena.js";
import { SlicePool } from "./buffer/slice-pool.js";
import { Capture } from "./capture/capture.js";
import { BatchPool } from "./connection/batch.js";
import type { Connection } from "./connection/connection.js";
import { ConnectionTable } from "./connection/connection-table.js";
import { Departures } from "./connection/departures.js";
import { Dispatcher } from "./connection/dispatcher.js";
import { Lifecycle } from "./connection/lifecycle.js";
import { Receiver } from "./connection/receiver.js";
import { Requests } from "./connection/requests.js";
import { Snacks } from "./connection/snack.js";
import { Transmitter } from "./connection/transmitter.js";
import { RECEIVE_BUFFER_BYTES, RECEIVE_BUFFERS } from "./limits.js";
import type { ShardMessage, ShardTask, UnitRecord } from "./messages.js";

import { Refusals } from "./session/refusals.js";
import type { Session } from "./session/session.js";
import { SlowCommands } from "./slow-commands.js";
import { Statistics } from "./statistics.js";
import { FailedFlushes } from "./storage/failed-flushes.js";
import { FileStore } from "./storage/file-store.js";
import { Gate } from "./storage/gate.js";
import { LogicalUnit } from "./storage/logical-unit.js";
import { NullStore } from "./storage/null-store.js";
import type { SynchronousFiles } from "./storage/store.js";
import { TaskEngine } from "./task/engine.js";
import { Fences } from "./task/fences.js";
import { Resets } from "./task/resets.js";
import { TaskTable } from "./task/table.js";
import { Terminations } from "./task/terminations.js";

/** What `kind` of user_data says that a completion belongs to; `index` numbers it within its table. */
export const KIND_RECEIVE = 1;
export const KIND_SEND = 2;
export const KIND_SLICE = 3;
export const KIND_TASK = 4;
export const KIND_WAKE = 5;
/** Completions that say nothing (cancellations). */
export const KIND_IGNORED = 6;
/** Of a flush that no task waits for; the index is its unit's. */
export const KIND_FLUSH = 7;

/** The group of provided buffers that all receives take from. */
export const RECEIVE_GROUP = 0;

/** What a shard asks of the thread that it runs on: the rest of the operating system. */
export interface ShardHost {
  /** Puts a message into the ring to control; kept by the host while that is full. */
  post(message: ShardMessage): void;
  /** shutdown(2) both ways: receives and sends in flight end soon after. */
  shutdownSocket(fd: number): void;
  closeSocket(fd: number): void;
  /** Fills the CRC32Cs of `count` jobs (quadruples offset, length, seed, result) over the arena. */
  crc32c(jobs: Uint32Array, count: number): void;
  /** Has all other shards look at what waits at their gates. */
  wakeOthers(): void;
  readonly files: SynchronousFiles;
}

/** Which of the shards this one is, and what it shares with others. */
export type ShardSetup = Pick<
  ShardTask,
  | "shard"
  | "life"
  | "shards"
  | "gates"
  | "failedFlushes"
  | "budgets"
  | "counters"
  | "statistics"
  | "captured"
  | "slowCommandsUs"
  | "arenaBytes"
>;

/** Exchanges with control that one thread of a shard may begin. */
const EXCHANGES_PER_LIFE = 2 ** 32;

export class Shard {
  readonly ring: SubmissionCompletionRing;
  readonly host: ShardHost;
  readonly counters: Float64Array;
  readonly statistics: Statistics;
  readonly capture: Capture;
  readonly slowCommands: SlowCommands;
  readonly arena: Arena;
  readonly receiveArea: number;
  readonly wakeCell: number;
  /** Where the header of a held PDU lies while it is executed. */
  readonly heldHeader: number;
  readonly batches: BatchPool;
  readonly slices: SlicePool;
  readonly tasks: TaskTable;
  readonly connections: ConnectionTable;
  readonly sessions: Map<number, Session> = new Map();
  readonly units: Map<number, LogicalUnit> = new Map();
  readonly engine: TaskEngine;
  readonly lifecycle: Lifecycle;
  readonly departures: Departures;
  readonly receiver: Receiver;
  readonly requests: Requests;
  readonly dispatcher: Dispatcher;
  readonly transmitter: Transmitter;
  readonly snacks: Snacks;
  readonly fences: Fences;
  readonly resets: Resets;
  readonly terminations: Terminations;
  readonly refusals: Refusals;
  readonly receiveBuffers: ProvidedBuffers;
  /** Connections to be looked at for their end, after the turn. */
  readonly closing: Connection[] = [];
  /** The slices are registered with the ring as a fixed buffer. */
  fixedBuffers = false;

  readonly #setup: ShardSetup;
  #lastExchange: number;

  constructor(ring: SubmissionCompletionRing, host: ShardHost, setup: ShardSetup) {
    this.ring = ring;
    this.host = host;
    this.#setup = setup;
    this.#lastExchange = setup.life * EXCHANGES_PER_LIFE;
    this.counters = new Float64Array(setup.counters);
    this.statistics = new Statistics(setup.statistics);
    this.capture = new Capture(this, setup.captured);
    this.slowCommands = new SlowCommands(this, setup.slowCommandsUs);
    this.arena = new Arena(setup.arenaBytes);
    this.receiveArea = this.arena.take(RECEIVE_BUFFERS * RECEIVE_BUFFER_BYTES, 4096);
    this.wakeCell = this.arena.take(64, 64);
    this.heldHeader = this.arena.take(64, 64);
    this.batches = new BatchPool(this.arena);
    this.connections = new ConnectionTable(this.arena);
    this.tasks = new TaskTable(this.arena);
    this.slices = new SlicePool(this.arena);
    this.receiveBuffers = ring.registerBufferRing(RECEIVE_GROUP, RECEIVE_BUFFERS);
    for (let id = 0; id < RECEIVE_BUFFERS; id++) {
      this.receiveBuffers.add(
        id,
        this.arena.address(this.receiveArea + id * RECEIVE_BUFFER_BYTES),
        RECEIVE_BUFFER_BYTES,
      );
    }
    this.receiveBuffers.publish();
    this.transmitter = new Transmitter(this);
    this.engine = new TaskEngine(this, setup.budgets);
    this.lifecycle = new Lifecycle(this);
    this.departures = new Departures(this);
    this.requests = new Requests(this);
    this.dispatcher = new Dispatcher(this);
    this.receiver = new Receiver(this);
    this.snacks = new Snacks(this);
    this.fences = new Fences(this);
    this.resets = new Resets(this);
    this.terminations = new Terminations(this);
    this.refusals = new Refusals(this);
  }

  /** A number for an exchange with control, which no thread of this shard has used before. */
  nextExchange(): number {
    return ++this.#lastExchange;
  }

  /** A unit that sessions may be given from now on. */
  addUnit(record: UnitRecord): void {
    const store =
      record.kind === "null"
        ? new NullStore(this.arena)
        : new FileStore(this.ring, this.arena, this.host.files, record, this.#setup.shard, this.fixedBuffers);
    const gate = new Gate(this.#setup, record.unitIndex, () => this.host.wakeOthers());
    const failedFlushes = new FailedFlushes(this.#setup.failedFlushes, record.unitIndex);
    const { unitIndex } = record;
    const unit = new LogicalUnit(record, store, gate, failedFlushes, {
      lost: () => this.host.post({ type: "loss", unitIndex }),
      heard: (initiatorName) => this.host.post({ type: "lossHeard", unitIndex, initiatorName }),
    });
    this.units.set(record.unitIndex, unit);
    this.engine.throttles.limitUnit(unit, record.limits);
  }
}
