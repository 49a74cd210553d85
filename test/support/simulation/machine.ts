/** A shard on its simulated kernel, with a control plane that does what the real one does, later. */
import assert from "node:assert/strict";
import { crc32cBatch } from "io-uring-node";
import { allocateRing } from "sharedarraybuffer-ring";
import { CONNECTION_CLOSING } from "../../../dataplane/connection/connection.js";
import { allocateCounters } from "../../../dataplane/counters.js";
import { CAPTURE_RING_BYTES } from "../../../dataplane/limits.js";
import { Loop } from "../../../dataplane/loop.js";
import type {
  ControlMessage,
  HandoffRecord,
  LimitsRecord,
  ShardMessage,
  UnitChange,
  UnitRecord,
} from "../../../dataplane/messages.js";
import { Shard, type ShardHost } from "../../../dataplane/shard.js";
import { allocateStatistics } from "../../../dataplane/statistics.js";
import { Vigil } from "../../../dataplane/vigil.js";
import { assertAccounts, assertNothingLeaked } from "./accounts.js";
import { CapturedStreams } from "./captured-streams.js";
import type { Doorbell } from "./doorbell.js";
import { Kernel } from "./kernel.js";
import type { PipeOptions } from "./pipe.js";
import { SimulatedRing } from "./simulated-ring.js";
import type { PeerSocket } from "./socket.js";
import type { SimulatedUnit } from "./unit.js";
import type { World } from "./world.js";

const CONTROL_DELAY_US_MAX = 2000;
const DECLARATION = /MaxRecvDataSegmentLength=(\d+)/;

export interface MachineOptions {
  readonly units: readonly SimulatedUnit[];
  readonly arenaBytes: number;
  readonly sqEntries: number;
  readonly cqEntries: number;
  readonly fixedBuffers: boolean;
}

/** What a machine is among others, and what it asks of them. */
export interface Neighbourhood {
  readonly shard: number;
  readonly shards: number;
  readonly gates: SharedArrayBuffer;
  readonly failedFlushes: SharedArrayBuffer;
  readonly budgets: SharedArrayBuffer;
  /** Answers Text Requests. */
  respondToText(text: string): string;
  wakeOthers(by: Machine): void;
  /** Has all others reset the unit, then calls `done`. */
  resetUnit(by: Machine, unitIndex: number, done: () => void): void;
  nextConnectionId(): number;
}

export class Machine {
  readonly shard: Shard;
  readonly ring: SimulatedRing;
  readonly kernel: Kernel;
  stopped = false;
  readonly #world: World;
  readonly #neighbourhood: Neighbourhood;
  readonly #loop: Loop;
  readonly #doorbell: Doorbell;
  /** The ring of messages to the shard. */
  readonly #inbox: ControlMessage[] = [];
  readonly #captured: CapturedStreams;
  readonly #closeListeners = new Map<number, (reason: string) => void>();
  /** sessionId -> what follows when the shard has given the session up. */
  readonly #endListeners = new Map<number, () => void>();
  /** Exchange -> what follows when the shard has confirmed it. */
  readonly #confirmations = new Map<number, () => void>();
  #lastExchange = 0;

