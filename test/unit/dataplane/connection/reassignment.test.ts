/** TASK REASSIGN while the store, or a response fence, still has something of the connection that has failed (RFC 7143 section 7.2.2). */
import assert from "node:assert/strict";
import test from "node:test";
import { FENCE_PATIENCE_US } from "../../../../dataplane/limits.js";
import { testUnitReady } from "../../../support/cdb.js";
import {
  FLAG_FINAL,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_NOP_OUT,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  OPCODE_TASK_MANAGEMENT_REQUEST,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
  TAG_NONE,
} from "../../../support/pdu.js";
import type { PeerSocket } from "../../../support/simulation/socket.js";
import { ABORT_TASK_SET, TASK_REASSIGN } from "../../../support/task-management.js";
import { FIRST_CMD_SN, send, setUp, startWrite, WRITE_US } from "./fixture.js";

const [COMPLETE, DOES_NOT_EXIST, STILL_ALLEGIANT] = [0, 1, 3];
const REMOVE_FOR_RECOVERY = 2;
const ORDERED = 2;
/** Long enough for the connection to fail meanwhile, and far less than a fence is patient. */
const STORAGE_US = 1_000_000;
const SESSION = { errorRecoveryLevel: 2, defaultTime2Retain: 60 };
/** Behind the Login Response, and behind the response that follows. */
const [LOGGED_IN, ANSWERED] = [2, 3];

function acknowledge(peer: PeerSocket, expStatSN: number): void {
  const ping = { opcode: OPCODE_NOP_OUT, immediate: true, flags: FLAG_FINAL, initiatorTaskTag: TAG_NONE };
  send(peer, { ...ping, targetTransferTag: TAG_NONE, cmdSN: FIRST_CMD_SN, expStatSN });
}

/** A task management function, which acts on what has a lower CmdSN. */
function manage(
  peer: PeerSocket,
  code: number,
  referencedTaskTag: number,
  { initiatorTaskTag = 9, cmdSN = FIRST_CMD_SN } = {},
): void {
  const request = { opcode: OPCODE_TASK_MANAGEMENT_REQUEST, immediate: true, flags: FLAG_FINAL | code };
  send(peer, { ...request, initiatorTaskTag, referencedTaskTag, cmdSN, expStatSN: LOGGED_IN });
}

interface Pdu {
  readonly opcode: number;
  readonly response: number;
  readonly tag: number;
}

function pdusOf(received: readonly Buffer[]): Pdu[] {
  const bytes = Buffer.concat(received);
  const pdus: Pdu[] = [];
  for (let at = 0; at < bytes.length; at += 48 + ((bytes.readUIntBE(at + 5, 3) + 3) & ~3)) {
    pdus.push({ opcode: bytes[at]! & 0x3f, response: bytes[at + 2]!, tag: bytes.readUInt32BE(at + 16) });
  }
  return pdus;
}

const has = (received: readonly Buffer[], opcode: number): boolean =>
  pdusOf(received).some((pdu) => pdu.opcode === opcode);

/** To the function with this tag. */
function responseTo(received: readonly Buffer[], tag: number): number | undefined {
  return pdusOf(received).find((pdu) => pdu.opcode === OPCODE_TASK_MANAGEMENT_RESPONSE && pdu.tag === tag)?.response;
}

/** An immediate WRITE in the store's hands on the first connection, which is over with it when it has landed; behind it a command (tag 5), which is not. */
function setUpWaiting() {
  const { timeline, cluster, connect, hasLanded } = setUp(WRITE_US, SESSION);
  const [first, { peer, received }] = [connect(0), connect(1)];
  startWrite(first.peer, true);
  const command = { opcode: OPCODE_SCSI_COMMAND, flags: FLAG_FINAL | ORDERED, cdb: testUnitReady() };
  send(first.peer, { ...command, initiatorTaskTag: 5, cmdSN: FIRST_CMD_SN, expStatSN: LOGGED_IN });
  const startUs = timeline.nowUs;
  cluster.turnUntil(() => timeline.nowUs >= startUs + 1000);
  return { cluster, first, peer, received, hasLanded };
}

/** The first connection, by this one. */
function logOutForRecovery(peer: PeerSocket): void {
  const logout = { opcode: OPCODE_LOGOUT_REQUEST, immediate: true, flags: FLAG_FINAL | REMOVE_FOR_RECOVERY, cid: 0 };
  send(peer, { ...logout, initiatorTaskTag: 8, cmdSN: FIRST_CMD_SN + 1 });
}

