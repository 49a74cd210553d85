import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DISCOVERY_SESSIONS_MAX } from "../../../control/limits.js";
import { type SessionIdentity, SessionRegistry, SHARD_NONE } from "../../../control/session-registry.js";
import fc from "../../support/fast-check.js";
import { AGREEMENT, DETAILS } from "./support/fixtures.js";

const IDENTITY: SessionIdentity = {
  initiatorName: "iqn.2026-11.io.ringlun:initiator",
  isid: "800000000001",
  targetName: "iqn.2026-11.io.ringlun:vm",
  portalGroup: 1,
};

function withSession(registry = new SessionRegistry(100)) {
  const session = registry.open(IDENTITY, 0, AGREEMENT, [0]);
  const connection = registry.addConnection(session.sessionId, 5, DETAILS);
  return { registry, session, connection };
}

describe("the table of RFC 7143 section 6.3.1", () => {
  test("new ISID, TSIH 0: a new session", () => {
    assert.deepEqual(new SessionRegistry(0).judge(IDENTITY, "Normal", 0, 0), { kind: "newSession" });
  });

  test("new ISID, TSIH not 0: session does not exist", () => {
    const refusal = { kind: "refuse", reason: "sessionDoesNotExist" };
    assert.deepEqual(new SessionRegistry(0).judge(IDENTITY, "Normal", 1, 0), refusal);
  });

  test("existing ISID, TSIH 0, any CID: session reinstatement", () => {
    const { registry, session } = withSession();
    for (const cid of [5, 6])
      assert.deepEqual(registry.judge(IDENTITY, "Normal", 0, cid), { kind: "reinstateSession", session });
  });

  test("existing ISID, existing TSIH, new CID: too many connections while MaxConnections is 1", () => {
    const { registry, session } = withSession();
    const refusal = { kind: "refuse", reason: "tooManyConnections" };
    assert.deepEqual(registry.judge(IDENTITY, "Normal", session.tsih, 6), refusal);
  });

  test("existing ISID, existing TSIH, new CID: a further connection where MaxConnections allows it", () => {
    const registry = new SessionRegistry(0);
    const agreement = { ...AGREEMENT, parameters: { ...AGREEMENT.parameters, maxConnections: 2 } };
    const session = registry.open(IDENTITY, 0, agreement, []);
    registry.addConnection(session.sessionId, 5, DETAILS);
    assert.deepEqual(registry.judge(IDENTITY, "Normal", session.tsih, 6), { kind: "addConnection", session });
    registry.addConnection(session.sessionId, 6, DETAILS);
    assert.equal(registry.judge(IDENTITY, "Normal", session.tsih, 7).kind, "refuse");
  });

  test("a connection that has failed leaves room for another, which it then finds taken; no more of them than MaxConnections (section 4.2.1)", () => {
    const { registry, session, connection } = withSession();
    const judge = (cid: number) => registry.judge(IDENTITY, "Normal", session.tsih, cid).kind;
    registry.connectionFailed(connection.connectionId);
    assert.deepEqual([5, 6].map(judge), ["reinstateConnection", "addConnection"]);
    const second = registry.addConnection(session.sessionId, 6, DETAILS);
    assert.deepEqual([5, 6, 7].map(judge), ["refuse", "reinstateConnection", "refuse"]);
    registry.connectionFailed(second.connectionId);
    assert.deepEqual([5, 6, 7].map(judge), ["reinstateConnection", "reinstateConnection", "refuse"]);
  });

  test("existing ISID, existing TSIH, existing CID: connection reinstatement", () => {
    const { registry, session, connection } = withSession();
    const verdict = registry.judge(IDENTITY, "Normal", session.tsih, 5);
    assert.deepEqual(verdict, { kind: "reinstateConnection", session, connection });
  });

  test("existing ISID, other TSIH: session does not exist", () => {
    const { registry, session } = withSession();
    const refusal = { kind: "refuse", reason: "sessionDoesNotExist" };
    assert.deepEqual(registry.judge(IDENTITY, "Normal", session.tsih + 1, 5), refusal);
  });

  test("a TSIH is good for its own nexus only", () => {
    const { registry, session } = withSession();
    for (const other of [
      { ...IDENTITY, initiatorName: "iqn.2026-11.io.ringlun:other" },
      { ...IDENTITY, isid: "800000000002" },
      { ...IDENTITY, targetName: "iqn.2026-11.io.ringlun:other" },
      { ...IDENTITY, portalGroup: 2 },
    ]) {
      assert.deepEqual(registry.judge(other, "Normal", session.tsih, 5), {
        kind: "refuse",
        reason: "sessionDoesNotExist",
      });
      assert.deepEqual(registry.judge(other, "Normal", 0, 5), { kind: "newSession" });
    }
  });
});

