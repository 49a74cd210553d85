import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Admission, type Admitted, type Applicant } from "../../../control/admission.js";
import { REINSTATEMENT_TIMEOUT_MS } from "../../../control/limits.js";
import { SessionRegistry, SHARD_NONE } from "../../../control/session-registry.js";
import { CONNECTIONS_MAX } from "../../../dataplane/limits.js";
import {
  LOGIN_STATUS_AUTHENTICATION_FAILURE,
  LOGIN_STATUS_OUT_OF_RESOURCES,
  LOGIN_STATUS_SERVICE_UNAVAILABLE,
  LOGIN_STATUS_SESSION_DOES_NOT_EXIST,
} from "../../../dataplane/wire/login-response.js";
import { AGREEMENT, DETAILS, FakeShards, INITIATOR, silent, TARGET } from "./support/fixtures.js";

const APPLICANT: Applicant = {
  identity: { initiatorName: INITIATOR, isid: "800000000001", targetName: TARGET, portalGroup: 1 },
  tsih: 0,
  cid: 0,
  expStatSN: 4711,
  agreement: AGREEMENT,
  details: DETAILS,
  unitIndexes: [0],
  isAlive: () => true,
};

function setUp(shardCount = 1) {
  const registry = new SessionRegistry(0);
  const shards = new FakeShards(shardCount);
  const ending: { readonly initiatorName: string; readonly unitIndexes: readonly number[]; done: () => void }[] = [];
  /** Whether something of earlier connections of the initiator is still under way. */
  const earlier = { isEnding: false };
  const admission = new Admission(registry, shards, silent, async (initiatorName, unitIndexes) => {
    if (earlier.isEnding) await new Promise<void>((done) => ending.push({ initiatorName, unitIndexes, done }));
  });
  const admitted: Admitted[] = [];
  const admit = (changes: Partial<Applicant> = {}) =>
    admission.admit({ ...APPLICANT, ...changes }, (each) => {
      admitted.push(each);
      return undefined;
    });
  return { registry, shards, admission, admitted, admit, earlier, ending };
}

