import assert from "node:assert/strict";
import { test } from "node:test";
import { OPCODE_REJECT, OPCODE_SCSI_COMMAND } from "../../support/pdu.js";
import { STAGE_OPERATIONAL } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import {
  goesOn,
  NAMES,
  refused,
  STATUS_INITIATOR_ERROR,
  STATUS_SESSION_TYPE_NOT_SUPPORTED,
  startTarget,
  TO_FULL_FEATURE,
} from "./fixture.js";

const target = startTarget();

test("RFC 7143 13.21: the default SessionType is Normal", async () => {
  const initiator = await target.connect();
  await goesOn(initiator, { ...TO_FULL_FEATURE, keys: NAMES });
  // TEST UNIT READY. The first of a nexus may be answered with a unit attention.
  const { response } = await initiator.command({ cdb: Buffer.alloc(6) });
  assert.equal(response, 0);
});

test("RFC 7143 11.13.5: a SessionType that does not exist: 0209h", async () => {
  for (const SessionType of ["Normal,Discovery", "discovery", "", "0"]) {
    const keys = { ...NAMES, SessionType };
    await refused(await target.connect(), { ...TO_FULL_FEATURE, keys }, STATUS_SESSION_TYPE_NOT_SUPPORTED, SessionType);
  }
});

test("RFC 7143 6.3, 13.21: another SessionType after the first request: 0200h", async () => {
  const initiator = await target.connect();
  await goesOn(initiator, { stage: STAGE_OPERATIONAL, keys: NAMES });
  await refused(initiator, { ...TO_FULL_FEATURE, keys: { SessionType: "Discovery" } }, STATUS_INITIATOR_ERROR);
});

test("RFC 7143 4.3, 13.21: a Discovery session takes no SCSI command", async () => {
  const initiator = await target.connect();
  await initiator.login({ sessionType: "Discovery", targetName: TARGET_NAME });
  await initiator.send({ opcode: OPCODE_SCSI_COMMAND, cdb: Buffer.alloc(6) });
  await initiator.expect(OPCODE_REJECT);
});
