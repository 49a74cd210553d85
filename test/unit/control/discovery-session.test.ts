import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { DISCOVERY_IDLE_TIMEOUT_MS } from "../../../control/limits.js";
import {
  BHS_LENGTH,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_REJECT,
  OPCODE_SCSI_COMMAND,
  OPCODE_TEXT_RESPONSE,
  RESERVED_TAG,
  TargetPdu,
} from "../../../dataplane/wire/bhs.js";
import { LogoutResponsePdu } from "../../../dataplane/wire/logout-response.js";
import { NopOutPdu } from "../../../dataplane/wire/nop-out.js";
import {
  REJECT_REASON_DATA_DIGEST_ERROR,
  REJECT_REASON_INVALID_PDU_FIELD,
  REJECT_REASON_PROTOCOL_ERROR,
  RejectPdu,
} from "../../../dataplane/wire/reject.js";
import { TextResponsePdu } from "../../../dataplane/wire/text-response.js";
import { EntranceHall } from "./support/entrance-hall.js";
import { configuration, target } from "./support/fixtures.js";
import { DISCOVERY_KEYS, type Initiator, loginOutcome, type ReceivedPdu, textOf, viewOf } from "./support/initiator.js";

const TARGETS = Array.from({ length: 20 }, (_, n) => target({ name: `iqn.2026-11.io.ringlun:target-${n}` }));

/** A discovery session that is logged in. */
async function discover(
  context: TestContext,
  keys: Record<string, string> = {},
  numbers: { cmdSN?: number; expStatSN?: number } = {},
): Promise<{ hall: EntranceHall; initiator: Initiator }> {
  const hall = await EntranceHall.open(configuration("/nowhere", { targets: TARGETS }));
  context.after(() => hall.close());
  const initiator = await hall.connect();
  const outcome = loginOutcome(await initiator.login({ keys: { ...DISCOVERY_KEYS, ...keys }, ...numbers }));
  assert.equal(outcome?.status, 0);
  assert.notEqual(outcome?.tsih, 0);
  return { hall, initiator };
}

async function expect(initiator: Initiator, opcode: number): Promise<ReceivedPdu> {
  const pdu = await initiator.receive();
  assert.equal(pdu?.opcode, opcode);
  return pdu!;
}

async function expectReject(initiator: Initiator, reason: number): Promise<ReceivedPdu> {
  const pdu = await expect(initiator, OPCODE_REJECT);
  assert.equal(new RejectPdu(pdu.view).invalid(), 0);
  assert.equal(new RejectPdu(pdu.view).reason, reason);
  return pdu;
}

test("requests that come together are answered in as many turns: others have theirs between", async (context) => {
  const { initiator } = await discover(context);
  const count = 200;
  // NOP-Out, which a discovery session has not.
  const request = initiator.frame(Buffer.alloc(BHS_LENGTH), Buffer.alloc(0));
  initiator.socket.write(Buffer.concat(Array.from({ length: count }, () => request)));
  let turns = 0;
  let isOver = false;
  setImmediate(function turn() {
    turns++;
    if (!isOver) setImmediate(turn);
  });
  for (let i = 0; i < count; i++) await expectReject(initiator, REJECT_REASON_PROTOCOL_ERROR);
  isOver = true;
  assert.ok(turns >= count, `${turns} turns`);
});

describe("SendTargets", () => {
  test("All is answered in parts that fit the initiator's MaxRecvDataSegmentLength", async (context) => {
    const { initiator, hall } = await discover(context, { MaxRecvDataSegmentLength: "512" });
    initiator.sendText({ SendTargets: "All" });
    const parts: Buffer[] = [];
    let ttt = RESERVED_TAG;
    do {
      if (ttt !== RESERVED_TAG) initiator.sendText({}, { ttt });
      const pdu = await expect(initiator, OPCODE_TEXT_RESPONSE);
      const response = new TextResponsePdu(pdu.view);
      assert.equal(response.invalid(), 0);
      assert.ok(pdu.data.length <= 512);
      assert.equal(response.continue, !response.final);
      parts.push(pdu.data);
      ttt = response.targetTransferTag;
    } while (ttt !== RESERVED_TAG);
    assert.ok(parts.length > 2);
    const address = `TargetAddress=127.0.0.1:${hall.portal.address.port},1`;
    assert.deepEqual(
      textOf(Buffer.concat(parts)),
      TARGETS.flatMap(({ name }) => [`TargetName=${name}`, address]),
    );
  });

  test("a name is answered with that target, in whatever case it comes", async (context) => {
    const { initiator } = await discover(context);
    for (const [value, found] of [
      ["iqn.2026-11.io.ringlun:TARGET-3", ["TargetName=iqn.2026-11.io.ringlun:target-3"]],
      ["iqn.2026-11.io.ringlun:other", []],
      ["", []],
    ] as const) {
      initiator.sendText({ SendTargets: value });
      const { data } = await expect(initiator, OPCODE_TEXT_RESPONSE);
      assert.deepEqual(
        textOf(data).filter((pair) => pair.startsWith("TargetName")),
        found,
      );
    }
  });

  test("no value is answered with the target that the session is for", async (context) => {
    const { initiator } = await discover(context, { TargetName: TARGETS[5]!.name });
    initiator.sendText({ SendTargets: "" });
    const { data } = await expect(initiator, OPCODE_TEXT_RESPONSE);
    assert.equal(textOf(data)[0], `TargetName=${TARGETS[5]!.name}`);
  });

  test("follows the configuration of the moment", async (context) => {
    const { initiator, hall } = await discover(context);
    hall.configuration = configuration("/nowhere", { targets: [] });
    initiator.sendText({ SendTargets: "All" });
    assert.equal((await expect(initiator, OPCODE_TEXT_RESPONSE)).data.length, 0);
  });
});

