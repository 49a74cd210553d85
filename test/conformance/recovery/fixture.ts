/** What the tests of error recovery share: SNACKs, further connections of a session, TASK REASSIGN. */
import { testUnitReady } from "../../support/cdb.js";
import { FLAG_FINAL, type HeaderFields, OPCODE_SNACK_REQUEST, TAG_NONE } from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import { TASK_REASSIGN } from "../../support/task-management.js";
import type { TestTarget } from "../full-feature/fixture.js";

export const SNACK_DATA_R2T = 0;
export const SNACK_STATUS = 1;
export const SNACK_DATA_ACK = 2;
export const SNACK_R_DATA = 3;

export const REASON_SNACK_REJECT = 3;
export const REASON_PROTOCOL_ERROR = 4;
export const REASON_INVALID_DATA_ACK = 8;

/** The fields of a SNACK (RFC 7143 section 11.16), to be sent. */
export function snack(type: number, fields: Partial<HeaderFields> = {}): HeaderFields {
  return {
    initiatorTaskTag: TAG_NONE,
    targetTransferTag: TAG_NONE,
    begRun: 0,
    runLength: 0,
    ...fields,
    opcode: OPCODE_SNACK_REQUEST,
    flags: FLAG_FINAL | type,
  };
}

/** A further connection of the session; with the CID of another it takes its place. */
export async function join(
  target: TestTarget,
  first: RawInitiator,
  cid: number,
  options: { readonly strict?: boolean } = {},
): Promise<RawInitiator> {
  const connection = await RawInitiator.connect(target.running.port, { ...options, session: first.session });
  await connection.login({ targetName: TARGET_NAME, cid, keys: {} });
  return connection;
}

export async function reassign(connection: RawInitiator, tag: number, expDataSN = 0): Promise<number> {
  const response = await connection.taskManagement(TASK_REASSIGN, { referencedTaskTag: tag, expDataSN });
  return response.response;
}

/** So many commands that have ended, and whose responses are not acknowledged; returns their tags, and the ExpStatSN before them. */
export async function unacknowledged(
  initiator: RawInitiator,
  count: number,
): Promise<{ tags: number[]; expStatSN: number }> {
  await initiator.good({ cdb: testUnitReady() });
  const expStatSN = initiator.expStatSN!;
  const tags: number[] = [];
  for (let i = 0; i < count; i++) {
    const { task } = await initiator.command({ cdb: testUnitReady(), fields: { expStatSN } });
    tags.push(task.initiatorTaskTag);
  }
  return { tags, expStatSN };
}
