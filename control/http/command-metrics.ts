/**
 * What the commands of units, targets and initiators have come to, in Prometheus's text format (version 0.0.4). With a thousand
 * of each that is some sixty thousand lines: the pieces of a text that is made in parts (parts.ts).
 */
import { SENSE_KEY_NAMES } from "../../dataplane/scsi/sense-key-names.js";
import {
  ERROR_ABORTED,
  ERROR_BUSY,
  ERROR_REASONS,
  ERROR_RESERVATION_CONFLICT,
  ERROR_TASK_SET_FULL,
  ERRORS,
  FIRST_BUCKET_US_LOG2,
  IN_FLIGHT,
  OTHERS,
  READ_BYTES,
  READ_TIMES,
  READS,
  THROTTLED,
  THROTTLED_TIME,
  TIME_BUCKETS,
  WRITE_TIMES,
  WRITES,
  WRITTEN_BYTES,
} from "../../dataplane/statistics.js";
import type { Server } from "../server.js";
import type { MetricFamily } from "./metric-family.js";

/** What of the times is told: buckets by which they are cut, and whether reads and writes are told apart. */
interface Times {
  readonly buckets: readonly number[];
  readonly byOperation: boolean;
}

/** Bounds from 64 us to 2.1 s, each twice the one before, above 33 ms four times. */
const FINE: Times = { buckets: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15], byOperation: true };
/** Of initiators there may be many, and their names are long. */
const COARSE: Times = { buckets: [0, 2, 4, 6, 8, 10, 12, 14], byOperation: false };

/** Why commands do not end with GOOD: SPC-5's sense keys, and what else there is. */
const REASONS: readonly string[] = Object.assign([...SENSE_KEY_NAMES], {
  [ERROR_BUSY]: "busy",
  [ERROR_RESERVATION_CONFLICT]: "reservation conflict",
  [ERROR_TASK_SET_FULL]: "task set full",
  [ERROR_ABORTED]: "aborted",
});

/** One line for each name; the text of a family's lines for one name and what was counted for it. */
type Lines = (label: string, counted: Float64Array) => string;

interface Family {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** Beside that which names whom it is about. */
  readonly labels: readonly string[];
  readonly lines: Lines;
}

/** Of whom there are metrics, each by a label of that name. */
const SCOPES: readonly (readonly [kind: string, times: Times])[] = [
  ["unit", FINE],
  ["target", FINE],
  ["initiator", COARSE],
];

/** What is told of each: its labels are all that its lines ever have. */
export function commandMetricFamilies(): MetricFamily[] {
  return SCOPES.flatMap(([kind, times]) =>
    families(`ringlun_${kind}`, kind, times).map(({ name, type, help, labels }) => ({
      ...{ name, type, help },
      labels: [kind, ...labels],
    })),
  );
}

export function* commandMetrics(server: Server): Generator<string> {
  const counted: Readonly<Record<string, () => ReadonlyMap<string, Float64Array>>> = {
    unit: () => new Map(server.units.map((unit) => [unit.name, server.unitStatistics(unit)])),
    target: () => server.sessionStatistics.byTarget(),
    initiator: () => server.sessionStatistics.byInitiator(),
  };
  for (const [kind, times] of SCOPES) yield* scope(kind, counted[kind]!(), times);
}

