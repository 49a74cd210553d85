/** Server-sent events: what they hold, when they come, and how many streams there may be. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import * as documents from "../../../../control/http/documents.js";
import { STATE_LOOK_INTERVAL_MS, STATISTICS_RETRY_MS, STATISTICS_STREAMS_MAX } from "../../../../control/limits.js";
import { Server } from "../../../../control/server.js";
import { COUNTER } from "../../../../dataplane/counters.js";
import { BLOCK_DOUBLES, READ_BYTES, READS } from "../../../../dataplane/statistics.js";
import { configuration, INITIATOR, silent, TARGET } from "../support/fixtures.js";
import { Initiator } from "../support/initiator.js";

const WORKER = new URL("../support/fake-shard.js", import.meta.url);

let server: Server;
let path: string;

before(async () => {
  path = mkdtempSync(join(tmpdir(), "ringlun-stream-"));
  const http = { listen: { host: "127.0.0.1", port: 0 }, hosts: [], tls: null };
  server = await Server.start(configuration(path, { http }), { logger: silent, worker: WORKER });
});

after(async () => {
  await server.stop(0);
  rmSync(path, { recursive: true });
});

function open(query: string): Promise<IncomingMessage> {
  const { port } = server.httpAddress!;
  return new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path: `/api/v1/statistics?${query}`, agent: false }, resolve).on("error", reject);
  });
}

interface Event {
  readonly name: string;
  readonly document: unknown;
}

async function* eventsOf(stream: IncomingMessage): AsyncGenerator<Event> {
  let name = "";
  for await (const line of createInterface({ input: stream })) {
    const [, field, value] = /^(\w+): (.*)$/.exec(line) ?? [];
    if (field === "event") name = value!;
    if (field === "retry") yield { name: "retry", document: Number(value) };
    if (field === "data") yield { name, document: JSON.parse(value!) };
  }
}

async function next(events: AsyncGenerator<Event>, name: string): Promise<unknown> {
  for (;;) {
    const { value } = await events.next();
    assert.ok(value !== undefined, `the stream ended without ${name}`);
    if (value.name === name) return value.document;
  }
}

test("rates of units, their sum, and shards: as described", async (context) => {
  const counted = new Float64Array(BLOCK_DOUBLES);
  context.mock.method(server, "unitStatistics", () => counted.slice());
  const stream = await open("interval=0.1");
  context.after(() => stream.destroy());
  assert.equal(stream.headers["content-type"], "text/event-stream");
  const events = eventsOf(stream);
  assert.equal(await next(events, "retry"), STATISTICS_RETRY_MS);
  await next(events, "statistics");
  counted[READS]! += 300;
  counted[READ_BYTES]! += 300 * 4096;
  new Float64Array(server.shards.counters(0)!)[COUNTER.cpu_microseconds]! += 50_000;
  const look = documents.statistics.parse(await next(events, "statistics"));
  const { seconds, total, units, shards } = look;
  assert.ok(seconds > 0.05);
  assert.deepEqual(
    units.map(({ name }) => name),
    server.units.map(({ name }) => name),
  );
  for (const { reads, readBytes } of units) {
    assert.equal(Math.round(reads * seconds), 300);
    assert.equal(Math.round(readBytes * seconds), 300 * 4096);
  }
  assert.equal(Math.round(total.reads * seconds), 300 * units.length);
  assert.equal(Math.round(shards[0]!.cpu * seconds * 1000), 50);
});

test("the state comes at once, then only when it has changed; it holds no more than is needed", async (context) => {
  const stream = await open("interval=0.1&state=true");
  context.after(() => stream.destroy());
  const events = eventsOf(stream);
  await next(events, "retry");
  const { value: first } = await events.next();
  assert.equal(first.name, "state");
  const before = documents.state.parse(first.document);
  assert.deepEqual(before.units[0]?.paths, [{ portalGroupTag: 1, state: "optimized", preferred: false }]);
  assert.deepEqual(before.sessions, []);
  for (let looks = 0; looks * 100 < 2 * STATE_LOOK_INTERVAL_MS; looks++) {
    const { value } = await events.next();
    assert.equal(value.name, "statistics", "nothing has changed");
  }
  const initiator = await Initiator.connect(server.portals[0]!.address);
  context.after(() => initiator.close());
  await initiator.login({ keys: { InitiatorName: INITIATOR, TargetName: TARGET } });
  const [session] = documents.state.parse(await next(events, "state")).sessions;
  assert.deepEqual(Object.keys(session!).sort(), [
    ...["connections", "initiatorName", "portalGroupTag", "sessionId", "shard", "targetName", "type"],
  ]);
  assert.equal(session!.initiatorName, INITIATOR);
});

test("streams are bounded, and one that has ended makes room", async () => {
  const streams = await Promise.all(Array.from({ length: STATISTICS_STREAMS_MAX }, () => open("interval=60")));
  const refused = await open("interval=60");
  assert.deepEqual([refused.statusCode, streams.every(({ statusCode }) => statusCode === 200)], [503, true]);
  refused.resume();
  for (const stream of streams) stream.destroy();
  const again = async () => {
    const stream = await open("interval=60");
    stream.destroy();
    return stream.statusCode;
  };
  while ((await again()) !== 200) await setTimeout(10);
});

test("what is asked for wrongly is told", async () => {
  for (const query of ["interval=0", "interval=x", "state=maybe"]) {
    const { statusCode } = (await open(query)).resume();
    assert.equal(statusCode, 400, query);
  }
});