  constructor(world: World, options: MachineOptions, neighbourhood: Neighbourhood) {
    const { shard, shards, gates, failedFlushes, budgets } = neighbourhood;
    this.#world = world;
    this.#neighbourhood = neighbourhood;
    this.kernel = new Kernel(world);
    this.ring = new SimulatedRing(world, this.kernel, options.sqEntries, options.cqEntries, shards === 1);
    const host = new Host(this);
    const captured = allocateRing(CAPTURE_RING_BYTES);
    this.shard = new Shard(this.ring, host, {
      shard,
      shards,
      life: 0,
      gates,
      failedFlushes,
      budgets,
      counters: allocateCounters(),
      statistics: allocateStatistics(),
      slowCommandsUs: new SharedArrayBuffer(8),
      captured,
      arenaBytes: options.arenaBytes,
    });
    this.kernel.memory.attach(this.shard.arena);
    if (options.fixedBuffers) {
      const { regionOffset, regionLength } = this.shard.slices;
      this.ring.registerBuffers([{ address: this.shard.arena.address(regionOffset), length: regionLength }]);
      this.shard.fixedBuffers = true;
    }
    for (const unit of options.units) this.shard.addUnit(this.#open(unit));
    const { fd, doorbell } = this.kernel.openDoorbell();
    this.#doorbell = doorbell;
    this.#loop = new Loop(this.shard, fd, new Vigil(this.ring, 0));
    // Neighbours differ.
    this.#captured = new CapturedStreams(captured, shard % 2 === 0);
    this.#inbox.push({ type: "capture", selection: this.#captured.selection });
  }

  /** One turn of the shard's loop, as its worker has it. */
  turn(): void {
    if (this.#loop.turn()) {
      for (let message = this.#inbox.shift(); message !== undefined; message = this.#inbox.shift()) {
        this.#loop.handle(message);
      }
    }
    this.#loop.finish();
    assertAccounts(this.shard);
    this.#captured.check();
    if (this.shard.lifecycle.stopped) this.stopped = true;
  }

  /** Without a thread of its own: another turn would do something. */
  get isRunnable(): boolean {
    return this.ring.hasWork || this.shard.engine.gates.hasChanged;
  }

  /** When no session is left. */
  assertNothingLeft(): void {
    assert.equal(this.kernel.openSockets, 0, "all sockets are closed");
    assertNothingLeaked(this.shard, this.ring);
  }

  /** Hands a connection to the shard. `closed` is called when the shard has reported its end. */
  connect(
    record: Omit<HandoffRecord, "connectionId" | "fd">,
    options: PipeOptions,
    closed: (reason: string) => void,
  ): { readonly connectionId: number; readonly peer: PeerSocket } {
    const { fd, peer } = this.kernel.connect(options);
    const connectionId = this.#neighbourhood.nextConnectionId();
    this.#closeListeners.set(connectionId, closed);
    this.send({ type: "connection", record: { ...record, connectionId, fd } });
    return { connectionId, peer };
  }

  /** `ended` is called when the shard has given the session up. */
  whenSessionEnds(sessionId: number, ended: () => void): void {
    this.#endListeners.set(sessionId, ended);
  }

  /** A message of control to the shard. */
  send(message: ControlMessage): void {
    // Messages are documents: nothing is shared through them.
    this.#inbox.push(JSON.parse(JSON.stringify(message)) as ControlMessage);
    this.wake();
  }

  wake(): void {
    this.#doorbell.ring();
  }

  /** Another shard was asked for it; `done` is called when this one has confirmed it. */
  resetUnit(unitIndex: number, done: () => void): void {
    this.send({ type: "resetUnit", exchange: this.#exchange(done), unitIndex });
  }

  changeUnit(unitIndex: number, change: UnitChange): void {
    this.send({ type: "unitChange", exchange: this.#exchange(() => {}), unitIndex, change });
  }

  /** `done` is called when the shard has confirmed it. */
  changeLuns(
    sessionId: number,
    change: Partial<Pick<ControlMessage & { type: "lunChange" }, "removed" | "switched">>,
    done: () => void,
  ): void {
    const exchange = this.#exchange(done);
    this.send({ type: "lunChange", exchange, sessionId, added: [], removed: [], switched: [], ...change });
  }

  limitSession(sessionId: number, limits: LimitsRecord | null): void {
    this.send({ type: "sessionLimits", exchange: this.#exchange(() => {}), sessionId, limits });
  }

  #exchange(done: () => void): number {
    const exchange = ++this.#lastExchange;
    this.#confirmations.set(exchange, done);
    return exchange;
  }

  /** A login of the initiator to these units has come; `done` is called when what it had before is over. */
  awaitEnding(initiatorName: string, unitIndexes: readonly number[], done: () => void): void {
    this.send({ type: "awaitEnding", exchange: this.#exchange(done), initiatorName, unitIndexes });
  }

  wakeOthers(): void {
    this.#neighbourhood.wakeOthers(this);
  }

  /** A message of the shard to control. */
  receive(message: ShardMessage): void {
    const { timeline, random } = this.#world;
    timeline.after(random.below(CONTROL_DELAY_US_MAX), () => {
      if (!this.ring.isDead) this.#handle(message);
    });
  }

  /** Power cut. */
  crash(): void {
    this.ring.close();
  }

  #handle(message: ShardMessage): void {
    switch (message.type) {
      case "connectionClosed": {
        const closed = this.#closeListeners.get(message.connectionId);
        assert(closed !== undefined, "a connection ends once");
        this.#closeListeners.delete(message.connectionId);
        return closed(message.reason);
      }
      case "sessionEnded": {
        const ended = this.#endListeners.get(message.sessionId);
        this.#endListeners.delete(message.sessionId);
        return ended?.();
      }
      case "text": {
        const { connectionId, exchange } = message;
        const text = this.#neighbourhood.respondToText(message.text);
        const declared = DECLARATION.exec(message.text);
        const maxSendDataSegmentLength = declared === null ? null : Number(declared[1]);
        return this.send({
          type: "textReply",
          connectionId,
          exchange,
          text,
          maxSendDataSegmentLength,
          maxRecvDataSegmentLength: null,
        });
      }
      case "unitReset": {
        const { exchange, unitIndex } = message;
        return this.#neighbourhood.resetUnit(this, unitIndex, () => this.send({ type: "resetDone", exchange }));
      }
      case "nexusReset":
        return this.send({ type: "resetDone", exchange: message.exchange });
      case "done":
        return this.#confirmations.get(message.exchange)!();
      default:
        return;
    }
  }

  #open(unit: SimulatedUnit): UnitRecord {
    const { disk, record } = unit;
    if (disk === null) return { ...record, fd: -1, bufferedFd: -1, errorFds: [] };
    const bufferedFd = this.kernel.openFile(disk, 1);
    const fd = record.alignmentBytes === 1 ? bufferedFd : this.kernel.openFile(disk, record.alignmentBytes);
    return { ...record, fd, bufferedFd, errorFds: [] };
  }
}

/** What the shard's thread asks of its operating system. */
class Host implements ShardHost {
  readonly #machine: Machine;
  readonly files = {
    read: (fd: number, address: number, length: number, fileOffset: number) =>
      this.#machine.kernel.file(fd).readNow(address, length, fileOffset),
    write: (fd: number, address: number, length: number, fileOffset: number) =>
      this.#machine.kernel.file(fd).writeNow(address, length, fileOffset),
    // Simulated disks fail at the write, never behind its back.
    writeBackError: () => 0,
  };

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  post(message: ShardMessage): void {
    this.#machine.receive(JSON.parse(JSON.stringify(message)) as ShardMessage);
  }

  shutdownSocket(fd: number): void {
    assertNothingCanLand(this.#machine.shard, fd);
    this.#machine.kernel.shutdownSocket(fd);
  }

  closeSocket(fd: number): void {
    this.#machine.kernel.closeSocket(fd);
  }

  wakeOthers(): void {
    this.#machine.wakeOthers();
  }

  crc32c(jobs: Uint32Array, count: number): void {
    crc32cBatch(this.#machine.shard.arena.bytes, jobs, count);
  }
}

/** Who hears that the target has ended a connection goes on elsewhere: nothing of its tasks is with the store, unless that takes too long. */
function assertNothingCanLand({ sessions, ring }: Shard, fd: number): void {
  for (const session of sessions.values()) {
    for (let task = session.firstTask; task !== null; task = task.nextOfSession) {
      const { connection } = task;
      if (connection?.fd !== fd || connection.state !== CONNECTION_CLOSING || ring.nowUs >= connection.expiresUs)
        continue;
      assert.equal(
        task.storeBusy,
        0,
        `a store operation is in flight when its connection ends: ${connection.closeReason}`,
      );
    }
  }
}
