/** Unsolicited data that is lost where none has come before (RFC 7143 section 7.8, option a): it is asked for by a recovery R2T. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { read10, write10 } from "../../support/cdb.js";
import { FLAG_FINAL, OPCODE_DATA_OUT, OPCODE_R2T, TAG_NONE } from "../../support/pdu.js";
import { BLOCK_BYTES, pattern, startTarget } from "../full-feature/fixture.js";

const ORDERED = 2;
const KEYS = { ErrorRecoveryLevel: "1", InitialR2T: "No", ImmediateData: "No", DataDigest: "CRC32C" };

describe("unsolicited data whose first PDU is lost", () => {
  const target = startTarget({ session: "errorRecoveryLevel: 1, initialR2T: false" });

  for (const isWaiting of [false, true]) {
    test(`of a command ${isWaiting ? "that waits for its turn" : "that runs"} is asked for`, async () => {
      const initiator = await target.login(KEYS);
      const before = await initiator.start({
        cdb: write10(64, 8),
        write: pattern(8 * BLOCK_BYTES),
        leaveR2Ts: true,
        unsolicitedLength: 0,
      });
      const r2t = await initiator.expect(OPCODE_R2T);
      const write = pattern(16 * BLOCK_BYTES, 3);
      const attribute = isWaiting ? ORDERED : 1;
      const task = await initiator.start({
        cdb: write10(0, 16),
        write,
        attribute,
        unsolicitedLength: 0,
        fields: { flags: 0x20 | attribute },
      });
      // DataSN 0 is lost.
      const half = write.length / 2;
      const header = {
        opcode: OPCODE_DATA_OUT,
        flags: FLAG_FINAL,
        initiatorTaskTag: task.initiatorTaskTag,
        targetTransferTag: TAG_NONE,
        dataSN: 1,
        bufferOffset: half,
      };
      await initiator.send(header, write.subarray(half));
      await initiator.answerR2T(before, r2t);
      assert.equal((await initiator.finish(task)).status, 0);
      assert.deepEqual(await initiator.good({ cdb: read10(0, 16), read: write.length }), write);
    });
  }
});
