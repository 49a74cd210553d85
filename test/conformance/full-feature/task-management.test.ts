/** Task management functions that are refused, and requests that are malformed (RFC 7143 sections 11.5, 11.6). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { testUnitReady } from "../../support/cdb.js";
import { FLAG_FINAL, OPCODE_TASK_MANAGEMENT_REQUEST, TAG_NONE } from "../../support/pdu.js";
import { CLEAR_ACA, LUN_DOES_NOT_EXIST } from "../../support/task-management.js";
import { startTarget } from "./fixture.js";

const REASSIGNMENT_NOT_SUPPORTED = 4;
const NOT_SUPPORTED = 5;

describe("task management (RFC 7143 section 11.5)", () => {
  const target = startTarget();

  for (const [name, taskFunction, response] of [
    ["CLEAR ACA", CLEAR_ACA, NOT_SUPPORTED],
    // "the target does not support it as indicated by the operational ErrorRecoveryLevel".
    ["TASK REASSIGN", 8, REASSIGNMENT_NOT_SUPPORTED],
    ["QUERY TASK (RFC 7144)", 9, NOT_SUPPORTED],
    ["QUERY TASK SET (RFC 7144)", 10, NOT_SUPPORTED],
    ["I_T NEXUS RESET (RFC 7144)", 11, NOT_SUPPORTED],
    ["QUERY ASYNCHRONOUS EVENT (RFC 7144)", 12, NOT_SUPPORTED],
    // "All other possible values for the Function field are unassigned."
    ["function 0", 0, NOT_SUPPORTED],
    ["function 13", 13, NOT_SUPPORTED],
    ["function 127", 127, NOT_SUPPORTED],
  ] as const) {
    it(`${name}: answered with response ${response}, nothing is done`, async () => {
      const [initiator, witness] = [await target.login(), await target.login()];
      const pdu = await initiator.taskManagement(taskFunction, taskFunction === 8 ? { referencedTaskTag: 0x1234 } : {});
      assert.equal(pdu.response, response);
      assert.equal(pdu.flags, 0x80);
      assert.ok(pdu.bhs.subarray(36).every((byte) => byte === 0));
      assert.equal(pdu.field("dataSegmentLength"), 0);
      for (const session of [initiator, witness]) await session.good({ cdb: testUnitReady() });
    });
  }

  it("LOGICAL UNIT RESET of a LUN that is not there", async () => {
    const initiator = await target.login();
    for (const lun of [
      1,
      255,
      16_383,
      Buffer.from("8000000000000000", "hex"),
      Buffer.from("0000000000000001", "hex"),
    ]) {
      assert.equal((await initiator.taskManagement(5, { lun })).response, LUN_DOES_NOT_EXIST);
    }
  });

  it("takes a StatSN, and a CmdSN unless it is immediate", async () => {
    const initiator = await target.login();
    const { cmdSN } = initiator.session;
    const first = await initiator.taskManagement(CLEAR_ACA);
    assert.equal(first.expCmdSN, cmdSN);
    const second = await initiator.taskManagement(CLEAR_ACA, { immediate: false });
    assert.deepEqual([second.expCmdSN, second.statSN], [cmdSN + 1, first.statSN + 1]);
    assert.equal(second.maxCmdSN, first.maxCmdSN + 1);
  });

  for (const [what, fields, data] of [
    ["no F bit", { flags: 5 }, 0],
    ["a data segment (section 11.5.2)", { flags: FLAG_FINAL | 5 }, 4],
    ["the reserved Initiator Task Tag", { flags: FLAG_FINAL | 5, initiatorTaskTag: TAG_NONE }, 0],
    ["a TASK REASSIGN that is not immediate (section 11.5.1)", { flags: FLAG_FINAL | 8, immediate: false }, 0],
  ] as const) {
    it(`${what}: a format error, the session ends (section 7.7)`, async () => {
      const [initiator, witness] = [await target.login(), await target.login()];
      await initiator.send(
        { opcode: OPCODE_TASK_MANAGEMENT_REQUEST, immediate: true, lun: 0, referencedTaskTag: TAG_NONE, ...fields },
        Buffer.alloc(data),
      );
      assert.deepEqual(await initiator.receiveUntilClosed(), []);
      await witness.good({ cdb: testUnitReady() });
    });
  }
});
