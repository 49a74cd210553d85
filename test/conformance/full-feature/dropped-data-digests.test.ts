/** "any iSCSI PDU with a payload digest error ... MUST answer with a Reject" (RFC 7143 section 7.8): also where its data goes nowhere. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { testUnitReady, write10 } from "../../support/cdb.js";
import {
  FLAG_FINAL,
  type HeaderFields,
  OPCODE_DATA_OUT,
  OPCODE_LOGIN_REQUEST,
  OPCODE_NOP_IN,
  OPCODE_R2T,
  OPCODE_REJECT,
  parseSense,
  type ReceivedPdu,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { RawTask } from "../../support/raw-task.js";
import { ABORT_TASK } from "../../support/task-management.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

const REASON_DATA_DIGEST_ERROR = 2;
const CORRUPT = { corruptDataDigest: true };

describe("data digest errors of data that is dropped (RFC 7143 section 7.8)", () => {
  const target = startTarget({ session: "errorRecoveryLevel: 1" });
  const digests = { HeaderDigest: "CRC32C", DataDigest: "CRC32C", ImmediateData: "No", InitialR2T: "Yes" };
  const write = pattern(64 * BLOCK_BYTES, 2);

  async function rejected(initiator: RawInitiator, header: Buffer): Promise<void> {
    const reject = await initiator.expect(OPCODE_REJECT);
    assert.equal(reject.field("reason"), REASON_DATA_DIGEST_ERROR);
    assert.deepEqual(reject.data, header);
  }

  /** Nothing else has come before the echo of a ping. */
  async function nothingElse(initiator: RawInitiator): Promise<void> {
    await initiator.ping();
  }

  async function begin(keys = {}): Promise<{ initiator: RawInitiator; task: RawTask; r2t: ReceivedPdu }> {
    const initiator = await target.login({ ...digests, ...keys });
    const task = await initiator.start({ cdb: write10(0, 64), write, leaveR2Ts: true });
    return { initiator, task, r2t: await initiator.expect(OPCODE_R2T) };
  }

  const dataOut = (task: RawTask, r2t: ReceivedPdu, dataSN: number, fields: Partial<HeaderFields> = {}) => ({
    opcode: OPCODE_DATA_OUT,
    flags: 0,
    lun: 0,
    initiatorTaskTag: task.initiatorTaskTag,
    targetTransferTag: r2t.targetTransferTag,
    dataSN,
    bufferOffset: dataSN * 8192,
    ...fields,
  });
  const part = (dataSN: number) => write.subarray(dataSN * 8192, (dataSN + 1) * 8192);

  it("each of several data PDUs of a sequence, and those that are whole are not", async () => {
    for (const ErrorRecoveryLevel of ["0", "1"]) {
      const { initiator, task, r2t } = await begin({ ErrorRecoveryLevel });
      for (const [dataSN, options] of [CORRUPT, CORRUPT, {}, CORRUPT].entries()) {
        const final = dataSN === 3 ? FLAG_FINAL : 0;
        const header = await initiator.send(dataOut(task, r2t, dataSN, { flags: final }), part(dataSN), options);
        if (options === CORRUPT) await rejected(initiator, header);
      }
      if (ErrorRecoveryLevel === "1") {
        const recovery = await initiator.expect(OPCODE_R2T);
        assert.equal(recovery.field("r2tSN"), 1);
        assert.deepEqual(
          [recovery.field("bufferOffset"), recovery.field("desiredDataTransferLength")],
          [0, write.length],
        );
        await initiator.answerR2T(task, recovery);
      }
      const { status, sense } = await initiator.finish(task);
      assert.equal(status, ErrorRecoveryLevel === "1" ? 0 : 2);
      if (status !== 0) assert.equal(parseSense(sense).asc, 0x47);
    }
  });

  it("of a task that was aborted, and of no task", async () => {
    const { initiator, task, r2t } = await begin();
    await initiator.taskManagement(ABORT_TASK, { referencedTaskTag: task.initiatorTaskTag, refCmdSN: task.cmdSN });
    for (const fields of [{}, { initiatorTaskTag: 0x7777, targetTransferTag: 0x7777 }]) {
      await rejected(initiator, await initiator.send(dataOut(task, r2t, 0, fields), part(0), CORRUPT));
      await nothingElse(initiator);
    }
  });

  it("of data that comes in pieces, and of any length", async () => {
    const { initiator, task, r2t } = await begin();
    await rejected(initiator, await initiator.send(dataOut(task, r2t, 0), part(0), CORRUPT));
    for (const length of [1, 2, 3, 4, 8191]) {
      const data = part(1).subarray(0, length);
      await rejected(initiator, await initiator.send(dataOut(task, r2t, 1), data, CORRUPT));
      await initiator.send(dataOut(task, r2t, 1), data, { padding: 0xff });
      await nothingElse(initiator);
    }
  });

  it("of a request that is rejected for another reason, too: once", async () => {
    const { initiator } = await begin();
    for (const opcode of [OPCODE_LOGIN_REQUEST, 0x1c]) {
      const header = await initiator.send({ opcode, immediate: true, targetTransferTag: TAG_NONE }, part(0), CORRUPT);
      await rejected(initiator, header);
      await nothingElse(initiator);
    }
  });

  it("commands and pings go on", async () => {
    const { initiator, task, r2t } = await begin();
    await rejected(initiator, await initiator.send(dataOut(task, r2t, 0, { flags: FLAG_FINAL }), part(0), CORRUPT));
    await initiator.finish(task).catch(() => {});
    assert.equal((await initiator.ping(pattern(100))).opcode, OPCODE_NOP_IN);
    await initiator.good({ cdb: testUnitReady() });
  });
});
