/**
 * What systemd is told, or whoever else listens at $NOTIFY_SOCKET (sd_notify(3)): that the program serves, reloads, ends, and
 * that it is alive, for as long as all of it is. Where nobody listens, nothing is told.
 */
import { closeSync, writeSync } from "node:fs";
import { connectUnixDatagram } from "io-uring-node";
import { COUNTER } from "../dataplane/counters.js";
import type { Logger } from "./logger.js";
import type { Server } from "./server.js";
import type { Shards } from "./shards.js";

/** How often its state is told where no watchdog asks for more. */
const STATUS_INTERVAL_MS = 15_000;
/** A shard turns at least once a second. */
const PULSE_INTERVAL_MIN_MS = 2000;
const RETRY_MS = 100;
/** Messages that wait for room at the other end; further ones are dropped. */
const WAITING_MAX = 16;

type Watched = Pick<Server, "sessions" | "units" | "isReady"> & {
  readonly shards: Pick<Shards, "count" | "counters" | "restarts" | "serving">;
};

export class Supervisor {
  readonly #server: Watched;
  readonly #logger: Logger;
  readonly #send: (message: string) => void;
  readonly #watchdogMs: number | undefined;
  readonly #pulse: ShardPulse;
  #timer: NodeJS.Timeout | undefined;

  /** `watchdogMs`: after so long without a word the program is ended; undefined: it is not. */
  constructor(server: Watched, logger: Logger, send: (message: string) => void, watchdogMs?: number) {
    this.#server = server;
    this.#logger = logger;
    this.#send = send;
    this.#watchdogMs = watchdogMs;
    this.#pulse = new ShardPulse(server.shards);
  }

  static fromEnvironment(environment: NodeJS.ProcessEnv, server: Watched, logger: Logger): Supervisor {
    const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = environment;
    if (NOTIFY_SOCKET === undefined) return new Supervisor(server, logger, () => {});
    const socket = new NotifySocket(NOTIFY_SOCKET, logger);
    const isMeant = WATCHDOG_PID === undefined || Number(WATCHDOG_PID) === process.pid;
    const watchdogMs = isMeant && Number(WATCHDOG_USEC) > 0 ? Number(WATCHDOG_USEC) / 1000 : undefined;
    const supervisor = new Supervisor(server, logger, (message) => socket.send(message), watchdogMs);
    supervisor.#timer = setInterval(() => supervisor.tick(), watchdogMs ? watchdogMs / 2 : STATUS_INTERVAL_MS).unref();
    return supervisor;
  }

  /** It serves; or serves on, after a reload. */
  ready(): void {
    this.#send(`READY=1\n${this.#status()}`);
  }

  reloading(): void {
    const monotonicUs = process.hrtime.bigint() / 1000n;
    this.#send(`RELOADING=1\nMONOTONIC_USEC=${monotonicUs}\nSTATUS=reloading the configuration`);
  }

  stopping(): void {
    clearInterval(this.#timer);
    this.#send("STOPPING=1\nSTATUS=telling the sessions, and making durable what was written");
  }

  /** At half of the watchdog's time. That control lives, the call shows; the shards have to show it themselves. */
  tick(nowMs = performance.now()): void {
    const hanging = this.#pulse.hanging(nowMs);
    if (hanging.length > 0) {
      this.#logger.error({ shards: hanging }, "shards do not turn: the watchdog is not held off");
      this.#send(`STATUS=shard ${hanging.join(", ")} does not turn`);
    } else {
      this.#send(this.#watchdogMs === undefined ? this.#status() : `WATCHDOG=1\n${this.#status()}`);
    }
  }

  #status(): string {
    const { sessions, units, isReady } = this.#server;
    const counts = `${units.length} units, ${sessions.length} sessions`;
    return `STATUS=${isReady ? "serving" : "not all shards serve"}: ${counts}`;
  }
}

/** Tells shards that hang from those that turn. */
export class ShardPulse {
  readonly #shards: Watched["shards"];
  #lastMs = Number.NEGATIVE_INFINITY;
  #seen: readonly string[] = [];
  #hanging: readonly number[] = [];

  constructor(shards: Watched["shards"]) {
    this.#shards = shards;
  }

  /**
   * Shards that have not turned since the last look, and whose thread is the same. One that has died and is being buried is
   * among them if that takes longer than from one look to the next.
   */
  hanging(nowMs: number): readonly number[] {
    if (nowMs - this.#lastMs < PULSE_INTERVAL_MIN_MS) return this.#hanging;
    this.#lastMs = nowMs;
    const serving = new Set(this.#shards.serving());
    const seen = Array.from({ length: this.#shards.count }, (_, shard) => {
      const turns = new Float64Array(this.#shards.counters(shard)!)[COUNTER.turns!];
      return `${serving.has(shard)} ${this.#shards.restarts(shard)} ${turns}`;
    });
    this.#hanging = [...seen.keys()].filter((shard) => seen[shard] === this.#seen[shard]);
    this.#seen = seen;
    return this.#hanging;
  }
}

/** Datagrams, in their order. One for which there is no room at the other end waits, and what comes after it. */
class NotifySocket {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #waiting: string[] = [];

  constructor(path: string, logger: Logger) {
    this.#path = path;
    this.#logger = logger;
  }

  send(message: string): void {
    if (this.#waiting.length >= WAITING_MAX) return;
    this.#waiting.push(message);
    if (this.#waiting.length === 1) this.#flush();
  }

  #flush(): void {
    for (let message = this.#waiting[0]; message !== undefined; message = this.#waiting[0]) {
      try {
        const fd = connectUnixDatagram(this.#path);
        try {
          writeSync(fd, message);
        } finally {
          closeSync(fd);
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "EAGAIN") {
          setTimeout(() => this.#flush(), RETRY_MS).unref();
          return;
        }
        this.#logger.warn({ socket: this.#path, reason: (error as Error).message }, "the supervisor cannot be told");
      }
      this.#waiting.shift();
    }
  }
}
