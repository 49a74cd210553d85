/**
 * One thread of a shard, its rings and descriptors, from start to release.
 *
 *     control                                          shard n (a Piscina pool of one thread, one never-ending task)
 *     send() ----> ring toShard ----> + eventfd -----> its loop
 *     onMessage <- ring toControl <------------------- its loop           (awaited by Atomics.waitAsync)
 *
 * Every shard is a pool of its own: so it is known which thread is whose, and a dead thread's exit can be awaited.
 */
import { closeSync, eventfd, eventfdSignal, SHUT_RD, SHUT_RDWR, shutdownSync } from "io-uring-node";
import { Piscina } from "piscina";
import { allocateRing, Consumer, Producer } from "sharedarraybuffer-ring";
import type { ControlMessage, ShardMessage, ShardTask, UnitRecord } from "../dataplane/messages.js";
import {
  DESCRIPTORS_MAX,
  DRAIN_TIMEOUT_MS,
  RING_TO_CONTROL_BYTES,
  RING_TO_SHARD_BYTES,
  SHARD_BACKLOG_MAX,
  SHARD_MESSAGES_PER_TURN,
  SHARD_START_TIMEOUT_MS,
} from "./limits.js";
import type { Logger } from "./logger.js";

/**
 * Piscina tries `require` before `import`, and Node 20.20 aborts the process ("Assertion failed:
 * facade->InstantiateModule") if a thread is terminated while it requires an ES module: so ours may only import it. A
 * Node that does not know the flag refuses to require ES modules anyway. Of the process's own flags a thread is not given
 * those that concern the whole process, V8's for instance: it refuses to start with them.
 */
const EXEC_ARGV = [
  ...process.execArgv.filter((flag) => flag === "--enable-source-maps"),
  ...(process.allowedNodeEnvironmentFlags.has("--experimental-require-module")
    ? ["--no-experimental-require-module"]
    : []),
];

/** What all shards have in common: see ShardTask. */
export type Common = Pick<
  ShardTask,
  "shards" | "busyPoll" | "gates" | "failedFlushes" | "budgets" | "wakeFds" | "slowCommandsUs"
>;

export interface ShardThreadOptions {
  readonly shard: number;
  /** See ShardTask. */
  readonly cpu: number | null;
  readonly common: Common;
  /** How many threads the shard has had before. */
  readonly life: number;
  readonly counters: SharedArrayBuffer;
  readonly statistics: SharedArrayBuffer;
  readonly captured: SharedArrayBuffer;
  readonly units: readonly UnitRecord[];
  readonly arenaBytes: number;
  readonly logger: Logger;
  /** All but `ready` and `stopped`, which are promises here. */
  readonly onMessage: (message: ShardMessage) => void;
  /** The worker's module. */
  readonly worker: URL;
}

/** One thread, its rings and descriptors, from start to release. */
export class ShardThread {
  /** Resolves at the shard's `ready`; rejects if it ends before, or takes too long. */
  readonly ready: Promise<void>;
  /** Resolves at `stopped`. */
  readonly stopped: Promise<void>;
  /** Resolves when the task is over, whatever the reason, which is the value. Never rejects. */
  readonly ended: Promise<unknown>;
  readonly bornAtMs = Date.now();
  /** Units that any of its sessions could ever write to. */
  readonly unitsServed = new Set<number>();

  readonly #pool: Piscina;
  readonly #producer: Producer;
  readonly #consumer: Consumer;
  readonly #shard: number;
  readonly #wakeFd: number;
  readonly #wakeFds: Int32Array;
  readonly #drained = new Int32Array(new SharedArrayBuffer(4));
  readonly #descriptors = new Uint8Array(new SharedArrayBuffer(DESCRIPTORS_MAX));
  readonly #onMessage: (message: ShardMessage) => void;
  readonly #logger: Logger;
  /** Encoded messages for which the ring had no room, oldest first. */
  readonly #backlog: Uint8Array[] = [];
  #terminated: Promise<void> | undefined;
  #backlogTimer: NodeJS.Timeout | undefined;
  #wasReady = false;
  #released = false;
  #announceReady: () => void = () => {};
  #announceStopped: () => void = () => {};

  constructor({
    shard,
    cpu,
    common,
    life,
    counters,
    statistics,
    captured,
    units,
    arenaBytes,
    logger,
    onMessage,
    worker,
  }: ShardThreadOptions) {
    this.#onMessage = onMessage;
    this.#logger = logger;
    const toShard = allocateRing(RING_TO_SHARD_BYTES);
    const toControl = allocateRing(RING_TO_CONTROL_BYTES);
    this.#producer = new Producer(toShard);
    this.#consumer = new Consumer(toControl);
    this.#wakeFd = eventfd();
    this.#wakeFds = new Int32Array(common.wakeFds);
    this.#shard = shard;
    Atomics.store(this.#wakeFds, shard, this.#wakeFd);
    const task: ShardTask = {
      ...common,
      shard,
      cpu,
      life,
      toShard,
      toControl,
      wakeFd: this.#wakeFd,
      drained: this.#drained.buffer,
      counters,
      statistics,
      captured,
      descriptors: this.#descriptors.buffer,
      units,
      arenaBytes,
    };
    this.#pool = new Piscina({ filename: worker.href, minThreads: 1, maxThreads: 1, execArgv: EXEC_ARGV });
    // A thread that fails outside of its task ends the task too, which is how we hear of it.
    this.#pool.on("error", (error) => this.#logger.error({ err: error }, "shard thread failed"));
    this.ended = this.#pool.run(task).then(
      () => new Error("the shard's task returned"),
      (error: unknown) => error,
    );
    this.stopped = new Promise((resolve) => {
      this.#announceStopped = resolve;
    });
    const started = new Promise<void>((resolve) => {
      this.#announceReady = resolve;
    });
    this.ready = this.#awaitStart(shard, started);
    void this.#receive();
  }

