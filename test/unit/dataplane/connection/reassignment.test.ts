/** A task that ends while its connection has failed and a response fence is up, and is then reassigned (RFC 7143 sections 4.2.2.3.3, 7.2.2). */
import assert from "node:assert/strict";
import test from "node:test";
import { FENCE_PATIENCE_US } from "../../../../dataplane/limits.js";
import {
  FLAG_FINAL,
  OPCODE_NOP_OUT,
  OPCODE_SCSI_RESPONSE,
  OPCODE_TASK_MANAGEMENT_REQUEST,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
  TAG_NONE,
} from "../../../support/pdu.js";
import type { PeerSocket } from "../../../support/simulation/socket.js";
import { FIRST_CMD_SN, send, setUp, startWrite } from "./fixture.js";

const ABORT_TASK_SET = 2;
const TASK_REASSIGN = 8;
/** Long enough for the connection to fail meanwhile, and far less than a fence is patient. */
const STORAGE_US = 1_000_000;
/** Behind the Login Response, and behind the response that follows. */
const [LOGGED_IN, ANSWERED] = [2, 3];

function acknowledge(peer: PeerSocket, expStatSN: number): void {
  const ping = { opcode: OPCODE_NOP_OUT, immediate: true, flags: FLAG_FINAL, initiatorTaskTag: TAG_NONE };
  send(peer, { ...ping, targetTransferTag: TAG_NONE, cmdSN: FIRST_CMD_SN, expStatSN });
}

/** An immediate task management function, which acts on none of what comes after it. */
function manage(peer: PeerSocket, code: number, referencedTaskTag: number): void {
  const request = { opcode: OPCODE_TASK_MANAGEMENT_REQUEST, immediate: true, flags: FLAG_FINAL | code };
  send(peer, { ...request, initiatorTaskTag: 9, referencedTaskTag, cmdSN: FIRST_CMD_SN, expStatSN: LOGGED_IN });
}

function opcodesOf(received: readonly Buffer[]): number[] {
  const bytes = Buffer.concat(received);
  const opcodes: number[] = [];
  for (let at = 0; at < bytes.length; at += 48 + ((bytes.readUIntBE(at + 5, 3) + 3) & ~3)) {
    opcodes.push(bytes[at]! & 0x3f);
  }
  return opcodes;
}

test("its response is held by the fence, on its new connection, and sent once", () => {
  const { timeline, cluster, shard, connect, hasLanded } = setUp(STORAGE_US, {
    errorRecoveryLevel: 2,
    defaultTime2Retain: 60,
  });
  const [first, second] = [connect(0), connect(1)];
  const has = ({ received }: typeof first, opcode: number) => opcodesOf(received).includes(opcode);
  acknowledge(second.peer, LOGGED_IN);
  manage(first.peer, ABORT_TASK_SET, TAG_NONE);
  // From now on the fence waits for this to be acknowledged.
  cluster.turnUntil(() => has(first, OPCODE_TASK_MANAGEMENT_RESPONSE));
  const fencedUs = timeline.nowUs;
  startWrite(second.peer);
  const startUs = timeline.nowUs;
  cluster.turnUntil(() => timeline.nowUs >= startUs + 1000);
  second.peer.close();
  const { connectionId } = second;
  shard.send({ type: "endConnection", connectionId, expStatSN: LOGGED_IN, reason: "connection reinstatement" });
  cluster.turnUntil(() => second.end.reportedUs > 0);
  const third = connect(1);
  cluster.turnUntil(() => timeline.nowUs >= startUs + STORAGE_US + 1000);
  assert.ok(hasLanded());
  manage(third.peer, TASK_REASSIGN, 1);
  cluster.turnUntil(() => has(third, OPCODE_TASK_MANAGEMENT_RESPONSE));
  const askedUs = timeline.nowUs;
  cluster.turnUntil(() => timeline.nowUs >= askedUs + 1000);
  assert.ok(!has(third, OPCODE_SCSI_RESPONSE));
  acknowledge(first.peer, ANSWERED);
  cluster.turnUntil(() => has(third, OPCODE_SCSI_RESPONSE));
  cluster.turnUntil(() => timeline.nowUs >= askedUs + STORAGE_US);
  assert.equal(opcodesOf(third.received).filter((opcode) => opcode === OPCODE_SCSI_RESPONSE).length, 1);
  assert.ok(timeline.nowUs < fencedUs + FENCE_PATIENCE_US);
});
