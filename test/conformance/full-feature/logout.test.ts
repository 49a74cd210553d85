/** Logout (RFC 7143 sections 11.14, 11.15). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setTimeout } from "node:timers/promises";
import { read10, testUnitReady, write10 } from "../../support/cdb.js";
import {
  buildHeader,
  FLAG_FINAL,
  OPCODE_DATA_OUT,
  OPCODE_LOGOUT_REQUEST,
  OPCODE_LOGOUT_RESPONSE,
  OPCODE_R2T,
  parseSense,
} from "../../support/pdu.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { TARGET_NAME } from "../../support/target.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

const CLOSE_SESSION = 0;
const CLOSE_CONNECTION = 1;
const REMOVE_FOR_RECOVERY = 2;

const CLOSED = 0;
const CID_NOT_FOUND = 1;
const RECOVERY_NOT_SUPPORTED = 2;

describe("Logout (RFC 7143 section 11.14)", () => {
  const target = startTarget({ session: "maxConnections: 2" });

  for (const [what, reason] of [
    ["the session", CLOSE_SESSION],
    ["the connection", CLOSE_CONNECTION],
  ] as const) {
    it(`closes ${what}: the response is the last that comes`, async () => {
      const initiator = await target.login();
      const response = await initiator.logout(reason);
      assert.equal(response.response, CLOSED);
      assert.equal(response.flags, 0x80);
      assert.equal(response.field("dataSegmentLength"), 0);
      // At ErrorRecoveryLevel 0 both times are to be ignored; the rest is reserved.
      assert.ok(response.bhs.subarray(36).every((byte) => byte === 0));
      assert.deepEqual(await initiator.receiveUntilClosed(), []);
    });

    it(`closes ${what}, not immediate: in CmdSN order, after the commands before it`, async () => {
      const initiator = await target.login();
      const read = await initiator.start({ cdb: testUnitReady() });
      await initiator.send({ opcode: OPCODE_LOGOUT_REQUEST, flags: FLAG_FINAL | reason, cid: initiator.cid });
      assert.equal((await initiator.finish(read)).status, 0);
      const response = await initiator.expect(OPCODE_LOGOUT_RESPONSE);
      assert.equal(response.expCmdSN, initiator.session.cmdSN);
      assert.deepEqual(await initiator.receiveUntilClosed(), []);
    });

    it(`closes ${what}, commands outstanding: they end without an answer, or before the response`, async () => {
      const initiator = await target.login({ ImmediateData: "No", MaxRecvDataSegmentLength: "8192" });
      const before = await initiator.good({ cdb: read10(0, 64), read: 64 * BLOCK_BYTES });
      for (let i = 0; i < 8; i++) {
        await initiator.start({ cdb: write10(i * 8, 8), write: pattern(4096, i), leaveR2Ts: true });
        await initiator.expect(OPCODE_R2T);
      }
      for (let i = 0; i < 8; i++) await initiator.start({ cdb: read10(0, 8192), read: 8192 * BLOCK_BYTES });
      assert.equal((await initiator.logout(reason)).response, CLOSED);
      assert.deepEqual(await initiator.receiveUntilClosed(), []);
      const again = await target.login();
      assert.ok((await again.good({ cdb: read10(0, 64), read: 64 * BLOCK_BYTES })).equals(before));
    });
  }

  it("nothing that follows the request is executed", async () => {
    const initiator = await target.login();
    const before = await initiator.good({ cdb: read10(0, 8), read: 4096 });
    const { cmdSN } = initiator.session;
    initiator.session.cmdSN = cmdSN + 1;
    // It is held until the gap is filled; what was sent behind it comes earlier, and is dropped with it.
    await initiator.send({ opcode: OPCODE_LOGOUT_REQUEST, flags: FLAG_FINAL, cid: initiator.cid });
    await initiator.start({ cdb: write10(0, 8), write: pattern(4096, 9) });
    await initiator.start({ cdb: testUnitReady(), fields: { cmdSN } });
    const pdus = await initiator.receiveUntilClosed();
    assert.equal(pdus.at(-1)?.opcode, OPCODE_LOGOUT_RESPONSE);
    const again = await target.login();
    assert.ok((await again.good({ cdb: read10(0, 8), read: 4096 })).equals(before));
  });

  it("of a connection that there is not", async () => {
    const initiator = await target.login();
    await initiator.send({
      opcode: OPCODE_LOGOUT_REQUEST,
      immediate: true,
      flags: FLAG_FINAL | CLOSE_CONNECTION,
      cid: 4711,
    });
    assert.equal((await initiator.expect(OPCODE_LOGOUT_RESPONSE)).response, CID_NOT_FOUND);
    await initiator.good({ cdb: testUnitReady() });
  });

  it("of the session: the CID is not looked at (section 11.14.3)", async () => {
    const initiator = await target.login();
    await initiator.send({
      opcode: OPCODE_LOGOUT_REQUEST,
      immediate: true,
      flags: FLAG_FINAL | CLOSE_SESSION,
      cid: 4711,
    });
    assert.equal((await initiator.expect(OPCODE_LOGOUT_RESPONSE)).response, CLOSED);
  });

  it("for recovery, at ErrorRecoveryLevel 0: not supported, and nothing is closed", async () => {
    const initiator = await target.login();
    const response = await initiator.logout(REMOVE_FOR_RECOVERY);
    assert.equal(response.response, RECOVERY_NOT_SUPPORTED);
    // A Time2Retain of 0 would say that the connection is gone (section 11.15.4).
    assert.deepEqual([response.field("time2Wait"), response.field("time2Retain")], [2, 20]);
    await initiator.good({ cdb: testUnitReady() });
  });

  it("the same initiator may log in again at once", async () => {
    let initiator = await target.login();
    for (let i = 0; i < 10; i++) {
      const { isid } = initiator.session;
      await initiator.logout();
      initiator = await RawInitiator.connect(target.running.port);
      isid.copy(initiator.session.isid);
      await initiator.login({ targetName: TARGET_NAME });
      await initiator.good({ cdb: testUnitReady() });
    }
    await initiator.logout();
  });

  it("of one connection of two, with commands outstanding: the session is told on the other one (section 11.14.5)", async () => {
    const first = await target.login({ MaxConnections: "2", ImmediateData: "No" });
    const second = await RawInitiator.connect(target.running.port, { session: first.session });
    await second.login({ targetName: TARGET_NAME, cid: 1 });
    await second.good({ cdb: testUnitReady() });
    const options = { cdb: write10(0, 8), write: pattern(4096), immediateLength: 0, unsolicitedLength: 0 };
    await second.start({ ...options, leaveR2Ts: true });
    await second.expect(OPCODE_R2T);
    assert.equal((await second.logout(CLOSE_CONNECTION)).response, CLOSED);
    assert.deepEqual(await second.receiveUntilClosed(), []);
    const { status, sense } = await first.command({ cdb: testUnitReady() });
    assert.equal(status, 2);
    // SOME COMMANDS CLEARED BY ISCSI PROTOCOL EVENT
    const { key, asc, ascq } = parseSense(sense);
    assert.deepEqual({ key, asc, ascq }, { key: 6, asc: 0x47, ascq: 0x7f });
    await first.good({ cdb: testUnitReady() });
  });

  it("of the other connection: it is closed, this one goes on (section 11.14)", async () => {
    const first = await target.login({ MaxConnections: "2" });
    const second = await RawInitiator.connect(target.running.port, { session: first.session });
    await second.login({ targetName: TARGET_NAME, cid: 1 });
    await first.send({ opcode: OPCODE_LOGOUT_REQUEST, immediate: true, flags: FLAG_FINAL | CLOSE_CONNECTION, cid: 1 });
    assert.equal((await first.expect(OPCODE_LOGOUT_RESPONSE)).response, CLOSED);
    await second.receiveUntilClosed();
    await first.good({ cdb: testUnitReady() });
  });

  it("of the other connection: commands of it that were ahead of their turn are executed when they come again (section 7.11)", async () => {
    const first = await target.login({ MaxConnections: "2" });
    const second = await RawInitiator.connect(target.running.port, { session: first.session });
    await second.login({ targetName: TARGET_NAME, cid: 1 });
    const { cmdSN } = first.session;
    first.session.cmdSN = cmdSN + 1;
    await second.start({ cdb: testUnitReady() });
    await second.ping();
    await first.send({ opcode: OPCODE_LOGOUT_REQUEST, immediate: true, flags: FLAG_FINAL | CLOSE_CONNECTION, cid: 1 });
    const { response, expCmdSN } = await first.expect(OPCODE_LOGOUT_RESPONSE);
    assert.deepEqual([response, expCmdSN], [CLOSED, cmdSN]);
    const again = await first.start({ cdb: testUnitReady(), fields: { cmdSN: cmdSN + 1 } });
    const missing = await first.start({ cdb: testUnitReady(), fields: { cmdSN } });
    for (const task of [missing, again]) await first.finish(task);
    assert.equal((await first.ping()).expCmdSN, cmdSN + 2);
  });

  for (const [what, reason] of [
    ["the other connection", CLOSE_CONNECTION],
    ["the session", CLOSE_SESSION],
  ] as const) {
    it(`of ${what}, which stopped inside a Data-Out: its rest is not waited for`, async () => {
      const first = await target.login({ MaxConnections: "2", ImmediateData: "No" });
      const second = await RawInitiator.connect(target.running.port, { session: first.session });
      await second.login({ targetName: TARGET_NAME, cid: 1 });
      const task = await second.start({
        cdb: write10(0, 8),
        write: pattern(4096),
        immediateLength: 0,
        leaveR2Ts: true,
      });
      const { targetTransferTag } = await second.expect(OPCODE_R2T);
      const { initiatorTaskTag } = task;
      const fields = { initiatorTaskTag, targetTransferTag, lun: 0, dataSegmentLength: 4096, flags: FLAG_FINAL };
      const header = buildHeader({ opcode: OPCODE_DATA_OUT, ...fields });
      await second.sendBytes(Buffer.concat([header, pattern(1000)]));
      // So that it is there before the request.
      await setTimeout(200);
      await first.send({ opcode: OPCODE_LOGOUT_REQUEST, immediate: true, flags: FLAG_FINAL | reason, cid: 1 });
      assert.equal((await first.expect(OPCODE_LOGOUT_RESPONSE)).response, CLOSED);
      await second.receiveUntilClosed();
    });
  }

  for (const [what, fields, data] of [
    ["no F bit", { flags: 0 }, 0],
    ["a data segment (section 11.14.2)", { flags: FLAG_FINAL }, 8],
    ["the reserved Initiator Task Tag", { flags: FLAG_FINAL, initiatorTaskTag: 0xffffffff }, 0],
  ] as const) {
    it(`${what}: a format error (section 7.7)`, async () => {
      const initiator = await target.login();
      await initiator.send({ opcode: OPCODE_LOGOUT_REQUEST, immediate: true, ...fields }, Buffer.alloc(data));
      assert.deepEqual(await initiator.receiveUntilClosed(), []);
    });
  }
});
