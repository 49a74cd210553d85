import assert from "node:assert/strict";
import { test } from "node:test";
import { read10 } from "../../support/cdb.js";
import {
  encodeKeys,
  OPCODE_DATA_IN,
  OPCODE_REJECT,
  OPCODE_TEXT_REQUEST,
  OPCODE_TEXT_RESPONSE,
  type ReceivedPdu,
  TAG_NONE,
} from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { configOf, startTarget } from "../login/fixture.js";

// Of one shard, so that what is asked for on one connection is answered before what is asked for later on another.
const target = startTarget(configOf({ top: "workers: 1" }));
const logIn = () => target.login({ MaxRecvDataSegmentLength: "4096" });

/** The longest Data-In segment of a read of 64 KiB. */
async function longestOf(initiator: RawInitiator): Promise<number> {
  // What the target may send is what is looked at here.
  initiator.strict = false;
  const task = await initiator.start({ cdb: read10(0, 128), read: 65536 });
  await initiator.finish(task);
  return Math.max(...task.dataIns.map(({ data }) => data.length));
}

test("RFC 7143 13.12, 6.4: declared anew, longer or shorter, it is in force from the end of the negotiation on", async () => {
  const initiator = await logIn();
  assert.equal(await longestOf(initiator), 4096);
  for (const length of [65536, 512, 16384]) {
    const keys = await initiator.text({ MaxRecvDataSegmentLength: String(length) });
    // The target says its own again.
    assert.deepEqual([...keys.keys()], ["MaxRecvDataSegmentLength"]);
    assert.equal(await longestOf(initiator), length);
  }
});

async function ask(initiator: RawInitiator, keys: Record<string, string>, flags: number, targetTransferTag: number) {
  const fields = { opcode: OPCODE_TEXT_REQUEST, initiatorTaskTag: 77, flags, targetTransferTag };
  await initiator.send(fields, encodeKeys(keys));
}

test("RFC 7143 13.12, 6.4: of a read under way, too, all that comes behind the response is cut so, and no byte is missing", async () => {
  const initiator = await logIn();
  const other = await logIn();
  initiator.strict = false;
  const blocks = 65535;
  for (const length of [2048, 16384]) {
    // More than the socket holds: the read goes on when the request has been answered, as it has been when a later one has.
    initiator.pause();
    const read = await initiator.start({ cdb: read10(0, blocks), read: blocks * 512 });
    await ask(initiator, { MaxRecvDataSegmentLength: String(length) }, 0x80, TAG_NONE);
    await other.text({});
    initiator.resume();
    const before: ReceivedPdu[] = [];
    const behind: ReceivedPdu[] = [];
    let received = 0;
    for (let pdus = before; received < blocks * 512; ) {
      const pdu = await initiator.receive();
      if (pdu.opcode === OPCODE_TEXT_RESPONSE) {
        pdus = behind;
        continue;
      }
      assert.deepEqual([pdu.opcode, pdu.field("bufferOffset")], [OPCODE_DATA_IN, received]);
      received += pdu.data.length;
      pdus.push(pdu);
    }
    initiator.forget(read);
    assert.ok(before.length > 0);
    assert.equal(Math.max(...behind.map(({ data }) => data.length)), length);
  }
});

test("RFC 7143 6.4: not before the sequence is over, if that takes several requests", async () => {
  const initiator = await logIn();
  await ask(initiator, { MaxRecvDataSegmentLength: "8192" }, 0, TAG_NONE);
  const first = await initiator.expect(OPCODE_TEXT_RESPONSE);
  assert.equal(first.final, false);
  assert.notEqual(first.targetTransferTag, TAG_NONE);
  assert.equal(await longestOf(initiator), 4096);
  await ask(initiator, {}, 0x80, first.targetTransferTag);
  const last = await initiator.expect(OPCODE_TEXT_RESPONSE);
  assert.equal(last.final, true);
  assert.equal(await longestOf(initiator), 8192);
});

test("RFC 7143 6.4, 7.12: not at all, if the sequence fails or is reset", async () => {
  const initiator = await logIn();
  await ask(initiator, { MaxRecvDataSegmentLength: "8192" }, 0, TAG_NONE);
  const first = await initiator.expect(OPCODE_TEXT_RESPONSE);
  // A key again.
  await ask(initiator, { MaxRecvDataSegmentLength: "8192" }, 0x80, first.targetTransferTag);
  assert.equal((await initiator.expect(OPCODE_REJECT)).field("reason"), 0x04, "Protocol Error");
  // Its CmdSN was not taken (section 7.3).
  initiator.session.cmdSN--;
  assert.equal(await longestOf(initiator), 4096);

  await ask(initiator, { MaxRecvDataSegmentLength: "8192" }, 0, TAG_NONE);
  await initiator.expect(OPCODE_TEXT_RESPONSE);
  await ask(initiator, { InitiatorAlias: "host" }, 0x80, TAG_NONE);
  await initiator.expect(OPCODE_TEXT_RESPONSE);
  assert.equal(await longestOf(initiator), 4096);
});

test("RFC 7143 7.12, 13.12: a value out of range is rejected, and the old one stays", async () => {
  const initiator = await logIn();
  for (const value of ["511", "16777216", "0", ""]) {
    await ask(initiator, { MaxRecvDataSegmentLength: value }, 0x80, TAG_NONE);
    await initiator.expect(OPCODE_REJECT);
    initiator.session.cmdSN--;
  }
  assert.equal(await longestOf(initiator), 4096);
});