/** All that can happen without outside help has happened. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("a new session is entered and spread over the shards", async () => {
  const { registry, admitted, admit } = setUp(2);
  assert.equal(await admit(), undefined);
  assert.equal(await admit({ identity: { ...APPLICANT.identity, isid: "800000000002" } }), undefined);
  assert.deepEqual(
    admitted.map(({ session }) => session.shard),
    [0, 1],
  );
  assert.deepEqual(
    [...registry.sessions()],
    admitted.map(({ session }) => session),
  );
});

test("a shard gets no more connections than it can take: 0302h", async () => {
  const { registry, admission, admitted, admit } = setUp();
  const agreement = { ...AGREEMENT, parameters: { ...AGREEMENT.parameters, maxConnections: 65535 } };
  await admit({ agreement });
  const { session } = admitted[0]!;
  const others = Array.from({ length: CONNECTIONS_MAX - 1 }, (_, index) =>
    registry.addConnection(session.sessionId, index + 1, DETAILS),
  );
  const further = { tsih: session.tsih, cid: CONNECTIONS_MAX };
  const another = { identity: { ...APPLICANT.identity, isid: "800000000002" } };
  for (const changes of [further, another]) {
    assert.equal((await admit(changes))?.status, LOGIN_STATUS_OUT_OF_RESOURCES);
  }
  assert.deepEqual([...registry.sessions()], [session]);
  admission.connectionClosed(others[0]!.connectionId);
  assert.equal(await admit(further), undefined);
});

test("what cannot be taken over leaves nothing behind", async () => {
  const { registry, admission } = setUp();
  const refusal = { status: LOGIN_STATUS_OUT_OF_RESOURCES, reason: "no descriptor" } as const;
  assert.equal(await admission.admit(APPLICANT, () => refusal), refusal);
  assert.deepEqual([...registry.sessions()], []);
  assert.equal(registry.connectionCount, 0);
});

describe("what the initiator's connections of any nexus have left behind", () => {
  test("is over before a login to the same units is answered", async () => {
    const { admitted, admit, earlier, ending } = setUp();
    earlier.isEnding = true;
    const login = admit({ unitIndexes: [3, 7] });
    await settle();
    assert.equal(admitted.length, 0);
    const [{ initiatorName, unitIndexes, done } = assert.fail()] = ending;
    assert.deepEqual({ initiatorName, unitIndexes }, { initiatorName: INITIATOR, unitIndexes: [3, 7] });
    done();
    assert.equal(await login, undefined);
    assert.equal(admitted.length, 1);
  });

  test("and is not over in time: 0301h", async (context) => {
    const { registry, admitted, admit, earlier } = setUp();
    earlier.isEnding = true;
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const login = admit();
    await settle();
    context.mock.timers.tick(REINSTATEMENT_TIMEOUT_MS);
    assert.equal((await login)?.status, LOGIN_STATUS_SERVICE_UNAVAILABLE);
    assert.equal(admitted.length, 0);
    assert.deepEqual([...registry.sessions()], []);
  });
});

describe("session reinstatement", () => {
  test("the new session begins when the old one has ended", async () => {
    const { registry, shards, admission, admitted, admit } = setUp();
    await admit();
    const old = admitted[0]!;
    const second = admit();
    await settle();
    assert.equal(admitted.length, 1, "the old session has not ended");
    assert.deepEqual(shards.sent, [
      { shard: 0, message: { type: "endSession", sessionId: old.session.sessionId, reason: "session reinstatement" } },
    ]);
    admission.connectionClosed(old.connection.connectionId);
    await settle();
    assert.equal(admitted.length, 1, "its tasks may still be there");
    admission.sessionEnded(old.session.sessionId);
    assert.equal(await second, undefined);
    assert.equal(admitted.length, 2);
    assert.notEqual(admitted[1]!.session.tsih, old.session.tsih);
    assert.deepEqual([...registry.sessions()], [admitted[1]!.session]);
  });

  test("an old session that does not end is not replaced", async (context) => {
    const { admitted, admit } = setUp();
    await admit();
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const second = admit();
    await settle();
    context.mock.timers.tick(REINSTATEMENT_TIMEOUT_MS);
    assert.equal((await second)?.status, LOGIN_STATUS_SERVICE_UNAVAILABLE);
    assert.equal(admitted.length, 1);
  });

  test("an old session whose shard dies has ended", async () => {
    const { admission, admitted, admit } = setUp();
    await admit();
    const second = admit();
    await settle();
    admission.shardDied(0);
    assert.equal(await second, undefined);
    assert.equal(admitted.length, 2);
  });

  test("logins of one nexus pass one after the other, each ending the one before", async () => {
    const { registry, shards, admission, admitted, admit } = setUp();
    shards.onSend = (_shard, message) => {
      if (message.type !== "endSession") return;
      const { connections } = registry.session(message.sessionId)!;
      for (const { connectionId } of [...connections.values()]) admission.connectionClosed(connectionId);
      admission.sessionEnded(message.sessionId);
    };
    assert.deepEqual(await Promise.all([admit(), admit(), admit()]), [undefined, undefined, undefined]);
    assert.equal(admitted.length, 3);
    assert.deepEqual([...registry.sessions()], [admitted[2]!.session]);
  });

  test("a login that fails for a fault of ours leaves nothing behind, and the next one passes", async () => {
    const { registry, admission, admitted, admit } = setUp();
    const failing = admission.admit(APPLICANT, () => {
      throw new Error("a fault of ours");
    });
    const next = admit();
    await assert.rejects(failing, /a fault of ours/);
    assert.equal(await next, undefined);
    assert.deepEqual([...registry.sessions()], [admitted[0]!.session]);
  });

  test("nobody's session is ended for a connection that is gone", async () => {
    const { shards, admit } = setUp();
    await admit();
    assert.equal((await admit({ isAlive: () => false }))?.status, LOGIN_STATUS_SERVICE_UNAVAILABLE);
    assert.deepEqual(shards.sent, []);
  });
});

describe("connection reinstatement", () => {
  test("the session goes on with the new connection", async () => {
    const { registry, shards, admission, admitted, admit } = setUp();
    await admit();
    const { session, connection } = admitted[0]!;
    const second = admit({ tsih: session.tsih });
    await settle();
    assert.deepEqual(
      shards.sent.map(({ message }) => message),
      [
        {
          type: "endConnection",
          connectionId: connection.connectionId,
          expStatSN: 4711,
          reason: "connection reinstatement",
        },
      ],
    );
    // Without recovery its shard gives the session up with its last connection.
    admission.connectionClosed(connection.connectionId);
    admission.sessionEnded(session.sessionId);
    assert.equal(await second, undefined);
    assert.equal(admitted[1]!.session, session);
    assert.notEqual(admitted[1]!.connection.connectionId, connection.connectionId);
    assert.deepEqual([...registry.sessions()], [session]);
  });

  test("a new connection that is gone by then leaves no session without connections behind", async () => {
    for (const isEndedBefore of [true, false]) {
      const { registry, admission, admitted, admit } = setUp();
      await admit();
      const { session, connection } = admitted[0]!;
      let alive = true;
      const second = admit({ tsih: session.tsih, isAlive: () => alive });
      await settle();
      alive = false;
      admission.connectionClosed(connection.connectionId);
      if (isEndedBefore) admission.sessionEnded(session.sessionId);
      assert.equal((await second)?.status, LOGIN_STATUS_SERVICE_UNAVAILABLE);
      // As long as its shard has not given it up there is something to come back to.
      assert.deepEqual([...registry.sessions()], isEndedBefore ? [] : [session]);
      admission.sessionEnded(session.sessionId);
      assert.deepEqual([...registry.sessions()], []);
    }
  });

  test("a session that is lost meanwhile does not exist any more", async () => {
    const { admission, admitted, admit } = setUp();
    await admit();
    const second = admit({ tsih: admitted[0]!.session.tsih });
    await settle();
    admission.shardDied(0);
    assert.equal((await second)?.status, LOGIN_STATUS_SESSION_DOES_NOT_EXIST);
  });
});

describe("while a shard is dead", () => {
  test("logins to the units that it served wait until its operations are over", async () => {
    const { shards, admitted, admit } = setUp(2);
    let settled = () => {};
    shards.settled = new Promise((resolve) => {
      settled = resolve;
    });
    const login = admit();
    await settle();
    assert.equal(admitted.length, 0);
    settled();
    assert.equal(await login, undefined);
  });

  test("logins wait for a shard that serves", async () => {
    const { shards, admitted, admit } = setUp();
    shards.alive = [];
    let available = () => {};
    shards.ready = new Promise((resolve) => {
      available = resolve;
    });
    const login = admit();
    await settle();
    assert.equal(admitted.length, 0);
    shards.alive = [0];
    available();
    assert.equal(await login, undefined);
    assert.equal(admitted[0]!.session.shard, 0);
  });
});

describe("discovery sessions", () => {
  const discovery: Partial<Applicant> = {
    identity: { ...APPLICANT.identity, targetName: "", portalGroup: "192.0.2.1:3260" },
    unitIndexes: undefined,
  };

  test("named ones end a Normal session only for who authenticated as it did", async () => {
    const named: Partial<Applicant> = { unitIndexes: undefined };
    const asAlice = { ...AGREEMENT, authentication: { method: "CHAP", user: "alice" } } as const;
    const { registry, shards, admission, admitted, admit } = setUp();
    shards.onSend = () => {
      const { connection, session } = admitted[0]!;
      admission.connectionClosed(connection.connectionId);
      admission.sessionEnded(session.sessionId);
    };
    await admit({ agreement: asAlice });
    assert.equal((await admit(named))?.status, LOGIN_STATUS_AUTHENTICATION_FAILURE);
    assert.deepEqual([...registry.sessions()], [admitted[0]!.session]);
    assert.deepEqual(shards.sent, []);
    assert.equal(await admit({ ...named, agreement: asAlice }), undefined);
    assert.deepEqual([...registry.sessions()], [admitted[1]!.session]);
  });

  test("need no shard", async () => {
    const { shards, admitted, admit } = setUp();
    shards.alive = [];
    shards.ready = new Promise(() => {});
    assert.equal(await admit(discovery), undefined);
    assert.equal(admitted[0]!.session.shard, SHARD_NONE);
  });

  test("are reinstated by closing the old one", async () => {
    const { registry, admission, admitted, admit } = setUp();
    await admit(discovery);
    let closed = 0;
    admission.registerCloser(admitted[0]!.connection.connectionId, () => closed++);
    assert.equal(await admit(discovery), undefined);
    assert.equal(closed, 1);
    assert.deepEqual([...registry.sessions()], [admitted[1]!.session]);
  });
});
