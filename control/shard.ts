/**
 * One shard through all of the threads that it has in its time: starts one, cleans up after its death, starts the next.
 *
 *     starting --> serving --> stopping --> stopped
 *        ^            |
 *        +--- dead <--+
 */
import { closeSync, eventfdSignal } from "io-uring-node";
import { allocateRing } from "sharedarraybuffer-ring";
import { allocateCounters } from "../dataplane/counters.js";
import { CAPTURE_RING_BYTES } from "../dataplane/limits.js";
import type { ControlMessage, LunRecord, ShardMessage, UnitRecord } from "../dataplane/messages.js";
import { forgetShard } from "../dataplane/storage/gate.js";
import { SHARD_SHORT_LIFE_MS, SHARD_SHORT_LIVES_MAX, STOP_OVERTIME_MS } from "./limits.js";
import type { Logger } from "./logger.js";
import { type Common, ShardThread, settlesWithin } from "./shard-thread.js";

export interface ShardOptions {
  readonly shard: number;
  /** See ShardTask. */
  readonly cpu: number | null;
  /** Of the moment: what is added later is there for the next thread. */
  readonly units: () => readonly UnitRecord[];
  readonly common: Common;
  /** See ShardTask. */
  readonly statistics: SharedArrayBuffer;
  readonly arenaBytes: number;
  readonly logger: Logger;
  /** All but `ready`, `log` and `stopped`, which end here. */
  readonly onMessage: (message: ShardMessage) => void;
  readonly onServing: () => void;
  /** Its connections are gone. Called before anything else of the clean-up. */
  readonly onDeath: () => void;
  /** Writes of a dead thread may still land: nothing can be served safely any more. */
  readonly onFatal: (reason: string) => void;
  readonly worker: URL;
}

type Phase = "starting" | "serving" | "dead" | "stopping" | "stopped";

export class Shard {
  readonly number: number;
  /** They go on counting over the shard's threads. */
  readonly counters: SharedArrayBuffer = allocateCounters();
  /** PDUs that a capture wants: see dataplane/capture/record.ts. */
  readonly captured: SharedArrayBuffer = allocateRing(CAPTURE_RING_BYTES);
  restarts = 0;

  readonly #options: ShardOptions;
  readonly #logger: Logger;
  #phase: Phase = "stopped";
  #thread: ShardThread | undefined;
  /** Resolved when the last death has been cleaned up after. */
  #settled: Promise<void> = Promise.resolve();
  #shortLives = 0;
  #restarted: Promise<void> = Promise.resolve();

  constructor(options: ShardOptions) {
    this.number = options.shard;
    this.#options = options;
    this.#logger = options.logger.child({ shard: options.shard });
  }

  get isServing(): boolean {
    return this.#phase === "serving";
  }

