/**
 * What of a connection's tasks is with the store when the target ends it: its initiator must not hear of the end, nor log in anew,
 * before that is over (RFC 7143 sections 7.14 and 6.3.5).
 */
import assert from "node:assert/strict";
import test from "node:test";
import { ENDING_PATIENCE_US, HELD_BYTES_MAX } from "../../../../dataplane/limits.js";
import { TASK_HELD } from "../../../../dataplane/task/task.js";
import { testUnitReady, write10 } from "../../../support/cdb.js";
import {
  buildHeader,
  FLAG_FINAL,
  FLAG_WRITE,
  OPCODE_DATA_OUT,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_NOP_OUT,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  OPCODE_TASK_MANAGEMENT_REQUEST,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
  OPCODE_TEXT_REQUEST,
  TAG_NONE,
} from "../../../support/pdu.js";
import type { PeerSocket } from "../../../support/simulation/socket.js";
import { ABORT_TASK, TASK_REASSIGN } from "../../../support/task-management.js";
import { announceWrite, BLOCK_BYTES, FIRST_CMD_SN, INITIATOR, send, setUp, startWrite, WRITE_US } from "./fixture.js";

const CLOSE_CONNECTION = 1;
const REMOVE_FOR_RECOVERY = 2;

/** Byte 2 of the PDUs with this opcode. */
function responsesOf(received: readonly Buffer[], opcode: number): number[] {
  const bytes = Buffer.concat(received);
  const responses: number[] = [];
  for (let at = 0; at < bytes.length; at += 48 + ((bytes.readUIntBE(at + 5, 3) + 3) & ~3)) {
    if ((bytes[at]! & 0x3f) === opcode) responses.push(bytes[at + 2]!);
  }
  return responses;
}

/** Section 7.7: a format error ends the session. */
function breakFormat(peer: PeerSocket): void {
  send(peer, { opcode: OPCODE_LOGOUT_REQUEST, immediate: true, flags: 0, initiatorTaskTag: 9, cmdSN: 2 });
}

test("a connection that the target ends: its initiator hears of it when its writes have landed", () => {
  const { timeline, cluster, connect, hasLanded } = setUp();
  const { peer, end } = connect();
  startWrite(peer);
  breakFormat(peer);
  const startUs = timeline.nowUs;
  cluster.turnUntil(() => end.atUs > 0);
  assert.ok(hasLanded());
  assert.ok(end.atUs >= startUs + WRITE_US);
  cluster.turnUntil(() => end.reportedUs > 0);
  cluster.assertNothingLeft();
});

test("but no later than the store may take, and control not before the writes have landed", () => {
  const { timeline, cluster, connect, hasLanded } = setUp(2 * ENDING_PATIENCE_US);
  const { peer, end } = connect();
  startWrite(peer);
  breakFormat(peer);
  const startUs = timeline.nowUs;
  cluster.turnUntil(() => end.atUs > 0);
  assert.ok(!hasLanded());
  assert.ok(end.atUs >= startUs + ENDING_PATIENCE_US && end.atUs < startUs + ENDING_PATIENCE_US + 3_000_000);
  cluster.turnUntil(() => end.reportedUs > 0);
  assert.ok(hasLanded());
});

