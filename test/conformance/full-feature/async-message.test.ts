/** The target stops: it asks its initiators to log out (RFC 7143 sections 4.2.6, 11.9.1). */
import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import { OPCODE_ASYNC_MESSAGE, type ReceivedPdu, TAG_NONE } from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";
import { pattern } from "./fixture.js";

const EVENT_LOGOUT_REQUEST = 1;
const EVENT_SESSION_DROP = 3;

describe("Asynchronous Message (RFC 7143 section 11.9)", () => {
  const targets: RunningTarget[] = [];
  after(async () => {
    for (const target of targets) await target.stop();
  });

  async function start(): Promise<RunningTarget> {
    const target = await RunningTarget.start();
    targets.push(target);
    return target;
  }

  async function login(target: RunningTarget): Promise<RawInitiator> {
    const initiator = await RawInitiator.connect(target.port);
    await initiator.login({ targetName: TARGET_NAME });
    await initiator.good({ cdb: testUnitReady() });
    return initiator;
  }

  function assertLogoutRequest(pdu: ReceivedPdu): void {
    assert.equal(pdu.flags, 0x80);
    assert.equal(pdu.initiatorTaskTag, TAG_NONE);
    assert.deepEqual(pdu.lun, Buffer.alloc(8));
    assert.equal(pdu.field("asyncEvent"), EVENT_LOGOUT_REQUEST);
    assert.deepEqual([pdu.field("asyncVCode"), pdu.field("parameter1"), pdu.field("parameter2")], [0, 0, 0]);
    // "no later than Parameter3 seconds".
    assert.ok(pdu.field("parameter3") > 0);
    assert.equal(pdu.data.length, 0);
  }

  it("every session is asked; commands go on until it logs out; the target ends as soon as all have", async () => {
    const target = await start();
    const initiators = [await login(target), await login(target)];
    const ended = target.terminate();
    for (const initiator of initiators) {
      const { statSN } = await initiator.expect(OPCODE_ASYNC_MESSAGE).then((pdu) => {
        assertLogoutRequest(pdu);
        return pdu;
      });
      const write = pattern(4096, 1);
      const { task } = await initiator.command({ cdb: write10(0, 8), write });
      assert.equal(task.end?.statSN, statSN + 1, "the message took a StatSN");
      assert.ok((await initiator.good({ cdb: read10(0, 8), read: 4096 })).equals(write));
      assert.equal((await initiator.logout()).response, 0);
    }
    assert.deepEqual(await ended, { code: 0, signal: null });
  });

  it("who does not log out in time is told that the session is dropped, and closed", async () => {
    const target = await start();
    const initiator = await login(target);
    const ended = target.terminate();
    const pdus = await initiator.receiveUntilClosed();
    assert.deepEqual(
      pdus.map((pdu) => [pdu.opcode, pdu.field("asyncEvent"), pdu.field("parameter3")]),
      [
        [OPCODE_ASYNC_MESSAGE, EVENT_LOGOUT_REQUEST, 2],
        [OPCODE_ASYNC_MESSAGE, EVENT_SESSION_DROP, 0],
      ],
    );
    assert.deepEqual(await ended, { code: 0, signal: null });
  });

  it("nobody logs in any more", async () => {
    const target = await start();
    const initiator = await login(target);
    const ended = target.terminate();
    await initiator.expect(OPCODE_ASYNC_MESSAGE);
    await assert.rejects(async () => {
      const late = await RawInitiator.connect(target.port);
      await late.login({ targetName: TARGET_NAME });
    });
    await initiator.logout();
    assert.deepEqual(await ended, { code: 0, signal: null });
  });
});
