/**
 * Peers that ask for more than they take are closed when nobody is at work on them: at the end of the turn. Those that drip do not keep
 * buffers from others.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  HELD_BYTES_OF_SHARD_MAX,
  LOGOUTS_MAX,
  SHORTAGE_PATIENCE_US,
  TEXTS_ASKED_MAX,
} from "../../../../dataplane/limits.js";
import { write10 } from "../../../support/cdb.js";
import {
  buildHeader,
  FLAG_FINAL,
  FLAG_WRITE,
  type HeaderFields,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_NOP_OUT,
  OPCODE_REJECT,
  OPCODE_SCSI_COMMAND,
  OPCODE_SNACK_REQUEST,
  OPCODE_TEXT_REQUEST,
  OPCODE_TEXT_RESPONSE,
  TAG_NONE,
} from "../../../support/pdu.js";
import { BLOCK_BYTES, FIRST_CMD_SN, setUp, startWrite, WRITE_US } from "./fixture.js";

/** Of the first reply after the Login Response. */
const FIRST_STAT_SN = 2;
const STATUS_SNACK = 1;
const LENGTH = 65536;
const CLOSE_CONNECTION = 1;
// Logout Response
const CLOSED = 0;
const CLEANUP_FAILED = 3;
/** Statuses that a session keeps. */
const KEPT = 192;

const times = (count: number, fields: HeaderFields): Buffer =>
  Buffer.concat(Array.from({ length: count }, () => buildHeader({ flags: FLAG_FINAL, ...fields })));

test("SNACKs that bring too much again", () => {
  const { cluster, connect } = setUp(0, { errorRecoveryLevel: 1 });
  const { peer, end, received } = connect();
  const ping = { opcode: OPCODE_NOP_OUT, immediate: true, initiatorTaskTag: 1, targetTransferTag: TAG_NONE };
  peer.write(times(KEPT, { ...ping, cmdSN: FIRST_CMD_SN }));
  cluster.turnUntil(() => Buffer.concat(received).length >= KEPT * 48);
  // All in one receive. The last of them asks for what is no longer there, or nobody keeps it any more.
  const run = { begRun: FIRST_STAT_SN, runLength: KEPT };
  peer.write(
    times(30, {
      ...{ opcode: OPCODE_SNACK_REQUEST, flags: FLAG_FINAL | STATUS_SNACK, initiatorTaskTag: TAG_NONE },
      ...{ snackTag: TAG_NONE, ...run },
    }),
  );
  cluster.turnUntil(() => end.reportedUs > 0);
  assert.ok(end.atUs > 0);
});

test("Text Requests that are rejected, more of them than leave", () => {
  const { cluster, connect } = setUp(0);
  const { peer, end } = connect();
  const request = { opcode: OPCODE_TEXT_REQUEST, immediate: true, initiatorTaskTag: 1, cmdSN: FIRST_CMD_SN };
  peer.write(times(8000, { ...request, targetTransferTag: 7 }));
  cluster.turnUntil(() => end.reportedUs > 0);
  assert.ok(end.atUs > 0);
});

test("Text Requests that come before the answer to others: control is asked about a few, the rest is rejected", () => {
  const { timeline, cluster, connect } = setUp(0);
  const { peer, received } = connect();
  const loginBytes = Buffer.concat(received).length;
  const opcodes = (): number[] => {
    const bytes = Buffer.concat(received).subarray(loginBytes);
    const found: number[] = [];
    for (let at = 0; at < bytes.length; at += 48 + ((bytes.readUIntBE(at + 5, 3) + 3) & ~3))
      found.push(bytes[at]! & 0x3f);
    return found;
  };
  const request = { opcode: OPCODE_TEXT_REQUEST, immediate: true, initiatorTaskTag: 1, cmdSN: FIRST_CMD_SN };
  peer.write(times(TEXTS_ASKED_MAX + 6, { ...request, targetTransferTag: TAG_NONE }));
  cluster.turnUntil(() => opcodes().length === 6);
  assert.deepEqual(opcodes(), Array(6).fill(OPCODE_REJECT));
  // Nobody waits for the answers any more. When they have come there is room again.
  const answeredUs = timeline.nowUs + 1_000_000;
  cluster.turnUntil(() => timeline.nowUs >= answeredUs);
  peer.write(times(1, { ...request, targetTransferTag: TAG_NONE }));
  cluster.turnUntil(() => opcodes().length === 7);
  assert.equal(opcodes().at(-1), OPCODE_TEXT_RESPONSE);
});