for (const received of [0, 8000]) {
  test(`at once, if nothing is with the store: not even a Data-Out that has come as far as byte ${received} is waited for`, () => {
    const { timeline, cluster, connect } = setUp();
    const first = connect();
    const second = connect(1);
    const length = 65536;
    const fields = { initiatorTaskTag: 1, cmdSN: FIRST_CMD_SN, expectedDataTransferLength: length };
    const flags = FLAG_FINAL | FLAG_WRITE | 1;
    send(first.peer, { opcode: OPCODE_SCSI_COMMAND, flags, ...fields, cdb: write10(0, length / BLOCK_BYTES) });
    const pdus = first.received;
    const before = pdus.length;
    cluster.turnUntil(() => pdus.length > before);
    const targetTransferTag = pdus.at(-1)!.readUInt32BE(20);
    const dataOut = buildHeader({
      opcode: OPCODE_DATA_OUT,
      flags: FLAG_FINAL,
      dataSegmentLength: 8192,
      initiatorTaskTag: 1,
      targetTransferTag,
      lun: 0,
    });
    first.peer.write(Buffer.concat([dataOut, Buffer.alloc(received)]));
    const startUs = timeline.nowUs + 1000;
    // The rest of its data segment is awaited meanwhile: straight into the task's buffer, if it is much.
    cluster.turnUntil(() => timeline.nowUs >= startUs);
    breakFormat(second.peer);
    cluster.turnUntil(() => first.end.atUs > 0 && second.end.atUs > 0);
    for (const { end } of [first, second]) assert.ok(end.atUs < startUs + ENDING_PATIENCE_US / 10);
    cluster.turnUntil(() => first.end.reportedUs > 0 && second.end.reportedUs > 0);
    cluster.assertNothingLeft();
  });
}

test("a connection that its initiator has ended: a login of the same initiator to the same units waits for its writes", () => {
  const { timeline, cluster, shard, connect, hasLanded } = setUp();
  const { peer } = connect();
  startWrite(peer);
  const endUs = timeline.nowUs + 1000;
  cluster.turnUntil(() => timeline.nowUs >= endUs);
  peer.close();
  cluster.turnUntil(() => timeline.nowUs >= endUs + 1000);
  const over = new Set<string>();
  shard.awaitEnding(INITIATOR, [3], () => over.add("login"));
  shard.awaitEnding(INITIATOR, [4], () => over.add("login to another unit"));
  shard.awaitEnding("iqn.2026-11.io.ringlun:other", [3], () => over.add("login of another initiator"));
  cluster.turnUntil(() => timeline.nowUs >= endUs + 1_000_000);
  assert.deepEqual(over, new Set(["login to another unit", "login of another initiator"]));
  assert.ok(!hasLanded());
  cluster.turnUntil(() => over.has("login"));
  assert.ok(hasLanded());
});

test("a Logout for recovery that is repeated while the first one waits: each is answered when the connection is done with", () => {
  const { timeline, cluster, connect, hasLanded } = setUp(WRITE_US, { errorRecoveryLevel: 2, defaultTime2Retain: 20 });
  const [first, second] = [connect(0), connect(1)];
  // It is over with its connection (section 7.14), and lands all the same.
  startWrite(first.peer, true);
  const startUs = timeline.nowUs;
  cluster.turnUntil(() => timeline.nowUs >= startUs + 1000);
  const logout = { opcode: OPCODE_LOGOUT_REQUEST, immediate: true, flags: FLAG_FINAL | REMOVE_FOR_RECOVERY, cid: 0 };
  for (const initiatorTaskTag of [8, 9]) send(second.peer, { ...logout, initiatorTaskTag, cmdSN: FIRST_CMD_SN });
  const responses = () => responsesOf(second.received, OPCODE_LOGOUT_RESPONSE);
  cluster.turnUntil(() => responses().length > 0);
  assert.ok(hasLanded());
  cluster.turnUntil(() => responses().length === 2);
  assert.deepEqual(responses(), [0, 0]);
});

for (const [immediate, awaits] of [
  [true, "what was immediate: that is over with it"],
  [false, "no others: they go on"],
] as const) {
  test(`a connection that is reinstated at ErrorRecoveryLevel 2: the login waits for ${awaits} (RFC 7143 section 7.14)`, () => {
    const { timeline, cluster, shard, connect, hasLanded } = setUp(WRITE_US, {
      errorRecoveryLevel: 2,
      defaultTime2Retain: 20,
    });
    const { connectionId, peer, end } = connect();
    startWrite(peer, immediate);
    const endUs = timeline.nowUs + 1000;
    cluster.turnUntil(() => timeline.nowUs >= endUs);
    peer.close();
    shard.send({ type: "endConnection", connectionId, expStatSN: 0, reason: "connection reinstatement" });
    cluster.turnUntil(() => end.reportedUs > 0);
    assert.equal(hasLanded(), immediate);
  });
}

