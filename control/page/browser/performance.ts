/** The three charts at the top, and the numbers of the moment below them. */
import { byteRate, commandRate, latency, percent, plural } from "../format.js";
import { drawChart } from "./chart.js";
import { element, fill } from "./elements.js";
import type { Model } from "./model.js";

const CHARTS = [
  { id: "throughput", label: "Read and write throughput over the last two minutes", format: byteRate },
  { id: "commands", label: "Read and write commands a second over the last two minutes", format: commandRate },
  { id: "latency", label: "Median latency of reads and writes over the last two minutes", format: latency },
];

export function showPerformance({ statistics, histories, nowMs }: Model): void {
  if (statistics === undefined) return;
  const { total } = statistics;
  fill(element("#throughput"), { read: byteRate(total.readBytes), write: byteRate(total.writtenBytes) });
  fill(element("#commands"), { read: commandRate(total.reads), write: commandRate(total.writes) });
  fill(element("#latency"), {
    read: latency(total.readLatency?.p50),
    readP99: total.readLatency === null ? "" : latency(total.readLatency.p99),
    write: latency(total.writeLatency?.p50),
    writeP99: total.writeLatency === null ? "" : latency(total.writeLatency.p99),
  });
  for (const { id, ...scale } of CHARTS) {
    drawChart(element(`#${id} figure`), histories.of(id), nowMs, scale);
  }
}

export function showMoment({ state, statistics }: Model): void {
  const strip = element("#strip");
  if (state !== undefined) {
    const { sessions, shards } = state;
    const serving = shards.filter((shard) => shard.serving).length;
    fill(strip, {
      sessions: String(sessions.length),
      connections: String(sessions.reduce((sum, { connections }) => sum + connections.length, 0)),
      shards: `${serving} of ${shards.length}`,
    });
    element('[data-mark="shards"]', strip).classList.toggle("wrong", serving < shards.length);
  }
  if (statistics !== undefined) {
    const { total, shards } = statistics;
    fill(strip, {
      inFlight: plural(total.inFlight, "command"),
      errors: commandRate(total.errors),
      cpu: percent(shards.reduce((sum, { cpu }) => sum + cpu, 0)),
    });
    element('[data-mark="errors"]', strip).classList.toggle("wrong", total.errors > 0);
  }
}