test("unnamed discovery sessions of one initiator port are told apart by portal (section 7.4.2.1)", () => {
  const registry = new SessionRegistry(0);
  const unnamed = { ...IDENTITY, targetName: "", portalGroup: "192.0.2.1:3260" };
  registry.open(unnamed, -1, AGREEMENT, []);
  assert.equal(registry.judge(unnamed, "Discovery", 0, 0).kind, "reinstateSession");
  assert.equal(registry.judge({ ...unnamed, portalGroup: "192.0.2.2:3260" }, "Discovery", 0, 0).kind, "newSession");
  assert.equal(registry.judge(IDENTITY, "Normal", 0, 0).kind, "newSession");
});

test("a named discovery session and a Normal one may reinstate each other, but not be joined (section 7.4.2.2)", () => {
  const types = ["Normal", "Discovery"] as const;
  for (const existing of types) {
    const registry = new SessionRegistry(0);
    const session = registry.open(IDENTITY, existing === "Normal" ? 0 : SHARD_NONE, AGREEMENT, []);
    registry.addConnection(session.sessionId, 5, DETAILS);
    for (const coming of types) {
      assert.deepEqual(registry.judge(IDENTITY, coming, 0, 5), { kind: "reinstateSession", session });
      const joining = registry.judge(IDENTITY, coming, session.tsih, 5);
      if (coming === existing) assert.equal(joining.kind, "reinstateConnection");
      else assert.deepEqual(joining, { kind: "refuse", reason: "otherSessionType" });
    }
  }
});

describe("TSIH", () => {
  test("is never 0, across the wrap at 65535", () => {
    const registry = new SessionRegistry(0xfffe);
    const tsihs = [1, 2, 3].map((n) => registry.open({ ...IDENTITY, isid: `${n}` }, 0, AGREEMENT, []).tsih);
    assert.deepEqual(tsihs, [0xffff, 1, 2]);
  });

  test("is not given to two sessions at a time", () => {
    const registry = new SessionRegistry(0, 3);
    const first = registry.open(IDENTITY, 0, AGREEMENT, []);
    for (let n = 0; n < 70_000; n++) {
      const { sessionId, tsih } = registry.open({ ...IDENTITY, isid: "other" }, 0, AGREEMENT, []);
      assert.notEqual(tsih, first.tsih);
      assert.notEqual(tsih, 0);
      registry.closeSession(sessionId);
    }
  });

  test("starts where it is told to", () => {
    for (const start of [0, 1, 0xffff, 0x10000, 123456, -5, 0.5]) {
      const { tsih } = new SessionRegistry(start).open(IDENTITY, 0, AGREEMENT, []);
      assert.ok(Number.isInteger(tsih) && tsih > 0 && tsih <= 0xffff, `${start} -> ${tsih}`);
    }
  });
});

test("one session more than there may be is refused, and has its place when another has gone", () => {
  const registry = new SessionRegistry(0, 1);
  const { sessionId } = registry.open(IDENTITY, 0, AGREEMENT, []);
  const other = { ...IDENTITY, isid: "800000000002" };
  assert.deepEqual(registry.judge(other, "Normal", 0, 0), { kind: "refuse", reason: "outOfResources" });
  assert.equal(registry.judge(IDENTITY, "Normal", 0, 0).kind, "reinstateSession");
  registry.closeSession(sessionId);
  assert.equal(registry.judge(other, "Normal", 0, 0).kind, "newSession");
});

test("discovery sessions leave room for Normal ones", () => {
  const registry = new SessionRegistry(0);
  const nth = (n: number) => ({ ...IDENTITY, targetName: "", portalGroup: "192.0.2.1:3260", isid: `${n}` });
  const ids = Array.from(
    { length: DISCOVERY_SESSIONS_MAX },
    (_, n) => registry.open(nth(n), SHARD_NONE, AGREEMENT, []).sessionId,
  );
  const refusal = { kind: "refuse", reason: "outOfResources" };
  assert.deepEqual(registry.judge(nth(ids.length), "Discovery", 0, 0), refusal);
  assert.equal(registry.judge(nth(0), "Discovery", 0, 0).kind, "reinstateSession");
  assert.equal(registry.judge(IDENTITY, "Normal", 0, 0).kind, "newSession");
  registry.closeSession(ids[0]!);
  assert.equal(registry.judge(nth(ids.length), "Discovery", 0, 0).kind, "newSession");
});