test("of a task whose connection is still being logged out: it is allegiant to that", () => {
  const { cluster, peer, received, hasLanded } = setUpWaiting();
  logOutForRecovery(peer);
  manage(peer, TASK_REASSIGN, 5, { initiatorTaskTag: 9, cmdSN: FIRST_CMD_SN + 1 });
  cluster.turnUntil(() => responseTo(received, 9) !== undefined);
  assert.ok(!hasLanded());
  assert.equal(responseTo(received, 9), STILL_ALLEGIANT);
  cluster.turnUntil(() => has(received, OPCODE_LOGOUT_RESPONSE));
  manage(peer, TASK_REASSIGN, 5, { initiatorTaskTag: 10, cmdSN: FIRST_CMD_SN + 1 });
  cluster.turnUntil(() => has(received, OPCODE_SCSI_RESPONSE));
  assert.equal(responseTo(received, 10), COMPLETE);
});

test("of a task whose connection has logged itself out, of which the store still has something: it waits for that", () => {
  const { cluster, first, peer, received, hasLanded } = setUpWaiting();
  logOutForRecovery(first.peer);
  cluster.turnUntil(() => has(first.received, OPCODE_LOGOUT_RESPONSE));
  manage(peer, TASK_REASSIGN, 5, { initiatorTaskTag: 9, cmdSN: FIRST_CMD_SN + 1 });
  cluster.turnUntil(() => responseTo(received, 9) !== undefined);
  assert.ok(hasLanded());
  assert.equal(responseTo(received, 9), COMPLETE);
  cluster.turnUntil(() => has(received, OPCODE_SCSI_RESPONSE));
});

test("of a task that is being aborted: it does not exist, and has no response", () => {
  const { timeline, cluster, shard, connect, hasLanded } = setUp(WRITE_US, SESSION);
  const [{ connectionId, ...first }, { peer, received }] = [connect(0), connect(1)];
  startWrite(first.peer);
  const startUs = timeline.nowUs;
  cluster.turnUntil(() => timeline.nowUs >= startUs + 1000);
  first.peer.close();
  shard.send({ type: "endConnection", connectionId, expStatSN: LOGGED_IN, reason: "connection reinstatement" });
  cluster.turnUntil(() => first.end.reportedUs > 0);
  const cmdSN = FIRST_CMD_SN + 1;
  manage(peer, ABORT_TASK_SET, TAG_NONE, { initiatorTaskTag: 8, cmdSN });
  manage(peer, TASK_REASSIGN, 1, { initiatorTaskTag: 9, cmdSN });
  cluster.turnUntil(() => responseTo(received, 9) !== undefined);
  assert.ok(!hasLanded());
  assert.equal(responseTo(received, 9), DOES_NOT_EXIST);
  cluster.turnUntil(() => responseTo(received, 8) !== undefined);
  assert.ok(hasLanded());
  assert.ok(!has(received, OPCODE_SCSI_RESPONSE));
});

test("of a task that has ended while a fence was up: its response is held, on its new connection, and sent once", () => {
  const { timeline, cluster, shard, connect, hasLanded } = setUp(STORAGE_US, SESSION);
  const [first, second] = [connect(0), connect(1)];
  acknowledge(second.peer, LOGGED_IN);
  manage(first.peer, ABORT_TASK_SET, TAG_NONE);
  // From now on the fence waits for this to be acknowledged.
  cluster.turnUntil(() => has(first.received, OPCODE_TASK_MANAGEMENT_RESPONSE));
  const fencedUs = timeline.nowUs;
  startWrite(second.peer);
  const startUs = timeline.nowUs;
  cluster.turnUntil(() => timeline.nowUs >= startUs + 1000);
  second.peer.close();
  const { connectionId } = second;
  shard.send({ type: "endConnection", connectionId, expStatSN: LOGGED_IN, reason: "connection reinstatement" });
  cluster.turnUntil(() => second.end.reportedUs > 0);
  const { peer, received } = connect(1);
  cluster.turnUntil(() => timeline.nowUs >= startUs + STORAGE_US + 1000);
  assert.ok(hasLanded());
  manage(peer, TASK_REASSIGN, 1);
  cluster.turnUntil(() => has(received, OPCODE_TASK_MANAGEMENT_RESPONSE));
  const askedUs = timeline.nowUs;
  cluster.turnUntil(() => timeline.nowUs >= askedUs + 1000);
  assert.ok(!has(received, OPCODE_SCSI_RESPONSE));
  acknowledge(first.peer, ANSWERED);
  cluster.turnUntil(() => has(received, OPCODE_SCSI_RESPONSE));
  cluster.turnUntil(() => timeline.nowUs >= askedUs + STORAGE_US);
  assert.equal(pdusOf(received).filter(({ opcode }) => opcode === OPCODE_SCSI_RESPONSE).length, 1);
  assert.ok(timeline.nowUs < fencedUs + FENCE_PATIENCE_US);
});
