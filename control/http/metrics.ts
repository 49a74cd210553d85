/** What Prometheus scrapes. Everything is read at the scrape: nothing here runs for an I/O. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { COUNTER_NAMES } from "../../dataplane/counters.js";
import { describeLoginStatus } from "../../dataplane/wire/login-response.js";
import type { Server } from "../server.js";
import { VERSION } from "../version.js";

export class Metrics {
  readonly #registry = new Registry();
  readonly #logins: Counter<"status">;
  readonly #refusedConnections: Counter;

  constructor(server: Server) {
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    new Gauge({
      name: "ringlun_build_info",
      help: "1, labelled with what runs.",
      labelNames: ["version", "node"],
      registers,
    }).set({ version: VERSION, node: process.version }, 1);
    this.#logins = new Counter({
      name: "ringlun_logins_total",
      help: "Logins that have ended, by their status (RFC 7143 section 11.13.5).",
      labelNames: ["status"],
      registers,
    });
    this.#refusedConnections = new Counter({
      name: "ringlun_refused_connections_total",
      help: "Connections closed at once, because too many had not logged in.",
      registers,
    });
    gauge(registers, "ringlun_sessions", "Sessions, discovery included.", () => server.sessions.length);
    gauge(registers, "ringlun_connections", "Connections of these sessions.", () => server.connectionCount);
    gauge(
      registers,
      "ringlun_unauthenticated_connections",
      "Connections in the Login Phase.",
      () => server.unauthenticatedCount,
    );
    new Counter({
      name: "ringlun_shard_restarts_total",
      help: "How often a shard was started again.",
      labelNames: ["shard"],
      registers,
      collect() {
        this.reset();
        for (let shard = 0; shard < server.shards.count; shard++) this.inc({ shard }, server.shards.restarts(shard));
      },
    });
    for (const [index, name] of COUNTER_NAMES.entries()) this.#addShardCounter(server, name, index);
  }

  #addShardCounter(server: Server, name: string, index: number): void {
    const isGauge = SHARD_GAUGES.has(name);
    const Kind = isGauge ? Gauge : Counter;
    new Kind({
      name: isGauge ? `ringlun_shard_${name}` : `ringlun_shard_${name}_total`,
      help: `The shard's count of ${name.replaceAll("_", " ")}.`,
      labelNames: ["shard"],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (let shard = 0; shard < server.shards.count; shard++) {
          const counters = server.shards.counters(shard);
          if (counters !== undefined) this.inc({ shard }, new Float64Array(counters)[index] ?? 0);
        }
      },
    });
  }

  countLogin(status: number): void {
    this.#logins.inc({ status: describeLoginStatus(status) });
  }

  countRefusedConnection(): void {
    this.#refusedConnections.inc();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** In Prometheus's text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }
}

/** Counts that also go down. */
const SHARD_GAUGES: ReadonlySet<string> = new Set(["sessions", "connections", "parked_tasks"]);

function gauge(registers: Registry[], name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers,
    collect() {
      this.set(read());
    },
  });
}