for (const what of ["has no tasks", "had one, which was reassigned", "had one, which was aborted"]) {
  test(`a connection that was logged out for recovery and ${what}: the session ends with the last other one (section 6.3.4)`, () => {
    const { timeline, cluster, shard, connect } = setUp(0, { errorRecoveryLevel: 2, defaultTime2Retain: 3600 });
    const [first, { peer, received }] = [connect(0), connect(1)];
    if (what !== "has no tasks") {
      announceWrite(first.peer);
      cluster.turnUntil(() => first.received.length > 1);
    }
    first.peer.close();
    const logout = { opcode: OPCODE_LOGOUT_REQUEST, immediate: true, cmdSN: FIRST_CMD_SN + 1 };
    send(peer, { ...logout, flags: FLAG_FINAL | REMOVE_FOR_RECOVERY, cid: 0, initiatorTaskTag: 8 });
    cluster.turnUntil(() => responsesOf(received, OPCODE_LOGOUT_RESPONSE).length === 1);
    if (what !== "has no tasks") {
      const code = what.endsWith("aborted") ? ABORT_TASK : TASK_REASSIGN;
      const fields = { immediate: true, flags: FLAG_FINAL | code, initiatorTaskTag: 7, referencedTaskTag: 1 };
      send(peer, { opcode: OPCODE_TASK_MANAGEMENT_REQUEST, ...fields, cmdSN: FIRST_CMD_SN + 1 });
      cluster.turnUntil(() => responsesOf(received, OPCODE_TASK_MANAGEMENT_RESPONSE).length === 1);
    }
    let endUs = 0;
    shard.whenSessionEnds(1, () => {
      endUs = timeline.nowUs;
    });
    send(peer, { ...logout, flags: FLAG_FINAL | CLOSE_CONNECTION, cid: 1, initiatorTaskTag: 9 });
    const startUs = timeline.nowUs;
    cluster.turnUntil(() => endUs > 0);
    assert.ok(endUs < startUs + 1_000_000);
    cluster.assertNothingLeft();
  });
}

test("a connection that is alone, and is reinstated without tasks, stands for its session until the new one is there", () => {
  const { timeline, cluster, shard, connect } = setUp(0, { errorRecoveryLevel: 2, defaultTime2Retain: 3600 });
  let endUs = 0;
  const { connectionId, peer, end } = connect();
  shard.whenSessionEnds(1, () => {
    endUs = timeline.nowUs;
  });
  peer.close();
  shard.send({ type: "endConnection", connectionId, expStatSN: 0, reason: "connection reinstatement" });
  const startUs = timeline.nowUs;
  cluster.turnUntil(() => end.reportedUs > 0 && timeline.nowUs >= startUs + 1_000_000);
  assert.equal(endUs, 0);
  const logout = { opcode: OPCODE_LOGOUT_REQUEST, immediate: true, flags: FLAG_FINAL | CLOSE_CONNECTION, cid: 0 };
  send(connect().peer, { ...logout, initiatorTaskTag: 9, cmdSN: FIRST_CMD_SN });
  cluster.turnUntil(() => endUs > 0);
  assert.ok(endUs < startUs + 3_000_000);
});

test("a connection that is logged out and breaks before it has the answer is not kept for recovery", () => {
  const { timeline, cluster, shard, connect, hasLanded } = setUp(WRITE_US, {
    errorRecoveryLevel: 2,
    defaultTime2Retain: 3600,
  });
  const { peer } = connect();
  startWrite(peer);
  const logout = { opcode: OPCODE_LOGOUT_REQUEST, immediate: true, flags: FLAG_FINAL | CLOSE_CONNECTION, cid: 0 };
  send(peer, { ...logout, initiatorTaskTag: 9, cmdSN: FIRST_CMD_SN + 1 });
  peer.close();
  const startUs = timeline.nowUs;
  let endUs = 0;
  shard.whenSessionEnds(1, () => {
    endUs = timeline.nowUs;
  });
  cluster.turnUntil(() => endUs > 0);
  assert.ok(hasLanded());
  assert.ok(endUs < startUs + WRITE_US + 1_000_000);
});

