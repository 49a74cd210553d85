/** What becomes of a connection's commands when it fails at ErrorRecoveryLevel 2: they wait to be reassigned (RFC 7143 section 7.2.2). */
import assert from "node:assert/strict";
import test from "node:test";
import { PAGE_BYTES } from "../../../../dataplane/arena.js";
import { CONNECTION_FAILED } from "../../../../dataplane/connection/connection.js";
import { CONNECTION_CREDIT_BYTES_MAX, SLICE_BYTES_MAX, TASK_SLICES_MAX } from "../../../../dataplane/limits.js";
import { SCSI_STATUS_CHECK_CONDITION, SCSI_STATUS_GOOD } from "../../../../dataplane/wire/scsi-response.js";
import { read10, testUnitReady, verify10, write10 } from "../../../support/cdb.js";
import {
  buildHeader,
  FLAG_FINAL,
  FLAG_READ,
  FLAG_WRITE,
  type HeaderFields,
  OPCODE_DATA_IN,
  OPCODE_DATA_OUT,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_R2T,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  OPCODE_TASK_MANAGEMENT_REQUEST,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
} from "../../../support/pdu.js";
import type { PeerSocket } from "../../../support/simulation/socket.js";
import { TASK_REASSIGN } from "../../../support/task-management.js";
import { announceWrite, BLOCK_BYTES, FIRST_CMD_SN, send, setUp, takeAllTasks, WRITE_US } from "./fixture.js";

const [SIMPLE, ORDERED] = [1, 2];
const REMOVE_FOR_RECOVERY = 2;
const [COMPLETE, DOES_NOT_EXIST] = [0, 1];
/** Byte check: the unit is compared with data of the initiator. */
const BYTCHK = 2;
const SESSION = { errorRecoveryLevel: 2, defaultTime2Retain: 60 };

/** The headers of what has come. */
function headersOf(received: readonly Buffer[], opcode: number): Buffer[] {
  const bytes = Buffer.concat(received);
  const headers: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += 48 + ((bytes.readUIntBE(at + 5, 3) + 3) & ~3)) {
    if ((bytes[at]! & 0x3f) === opcode) headers.push(bytes.subarray(at, at + 48));
  }
  return headers;
}

/** The connection with CID 0 is logged out for recovery, then its task with this tag reassigned. */
function recover(peer: PeerSocket, cmdSN: number, referencedTaskTag: number): void {
  const fields = { immediate: true, cmdSN };
  const logout = { opcode: OPCODE_LOGOUT_REQUEST, flags: FLAG_FINAL | REMOVE_FOR_RECOVERY, cid: 0 };
  send(peer, { ...fields, ...logout, initiatorTaskTag: 0x8001 });
  const reassign = { opcode: OPCODE_TASK_MANAGEMENT_REQUEST, flags: FLAG_FINAL | TASK_REASSIGN, referencedTaskTag };
  send(peer, { ...fields, ...reassign, initiatorTaskTag: 0x8002 });
}

test("one that has ended, and still waited for data that it had asked for: its response is sent on the new connection", () => {
  const bursts = { maxBurstLength: PAGE_BYTES, firstBurstLength: PAGE_BYTES, maxOutstandingR2T: 2 };
  const { cluster, shard, connect } = setUp(1000, { ...SESSION, ...bursts });
  const [first, { peer, received }] = [connect(0), connect(1)];
  const length = 2 * PAGE_BYTES;
  send(first.peer, {
    ...{ opcode: OPCODE_SCSI_COMMAND, flags: FLAG_FINAL | FLAG_WRITE | SIMPLE, initiatorTaskTag: 1 },
    ...{ cmdSN: FIRST_CMD_SN, cdb: verify10(0, length / BLOCK_BYTES, BYTCHK), expectedDataTransferLength: length },
  });
  cluster.turnUntil(() => headersOf(first.received, OPCODE_R2T).length === 2);
  // Of what the first R2T asks for no byte is as it is on the unit. The second one is not answered.
  const targetTransferTag = headersOf(first.received, OPCODE_R2T)[0]!.readUInt32BE(20);
  const data = { opcode: OPCODE_DATA_OUT, flags: FLAG_FINAL, initiatorTaskTag: 1, targetTransferTag };
  send(first.peer, data, Buffer.alloc(PAGE_BYTES, 0x5a));
  const { tasks } = shard.shard.tasks;
  cluster.turnUntil(() => tasks.some(({ status }) => status === SCSI_STATUS_CHECK_CONDITION));
  assert.deepEqual(headersOf(first.received, OPCODE_SCSI_RESPONSE), []);
  first.peer.close();
  recover(peer, FIRST_CMD_SN + 1, 1);
  cluster.turnUntil(() => headersOf(received, OPCODE_SCSI_RESPONSE).length > 0);
  assert.equal(headersOf(received, OPCODE_TASK_MANAGEMENT_RESPONSE)[0]![2], COMPLETE);
  assert.equal(headersOf(received, OPCODE_SCSI_RESPONSE)[0]![3], SCSI_STATUS_CHECK_CONDITION);
});

