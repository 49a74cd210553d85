/** ExpStatSN of the first Login Request that restarts a connection is that "for the old connection" (RFC 7143 section 11.12.9). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_SCSI_RESPONSE } from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import { FUNCTION_COMPLETE, TASK_DOES_NOT_EXIST } from "../../support/task-management.js";
import { startTarget } from "../full-feature/fixture.js";
import { reassign, unacknowledged } from "./fixture.js";

const COMMANDS = 6;
const KEYS = { ErrorRecoveryLevel: "2", DefaultTime2Wait: "0", DefaultTime2Retain: "20" };

const target = startTarget({ session: "errorRecoveryLevel: 2, defaultTime2Wait: 0, defaultTime2Retain: 20" });

for (const [what, offset, acknowledged] of [
  ["what was received is acknowledged, and waits for no reassignment", 4, 4],
  ["so is all of it", COMMANDS, COMMANDS],
  ["nothing is acknowledged that was not sent", COMMANDS + 1, 0],
  ["nor anew what was before", -3, 0],
] as const) {
  for (const breaks of [false, true]) {
    test(`${what}: a connection that ${breaks ? "has broken" : "is still there"}`, async () => {
      const first = await target.login(KEYS);
      const { tags, expStatSN } = await unacknowledged(first, COMMANDS);
      if (breaks) first.destroy();
      const second = await RawInitiator.connect(target.running.port, { session: first.session });
      second.expStatSN = (expStatSN + offset) >>> 0;
      await second.login({ targetName: TARGET_NAME, cid: first.cid, keys: {} });
      for (const [i, tag] of tags.entries()) {
        const isGone = i < acknowledged;
        assert.equal(await reassign(second, tag), isGone ? TASK_DOES_NOT_EXIST : FUNCTION_COMPLETE, `command ${i}`);
        if (!isGone) assert.equal((await second.expect(OPCODE_SCSI_RESPONSE)).initiatorTaskTag, tag);
      }
      second.destroy();
    });
  }
}