test("WRITEs whose data drips in are ended when others wait for buffers", () => {
  const { timeline, cluster, connect } = setUp(0);
  const data = Buffer.alloc(LENGTH, 0x5a);
  const write = (cmdSN: number): Buffer =>
    buildHeader({
      ...{ opcode: OPCODE_SCSI_COMMAND, flags: FLAG_FINAL | FLAG_WRITE | 1, initiatorTaskTag: cmdSN, cmdSN, lun: 0 },
      ...{ cdb: write10(0, LENGTH / BLOCK_BYTES), dataSegmentLength: LENGTH, expectedDataTransferLength: LENGTH },
    });
  // More than the shard has buffers of that size.
  const drips = Array.from({ length: 64 }, (_, cid) => connect(cid));
  for (const { peer } of drips) peer.write(write(FIRST_CMD_SN + 100));
  const { peer, received } = connect(99);
  const firstUs = timeline.nowUs;
  for (let cmdSN = FIRST_CMD_SN; ; cmdSN++) {
    const before = Buffer.concat(received).length;
    peer.write(Buffer.concat([write(cmdSN), data]));
    cluster.turnUntil(() => Buffer.concat(received).length > before);
    if (Buffer.concat(received).subarray(before)[3] === 0) break;
    assert.ok(timeline.nowUs - firstUs < 2 * SHORTAGE_PATIENCE_US, "there is a buffer in the end");
    const nextUs = timeline.nowUs + 500_000;
    cluster.turnUntil(() => timeline.nowUs >= nextUs);
    for (const drip of drips) if (drip.end.atUs === 0) drip.peer.write(Buffer.alloc(1));
  }
  assert.ok(timeline.nowUs - firstUs >= SHORTAGE_PATIENCE_US);
});

test("pings ahead of their turn: what a shard keeps of them in all is bounded", () => {
  const { cluster, connect } = setUp(0);
  const length = 256 * 1024;
  const ping = {
    ...{ opcode: OPCODE_NOP_OUT, flags: FLAG_FINAL, initiatorTaskTag: 1, targetTransferTag: TAG_NONE },
    ...{ cmdSN: FIRST_CMD_SN + 1, dataSegmentLength: length },
  };
  const bytes = Buffer.concat([buildHeader(ping), Buffer.alloc(length)]);
  const count = HELD_BYTES_OF_SHARD_MAX / length;
  const peers = Array.from({ length: count + 1 }, (_, index) => {
    const connection = connect(0, index + 1);
    connection.peer.write(bytes);
    return connection;
  });
  cluster.turnUntil(() => peers.some(({ end }) => end.reportedUs > 0));
  assert.equal(peers.filter(({ end }) => end.atUs > 0).length, 1);
});

test("logouts of a connection whose tasks take their time: so many wait for it, and no more", () => {
  const { cluster, connect } = setUp(WRITE_US);
  const other = connect(1);
  const { peer, received } = connect(0);
  startWrite(other.peer);
  const loginBytes = Buffer.concat(received).length;
  const logout = (tag: number): HeaderFields => ({
    ...{ opcode: OPCODE_LOGOUT_REQUEST, immediate: true, flags: FLAG_FINAL | CLOSE_CONNECTION, cid: 1 },
    ...{ initiatorTaskTag: tag, cmdSN: FIRST_CMD_SN + 1 },
  });
  const count = LOGOUTS_MAX + 8;
  const responses = (): number[] => {
    const bytes = Buffer.concat(received).subarray(loginBytes);
    return Array.from({ length: bytes.length / 48 }, (_, at) => bytes[at * 48 + 2]!);
  };
  // One of them comes twice.
  for (let tag = 1; tag < count; tag++) peer.write(times(1, logout(tag)));
  peer.write(times(1, logout(1)));
  cluster.turnUntil(() => responses().length === count - LOGOUTS_MAX);
  assert.deepEqual(responses(), Array(count - LOGOUTS_MAX).fill(CLEANUP_FAILED));
  assert.equal(other.end.reportedUs, 0);
  cluster.turnUntil(() => responses().length === count);
  assert.deepEqual(responses().slice(count - LOGOUTS_MAX), Array(LOGOUTS_MAX).fill(CLOSED));
});
