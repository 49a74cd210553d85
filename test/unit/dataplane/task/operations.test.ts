/** Operations that belong to a task itself and not to a slice of its transfer. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { TASK_ACTIVE } from "../../../../dataplane/task/task.js";
import { synchronizeCache10 } from "../../../support/cdb.js";
import { FLAG_FINAL, OPCODE_SCSI_COMMAND } from "../../../support/pdu.js";
import { FIRST_CMD_SN, send, setUp, WRITE_US } from "../connection/fixture.js";

test("the time that the store takes for one is that of this command, whatever its task has done before", () => {
  const { timeline, cluster, shard, connect } = setUp(WRITE_US);
  const { peer, received } = connect();
  for (let cmdSN = FIRST_CMD_SN; cmdSN < FIRST_CMD_SN + 2; cmdSN++) {
    const before = Buffer.concat(received).length;
    const command = { initiatorTaskTag: cmdSN, cmdSN, cdb: synchronizeCache10() };
    send(peer, { opcode: OPCODE_SCSI_COMMAND, flags: FLAG_FINAL | 1, ...command });
    const begunUs = timeline.nowUs;
    const { tasks } = shard.shard.tasks;
    cluster.turnUntil(() => tasks.some(({ state, storeBusy }) => state === TASK_ACTIVE && storeBusy > 0));
    const { storeSinceUs } = tasks.find(({ state }) => state === TASK_ACTIVE)!;
    assert.ok(storeSinceUs >= begunUs, `since ${storeSinceUs}, begun ${begunUs}`);
    cluster.turnUntil(() => Buffer.concat(received).length > before);
  }
});
