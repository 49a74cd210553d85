/** WRITEs for which there is no task, and whose unsolicited data comes late, or never (RFC 7143 section 11.4.2). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { SEQUENCE_TIMEOUT_US } from "../../../../dataplane/limits.js";
import { SCSI_STATUS_BUSY } from "../../../../dataplane/wire/scsi-response.js";
import { write10 } from "../../../support/cdb.js";
import {
  FLAG_FINAL,
  FLAG_WRITE,
  OPCODE_DATA_OUT,
  OPCODE_SCSI_COMMAND,
  OPCODE_SCSI_RESPONSE,
  OPCODE_TASK_MANAGEMENT_REQUEST,
  OPCODE_TASK_MANAGEMENT_RESPONSE,
  TAG_NONE,
} from "../../../support/pdu.js";
import { ABORT_TASK } from "../../../support/task-management.js";
import { BLOCK_BYTES, FIRST_CMD_SN, send, setUp, takeAllTasks } from "../connection/fixture.js";

const SIMPLE = 1;
const BLOCKS = 4;

/** A session whose WRITE with this CmdSN is refused. `answers`: opcode and status of what has come. */
function refuse(cmdSN: number) {
  const { timeline, cluster, connect } = setUp(0, { initialR2T: false });
  takeAllTasks(connect);
  const { peer, received } = connect(0, 1000);
  const loginBytes = Buffer.concat(received).length;
  const answers = (): number[][] => {
    const bytes = Buffer.concat(received).subarray(loginBytes);
    return Array.from({ length: bytes.length / 48 }, (_, at) => [bytes[at * 48]!, bytes[at * 48 + 3]!]);
  };
  const elapse = (us: number) => {
    const untilUs = timeline.nowUs + us;
    cluster.turnUntil(() => timeline.nowUs >= untilUs);
  };
  const length = BLOCKS * BLOCK_BYTES;
  const write = { opcode: OPCODE_SCSI_COMMAND, flags: FLAG_WRITE | SIMPLE, initiatorTaskTag: 1, cmdSN };
  send(peer, { ...write, cdb: write10(0, BLOCKS), expectedDataTransferLength: length });
  const sendData = (dataSN: number) => {
    const flags = dataSN === BLOCKS - 1 ? FLAG_FINAL : 0;
    const fields = {
      flags,
      initiatorTaskTag: 1,
      targetTransferTag: TAG_NONE,
      dataSN,
      bufferOffset: dataSN * BLOCK_BYTES,
    };
    send(peer, { opcode: OPCODE_DATA_OUT, ...fields }, Buffer.alloc(BLOCK_BYTES));
  };
  return { peer, answers, elapse, sendData };
}

for (const cmdSN of [FIRST_CMD_SN, FIRST_CMD_SN + 1]) {
  test(`aborted, ${cmdSN - FIRST_CMD_SN} ahead of its turn: it has no answer, and the rest of its data is dropped`, () => {
    const { peer, answers, elapse, sendData } = refuse(cmdSN);
    const abort = { opcode: OPCODE_TASK_MANAGEMENT_REQUEST, immediate: true, flags: FLAG_FINAL | ABORT_TASK };
    send(peer, { ...abort, initiatorTaskTag: 2, cmdSN: cmdSN + 1, referencedTaskTag: 1, refCmdSN: cmdSN });
    for (let dataSN = 0; dataSN < BLOCKS; dataSN++) sendData(dataSN);
    elapse(SEQUENCE_TIMEOUT_US);
    assert.deepEqual(answers(), [[OPCODE_TASK_MANAGEMENT_RESPONSE, 0]]);
  });
}

test("whose data takes its time: it is answered when all has come", () => {
  const { answers, elapse, sendData } = refuse(FIRST_CMD_SN);
  for (let dataSN = 0; dataSN < BLOCKS; dataSN++) {
    elapse(SEQUENCE_TIMEOUT_US - 2_000_000);
    assert.deepEqual(answers(), []);
    sendData(dataSN);
  }
  elapse(1000);
  assert.deepEqual(answers(), [[OPCODE_SCSI_RESPONSE, SCSI_STATUS_BUSY]]);
});

test("whose data comes when it is not waited for any more: it is dropped", () => {
  const { answers, elapse, sendData } = refuse(FIRST_CMD_SN);
  elapse(SEQUENCE_TIMEOUT_US + 3_000_000);
  for (let dataSN = 0; dataSN < BLOCKS; dataSN++) sendData(dataSN);
  elapse(1000);
  assert.deepEqual(answers(), [[OPCODE_SCSI_RESPONSE, SCSI_STATUS_BUSY]]);
});
