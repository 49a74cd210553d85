/** Unsolicited data that is waited for no longer (RFC 7143 section 7.1.4.1) while a PDU of it is half there. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { buildHeader, FLAG_FINAL, FLAG_WRITE, OPCODE_DATA_OUT, TAG_NONE } from "../../support/pdu.js";
import { BLOCK_BYTES, pattern, startTarget } from "../full-feature/fixture.js";

/** Data is waited for five seconds, which are looked at once a second. */
const LONGER_THAN_WAITED_MS = 8000;
const UNKNOWN_OPCODE = 0xff;

const target = startTarget({ session: "errorRecoveryLevel: 1, initialR2T: false" });

test("a command that has ended meanwhile is answered when all of the PDU has come", async () => {
  const initiator = await target.login({ ErrorRecoveryLevel: "1", InitialR2T: "No", ImmediateData: "Yes" });
  const data = pattern(16 * BLOCK_BYTES);
  const refused = await initiator.start({
    cdb: Buffer.from([UNKNOWN_OPCODE, 0, 0, 0, 0, 0]),
    write: data,
    immediateLength: BLOCK_BYTES,
    unsolicitedLength: BLOCK_BYTES,
    fields: { flags: FLAG_WRITE },
  });
  const header = buildHeader({
    opcode: OPCODE_DATA_OUT,
    flags: FLAG_FINAL,
    initiatorTaskTag: refused.initiatorTaskTag,
    targetTransferTag: TAG_NONE,
    expStatSN: initiator.expStatSN!,
    bufferOffset: BLOCK_BYTES,
    dataSegmentLength: data.length - BLOCK_BYTES,
  });
  await initiator.sendBytes(Buffer.concat([header, data.subarray(BLOCK_BYTES, 2 * BLOCK_BYTES)]));
  await sleep(LONGER_THAN_WAITED_MS);
  await initiator.sendBytes(data.subarray(2 * BLOCK_BYTES));
  const { status } = await initiator.finish(refused, 10_000);
  assert.equal(status, 2);
});