/** The head of a family, then its lines for one name after the other; the next family. */
function* scope(kind: string, counted: ReadonlyMap<string, Float64Array>, times: Times): Generator<string> {
  const labelled = [...counted].map(([name, values]) => [`${kind}="${escapeLabel(name)}"`, values] as const);
  for (const { name, type, help, lines } of families(`ringlun_${kind}`, kind, times)) {
    yield `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
    for (const [label, values] of labelled) yield lines(label, values);
  }
}

function families(prefix: string, kind: string, times: Times): Family[] {
  const latency = `${prefix}_latency_seconds`;
  return [
    {
      name: `${prefix}_commands_total`,
      type: "counter",
      help: `SCSI commands of the ${kind} that have ended, aborted ones included.`,
      labels: ["operation"],
      lines: (label, counted) =>
        `${prefix}_commands_total{${label},operation="read"} ${counted[READS]}\n` +
        `${prefix}_commands_total{${label},operation="write"} ${counted[WRITES]}\n` +
        `${prefix}_commands_total{${label},operation="other"} ${counted[OTHERS]}\n`,
    },
    {
      name: `${prefix}_bytes_total`,
      type: "counter",
      help: `Bytes that reads and writes of the ${kind} have moved that ended with GOOD.`,
      labels: ["operation"],
      lines: (label, counted) =>
        `${prefix}_bytes_total{${label},operation="read"} ${counted[READ_BYTES]}\n` +
        `${prefix}_bytes_total{${label},operation="write"} ${counted[WRITTEN_BYTES]}\n`,
    },
    {
      name: `${prefix}_commands_in_flight`,
      type: "gauge",
      help: `SCSI commands of the ${kind} that have begun and not ended: its queue depth.`,
      labels: [],
      lines: (label, counted) => `${prefix}_commands_in_flight{${label}} ${counted[IN_FLIGHT]}\n`,
    },
    {
      name: `${prefix}_errors_total`,
      type: "counter",
      help: `SCSI commands of the ${kind} that did not end with GOOD, by sense key, or other reason. What never happened is left out.`,
      labels: ["reason"],
      lines: (label, counted) => errorLines(prefix, label, counted),
    },
    {
      name: `${prefix}_throttled_commands_total`,
      type: "counter",
      help: `SCSI commands of the ${kind} that had to wait for a limit. Where that never happened it is left out.`,
      labels: [],
      lines: (label, counted) =>
        counted[THROTTLED]! > 0 ? `${prefix}_throttled_commands_total{${label}} ${counted[THROTTLED]}\n` : "",
    },
    {
      name: `${prefix}_throttled_seconds_total`,
      type: "counter",
      help: `Time that SCSI commands of the ${kind} have waited for limits, in seconds, likewise. It is part of their latency.`,
      labels: [],
      lines: (label, counted) =>
        counted[THROTTLED]! > 0
          ? `${prefix}_throttled_seconds_total{${label}} ${counted[THROTTLED_TIME]! / 1e6}\n`
          : "",
    },
    {
      name: latency,
      type: "histogram",
      help: `Time of reads and writes of the ${kind} from their arrival to their response, in seconds.`,
      labels: times.byOperation ? ["operation"] : [],
      lines: (label, counted) => {
        const reads = counted.subarray(READ_TIMES, READ_TIMES + 1 + TIME_BUCKETS);
        const writes = counted.subarray(WRITE_TIMES, WRITE_TIMES + 1 + TIME_BUCKETS);
        if (!times.byOperation) {
          return histogram(
            latency,
            label,
            reads.map((count, i) => count + writes[i]!),
            times.buckets,
          );
        }
        return (
          histogram(latency, `${label},operation="read"`, reads, times.buckets) +
          histogram(latency, `${label},operation="write"`, writes, times.buckets)
        );
      },
    },
  ];
}

function errorLines(prefix: string, label: string, counted: Float64Array): string {
  let text = "";
  for (let reason = 0; reason < ERROR_REASONS; reason++) {
    const count = counted[ERRORS + reason]!;
    if (count > 0) text += `${prefix}_errors_total{${label},reason="${REASONS[reason]}"} ${count}\n`;
  }
  return text;
}

/** The bound of each bucket, in seconds. */
const BOUNDS = Array.from({ length: TIME_BUCKETS }, (_, bucket) => String(2 ** (bucket + FIRST_BUCKET_US_LOG2) / 1e6));

/** `times`: sum, then counts. Without a command there is no line: most units of many have hardly any. */
function histogram(name: string, labels: string, times: Float64Array, buckets: readonly number[]): string {
  const [sum, ...counts] = times;
  const total = counts.reduce((all, count) => all + count, 0);
  if (total === 0) return "";
  let text = "";
  let below = 0;
  let next = 0;
  for (const bucket of buckets) {
    while (next <= bucket) below += counts[next++]!;
    text += `${name}_bucket{${labels},le="${BOUNDS[bucket]}"} ${below}\n`;
  }
  text += `${name}_bucket{${labels},le="+Inf"} ${total}\n`;
  return `${text}${name}_sum{${labels}} ${sum! / 1e6}\n${name}_count{${labels}} ${total}\n`;
}

/** A label's value may hold any character; these three are told by two. */
export function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, (character) => (character === "\n" ? "\\n" : `\\${character}`));
}
