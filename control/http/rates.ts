/** What happened between two looks at the statistics of a unit or a session. */
import {
  ERROR_REASONS,
  ERRORS,
  FIRST_BUCKET_US_LOG2,
  IN_FLIGHT,
  OTHERS,
  READ_BYTES,
  READ_TIMES,
  READS,
  TIME_BUCKETS,
  WRITE_TIMES,
  WRITES,
  WRITTEN_BYTES,
} from "../../dataplane/statistics.js";

export interface Rates {
  /** Commands a second. */
  readonly reads: number;
  readonly writes: number;
  readonly others: number;
  readonly errors: number;
  /** Bytes a second. */
  readonly readBytes: number;
  readonly writtenBytes: number;
  /** Now. */
  readonly inFlight: number;
  /** Seconds, at most so exact as the histogram's buckets are; null where there was no command. */
  readonly readLatency: Latency | null;
  readonly writeLatency: Latency | null;
}

export interface Latency {
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
}

const IDLE: Rates = {
  ...{ reads: 0, writes: 0, others: 0, errors: 0, readBytes: 0, writtenBytes: 0 },
  ...{ inFlight: 0, readLatency: null, writeLatency: null },
};

export function ratesBetween(before: Float64Array, now: Float64Array, seconds: number): Rates {
  const rise = (index: number): number => Math.max(0, now[index]! - (before[index] ?? 0));
  // Most of many units are idle.
  if (rise(READS) === 0 && rise(WRITES) === 0 && rise(OTHERS) === 0) return { ...IDLE, inFlight: now[IN_FLIGHT]! };
  const perSecond = (index: number): number => rise(index) / seconds;
  let errors = 0;
  for (let reason = 0; reason < ERROR_REASONS; reason++) errors += rise(ERRORS + reason);
  return {
    reads: perSecond(READS),
    writes: perSecond(WRITES),
    others: perSecond(OTHERS),
    errors: errors / seconds,
    readBytes: perSecond(READ_BYTES),
    writtenBytes: perSecond(WRITTEN_BYTES),
    inFlight: now[IN_FLIGHT]!,
    readLatency: latency(READ_TIMES, rise),
    writeLatency: latency(WRITE_TIMES, rise),
  };
}

function latency(times: number, rise: (index: number) => number): Latency | null {
  const counts = Array.from({ length: TIME_BUCKETS }, (_, bucket) => rise(times + 1 + bucket));
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  return { mean: rise(times) / total / 1e6, p50: quantile(counts, total / 2), p99: quantile(counts, total * 0.99) };
}

/** Within its bucket, as if its commands were spread evenly over it. */
function quantile(counts: readonly number[], rank: number): number {
  let below = 0;
  for (const [bucket, count] of counts.entries()) {
    if (below + count >= rank) {
      const from = bucket === 0 ? 0 : 2 ** (bucket - 1 + FIRST_BUCKET_US_LOG2);
      const to = 2 ** (bucket + FIRST_BUCKET_US_LOG2);
      return (from + ((to - from) * (rank - below)) / count) / 1e6;
    }
    below += count;
  }
  return 2 ** (counts.length - 1 + FIRST_BUCKET_US_LOG2) / 1e6;
}
