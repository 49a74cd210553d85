import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { openSync, readlinkSync } from "node:fs";
import { describe, type TestContext, test } from "node:test";
import { pino } from "pino";
import { Shards, type ShardsOptions } from "../../../control/shards.js";
import { StatisticsMemory } from "../../../control/statistics.js";
import type { HandoffRecord, ShardMessage } from "../../../dataplane/messages.js";
import { allocateBudgets } from "../../../dataplane/throttle/budget.js";
import { unitRecord } from "../../support/unit-record.js";
import { INITIATOR_KILLS, UNIT_DOES_NOT_DRAIN, UNIT_FAILS_AT_START, UNIT_TALKS } from "./support/fake-shard.js";
import { recordingLogger } from "./support/fixtures.js";

const WORKER = new URL("./support/fake-shard.js", import.meta.url);

const unit = (name: string, unitIndex = 0) => unitRecord({ name, unitIndex, kind: "null", inMemory: true });

/** A hand-off whose "socket" is a file that takes everything. */
function record(connectionId: number, changes: Partial<HandoffRecord> = {}): HandoffRecord {
  return {
    connectionId,
    sessionId: connectionId + 1000,
    fd: openSync("/dev/null", "w"),
    initiatorName: "iqn.2026-11.io.ringlun:initiator",
    initiatorAddress: "192.0.2.9:1024",
    portalAddress: "192.0.2.1:3260",
    captured: null,
    targetName: "iqn.2026-11.io.ringlun:vm",
    targetPortalGroupTag: 1,
    isid: "800000000001",
    tsih: 1,
    cid: 0,
    session: {
      maxConnections: 1,
      initialR2T: true,
      immediateData: true,
      maxBurstLength: 65536,
      firstBurstLength: 65536,
      maxOutstandingR2T: 1,
      defaultTime2Wait: 2,
      defaultTime2Retain: 0,
      errorRecoveryLevel: 0,
      taskReporting: "RFC3720",
      iSCSIProtocolLevel: 1,
    },
    connection: {
      headerDigest: "None",
      dataDigest: "None",
      maxRecvDataSegmentLength: 8192,
      maxSendDataSegmentLength: 8192,
    },
    expCmdSN: 1,
    statSN: 1,
    loginResponse: "00".repeat(48),
    luns: [{ lun: 0, unitIndex: 0, readOnly: false, blocked: 0, accessState: 0 }],
    statisticsBlock: 0,
    limits: null,
    pingIntervalMs: 0,
    reportsScsiEvents: false,
    ...changes,
  };
}

async function start(context: TestContext, changes: Partial<ShardsOptions> = {}) {
  const messages: { shard: number; message: ShardMessage }[] = [];
  const deaths: number[] = [];
  const { logger, seen } = recordingLogger();
  let fatal: (reason: string) => void = () => {};
  const fatalReason = new Promise<string>((resolve) => {
    fatal = resolve;
  });
  const shards = await Shards.start({
    count: 2,
    units: () => [unit("disk")],
    statistics: new StatisticsMemory(2).shards,
    budgets: allocateBudgets(1),
    arenaBytes: 4096,
    logger,
    onMessage: (shard, message) => messages.push({ shard, message }),
    onDeath: (shard) => deaths.push(shard),
    onFatal: fatal,
    worker: WORKER,
    ...changes,
  });
  context.after(() => shards.stop(0));
  return { shards, messages, deaths, seen, fatalReason };
}

/** Whether the descriptor is still the one that `record` has opened: its number may be somebody else's by now. */
function isOpen(fd: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) === "/dev/null";
  } catch {
    return false;
  }
}

