import assert from "node:assert/strict";
import { test } from "node:test";
import { ShardPulse, Supervisor } from "../../../control/supervisor.js";
import { allocateCounters, COUNTER } from "../../../dataplane/counters.js";
import { NotifyListener } from "../../support/notify-listener.js";
import { silent } from "./support/fixtures.js";

/** Two shards whose turns, restarts and deaths a test decides on. */
function shards() {
  const counters = [allocateCounters(), allocateCounters()];
  const restarts = [0, 0];
  const serving = new Set([0, 1]);
  return {
    count: 2,
    counters: (shard: number) => counters[shard],
    restarts: (shard: number) => restarts[shard]!,
    serving: () => [...serving],
    // What the test does to them.
    turn: (shard: number) => new Float64Array(counters[shard]!)[COUNTER.turns]!++,
    restart: (shard: number) => restarts[shard]!++,
    die: (shard: number) => serving.delete(shard),
    serve: (shard: number) => serving.add(shard),
  };
}

test("a shard hangs when it has neither turned nor been restarted since the last look", () => {
  const them = shards();
  const pulse = new ShardPulse(them);
  assert.deepEqual(pulse.hanging(0), [], "at the first look nobody can tell");
  them.turn(0);
  assert.deepEqual(pulse.hanging(10_000), [1]);
  them.turn(1);
  assert.deepEqual(pulse.hanging(20_000), [0]);
});

test("a shard that has died is given until the next look, and then again when it has been restarted", () => {
  const them = shards();
  const pulse = new ShardPulse(them);
  const look = (atMs: number) => {
    them.turn(0);
    return pulse.hanging(atMs);
  };
  look(0);
  them.die(1);
  assert.deepEqual(look(10_000), []);
  assert.deepEqual(look(20_000), [1]);
  them.restart(1);
  assert.deepEqual(look(30_000), []);
  them.serve(1);
  assert.deepEqual(look(40_000), []);
  assert.deepEqual(look(50_000), [1]);
});

test("looks that come sooner than a shard has to turn change nothing", () => {
  const them = shards();
  const pulse = new ShardPulse(them);
  pulse.hanging(0);
  assert.deepEqual(pulse.hanging(1999), []);
  assert.deepEqual(pulse.hanging(2000), [0, 1]);
  them.turn(0);
  assert.deepEqual(pulse.hanging(3000), [0, 1]);
  assert.deepEqual(pulse.hanging(4000), [1]);
});

test("the watchdog is held off while every shard turns, and told nothing but the reason while one does not", () => {
  const them = shards();
  const sent: string[] = [];
  const server = { sessions: [], units: [], isReady: true, shards: them };
  const supervisor = new Supervisor(server, silent, (message) => sent.push(message), 10_000);
  supervisor.tick(0);
  them.turn(0);
  supervisor.tick(5000);
  them.turn(0);
  them.turn(1);
  supervisor.tick(10_000);
  assert.deepEqual(sent, [
    "WATCHDOG=1\nSTATUS=serving: 0 units, 0 sessions",
    "STATUS=shard 1 does not turn",
    "WATCHDOG=1\nSTATUS=serving: 0 units, 0 sessions",
  ]);
});

test("what cannot be sent, or is meant for another process, is no reason to fail", async () => {
  const server = { sessions: [], units: [], isReady: false, shards: shards() };
  for (const NOTIFY_SOCKET of [undefined, "", "/nowhere/notify", "@", "x".repeat(200)]) {
    const supervisor = Supervisor.fromEnvironment(
      { ...(NOTIFY_SOCKET === undefined ? {} : { NOTIFY_SOCKET }) },
      server,
      silent,
    );
    supervisor.ready();
    supervisor.stopping();
  }
  const listener = new NotifyListener(`@ringlun-supervisor-test-${process.pid}`);
  const environment = { NOTIFY_SOCKET: listener.path, WATCHDOG_USEC: "1000", WATCHDOG_PID: "1" };
  const supervisor = Supervisor.fromEnvironment(environment, server, silent);
  supervisor.tick();
  supervisor.stopping();
  await listener.message(/STOPPING/);
  await listener.end();
  assert.deepEqual(listener.messages, [
    "STATUS=not all shards serve: 0 units, 0 sessions",
    "STOPPING=1\nSTATUS=telling the sessions, and making durable what was written",
  ]);
});