test("a WRITE whose first sequence has come: the R2T for the next one is sent again, and keeps its number", () => {
  const bursts = { maxBurstLength: PAGE_BYTES, firstBurstLength: PAGE_BYTES };
  const { cluster, connect } = setUp(1000, { ...SESSION, ...bursts });
  const [first, { peer, received }] = [connect(0), connect(1)];
  const length = 2 * PAGE_BYTES;
  send(first.peer, {
    ...{ opcode: OPCODE_SCSI_COMMAND, flags: FLAG_FINAL | FLAG_WRITE | SIMPLE, initiatorTaskTag: 1 },
    ...{ cmdSN: FIRST_CMD_SN, cdb: write10(0, length / BLOCK_BYTES), expectedDataTransferLength: length },
  });
  const asked = () => headersOf(first.received, OPCODE_R2T);
  cluster.turnUntil(() => asked().length === 1);
  const data = { opcode: OPCODE_DATA_OUT, flags: FLAG_FINAL, initiatorTaskTag: 1 };
  send(first.peer, { ...data, targetTransferTag: asked()[0]!.readUInt32BE(20) }, Buffer.alloc(PAGE_BYTES));
  cluster.turnUntil(() => asked().length === 2);
  first.peer.close();
  recover(peer, FIRST_CMD_SN + 1, 1);
  cluster.turnUntil(() => headersOf(received, OPCODE_R2T).length > 0);
  const again = headersOf(received, OPCODE_R2T)[0]!;
  // R2TSN and Buffer Offset
  assert.deepEqual([again.readUInt32BE(36), again.readUInt32BE(40)], [1, PAGE_BYTES]);
});

test("one for which there was no task is forgotten: it does not exist, and its tag is free", () => {
  const { cluster, connect } = setUp(0, { ...SESSION, initialR2T: false });
  const ready = { opcode: OPCODE_SCSI_COMMAND, flags: FLAG_FINAL | SIMPLE, cdb: testUnitReady() };
  takeAllTasks(connect);
  for (const fields of [
    // It waits for its turn.
    { ...ready, cmdSN: FIRST_CMD_SN + 1 },
    // Its data is still to come.
    { ...ready, flags: FLAG_WRITE | SIMPLE, cdb: write10(0, 1), expectedDataTransferLength: 512, cmdSN: FIRST_CMD_SN },
  ] satisfies HeaderFields[]) {
    const sessionId = 1000 + fields.cmdSN;
    const [first, { peer, received }] = [connect(0, sessionId), connect(1, sessionId)];
    first.peer.write(buildHeader({ lun: 0, ...fields, initiatorTaskTag: 1 }));
    first.peer.close();
    recover(peer, FIRST_CMD_SN + 1, 1);
    cluster.turnUntil(() => headersOf(received, OPCODE_TASK_MANAGEMENT_RESPONSE).length > 0);
    assert.equal(headersOf(received, OPCODE_LOGOUT_RESPONSE)[0]![2], 0);
    assert.equal(headersOf(received, OPCODE_TASK_MANAGEMENT_RESPONSE)[0]![2], DOES_NOT_EXIST);
  }
});

/** A READ whose tag is its CmdSN. */
function sendRead(peer: PeerSocket, initiatorTaskTag: number, blocks: number): void {
  send(peer, {
    ...{ opcode: OPCODE_SCSI_COMMAND, flags: FLAG_FINAL | FLAG_READ | SIMPLE, initiatorTaskTag },
    ...{ cmdSN: initiatorTaskTag, cdb: read10(0, blocks), expectedDataTransferLength: blocks * BLOCK_BYTES },
  });
}

const BLOCKS = (TASK_SLICES_MAX * SLICE_BYTES_MAX) / BLOCK_BYTES;
/** So many READs of so many blocks are more than a connection may have buffers for. */
const READS = (2 * CONNECTION_CREDIT_BYTES_MAX) / (BLOCKS * BLOCK_BYTES);

