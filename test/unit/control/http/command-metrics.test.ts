import assert from "node:assert/strict";
import { test } from "node:test";
import { commandMetrics, escapeLabel } from "../../../../control/http/command-metrics.js";
import { partsOf } from "../../../../control/http/parts.js";
import type { Server } from "../../../../control/server.js";
import { SessionStatistics, StatisticsMemory } from "../../../../control/statistics.js";
import {
  ERROR_ABORTED,
  ERRORS,
  IN_FLIGHT,
  READ_BYTES,
  READ_TIMES,
  READS,
  statisticsBlock,
  THROTTLED,
  THROTTLED_TIME,
  TIME_BUCKETS,
  WRITE_TIMES,
} from "../../../../dataplane/statistics.js";

function server(units: readonly string[], sessions: readonly string[], fill: (counted: Float64Array) => void): Server {
  const memory = new StatisticsMemory(1);
  const sessionStatistics = new SessionStatistics(memory);
  const records = units.map((name) => ({ name, statisticsBlock: memory.allocate() }));
  for (const { statisticsBlock: block } of records) fill(statisticsBlock(memory.shards[0]!, block));
  for (const [sessionId, initiatorName] of sessions.entries()) {
    const block = sessionStatistics.blockOf({ sessionId, identity: { initiatorName, targetName: "t" } } as never);
    fill(statisticsBlock(memory.shards[0]!, block));
  }
  const unitStatistics = ({ statisticsBlock: block }: { statisticsBlock: number }) => memory.read(block);
  return { units: records, unitStatistics, sessionStatistics } as unknown as Server;
}

const textOf = (of: Server): string => [...commandMetrics(of)].join("");

test("a unit's lines, to the byte", () => {
  const text = textOf(
    server(["disk"], [], (counted) => {
      counted[READS] = 3;
      counted[READ_BYTES] = 12288;
      counted[IN_FLIGHT] = 2;
      counted[ERRORS + 5] = 1;
      counted[ERRORS + 10] = 4;
      counted[ERRORS + ERROR_ABORTED] = 2;
      counted[THROTTLED] = 2;
      counted[THROTTLED_TIME] = 2_500_000;
      counted[READ_TIMES] = 1500;
      counted[READ_TIMES + 1] = 1;
      counted[READ_TIMES + 1 + 4] = 1;
      counted[READ_TIMES + TIME_BUCKETS] = 1;
    }),
  );
  const lines = text.split("\n").filter((line) => line.startsWith("ringlun_unit"));
  const latency = 'ringlun_unit_latency_seconds_bucket{unit="disk",operation="read",le=';
  assert.deepEqual(lines, [
    'ringlun_unit_commands_total{unit="disk",operation="read"} 3',
    'ringlun_unit_commands_total{unit="disk",operation="write"} 0',
    'ringlun_unit_commands_total{unit="disk",operation="other"} 0',
    'ringlun_unit_bytes_total{unit="disk",operation="read"} 12288',
    'ringlun_unit_bytes_total{unit="disk",operation="write"} 0',
    'ringlun_unit_commands_in_flight{unit="disk"} 2',
    'ringlun_unit_errors_total{unit="disk",reason="illegal request"} 1',
    'ringlun_unit_errors_total{unit="disk",reason="copy aborted"} 4',
    'ringlun_unit_errors_total{unit="disk",reason="aborted"} 2',
    'ringlun_unit_throttled_commands_total{unit="disk"} 2',
    'ringlun_unit_throttled_seconds_total{unit="disk"} 2.5',
    `${latency}"0.000064"} 1`,
    `${latency}"0.000128"} 1`,
    `${latency}"0.000256"} 1`,
    `${latency}"0.000512"} 1`,
    `${latency}"0.001024"} 2`,
    `${latency}"0.002048"} 2`,
    `${latency}"0.004096"} 2`,
    `${latency}"0.008192"} 2`,
    `${latency}"0.016384"} 2`,
    `${latency}"0.032768"} 2`,
    `${latency}"0.131072"} 2`,
    `${latency}"0.524288"} 2`,
    `${latency}"2.097152"} 2`,
    `${latency}"+Inf"} 3`,
    'ringlun_unit_latency_seconds_sum{unit="disk",operation="read"} 0.0015',
    'ringlun_unit_latency_seconds_count{unit="disk",operation="read"} 3',
  ]);
});

test("what a name holds stays within its label", () => {
  assert.equal(escapeLabel('a"b\\c\nd'), 'a\\"b\\\\c\\nd');
  const text = textOf(server(['disk"} 1\nringlun_evil{a="b'], [], () => {}));
  assert.doesNotMatch(text, /^ringlun_evil/m);
});

test("a thousand units and a thousand initiators are less than 6 MB, made in parts", async () => {
  const names = (prefix: string) => Array.from({ length: 1000 }, (_, i) => `${prefix}${String(i).padStart(4, "0")}`);
  const busy = server(names("vm-disk-"), names("iqn.1993-08.org.debian:01:host-"), (counted) => {
    counted.fill(1234);
    counted.fill(123456, READ_TIMES, READ_TIMES + 1 + TIME_BUCKETS);
    counted.fill(654321, WRITE_TIMES, WRITE_TIMES + 1 + TIME_BUCKETS);
    counted.fill(0, ERRORS, READ_TIMES);
  });
  let bytes = 0;
  let longest = 0;
  let parts = 0;
  // What is made of one name takes a millisecond.
  let nowMs = 0;
  for await (const part of partsOf(commandMetrics(busy), () => nowMs++)) {
    bytes += part.length;
    longest = Math.max(longest, part.length);
    parts++;
  }
  assert.ok(bytes < 6e6, `${bytes} bytes`);
  assert.ok(longest < 30_000, `a part of ${longest} bytes`);
  // Seven families of so many names, of units, of the one target, and of initiators.
  assert.ok(parts > (7 * 2001) / 3, `${parts}`);
});
