/** What was not acknowledged on a connection that is logged out is discarded, and leaves gaps for the initiator to fill (RFC 7143 section 11.14). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import {
  FLAG_FINAL,
  OPCODE_ASYNC_MESSAGE,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_LOGOUT_RESPONSE,
  type ReceivedPdu,
} from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

const CLOSE_CONNECTION = 1;
const REMOVE_FOR_RECOVERY = 2;
const CLOSED = 0;

describe("requests ahead of their turn on a connection that is logged out (RFC 7143 section 11.14)", () => {
  const target = startTarget({ session: "maxConnections: 2, errorRecoveryLevel: 2" });

  async function answer(initiator: RawInitiator): Promise<ReceivedPdu> {
    for (;;) {
      const pdu = await initiator.receive();
      // At ErrorRecoveryLevel 2 the drop of the other connection is told, too.
      if (pdu.opcode !== OPCODE_ASYNC_MESSAGE) return pdu;
    }
  }

  for (const [reason, ErrorRecoveryLevel] of [
    [CLOSE_CONNECTION, "0"],
    [CLOSE_CONNECTION, "2"],
    [REMOVE_FOR_RECOVERY, "2"],
  ] as const) {
    for (const byWhom of ["by itself", "by the other one"]) {
      it(`reason code ${reason}, ErrorRecoveryLevel ${ErrorRecoveryLevel}, ${byWhom}: they may be sent again, and are executed`, async () => {
        const first = await target.login({ MaxConnections: "2", ErrorRecoveryLevel });
        const second = await RawInitiator.connect(target.running.port, { session: first.session });
        await second.login({ targetName: TARGET_NAME, cid: 1 });
        const before = await first.good({ cdb: read10(0, 8), read: 8 * BLOCK_BYTES });
        const gap = first.session.cmdSN++;
        const write = pattern(8 * BLOCK_BYTES, gap);
        const held = await second.start({ cdb: write10(0, 8), write });
        const ping = first.session.cmdSN++;
        await second.send({ opcode: 0, cmdSN: ping, targetTransferTag: 0xffffffff }, pattern(16));
        assert.equal((await second.ping()).expCmdSN, gap);

        if (byWhom === "by itself") {
          assert.equal((await second.logout(reason)).response, CLOSED);
        } else {
          const fields = { opcode: OPCODE_LOGOUT_REQUEST, flags: FLAG_FINAL | reason, cid: 1 };
          await first.send({ ...fields, immediate: true, expStatSN: second.expStatSN! });
          const response = await answer(first);
          assert.deepEqual(
            [response.opcode, response.response, response.expCmdSN],
            [OPCODE_LOGOUT_RESPONSE, CLOSED, gap],
          );
        }
        second.destroy();

        const filler = await first.start({ cdb: testUnitReady(), fields: { cmdSN: gap } });
        const { end } = await first.finish(filler).then(({ task }) => task);
        assert.equal(end!.expCmdSN, gap + 1, "the numbers behind it are free");
        assert.deepEqual(await first.good({ cdb: read10(0, 8), read: 8 * BLOCK_BYTES, immediate: true }), before);
        const again = await first.start({
          cdb: write10(0, 8),
          write,
          fields: { cmdSN: held.cmdSN, initiatorTaskTag: held.initiatorTaskTag },
        });
        assert.equal((await first.finish(again)).status, 0);
        await first.good({ cdb: testUnitReady(), fields: { cmdSN: ping } });
        assert.deepEqual(await first.good({ cdb: read10(0, 8), read: 8 * BLOCK_BYTES }), write);
      });
    }
  }
});
