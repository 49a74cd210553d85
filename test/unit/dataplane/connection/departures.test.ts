/** The time that initiators have to log out when they are asked to (RFC 7143 section 11.9.1), on the ring's clock. */
import assert from "node:assert/strict";
import test from "node:test";
import { DROP_PATIENCE_US, SWEEP_INTERVAL_US } from "../../../../dataplane/limits.js";
import {
  FLAG_FINAL,
  OPCODE_ASYNC_MESSAGE,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_LOGOUT_RESPONSE,
} from "../../../support/pdu.js";
import { send, setUp, startWrite } from "./fixture.js";

const LOGOUT_REQUEST = 1;
const CONNECTION_DROP = 2;
const SESSION_DROP = 3;

interface Pdu {
  readonly opcode: number;
  /** AsyncEvent and its parameters. */
  readonly event: readonly number[];
}

function pdusOf(received: readonly Buffer[]): Pdu[] {
  const bytes = Buffer.concat(received);
  const pdus: Pdu[] = [];
  for (let at = 0; at < bytes.length; ) {
    const parameters = [38, 40, 42].map((offset) => bytes.readUInt16BE(at + offset));
    pdus.push({ opcode: bytes[at]! & 0x3f, event: [bytes[at + 36]!, ...parameters] });
    at += 48 + ((bytes.readUIntBE(at + 5, 3) + 3) & ~3);
  }
  return pdus;
}

const eventsOf = (received: readonly Buffer[]): (readonly number[])[] =>
  pdusOf(received).flatMap(({ opcode, event }) => (opcode === OPCODE_ASYNC_MESSAGE ? [event] : []));

test("logout after Async Message: nobody is dropped before Parameter3 seconds are over, and nobody stays much longer", () => {
  const { timeline, cluster, shard, connect } = setUp(1000, { defaultTime2Wait: 3 });
  const { connectionId, end, received } = connect(7);
  const startUs = timeline.nowUs;
  shard.send({ type: "requestLogout", connectionIds: [connectionId], timeoutMs: 60_000, endsSession: false });
  cluster.turnUntil(() => eventsOf(received).length === 1);
  cluster.turnUntil(() => timeline.nowUs >= startUs + 59_999_000);
  assert.deepEqual(eventsOf(received), [[LOGOUT_REQUEST, 0, 0, 60]]);
  cluster.turnUntil(() => end.atUs > 0);
  assert.deepEqual(eventsOf(received).slice(1), [[CONNECTION_DROP, 7, 3, 0]]);
  assert.ok(end.atUs >= startUs + 60_000_000 && end.atUs < startUs + 60_000_000 + SWEEP_INTERVAL_US + DROP_PATIENCE_US);
  cluster.turnUntil(() => end.reportedUs > 0);
  cluster.assertNothingLeft();
});

test("who is told that all of the session is dropped, on any of its connections, has no write any more that could land", () => {
  const { timeline, cluster, shard, connect, hasLanded } = setUp(2_500_000);
  const [one, two] = [connect(0), connect(1)];
  const connectionIds = [one, two].map(({ connectionId }) => connectionId);
  shard.send({ type: "requestLogout", connectionIds, timeoutMs: 3000, endsSession: true });
  const askedUs = timeline.nowUs;
  cluster.turnUntil(() => eventsOf(one.received).length === 1);
  startWrite(one.peer);
  cluster.turnUntil(() => timeline.nowUs >= askedUs + 3_000_000);
  assert.ok(!hasLanded());
  for (const { received } of [two, one]) {
    cluster.turnUntil(() => eventsOf(received).length === 2);
    assert.ok(hasLanded());
    assert.deepEqual(eventsOf(received)[1], [SESSION_DROP, 0, 0, 0]);
  }
  cluster.turnUntil(() => one.end.reportedUs > 0 && two.end.reportedUs > 0);
  cluster.assertNothingLeft();
});

test("a store that takes too long: the end is not told, and comes when the write has landed", () => {
  const { cluster, shard, connect, hasLanded } = setUp(15_000_000);
  const { connectionId, peer, end, received } = connect();
  shard.send({ type: "requestLogout", connectionIds: [connectionId], timeoutMs: 3000, endsSession: false });
  cluster.turnUntil(() => eventsOf(received).length === 1);
  startWrite(peer);
  cluster.turnUntil(() => end.atUs > 0);
  assert.ok(hasLanded());
  assert.deepEqual(eventsOf(received), [[LOGOUT_REQUEST, 0, 0, 3]]);
});

test("who logs out in time is answered, and not dropped while that waits for the store", () => {
  const { cluster, shard, connect, hasLanded } = setUp(15_000_000);
  const { connectionId, peer, end, received } = connect();
  shard.send({ type: "requestLogout", connectionIds: [connectionId], timeoutMs: 3000, endsSession: true });
  cluster.turnUntil(() => eventsOf(received).length === 1);
  startWrite(peer);
  send(peer, { opcode: OPCODE_LOGOUT_REQUEST, immediate: true, flags: FLAG_FINAL, initiatorTaskTag: 9, cmdSN: 2 });
  cluster.turnUntil(() => end.atUs > 0);
  assert.ok(hasLanded());
  assert.equal(pdusOf(received).at(-1)?.opcode, OPCODE_LOGOUT_RESPONSE);
  assert.equal(eventsOf(received).length, 1);
});

test("who may stay after all is not dropped; asked again, the new time counts", () => {
  const { timeline, cluster, shard, connect } = setUp();
  const { connectionId, end, received } = connect();
  const ask = (timeoutMs: number): void =>
    shard.send({ type: "requestLogout", connectionIds: [connectionId], timeoutMs, endsSession: false });
  const startUs = timeline.nowUs;
  ask(2000);
  cluster.turnUntil(() => eventsOf(received).length === 1);
  shard.send({ type: "cancelLogout", connectionIds: [connectionId, 999] });
  cluster.turnUntil(() => timeline.nowUs >= startUs + 20_000_000);
  ask(2000);
  ask(30_000);
  cluster.turnUntil(() => timeline.nowUs >= startUs + 49_000_000);
  assert.equal(end.atUs, 0);
  cluster.turnUntil(() => end.atUs > 0);
  assert.deepEqual(
    eventsOf(received).map(([event]) => event),
    [LOGOUT_REQUEST, LOGOUT_REQUEST, LOGOUT_REQUEST, CONNECTION_DROP],
  );
});

test("at ErrorRecoveryLevel 2 the tasks of a dropped connection are kept as long as it is told", () => {
  const { timeline, cluster, shard, connect } = setUp(1000, {
    errorRecoveryLevel: 2,
    defaultTime2Wait: 2,
    defaultTime2Retain: 20,
  });
  const [one, two] = [connect(0), connect(1)];
  shard.send({ type: "requestLogout", connectionIds: [one.connectionId], timeoutMs: 1000, endsSession: false });
  cluster.turnUntil(() => one.end.atUs > 0);
  const drop = [CONNECTION_DROP, 0, 2, 20];
  assert.deepEqual(eventsOf(one.received)[1], drop);
  cluster.turnUntil(() => eventsOf(two.received).length === 1);
  assert.deepEqual(eventsOf(two.received), [drop]);
  // Time2Wait and Time2Retain: nobody has come for them.
  cluster.turnUntil(() => one.end.reportedUs > 0);
  const lastedUs = timeline.nowUs - one.end.atUs;
  assert.ok(lastedUs >= 22_000_000 && lastedUs < 22_000_000 + 2 * SWEEP_INTERVAL_US, String(lastedUs));
  assert.equal(two.end.atUs, 0);
});
