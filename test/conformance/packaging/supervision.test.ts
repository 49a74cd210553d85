/** The program tells its supervisor how it is (sd_notify(3)): a path, an abstract name, and a shard that dies meanwhile. */
import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { NotifyListener } from "../../support/notify-listener.js";
import { idleShards, stopThread } from "../../support/stopped-thread.js";
import { RunningTarget } from "../../support/target.js";

/** Less would be less than shards take for a turn. */
const WATCHDOG_USEC = "4000000";

async function supervised(listener: NotifyListener, env: Record<string, string>): Promise<RunningTarget> {
  return RunningTarget.start({ env: { NOTIFY_SOCKET: listener.path, ...env } });
}

describe("supervision", () => {
  test("READY when all listen and serve, WATCHDOG while they do, RELOADING and READY around a reload, STOPPING", async () => {
    const listener = new NotifyListener(`@ringlun-supervision-test-${process.pid}`);
    const target = await supervised(listener, { WATCHDOG_USEC });
    try {
      assert.equal(await listener.message(/^READY=1$/m), "READY=1\nSTATUS=serving: 1 units, 0 sessions");
      await listener.message(/^WATCHDOG=1\nSTATUS=serving: 1 units/);
      const before = listener.messages.length;
      const beforeUs = process.hrtime.bigint() / 1000n;
      target.reload();
      const reloading = await listener.message(/^RELOADING=1$/m, before);
      const [, at] = /^MONOTONIC_USEC=(\d+)$/m.exec(reloading) ?? [];
      assert.ok(BigInt(at ?? 0) >= beforeUs && BigInt(at ?? 0) <= process.hrtime.bigint() / 1000n);
      await listener.message(/^READY=1$/m, listener.messages.indexOf(reloading));
      // A configuration with faults is not in force, and the program serves on.
      await target.configure("targets: 5\n");
      const faulty = listener.messages.length;
      target.reload();
      await listener.message(/^RELOADING=1$/m, faulty);
      await listener.message(/^READY=1$/m, faulty);
      assert.deepEqual(await target.terminate(), { code: 0, signal: null });
      assert.match(listener.messages.at(-1) ?? "", /^STOPPING=1$/m);
      await listener.message(/^STOPPING=1$/m);
    } finally {
      await target.stop();
      await listener.end();
    }
  });

  test("a shard that hangs: the watchdog is not held off until it turns again", async (t) => {
    const listener = new NotifyListener(`@ringlun-supervision-hanging-${process.pid}`);
    const target = await supervised(listener, { WATCHDOG_USEC });
    let goOn: (() => Promise<void>) | undefined;
    try {
      await listener.message(/^WATCHDOG=1$/m);
      // A shard that is just turning is in no wait: idle, it soon is.
      let [shard] = idleShards(target.pid);
      for (let attempt = 0; shard === undefined && attempt < 20; attempt++) {
        await setTimeout(50);
        [shard] = idleShards(target.pid);
      }
      goOn = shard === undefined ? undefined : await stopThread(t, shard);
      if (goOn === undefined) {
        t.skip("threads cannot be seen, or not be stopped, here (ptrace)");
        return;
      }
      const stoppedAt = listener.messages.length;
      assert.equal(await listener.message(/does not turn/, stoppedAt), "STATUS=shard 0 does not turn");
      const from = listener.messages.findIndex((message, i) => i >= stoppedAt && message.includes("does not turn"));
      await target.waitForLog(/shards do not turn/);
      await listener.message(/does not turn/, from + 1);
      assert.ok(!listener.messages.slice(from).some((message) => message.includes("WATCHDOG=1")));
      const until = listener.messages.length;
      await goOn();
      await listener.message(/^WATCHDOG=1\nSTATUS=serving/, until);
    } finally {
      await goOn?.();
      await target.stop();
      await listener.end();
    }
  });

  test("without a watchdog it is told of the state alone", async () => {
    const listener = new NotifyListener(join(tmpdir(), `ringlun-supervision-${process.pid}.sock`));
    const target = await supervised(listener, {});
    try {
      await listener.message(/^READY=1$/m);
    } finally {
      await target.stop();
      await listener.end();
    }
    assert.deepEqual(
      listener.messages.filter((message) => message.includes("WATCHDOG")),
      [],
    );
  });
});