  /** Resolves when it serves, or was stopped meanwhile. Rejects with the reason if it ends before. */
  async start(): Promise<void> {
    this.#phase = "starting";
    const { shard, cpu, common, statistics, units, arenaBytes, worker } = this.#options;
    const thread = new ShardThread({
      shard,
      cpu,
      counters: this.counters,
      statistics,
      captured: this.captured,
      life: this.restarts,
      common,
      units: units(),
      arenaBytes,
      logger: this.#logger,
      onMessage: (message) => this.#receive(message),
      worker,
    });
    this.#thread = thread;
    void thread.ended.then((error) => this.#onEnd(thread, error));
    await thread.ready;
    if (this.#is("starting")) {
      this.#phase = "serving";
      this.#options.onServing();
    }
  }

  send(message: ControlMessage): void {
    if (message.type === "lunChange") this.#serves(message.added);
    this.#thread?.send(message);
  }

  /** From this call on the descriptor in the record is the shard's. */
  handOff(message: ControlMessage & { type: "connection" }): void {
    const thread = this.#thread;
    if (thread === undefined || this.#phase !== "serving") {
      // It died after it was chosen. The connection was not its own yet, so its death has not closed it.
      closeSync(message.record.fd);
      this.#options.onMessage({
        type: "connectionClosed",
        connectionId: message.record.connectionId,
        sessionId: message.record.sessionId,
        reason: "the shard died before the hand-off",
        isRecoverable: false,
      });
      return;
    }
    thread.own(message.record.fd);
    this.#serves(message.record.luns);
    thread.send(message);
  }

  #serves(luns: readonly LunRecord[]): void {
    for (const { unitIndex } of luns) this.#thread?.unitsServed.add(unitIndex);
  }

  /** Resolves when no operation of a dead thread can touch these units any more: at once, unless one has just died. */
  async unitsSettled(unitIndexes: readonly number[]): Promise<void> {
    const thread = this.#thread;
    if (this.#phase !== "dead" || thread === undefined) return;
    if (unitIndexes.some((index) => thread.unitsServed.has(index))) await this.#settled;
  }

  /** Ends what is left of a start that failed. */
  async discard(): Promise<void> {
    this.#phase = "stopped";
    await this.#thread?.terminate();
    this.#thread?.release();
  }

  /** Ends the thread as if it had died, to test what follows. Resolves when the shard serves again. */
  async kill(): Promise<void> {
    const thread = this.#thread;
    if (thread === undefined || this.#phase !== "serving") throw new Error(`shard ${this.number} does not serve`);
    await thread.terminate();
    await thread.ended;
    // `#onEnd` was registered first, so it has run and set this.
    await this.#restarted;
  }

  /** Has it tell its sessions and finish, for graceMs; then ends the thread. */
  async stop(graceMs: number): Promise<void> {
    const thread = this.#thread;
    const served = this.#phase === "serving";
    this.#phase = "stopping";
    if (thread === undefined) return;
    if (served) {
      thread.send({ type: "stop", graceMs });
      if (!(await settlesWithin(Promise.race([thread.stopped, thread.ended]), graceMs + STOP_OVERTIME_MS))) {
        this.#logger.warn("the shard did not stop in time");
      }
    }
    await thread.terminate();
    await this.#drain(thread);
    thread.release();
    this.#phase = "stopped";
  }

  #receive(message: ShardMessage): void {
    if (message.type === "log") this.#logger[message.level](message.fields, message.message);
    else this.#options.onMessage(message);
  }

  #onEnd(thread: ShardThread, error: unknown): void {
    if (thread !== this.#thread || this.#phase === "stopping" || this.#phase === "stopped") return;
    const wasStarting = this.#phase === "starting";
    this.#phase = "dead";
    // Who started it hears of it through `ready`.
    if (wasStarting && this.restarts === 0) return;
    this.#logger.error({ err: error }, "shard died");
    this.#shortLives = Date.now() - thread.bornAtMs < SHARD_SHORT_LIFE_MS ? this.#shortLives + 1 : 0;
    // Set before anybody hears of the death: who then asks whether units are settled has to wait.
    this.#settled = Promise.resolve().then(() => this.#bury(thread));
    this.#restarted = this.#settled.then(() => this.#restart());
  }

  /**
   * An old write must not land after the initiator has written newer data, in a new session or through another path that it
   * has, and nothing may be received into memory that was freed (DESIGN section 2). So: receive no more; await that the kernel
   * holds nothing; only then tell the initiators, give the descriptors back and let logins through to the units.
   */
  async #bury(thread: ShardThread): Promise<void> {
    thread.endReceives();
    this.#options.onDeath();
    await thread.terminate();
    if (!(await this.#drain(thread))) {
      this.#options.onFatal(`shard ${this.number} died, and operations of its ring could not be ended`);
      // Whoever waits for the units waits for ever: the process is about to exit.
      await new Promise(() => {});
    }
    thread.shutDownDescriptors();
    this.#openGates();
    thread.release();
  }

  /** What waits for the dead shard's writes to end, or for its atomic command, waits no more. */
  #openGates(): void {
    const { gates, shards, wakeFds } = this.#options.common;
    forgetShard(gates, shards, this.number);
    for (const [shard, fd] of new Int32Array(wakeFds).entries()) {
      if (shard !== this.number && fd >= 0) eventfdSignal(fd);
    }
  }

  async #drain(thread: ShardThread): Promise<boolean> {
    const outcome = await thread.drained();
    if (outcome === 1) return true;
    this.#logger.fatal({ outcome }, "the shard's ring was not drained");
    return false;
  }

  async #restart(): Promise<void> {
    if (this.#shortLives >= SHARD_SHORT_LIVES_MAX) {
      this.#options.onFatal(`shard ${this.number} died ${this.#shortLives} times as soon as it was started`);
      return;
    }
    if (!this.#is("dead")) return;
    this.restarts++;
    try {
      await this.start();
      this.#logger.info({ restarts: this.restarts }, "shard restarted");
    } catch (error) {
      // `#onEnd` has heard of it too, and tries again, up to the limit.
      this.#logger.error({ err: error }, "shard did not start");
    }
  }

  /** What was awaited may have changed it, which the compiler does not see. */
  #is(phase: Phase): boolean {
    return this.#phase === phase;
  }
}
