import assert from "node:assert/strict";
import { test } from "node:test";
import { Broadcasts } from "../../../control/broadcasts.js";
import { Budgets } from "../../../control/budgets.js";
import { InitiatorLimits } from "../../../control/initiator-limits.js";
import type { Session } from "../../../control/session-registry.js";
import type { ControlMessage, LimitsRecord } from "../../../dataplane/messages.js";

const LIMITS = { iops: 100, bytesPerSecond: null, burstSeconds: 0.1 };
const OTHER_LIMITS = { ...LIMITS, iops: 200 };

function session(sessionId: number, initiatorName: string, targetName = "t"): Session {
  return { sessionId, shard: 0, identity: { initiatorName, targetName } } as unknown as Session;
}

function setUp() {
  const limits = new InitiatorLimits(new Budgets());
  const sent: (ControlMessage & { type: "sessionLimits" })[] = [];
  const broadcasts = new Broadcasts({
    count: 1,
    serving: () => [0],
    send(_shard: number, message: ControlMessage & { type: "sessionLimits" }) {
      sent.push(message);
      queueMicrotask(() => broadcasts.done(0, message.exchange));
    },
  } as never);
  return { limits, sent, broadcasts };
}

const budgetOf = (record: LimitsRecord | null): number | undefined => record?.budget;

test("the sessions of one initiator with one target share a budget; others have their own, or none", () => {
  const { limits } = setUp();
  const a = limits.of(session(1, "a"), LIMITS);
  assert.deepEqual(a, { ...LIMITS, budget: a!.budget });
  assert.deepEqual(limits.of(session(2, "a"), LIMITS), a);
  assert.deepEqual(limits.of(session(1, "a"), OTHER_LIMITS), a, "a further connection");
  const others = [limits.of(session(3, "b"), LIMITS), limits.of(session(4, "a", "u"), LIMITS)];
  assert.equal(new Set([a, ...others].map(budgetOf)).size, 3);
  assert.equal(limits.of(session(5, "c"), null), null);
});

test("a budget is given to somebody else only when all of its sessions are gone", () => {
  const { limits } = setUp();
  const a = limits.of(session(1, "a"), LIMITS);
  limits.of(session(2, "a"), LIMITS);
  limits.sessionClosed(session(1, "a"));
  const b = limits.of(session(3, "b"), LIMITS);
  assert.notEqual(budgetOf(a), budgetOf(b));
  limits.sessionClosed(session(2, "a"));
  limits.sessionClosed(session(2, "a"));
  assert.equal(budgetOf(limits.of(session(4, "c"), LIMITS)), budgetOf(a));
  assert.notEqual(budgetOf(limits.of(session(5, "d"), LIMITS)), budgetOf(a));
});

test("a change reaches each session, with one new budget for all of an initiator's; what stays the same is not told", async () => {
  const { limits, sent, broadcasts } = setUp();
  const sessions = [session(1, "a"), session(2, "a")];
  const before = sessions.map((of) => limits.of(of, LIMITS))[0]!;
  await Promise.all(sessions.map((of) => limits.change(of, LIMITS, broadcasts)));
  assert.equal(sent.length, 0);

  await Promise.all(sessions.map((of) => limits.change(of, OTHER_LIMITS, broadcasts)));
  assert.deepEqual(
    sent.map(({ sessionId, limits: record }) => [sessionId, record?.iops]),
    [
      [1, 200],
      [2, 200],
    ],
  );
  const now = sent[0]!.limits!.budget;
  assert.equal(sent[1]!.limits!.budget, now);
  assert.notEqual(now, before.budget);
  assert.equal(budgetOf(limits.of(session(3, "b"), LIMITS)), before.budget, "the old one is free");

  await limits.change(sessions[0]!, null, broadcasts);
  assert.deepEqual(sent.at(-1)!.limits, null);
  await limits.change(sessions[0]!, OTHER_LIMITS, broadcasts);
  assert.equal(sent.at(-1)!.limits?.budget, now, "the other session has kept it");
});