  async #awaitStart(shard: number, started: Promise<void>): Promise<void> {
    const failed = this.ended.then((error) => {
      throw error;
    });
    failed.catch(() => {});
    if (await settlesWithin(Promise.race([started, failed]), SHARD_START_TIMEOUT_MS)) return;
    await this.terminate();
    throw new Error(`shard ${shard} was not ready after ${SHARD_START_TIMEOUT_MS / 1000} s`);
  }

  send(message: ControlMessage): void {
    if (this.#released) return;
    const record = Buffer.from(JSON.stringify(message));
    if (this.#backlog.length === 0 && this.#producer.write(record)) {
      eventfdSignal(this.#wakeFd);
      return;
    }
    if (this.#backlog.length >= SHARD_BACKLOG_MAX) {
      this.#logger.error("the shard does not read its messages");
      void this.terminate();
      return;
    }
    this.#backlog.push(record);
    this.#backlogTimer ??= setInterval(() => this.#flushBacklog(), 10);
  }

  #flushBacklog(): void {
    let count = 0;
    while (count < this.#backlog.length && this.#producer.write(this.#backlog[count]!)) count++;
    this.#backlog.splice(0, count);
    if (count > 0) eventfdSignal(this.#wakeFd);
    if (this.#backlog.length === 0) this.#stopBacklog();
  }

  #stopBacklog(): void {
    clearInterval(this.#backlogTimer);
    this.#backlogTimer = undefined;
  }

  /** A descriptor is the shard's as soon as the hand-off is under way: if it dies before it reads of it, we close it. */
  own(fd: number): void {
    this.#descriptors[fd] = 1;
  }

  /** Nothing more is received. The peers do not notice. */
  endReceives(): void {
    for (const fd of this.#owned()) shutdownSync(fd, SHUT_RD);
  }

  /** Ends the connections, and the peers notice. The descriptors stay open. */
  shutDownDescriptors(): void {
    for (const fd of this.#owned()) shutdownSync(fd, SHUT_RDWR);
  }

  /**
   * Ends the thread and waits for its exit, clean-up hooks included. May be called again; but the pool is not: a second
   * `destroy` ends before the first, and the pool then takes the thread's exit for an accident, and starts another thread.
   */
  terminate(): Promise<void> {
    this.#terminated ??= this.#pool.destroy();
    return this.#terminated;
  }

  /**
   * What io-uring-node says about the end of the ring: 1 drained, -1 not, 0 nothing said in time. A shard that was never
   * ready had no connection, so its ring held nothing that could do harm.
   */
  async drained(): Promise<number> {
    if (!this.#wasReady) return 1;
    // The exit hook that sets it runs in native code, which notifies nobody.
    const deadlineMs = Date.now() + DRAIN_TIMEOUT_MS;
    while (Atomics.load(this.#drained, 0) === 0 && Date.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return Atomics.load(this.#drained, 0);
  }

  /** Closes what the thread left open. Only after the ring is drained: a descriptor's number may be in use again at once. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#stopBacklog();
    this.#consumer.interrupt();
    for (const fd of this.#owned()) {
      this.#descriptors[fd] = 0;
      closeSync(fd);
    }
    // Another shard may be about to signal it: the number goes first, and a signal that comes late harms nobody.
    Atomics.store(this.#wakeFds, this.#shard, -1);
    closeSync(this.#wakeFd);
  }

  #owned(): number[] {
    const fds: number[] = [];
    for (let fd = this.#descriptors.indexOf(1); fd >= 0; fd = this.#descriptors.indexOf(1, fd + 1)) fds.push(fd);
    return fds;
  }

  async #receive(): Promise<void> {
    const consumer = this.#consumer;
    for (let handled = 0; !this.#released; ) {
      if (!consumer.next()) {
        await consumer.waitAsync();
        continue;
      }
      // A copy: Buffer's decoder takes no shared memory.
      const record = Buffer.from(consumer.bytes.slice(consumer.offset, consumer.offset + consumer.length));
      consumer.release();
      this.#dispatch(record);
      // Promises alone give nobody else a turn: no timer, no login, no other shard, however much this one has to say.
      if (++handled % SHARD_MESSAGES_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** A message that cannot be handled is logged: it must not keep those behind it from being read. */
  #dispatch(record: Buffer): void {
    try {
      this.#handle(JSON.parse(record.toString()) as ShardMessage);
    } catch (error) {
      this.#logger.error({ err: error }, "message of a shard not handled");
    }
  }

  #handle(message: ShardMessage): void {
    if (message.type === "ready") {
      this.#wasReady = true;
      this.#announceReady();
    } else if (message.type === "stopped") this.#announceStopped();
    else this.#onMessage(message);
  }
}

/** Whether the promise is fulfilled in time; a rejection is passed on. */
export async function settlesWithin(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), timeoutMs);
  });
  try {
    return await Promise.race([promise.then(() => true), timeout]);
  } finally {
    clearTimeout(timer);
  }
}