test("a READ that had to wait for buffers of the connection goes on with those of the new one", () => {
  const { cluster, shard, connect } = setUp(WRITE_US, SESSION);
  const [first, { peer, received }] = [connect(0), connect(1)];
  const last = FIRST_CMD_SN + READS - 1;
  for (let tag = FIRST_CMD_SN; tag <= last; tag++) sendRead(first.peer, tag, BLOCKS);
  const { tasks } = shard.shard.tasks;
  cluster.turnUntil(() => tasks.some((task) => task.starved && task.initiatorTaskTag === last));
  first.peer.close();
  recover(peer, last + 1, last);
  cluster.turnUntil(() => headersOf(received, OPCODE_SCSI_RESPONSE).length > 0);
  assert.equal(headersOf(received, OPCODE_SCSI_RESPONSE)[0]![3], SCSI_STATUS_GOOD);
});

test("READs that are to begin meanwhile leave alone what is kept of one that has ended", () => {
  const { timeline, cluster, shard, connect } = setUp(1000, SESSION);
  const [first, { peer, received }] = [connect(0), connect(1)];
  const KEPT = FIRST_CMD_SN;
  sendRead(first.peer, KEPT, 8);
  cluster.turnUntil(() => headersOf(first.received, OPCODE_SCSI_RESPONSE).length > 0);
  const ordered = { cmdSN: KEPT + 1, cdb: write10(0, 1), expectedDataTransferLength: BLOCK_BYTES };
  const write = { opcode: OPCODE_SCSI_COMMAND, flags: FLAG_FINAL | FLAG_WRITE | ORDERED, initiatorTaskTag: KEPT + 1 };
  send(peer, { ...write, ...ordered });
  cluster.turnUntil(() => headersOf(received, OPCODE_R2T).length > 0);
  // They wait for the WRITE.
  const last = KEPT + 2 + READS;
  for (let tag = KEPT + 2; tag < last; tag++) sendRead(first.peer, tag, BLOCKS);
  first.peer.close();
  const isFailed = () => shard.shard.tasks.tasks.some(({ connection }) => connection?.state === CONNECTION_FAILED);
  cluster.turnUntil(isFailed);
  const targetTransferTag = headersOf(received, OPCODE_R2T)[0]!.readUInt32BE(20);
  const data = { opcode: OPCODE_DATA_OUT, flags: FLAG_FINAL, initiatorTaskTag: KEPT + 1, targetTransferTag };
  send(peer, data, Buffer.alloc(BLOCK_BYTES));
  cluster.turnUntil(() => headersOf(received, OPCODE_SCSI_RESPONSE).length === 1);
  const endUs = timeline.nowUs + 1_000_000;
  cluster.turnUntil(() => timeline.nowUs >= endUs);
  recover(peer, last, KEPT);
  cluster.turnUntil(() => headersOf(received, OPCODE_SCSI_RESPONSE).length === 2);
  const end = headersOf(received, OPCODE_SCSI_RESPONSE)[1]!;
  assert.deepEqual([end.readUInt32BE(16), end[3]], [KEPT, SCSI_STATUS_GOOD]);
  assert.equal(headersOf(received, OPCODE_DATA_IN)[0]!.readUIntBE(5, 3), 8 * BLOCK_BYTES);
});

test("the time to reassign it begins anew with the logout for recovery (section 13.16)", () => {
  const { timeline, cluster, connect } = setUp(0, SESSION);
  const [first, { peer, received }] = [connect(0), connect(1)];
  announceWrite(first.peer);
  cluster.turnUntil(() => headersOf(first.received, OPCODE_R2T).length > 0);
  first.peer.close();
  const closedUs = timeline.nowUs;
  const elapse = (parts: number) => {
    const untilUs = closedUs + parts * SESSION.defaultTime2Retain * 1_000_000;
    cluster.turnUntil(() => timeline.nowUs >= untilUs);
  };
  elapse(0.8);
  const logout = { opcode: OPCODE_LOGOUT_REQUEST, flags: FLAG_FINAL | REMOVE_FOR_RECOVERY, cid: 0 };
  send(peer, { ...logout, immediate: true, initiatorTaskTag: 8, cmdSN: FIRST_CMD_SN + 1 });
  elapse(1.6);
  const reassign = { opcode: OPCODE_TASK_MANAGEMENT_REQUEST, flags: FLAG_FINAL | TASK_REASSIGN, referencedTaskTag: 1 };
  send(peer, { ...reassign, immediate: true, initiatorTaskTag: 9, cmdSN: FIRST_CMD_SN + 1 });
  cluster.turnUntil(() => headersOf(received, OPCODE_TASK_MANAGEMENT_RESPONSE).length > 0);
  assert.equal(headersOf(received, OPCODE_TASK_MANAGEMENT_RESPONSE)[0]![2], COMPLETE);
});
