import assert from "node:assert/strict";
import { test } from "node:test";
import { CONNECTION_FAILED } from "../../../../dataplane/connection/connection.js";
import { ACCESS_STATE_OPTIMIZED } from "../../../../dataplane/scsi/access-state.js";
import { UnitAttentions } from "../../../../dataplane/scsi/unit-attention.js";
import { changeLuns } from "../../../../dataplane/session/lun-change.js";
import type { LunMapping } from "../../../../dataplane/session/lun-mapping.js";
import type { Shard } from "../../../../dataplane/shard.js";
import { TASK_DORMANT, TASK_FREE } from "../../../../dataplane/task/task.js";
import { SCSI_STATUS_CHECK_CONDITION, SCSI_STATUS_GOOD } from "../../../../dataplane/wire/scsi-response.js";
import { OPCODE_SCSI_RESPONSE } from "../../../support/pdu.js";
import { announceWrite, setUp, startOrderedWrite, startWrite, WRITE_US } from "../connection/fixture.js";

test("a LUN that is added is as control says: who may write, what a reservation and the access state keep out, what is limited", () => {
  const luns = new Map<number, LunMapping>();
  const session = { luns, attentions: new UnitAttentions(), connections: [], throttle: null, firstTask: null };
  const units = new Map([
    [0, { readOnly: false, losses: 0, throttle: null }],
    [1, { readOnly: true, losses: 0, throttle: {} }],
  ]);
  const posted: unknown[] = [];
  const host = { post: (message: unknown) => posted.push(message) };
  const shard = { sessions: new Map([[7, session]]), units, host } as unknown as Shard;
  const standby = ACCESS_STATE_OPTIMIZED + 2;
  const added = [
    { lun: 3, unitIndex: 0, readOnly: false, blocked: 0x10, accessState: standby },
    { lun: 4, unitIndex: 1, readOnly: false, blocked: 0, accessState: ACCESS_STATE_OPTIMIZED },
  ];
  const change = { type: "lunChange", sessionId: 7, added: [], removed: [], switched: [] } as const;
  changeLuns(shard, { ...change, exchange: 5, added });
  const seen = [...luns.values()].map((mapping) => [
    mapping.lun,
    mapping.readOnly,
    mapping.accessState,
    (mapping.blocked & 0x10) !== 0,
    mapping.isLimited,
  ]);
  assert.deepEqual(seen, [
    [3, false, standby, true, false],
    [4, true, ACCESS_STATE_OPTIMIZED, false, true],
  ]);
  assert.notEqual(luns.get(3)!.blocked, 0x10, "standby keeps out, too");
  assert.deepEqual(posted, [{ type: "done", exchange: 5 }]);
  const switched = [
    { lun: 3, readOnly: true },
    { lun: 4, readOnly: false },
    { lun: 9, readOnly: true },
  ];
  changeLuns(shard, { ...change, exchange: 7, switched });
  assert.deepEqual(
    [luns.get(3)!.readOnly, luns.get(4)!.readOnly],
    [true, true],
    "a unit that is open for reading stays so",
  );
  changeLuns(shard, { ...change, exchange: 6, removed: [3] });
  assert.deepEqual([...luns.keys()], [4]);
});

for (const [what, change, errorRecoveryLevel] of [
  ["is taken away", { removed: [0] }, 0],
  ["becomes read-only", { switched: [{ lun: 0, readOnly: true }] }, 0],
  ["is taken away from an initiator that acknowledges nothing", { removed: [0] }, 1],
] as const) {
  test(`a LUN that ${what} is so when the write that has begun has landed; one that waits for its turn is refused then`, () => {
    const { timeline, cluster, shard, connect, hasLanded } = setUp(WRITE_US, { errorRecoveryLevel });
    const { peer, received } = connect();
    const startUs = timeline.nowUs;
    startWrite(peer);
    startOrderedWrite(peer);
    const { tasks } = shard.shard.tasks;
    cluster.turnUntil(() => tasks.some(({ state }) => state === TASK_DORMANT));
    let doneUs = 0;
    shard.changeLuns(1, change, () => {
      doneUs = timeline.nowUs;
    });
    cluster.turnUntil(() => doneUs > 0);
    assert.ok(hasLanded() && doneUs >= startUs + WRITE_US);
    cluster.turnUntil(() => scsiStatuses(received).length === 2);
    assert.deepEqual(scsiStatuses(received), [SCSI_STATUS_GOOD, SCSI_STATUS_CHECK_CONDITION]);
    assert.ok(!hasLanded(1));
  });
}

for (const isFailedBefore of [true, false]) {
  const when = isFailedBefore ? "has failed" : "fails meanwhile";
  test(`a LUN is taken away although a write waits on a connection that ${when} to be reassigned (ErrorRecoveryLevel 2)`, () => {
    const retainS = 3600;
    const changes = { errorRecoveryLevel: 2, defaultTime2Retain: retainS } as const;
    const { timeline, cluster, shard, connect } = setUp(WRITE_US, changes);
    const { peer } = connect();
    const { tasks } = shard.shard.tasks;
    announceWrite(peer);
    cluster.turnUntil(() => tasks.some(({ outstandingR2T }) => outstandingR2T > 0));
    const isFailed = () => tasks.some(({ connection }) => connection?.state === CONNECTION_FAILED);
    if (isFailedBefore) {
      peer.close();
      cluster.turnUntil(isFailed);
    }
    const startUs = timeline.nowUs;
    let isDone = false;
    shard.changeLuns(1, { removed: [0] }, () => {
      isDone = true;
    });
    if (!isFailedBefore) {
      cluster.turnUntil(() => tasks.some(({ awaiters }) => awaiters.length > 0));
      peer.close();
    }
    cluster.turnUntil(() => isDone);
    assert.ok(timeline.nowUs < startUs + retainS * 500_000);
    assert.ok(tasks.every(({ state }) => state === TASK_FREE));
  });
}

test("a LUN that becomes writable is so at once", () => {
  const { timeline, cluster, shard, connect } = setUp();
  startWrite(connect().peer);
  cluster.turnUntil(() => shard.shard.tasks.tasks.some(({ storeBusy }) => storeBusy > 0));
  const startUs = timeline.nowUs;
  let doneUs = 0;
  shard.changeLuns(1, { switched: [{ lun: 0, readOnly: false }] }, () => {
    doneUs = timeline.nowUs;
  });
  cluster.turnUntil(() => doneUs > 0);
  assert.ok(doneUs < startUs + WRITE_US / 2);
});

/** Of the SCSI Responses that have come. */
function scsiStatuses(received: readonly Buffer[]): number[] {
  const bytes = Buffer.concat(received);
  const statuses: number[] = [];
  for (let at = 0; at < bytes.length; at += 48 + ((bytes.readUIntBE(at + 5, 3) + 3) & ~3)) {
    if ((bytes[at]! & 0x3f) === OPCODE_SCSI_RESPONSE) statuses.push(bytes[at + 3]!);
  }
  return statuses;
}