test("a session ends with its last connection, unless another one is about to take its place", () => {
  const { registry, session, connection } = withSession();
  assert.equal(registry.closeConnection(connection.connectionId, true), session);
  assert.equal(registry.session(session.sessionId), session);
  assert.equal(registry.judge(IDENTITY, "Normal", session.tsih, 5).kind, "addConnection");

  const next = registry.addConnection(session.sessionId, 5, DETAILS);
  assert.notEqual(next.connectionId, connection.connectionId);
  registry.closeConnection(connection.connectionId);
  assert.equal(registry.connection(next.connectionId)?.session, session);

  registry.closeConnection(next.connectionId);
  assert.equal(registry.session(session.sessionId), undefined);
  assert.equal(registry.closeConnection(next.connectionId), undefined);
  assert.equal(registry.judge(IDENTITY, "Normal", session.tsih, 5).kind, "refuse");
});

describe("load", () => {
  test("sessions go to the shard that has the fewest", () => {
    const registry = new SessionRegistry(0);
    const shards = Array.from({ length: 6 }, (_, n) => {
      const shard = registry.leastLoaded([0, 1, 2]);
      registry.open({ ...IDENTITY, isid: `${n}` }, shard!, AGREEMENT, []);
      return shard;
    });
    assert.deepEqual(shards, [0, 1, 2, 0, 1, 2]);
    for (const { sessionId } of registry.sessionsOfShard(1)) registry.closeSession(sessionId);
    assert.equal(registry.leastLoaded([0, 1, 2]), 1);
    assert.equal(registry.leastLoaded([0, 2]), 0);
  });

  test("no shard, no choice", () => {
    assert.equal(new SessionRegistry(0).leastLoaded([]), undefined);
  });
});

test("whatever comes and goes, the books balance", () => {
  const action = fc.oneof(
    fc.record({ kind: fc.constant("login" as const), nexus: fc.nat(3), cid: fc.nat(1), fresh: fc.boolean() }),
    fc.record({ kind: fc.constant("close" as const), nth: fc.nat(5) }),
    fc.record({ kind: fc.constant("shardDies" as const), shard: fc.nat(1) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const registry = new SessionRegistry(0xfffd, 3);
      const open = new Map<number, number>(); // connection -> session
      for (const step of actions) {
        if (step.kind === "login") {
          const identity = { ...IDENTITY, isid: `${step.nexus}` };
          const existing = [...registry.sessions()].find((session) => session.identity.isid === identity.isid);
          const verdict = registry.judge(identity, "Normal", step.fresh ? 0 : (existing?.tsih ?? 9), step.cid);
          let sessionId: number;
          if (verdict.kind === "newSession") {
            sessionId = registry.open(identity, registry.leastLoaded([0, 1])!, AGREEMENT, []).sessionId;
          } else if (verdict.kind === "addConnection") sessionId = verdict.session.sessionId;
          else continue;
          open.set(registry.addConnection(sessionId, step.cid, DETAILS).connectionId, sessionId);
        } else if (step.kind === "close") {
          const connectionId = [...open.keys()][step.nth];
          if (connectionId === undefined) continue;
          registry.closeConnection(connectionId);
          open.delete(connectionId);
        } else {
          for (const { sessionId } of registry.sessionsOfShard(step.shard)) {
            registry.closeSession(sessionId);
            for (const [connectionId, owner] of open) if (owner === sessionId) open.delete(connectionId);
          }
        }
        const sessions = [...registry.sessions()];
        assert.equal(registry.connectionCount, open.size);
        assert.deepEqual(new Set(sessions.map(({ sessionId }) => sessionId)), new Set(open.values()));
        assert.equal(new Set(sessions.map(({ tsih }) => tsih)).size, sessions.length);
        assert.ok(sessions.length <= 3);
        for (const [connectionId, sessionId] of open) {
          assert.equal(registry.connection(connectionId)?.session.sessionId, sessionId);
        }
      }
    }),
  );
});

test("who asks for it hears of each session that is gone, once, when it is", () => {
  const closed: number[] = [];
  const registry: SessionRegistry = new SessionRegistry(0, 10, ({ sessionId }) => {
    assert.equal(registry.session(sessionId), undefined);
    closed.push(sessionId);
  });
  const { session, connection } = withSession(registry);
  registry.closeConnection(connection.connectionId, true);
  assert.deepEqual(closed, []);
  registry.closeSession(session.sessionId);
  registry.closeSession(session.sessionId);
  const other = withSession(registry);
  registry.closeConnection(other.connection.connectionId);
  assert.deepEqual(closed, [session.sessionId, other.session.sessionId]);
});