describe("start", () => {
  test("is done when every shard is ready", async (context) => {
    const { shards } = await start(context);
    assert.equal(shards.count, 2);
    assert.deepEqual(shards.serving(), [0, 1]);
  });

  test("goes well with flags of Node.js that no thread may be given", () => {
    const attempt = `
      const { Shards } = await import(${JSON.stringify(new URL("../../../control/shards.js", import.meta.url))});
      const { pino } = await import("pino");
      const shards = await Shards.start({
        count: 1,
        units: () => [],
        statistics: [new SharedArrayBuffer(8)],
        budgets: new SharedArrayBuffer(8),
        arenaBytes: 4096,
        logger: pino({ level: "silent" }),
        onMessage() {},
        onDeath() {},
        onFatal: console.error,
        worker: new URL(${JSON.stringify(WORKER)}),
      });
      console.log("serving", shards.serving());
      await shards.stop(0);`;
    const flags = ["--max-old-space-size=256", "--expose-gc", "--enable-source-maps"];
    const cwd = new URL("../../../..", import.meta.url);
    const said = execFileSync(process.execPath, [...flags, "--input-type=module", "-e", attempt], {
      cwd,
      encoding: "utf8",
    });
    assert.equal(said, "serving [ 0 ]\n");
  });

  test("fails with what the shard says, and leaves nothing running", async (context) => {
    await assert.rejects(start(context, { units: () => [unit(UNIT_FAILS_AT_START)] }), /no ring to be had/);
  });

  test("fails where the worker's module is not there", async (context) => {
    const worker = new URL("./support/no-such-worker.js", import.meta.url);
    await assert.rejects(start(context, { worker }), /no-such-worker/);
  });
});

describe("messages", () => {
  test("reach the shard and come back, whatever their number", async (context) => {
    const { shards, seen } = await start(context, { count: 1 });
    // More than the ring holds at a time.
    const name = "x".repeat(100_000);
    for (let unitIndex = 1; unitIndex <= 100; unitIndex++) shards.addUnit(unit(`${name}${unitIndex}`, unitIndex));
    const last = await seen.message((text) => text === `unit ${name}100`);
    assert.equal(last.shard, 0);
    const units = seen.records.filter(({ msg }) => String(msg).startsWith("unit "));
    assert.deepEqual(
      units.map(({ msg }) => msg),
      Array.from({ length: 100 }, (_, n) => `unit ${name}${n + 1}`),
    );
  });

  test("that cannot be handled do not stop those behind them", async (context) => {
    const { shards, seen } = await start(context, {
      count: 1,
      onMessage: () => {
        throw new Error("a fault of ours");
      },
    });
    shards.send(0, { type: "resetUnit", exchange: 1, unitIndex: 0 });
    await seen.message((text) => text === "message of a shard not handled");
    shards.send(0, { type: "resetDone", exchange: 2 });
    await seen.message((text) => text.includes("resetDone"));
  });
});

test("a shard that talks without end leaves time for timers, and for other shards", async (context) => {
  const { shards } = await start(context, { units: () => [unit(UNIT_TALKS)], logger: pino({ level: "silent" }) });
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setTimeout(resolve, 1));
  await shards.stop(0);
  assert.deepEqual(shards.serving(), []);
});