describe("numbers", () => {
  test("StatSN goes on from the login, across 0xffffffff", async (context) => {
    const { initiator } = await discover(context, {}, { expStatSN: 0xfffffffe });
    const seen: number[] = [];
    for (let n = 0; n < 3; n++) {
      initiator.sendText({ SendTargets: "All" });
      seen.push(new TargetPdu((await expect(initiator, OPCODE_TEXT_RESPONSE)).view).statSN);
    }
    assert.deepEqual(seen, [0xffffffff, 0, 1]);
  });

  test("ExpCmdSN counts what is not immediate, across 0xffffffff, and nothing that is rejected", async (context) => {
    const { initiator } = await discover(context, {}, { cmdSN: 0xffffffff });
    const expCmdSN = async (opcode: number) => new TargetPdu((await expect(initiator, opcode)).view).expCmdSN;
    initiator.sendText({ SendTargets: "All" }, { cmdSN: 0xffffffff });
    assert.equal(await expCmdSN(OPCODE_TEXT_RESPONSE), 0xffffffff);
    initiator.sendText({ Nonsense: "1" }, { immediate: false, cmdSN: 0xffffffff });
    assert.equal(await expCmdSN(OPCODE_REJECT), 0xffffffff);
    initiator.sendText({ SendTargets: "All" }, { immediate: false, cmdSN: 0xffffffff });
    assert.equal(await expCmdSN(OPCODE_TEXT_RESPONSE), 0);
    initiator.sendText({ SendTargets: "All" }, { immediate: false, cmdSN: 0 });
    assert.equal(await expCmdSN(OPCODE_TEXT_RESPONSE), 1);
  });

  test("a command outside of the window is ignored", async (context) => {
    const { initiator } = await discover(context, {}, { cmdSN: 10 });
    initiator.sendText({ SendTargets: "All" }, { immediate: false, cmdSN: 9, itt: 1 });
    initiator.sendText({ SendTargets: "All" }, { immediate: false, cmdSN: 10, itt: 2 });
    const pdu = await expect(initiator, OPCODE_TEXT_RESPONSE);
    assert.equal(new TargetPdu(pdu.view).initiatorTaskTag, 2);
  });
});

describe("what a discovery session does not do (section 4.3)", () => {
  test("NOP-Out, SCSI commands and unknown opcodes are rejected, with their header", async (context) => {
    const { initiator } = await discover(context);
    for (const opcode of [undefined, OPCODE_SCSI_COMMAND, 0x1f]) {
      const header = Buffer.alloc(BHS_LENGTH);
      const pdu = new NopOutPdu(viewOf(header)).clear();
      pdu.initiatorTaskTag = 77;
      if (opcode !== undefined) pdu.opcode = opcode;
      initiator.send(header, Buffer.from("ping"));
      const { data } = await expectReject(initiator, REJECT_REASON_PROTOCOL_ERROR);
      pdu.dataSegmentLength = 4;
      assert.deepEqual(data, header);
    }
    initiator.sendText({ SendTargets: "All" });
    await expect(initiator, OPCODE_TEXT_RESPONSE);
  });

  test("other keys, and a stale Target Transfer Tag, are rejected", async (context) => {
    const { initiator } = await discover(context);
    initiator.sendText({ MaxRecvDataSegmentLength: "4096" });
    await expectReject(initiator, REJECT_REASON_PROTOCOL_ERROR);
    initiator.sendText({}, { ttt: 12345 });
    await expectReject(initiator, REJECT_REASON_INVALID_PDU_FIELD);
  });

  test("a logout for another reason than to close the session is rejected", async (context) => {
    const { initiator } = await discover(context);
    initiator.sendLogout(1);
    await expectReject(initiator, REJECT_REASON_PROTOCOL_ERROR);
  });

  test("a format error ends it (section 7.7)", async (context) => {
    const { initiator } = await discover(context);
    initiator.sendText({ SendTargets: "All" }, { itt: RESERVED_TAG });
    assert.ok(await initiator.ends());
  });

  test("a data segment that is longer than declared ends it before it has come", async (context) => {
    const { initiator } = await discover(context);
    const pdu = initiator.frame(Buffer.from([0x44, 0x80, ...Array(46).fill(0)]), new Uint8Array(8193));
    initiator.socket.write(pdu.subarray(0, BHS_LENGTH));
    assert.ok(await initiator.ends());
  });
});

