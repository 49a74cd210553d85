/** Referenced Task Tag of a task management function that names no task (RFC 7143 section 11.5.4): it changes nothing. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { testUnitReady, write10 } from "../../support/cdb.js";
import { OPCODE_R2T, parseSense } from "../../support/pdu.js";
import type { RawTask } from "../../support/raw-task.js";
import {
  ABORT_TASK_SET,
  FUNCTION_COMPLETE,
  LOGICAL_UNIT_RESET,
  QUERY_TASK_SET,
  TARGET_WARM_RESET,
} from "../../support/task-management.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

const SUCCEEDED = 7;
const UNIT_ATTENTION = 6;

describe("Referenced Task Tag where no task is named (RFC 7143 section 11.5.4)", () => {
  const target = startTarget({ session: "initialR2T: true, immediateData: false" });

  // FastAbort: nothing waits for the data of tasks that end.
  const login = () => target.login({ TaskReporting: "FastAbort", iSCSIProtocolLevel: "2" });

  for (const [name, taskFunction, isReset] of [
    ["ABORT TASK SET", ABORT_TASK_SET, false],
    ["LOGICAL UNIT RESET", LOGICAL_UNIT_RESET, true],
    ["TARGET WARM RESET", TARGET_WARM_RESET, true],
  ] as const) {
    for (const which of ["0", "of no task", "of one of its tasks"]) {
      it(`${name} with the tag ${which}: it ends all the tasks that it is about`, async () => {
        const initiator = await login();
        const tasks: RawTask[] = [];
        for (let i = 0; i < 2; i++) {
          const write = pattern(8 * BLOCK_BYTES, i);
          tasks.push(await initiator.start({ cdb: write10(8 * i, 8), write, leaveR2Ts: true }));
          await initiator.expect(OPCODE_R2T);
        }
        const referencedTaskTag = which === "0" ? 0 : which === "of no task" ? 0x777 : tasks[1]!.initiatorTaskTag;
        const response = await initiator.taskManagement(taskFunction, { referencedTaskTag });
        assert.equal(response.response, FUNCTION_COMPLETE);
        if (isReset) {
          const { sense } = await initiator.command({ cdb: testUnitReady() });
          assert.equal(parseSense(sense).key, UNIT_ATTENTION);
        }
        // Nothing is left of them.
        assert.equal((await initiator.taskManagement(QUERY_TASK_SET)).response, FUNCTION_COMPLETE);
        await initiator.good({ cdb: testUnitReady() });
      });
    }
  }

  it("QUERY TASK SET with the tag of no task: it asks for all", async () => {
    const initiator = await login();
    await initiator.start({ cdb: write10(0, 8), write: pattern(8 * BLOCK_BYTES), leaveR2Ts: true });
    await initiator.expect(OPCODE_R2T);
    const response = await initiator.taskManagement(QUERY_TASK_SET, { referencedTaskTag: 0x777 });
    assert.equal(response.response, SUCCEEDED);
  });
});
