/** The target asks for a negotiation (RFC 7143 section 11.9.1, AsyncEvent 4), and declares in it what has changed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ringlun } from "../../support/administration.js";
import { testUnitReady, write10 } from "../../support/cdb.js";
import { OPCODE_ASYNC_MESSAGE, OPCODE_SCSI_COMMAND, TAG_NONE } from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { type Places, RunningTarget, TARGET_NAME } from "../../support/target.js";

const NEGOTIATION_REQUEST = 4;
const NOT_FOUND = 3;

const config =
  (length: number) =>
  ({ port }: Places) =>
    `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets:
  - name: ${TARGET_NAME}
    portalGroups: [1]
    luns: { 0: a }
    session: { maxRecvDataSegmentLength: ${length}, maxConnections: 2 }
units: { a: { file: ./a.img, size: 1MiB, cache: writeback } }
workers: 1
`;

async function start(undo: { after(run: () => unknown): void }) {
  const target = await RunningTarget.start({ config: config(8192) });
  undo.after(() => target.stop());
  const declare = async (length: number) => {
    const from = target.log.length;
    await target.configure(config(length)(target.places));
    target.reload();
    await target.waitForLog(/configuration (not )?reloaded/, undefined, from);
  };
  const initiator = await RawInitiator.connect(target.port);
  undo.after(() => initiator.destroy());
  await initiator.login({ targetName: TARGET_NAME, keys: { ImmediateData: "Yes", FirstBurstLength: "65536" } });
  await initiator.command({ cdb: testUnitReady() });
  assert.equal(initiator.maxSendDataSegmentLength, 8192);
  return { target, declare, initiator };
}

/** A write of 16 KiB, all of it immediate data. */
async function writeAtOnce(initiator: RawInitiator): Promise<void> {
  initiator.maxSendDataSegmentLength = 16384;
  await initiator.good({ cdb: write10(0, 32), write: Buffer.alloc(16384, 7), immediateLength: 16384 });
}

test("`ringlun sessions negotiate` asks, an empty Text Request is answered with the new MaxRecvDataSegmentLength, and that holds", async (context) => {
  const { target, declare, initiator } = await start(context);
  await declare(65536);
  const [session] = JSON.parse((await ringlun(target.configPath, "sessions", "--json")).stdout);
  const { code, stdout } = await ringlun(target.configPath, "sessions", "negotiate", String(session.sessionId));
  assert.deepEqual([code, stdout], [0, `session ${session.sessionId} is asked\n`]);

  const pdu = await initiator.expect(OPCODE_ASYNC_MESSAGE);
  assert.deepEqual([pdu.flags, pdu.initiatorTaskTag, pdu.data.length], [0x80, TAG_NONE, 0]);
  assert.equal(pdu.field("asyncEvent"), NEGOTIATION_REQUEST);
  assert.ok(pdu.field("parameter3") > 0, "seconds to begin in");
  assert.deepEqual([pdu.field("asyncVCode"), pdu.field("parameter1"), pdu.field("parameter2")], [0, 0, 0]);

  assert.deepEqual([...(await initiator.text({}))], [["MaxRecvDataSegmentLength", "65536"]]);
  await writeAtOnce(initiator);
  assert.deepEqual([...(await initiator.text({}))], [], "it is declared once");
});

test("without a negotiation the length of the login holds", async (context) => {
  const { declare, initiator } = await start(context);
  await declare(65536);
  initiator.strict = false;
  const header = { opcode: OPCODE_SCSI_COMMAND, flags: 0xa1, initiatorTaskTag: 9, expectedDataTransferLength: 16384 };
  await initiator.send({ ...header, cdb: write10(0, 32) }, Buffer.alloc(16384)).catch(() => {});
  await assert.rejects(initiator.ping());
});

test("a shorter one does not strike what is on its way", async (context) => {
  const { declare, initiator } = await start(context);
  await declare(16384);
  assert.equal((await initiator.text({})).get("MaxRecvDataSegmentLength"), "16384");
  await declare(4096);
  assert.equal((await initiator.text({ MaxRecvDataSegmentLength: "8192" })).get("MaxRecvDataSegmentLength"), "4096");
  await writeAtOnce(initiator);
});

test("who is not there is not asked", async (context) => {
  const { target } = await start(context);
  const { code, stderr } = await ringlun(target.configPath, "sessions", "negotiate", "4711");
  assert.equal(code, NOT_FOUND);
  assert.match(stderr, /no session 4711/);
});