test("answers that wait to be sent when a format error ends the session: their buffers are free", () => {
  const { cluster, connect } = setUp(0);
  const { peer, end } = connect();
  const ping = { opcode: OPCODE_NOP_OUT, immediate: true, flags: FLAG_FINAL, targetTransferTag: TAG_NONE };
  const data = Buffer.alloc(64);
  const fields = { initiatorTaskTag: 1, cmdSN: FIRST_CMD_SN, lun: 0, dataSegmentLength: data.length };
  const bad = buildHeader({ opcode: OPCODE_LOGOUT_REQUEST, immediate: true, flags: 0, initiatorTaskTag: 9 });
  // In one receive.
  peer.write(Buffer.concat([buildHeader({ ...ping, ...fields }), data, bad]));
  cluster.turnUntil(() => end.reportedUs > 0);
  cluster.assertNothingLeft();
});

const READY = { opcode: OPCODE_SCSI_COMMAND, flags: FLAG_FINAL | 1, cdb: testUnitReady() };

for (const errorRecoveryLevel of [0, 2]) {
  const session = { errorRecoveryLevel, defaultTime2Retain: 60 };
  const what = `a connection that breaks at ErrorRecoveryLevel ${errorRecoveryLevel}`;

  test(`${what}: commands that waited for their turn have not come, and do when others bring them (section 11.14)`, () => {
    const { cluster, shard, connect } = setUp(0, session);
    const [first, { peer, received }] = [connect(0), connect(1)];
    send(first.peer, { ...READY, initiatorTaskTag: 2, cmdSN: FIRST_CMD_SN + 1 });
    cluster.turnUntil(() => shard.shard.tasks.tasks.some(({ state }) => state === TASK_HELD));
    first.peer.close();
    cluster.turnUntil(() => shard.shard.tasks.tasks.every(({ state }) => state !== TASK_HELD));
    for (const initiatorTaskTag of [1, 2]) send(peer, { ...READY, initiatorTaskTag, cmdSN: initiatorTaskTag });
    cluster.turnUntil(() => responsesOf(received, OPCODE_SCSI_RESPONSE).length === 2);
  });

  test(`${what}: pings that waited for their turn take no room any more`, () => {
    const { timeline, cluster, connect } = setUp(0, session);
    const other = connect(1);
    const data = Buffer.alloc(256 * 1024);
    const ping = { opcode: OPCODE_NOP_OUT, flags: FLAG_FINAL, initiatorTaskTag: 1, targetTransferTag: TAG_NONE };
    for (let left = 2 * HELD_BYTES_MAX; left > 0; left -= data.length) {
      const { peer } = connect(0);
      send(peer, { ...ping, cmdSN: FIRST_CMD_SN + 1 }, data);
      peer.close();
      const closedUs = timeline.nowUs;
      cluster.turnUntil(() => timeline.nowUs >= closedUs + 1000);
    }
    assert.equal(other.end.atUs, 0);
  });

  test(`${what} while control looks at its Text Request: that has not come, and its CmdSN is another command's`, () => {
    const { timeline, cluster, connect } = setUp(0, session);
    const [first, { peer, received }] = [connect(0), connect(1)];
    const request = { opcode: OPCODE_TEXT_REQUEST, flags: FLAG_FINAL, targetTransferTag: TAG_NONE };
    send(first.peer, { ...request, initiatorTaskTag: 1, cmdSN: FIRST_CMD_SN }, Buffer.from("X-test=long\0"));
    first.peer.close();
    const closedUs = timeline.nowUs;
    cluster.turnUntil(() => timeline.nowUs >= closedUs + 1000);
    send(peer, { ...READY, initiatorTaskTag: 2, cmdSN: FIRST_CMD_SN });
    cluster.turnUntil(() => responsesOf(received, OPCODE_SCSI_RESPONSE).length === 1);
  });
}