describe("the end", () => {
  test("Logout is answered, the connection closed, the session gone", async (context) => {
    const { initiator, hall } = await discover(context);
    assert.equal(hall.registry.connectionCount, 1);
    initiator.sendLogout();
    const pdu = await expect(initiator, OPCODE_LOGOUT_RESPONSE);
    assert.equal(new LogoutResponsePdu(pdu.view).response, 0);
    assert.equal(new LogoutResponsePdu(pdu.view).initiatorTaskTag, 9);
    assert.ok(await initiator.ends());
    initiator.close();
    await hall.served[0];
    assert.deepEqual([...hall.registry.sessions()], []);
  });

  test("an initiator that goes away takes its session with it", async (context) => {
    const { initiator, hall } = await discover(context);
    initiator.close();
    await hall.served[0];
    assert.deepEqual([...hall.registry.sessions()], []);
  });

  test("an initiator that says nothing for too long is dropped; every request gives it more time", async (context) => {
    context.mock.timers.enable({ apis: ["setTimeout"] });
    const { initiator, hall } = await discover(context);
    context.mock.timers.tick(DISCOVERY_IDLE_TIMEOUT_MS - 1);
    initiator.sendText({ SendTargets: "All" });
    await expect(initiator, OPCODE_TEXT_RESPONSE);
    context.mock.timers.tick(DISCOVERY_IDLE_TIMEOUT_MS - 1);
    initiator.sendText({ SendTargets: "All" });
    await expect(initiator, OPCODE_TEXT_RESPONSE);
    context.mock.timers.tick(DISCOVERY_IDLE_TIMEOUT_MS);
    assert.ok(await initiator.ends());
    await hall.served[0];
  });
});

describe("digests", () => {
  test("are used from the first PDU after the login on, both ways", async (context) => {
    const { initiator } = await discover(context, { HeaderDigest: "CRC32C", DataDigest: "CRC32C" });
    initiator.useDigests(true, true);
    initiator.sendText({ SendTargets: TARGETS[0]!.name });
    const { data } = await expect(initiator, OPCODE_TEXT_RESPONSE);
    assert.equal(textOf(data)[0], `TargetName=${TARGETS[0]!.name}`);
    initiator.sendLogout();
    await expect(initiator, OPCODE_LOGOUT_RESPONSE);
  });

  test("a wrong data digest is rejected, and the session goes on (section 7.8)", async (context) => {
    const { initiator } = await discover(context, { HeaderDigest: "None", DataDigest: "CRC32C" });
    initiator.useDigests(false, true);
    const header = Buffer.alloc(BHS_LENGTH);
    header.writeUInt16BE(0x4480);
    header.writeUInt32BE(RESERVED_TAG, 20);
    const pdu = initiator.frame(header, Buffer.from("SendTargets=All\0"));
    pdu[pdu.length - 1]! ^= 1;
    initiator.socket.write(pdu);
    await expectReject(initiator, REJECT_REASON_DATA_DIGEST_ERROR);
    initiator.sendText({ SendTargets: "All" });
    await expect(initiator, OPCODE_TEXT_RESPONSE);
  });

  test("a wrong header digest ends it", async (context) => {
    const { initiator } = await discover(context, { HeaderDigest: "CRC32C", DataDigest: "None" });
    initiator.useDigests(true, false);
    const header = Buffer.alloc(BHS_LENGTH);
    header.writeUInt16BE(0x4480);
    const pdu = initiator.frame(header, new Uint8Array());
    pdu[40]! ^= 1;
    initiator.socket.write(pdu);
    assert.ok(await initiator.ends());
  });
});
