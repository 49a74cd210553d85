/** What Prometheus scrapes. Everything is read at the scrape: nothing here runs for an I/O. */
import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { COUNTER_NAMES, type CounterName, OPCODES, RECEIVED_PDUS, SENT_PDUS } from "../../dataplane/counters.js";
import { opcodeName } from "../../dataplane/wire/bhs.js";
import { describeLoginStatus } from "../../dataplane/wire/login-response.js";
import type { Server } from "../server.js";
import { ownTurn } from "../turns.js";
import { VERSION } from "../version.js";
import { commandMetricFamilies, commandMetrics } from "./command-metrics.js";
import type { MetricFamily } from "./metric-family.js";
import { partsOf } from "./parts.js";
import { addPortalMetrics } from "./portal-metrics.js";

/** What prom-client's metrics have, and its types do not. */
interface RegisteredMetric {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly labelNames: readonly string[];
}

/** Default metrics of prom-client that are called totals and are none: promtool objects to them. */
const MISNAMED = ["nodejs_active_resources_total", "nodejs_active_handles_total", "nodejs_active_requests_total"];

export class Metrics {
  readonly #server: Server;
  readonly #registry = new Registry();
  readonly #logins: Counter<"status">;
  readonly #refusedConnections: Counter;

  constructor(server: Server) {
    this.#server = server;
    const registers = [this.#registry];
    collectDefaultMetrics({ register: this.#registry });
    for (const name of MISNAMED) this.#registry.removeSingleMetric(name);
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
    gauge(registers, "ringlun_ready", "1 while all portals listen and all shards serve, otherwise 0.", () =>
      Number(server.isReady),
    );
    addPortalMetrics(server, this.#registry);
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
    this.#addPdus(server, "received", RECEIVED_PDUS);
    this.#addPdus(server, "sent", SENT_PDUS);
  }

  #addShardCounter(server: Server, counter: CounterName, index: number): void {
    const isGauge = SHARD_GAUGES.has(counter);
    const Kind = isGauge ? Gauge : Counter;
    // Prometheus counts time in seconds.
    const isTime = counter.endsWith("_microseconds");
    const name = counter.replace(/_microseconds$/, "_seconds");
    const scale = isTime ? 1e-6 : 1;
    new Kind({
      name: isGauge ? `ringlun_shard_${name}` : `ringlun_shard_${name}_total`,
      help: SHARD_HELP[counter],
      labelNames: ["shard"],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (let shard = 0; shard < server.shards.count; shard++) {
          const counters = server.shards.counters(shard);
          if (counters !== undefined) this.inc({ shard }, (new Float64Array(counters)[index] ?? 0) * scale);
        }
      },
    });
  }

  #addPdus(server: Server, way: "received" | "sent", first: number): void {
    new Counter({
      name: `ringlun_shard_${way}_pdus_total`,
      help: `PDUs ${way} in full feature phase, by what they are. What there never was is left out.`,
      labelNames: ["shard", "opcode"],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (let shard = 0; shard < server.shards.count; shard++) {
          const shared = server.shards.counters(shard);
          if (shared === undefined) continue;
          const counters = new Float64Array(shared, first * 8, OPCODES);
          for (const [opcode, count] of counters.entries()) {
            if (count > 0) this.inc({ shard, opcode: opcodeName(opcode) }, count);
          }
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

  /** All that a scrape may have in it. */
  get families(): MetricFamily[] {
    const own = this.#registry.getMetricsAsArray() as unknown as readonly RegisteredMetric[];
    return [
      ...own.map(({ name, type, help, labelNames }) => ({ name, type, help, labels: labelNames })),
      ...commandMetricFamilies(),
    ];
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** In Prometheus's text format, a part at a time. */
  async *text(): AsyncGenerator<string> {
    await ownTurn();
    yield await this.#registry.metrics();
    yield* partsOf(commandMetrics(this.#server));
  }
}

const SHARD_HELP: Readonly<Record<CounterName, string>> = {
  turns: "Turns of the shard's loop: each works off what one wait has brought.",
  completions: "Completions that the ring brought.",
  scsi_commands: "SCSI commands that the shard began.",
  read_bytes: "Data sent to initiators by reads, in bytes.",
  written_bytes: "Data of writes that storage has completed, in bytes.",
  received_bytes: "Bytes received from sockets, headers included.",
  sent_bytes: "Bytes sent to sockets, headers included.",
  check_conditions: "Commands that ended with CHECK CONDITION.",
  rejects: "PDUs answered with Reject.",
  digest_errors: "PDUs whose digest did not match.",
  task_set_full: "Commands that ended with TASK SET FULL.",
  parked_tasks: "Times that a task had to wait, for a buffer or for its turn.",
  throttled_tasks: "Tasks that wait for limits.",
  sessions: "Sessions that the shard serves.",
  connections: "Connections that the shard serves.",
  cpu_microseconds: "CPU time of the shard's thread, in seconds.",
  busy_poll_microseconds:
    "Part of the CPU time in which the shard had nothing to do, and stayed awake for what it expected.",
  capture_dropped_pdus: "PDUs that a capture has left out, because its reader was too slow.",
  resent_pdus: "PDUs sent again, because a SNACK asked for them.",
  submissions: "Operations that the shard gave to the ring.",
  buffer_bytes: "Size of all buffers for data.",
  free_buffer_bytes: "Size of those that are free.",
};

/** Counts that also go down. */
const SHARD_GAUGES: ReadonlySet<CounterName> = new Set([
  "throttled_tasks",
  "sessions",
  "connections",
  "buffer_bytes",
  "free_buffer_bytes",
]);

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