describe("a shard that dies", () => {
  test("is cleaned up after and started again, with the units of the moment; the other one goes on", async (context) => {
    const { shards, deaths, seen } = await start(context);
    shards.addUnit(unit("later", 1));
    const owned = record(1);
    const others = record(2);
    shards.handOff(0, { type: "connection", record: owned });
    shards.handOff(1, { type: "connection", record: others });
    await seen.message((text) => text.startsWith("handoff") && text.includes('"connectionId":1,'));
    await seen.message((text) => text.startsWith("handoff") && text.includes('"connectionId":2,'));

    await shards.kill(0);
    assert.deepEqual(deaths, [0]);
    assert.deepEqual(shards.serving(), [0, 1]);
    assert.deepEqual([shards.restarts(0), shards.restarts(1)], [1, 0]);
    assert.ok(!isOpen(owned.fd), "what the dead shard owned is closed");
    assert.ok(isOpen(others.fd));

    const again = record(3);
    shards.handOff(0, { type: "connection", record: again });
    const { msg } = await seen.message((text) => text.startsWith("handoff") && text.includes('"connectionId":3,'));
    assert.ok(String(msg).length > 0);
  });

  test("by an exception is as dead as one whose thread was ended", async (context) => {
    const { shards, deaths, seen } = await start(context, { count: 1 });
    const killer = record(1, { initiatorName: INITIATOR_KILLS });
    shards.handOff(0, { type: "connection", record: killer });
    const died = await seen.message((text) => text === "shard died");
    assert.match(JSON.stringify(died.err), /killed by an initiator/);
    await seen.message((text) => text === "shard restarted");
    assert.deepEqual(deaths, [0]);
    assert.deepEqual(shards.serving(), [0]);
    assert.ok(!isOpen(killer.fd));
  });

  test("holds back its units, and only these, until its operations are over", async (context) => {
    const { shards, seen } = await start(context);
    shards.handOff(0, {
      type: "connection",
      record: record(1, { luns: [{ lun: 0, unitIndex: 7, readOnly: false, blocked: 0, accessState: 0 }] }),
    });
    await seen.message((text) => text.startsWith("handoff"));
    const order: string[] = [];
    const restarted = shards.kill(0).then(() => order.push("restarted"));
    await seen.message((text) => text === "shard died");
    const held = shards.unitsSettled([7]).then(() => order.push("settled"));
    assert.deepEqual(shards.serving(), [1]);
    await shards.unitsSettled([0, 1]);
    await shards.available();
    assert.deepEqual(order, []);
    await Promise.all([held, restarted]);
    assert.deepEqual(order, ["settled", "restarted"]);
  });

  test("holds them back from the moment on in which anybody hears of it", async (context) => {
    const luns = [{ lun: 0, unitIndex: 7, readOnly: false, blocked: 0, accessState: 0 }];
    const owned = record(1, { luns });
    let isOpenThen: Promise<boolean> | undefined;
    const { shards, seen } = await start(context, {
      onDeath: () => {
        isOpenThen = shards.unitsSettled([7]).then(() => isOpen(owned.fd));
      },
    });
    shards.handOff(0, { type: "connection", record: owned });
    await seen.message((text) => text.startsWith("handoff"));
    await shards.kill(0);
    assert.equal(await isOpenThen, false, "all is over only when the shard's descriptors are given back");
  });

  test("and whose ring is not drained makes everything end: nothing waits for it any more", async (context) => {
    const { shards, fatalReason } = await start(context, { count: 1, units: () => [unit(UNIT_DOES_NOT_DRAIN)] });
    shards.handOff(0, { type: "connection", record: record(1) });
    void shards.kill(0);
    assert.match(await fatalReason, /shard 0 died/);
    assert.deepEqual(shards.serving(), []);
  });

  test("before a hand-off has reached it: the connection is closed, and said to be", async (context) => {
    const { shards, messages, seen } = await start(context, { count: 1 });
    const killed = shards.kill(0);
    await seen.message((text) => text === "shard died");
    const late = record(5);
    shards.handOff(0, { type: "connection", record: late });
    assert.ok(!isOpen(late.fd));
    assert.deepEqual(
      messages.map(({ message }) => message.type === "connectionClosed" && message.connectionId),
      [5],
    );
    await killed;
  });

  test("is waited for where it was the only one", async (context) => {
    const { shards, seen } = await start(context, { count: 1 });
    const killed = shards.kill(0);
    await seen.message((text) => text === "shard died");
    assert.deepEqual(shards.serving(), []);
    await shards.available();
    assert.deepEqual(shards.serving(), [0]);
    await killed;
  });
});

test("stop ends every shard, its connections first, and starts none again", async (context) => {
  const { shards, messages, deaths, seen } = await start(context);
  const owned = record(1);
  shards.handOff(0, { type: "connection", record: owned });
  await seen.message((text) => text.startsWith("handoff"));
  await shards.stop(1000);
  assert.deepEqual(
    messages.map(({ message }) => message.type),
    ["connectionClosed"],
  );
  assert.ok(!isOpen(owned.fd));
  assert.deepEqual(deaths, []);
  assert.deepEqual(shards.serving(), []);
});
