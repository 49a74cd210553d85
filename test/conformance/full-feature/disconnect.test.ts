/** A connection that breaks takes nothing else with it, wherever in a PDU or a task it breaks (RFC 7143 sections 4.2.6, 7.14). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, write10 } from "../../support/cdb.js";
import { buildHeader, FLAG_FINAL, OPCODE_DATA_OUT, OPCODE_NOP_OUT, OPCODE_R2T, TAG_NONE } from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

describe("broken connections (RFC 7143 section 7.14)", () => {
  const target = startTarget();
  const noUnsolicitedData = { InitialR2T: "Yes", ImmediateData: "No" };

  /** Another session is served as before, and goes on being served. */
  async function othersAreServed(witness: RawInitiator): Promise<void> {
    const data = await witness.good({ cdb: read10(0, 8), read: 8 * BLOCK_BYTES });
    assert.equal(data.length, 8 * BLOCK_BYTES);
  }

  /** A WRITE of `blocks`, as far as its first R2T; returns the header of the Data-Out that answers that in full. */
  async function solicitedDataOut(initiator: RawInitiator, blocks: number): Promise<Buffer> {
    const write = pattern(blocks * BLOCK_BYTES);
    const task = await initiator.start({ cdb: write10(0, blocks), write, leaveR2Ts: true });
    const r2t = await initiator.expect(OPCODE_R2T);
    return buildHeader({
      opcode: OPCODE_DATA_OUT,
      flags: FLAG_FINAL,
      dataSegmentLength: r2t.field("desiredDataTransferLength"),
      initiatorTaskTag: task.initiatorTaskTag,
      targetTransferTag: r2t.targetTransferTag,
      lun: 0,
    });
  }

  for (const [where, bytes] of [
    ["before the first byte", 0],
    ["behind a few bytes", 100],
    ["behind most of the bytes", 60_000],
  ] as const) {
    it(`in the data segment of a Data-Out, ${where}`, async () => {
      const witness = await target.login();
      const initiator = await target.login(noUnsolicitedData);
      const header = await solicitedDataOut(initiator, 128);
      await initiator.sendBytes(Buffer.concat([header, Buffer.alloc(bytes)]));
      // The target has read what there is: it answers another session that asks later.
      await othersAreServed(witness);
      initiator.destroy();
      await othersAreServed(witness);
      await othersAreServed(await target.login());
    });
  }

  it("in the middle of a header", async () => {
    const initiator = await target.login();
    const header = buildHeader({
      opcode: OPCODE_NOP_OUT,
      immediate: true,
      flags: FLAG_FINAL,
      targetTransferTag: TAG_NONE,
    });
    await initiator.sendBytes(header.subarray(0, 20));
    const witness = await target.login();
    initiator.destroy();
    await othersAreServed(witness);
  });

  it("in the middle of immediate data", async () => {
    const initiator = await target.login();
    const header = buildHeader({
      opcode: 0x01,
      flags: 0xa1,
      dataSegmentLength: 8192,
      expectedDataTransferLength: 8192,
      initiatorTaskTag: 77,
      cmdSN: initiator.session.cmdSN,
      cdb: write10(0, 16),
    });
    await initiator.sendBytes(Buffer.concat([header, Buffer.alloc(5000)]));
    const witness = await target.login();
    initiator.destroy();
    await othersAreServed(witness);
  });

  it("with many commands under way", async () => {
    const initiator = await target.login({ ...noUnsolicitedData, MaxRecvDataSegmentLength: "262144" });
    for (let i = 0; i < 32; i++) {
      await initiator.start({ cdb: read10(i * 512, 512), read: 512 * BLOCK_BYTES });
      await initiator.start({ cdb: write10(i * 128, 128), write: pattern(128 * BLOCK_BYTES), leaveR2Ts: true });
    }
    initiator.destroy();
    const witness = await target.login();
    for (let i = 0; i < 8; i++) await othersAreServed(witness);
  });

  it("half closed: the initiator says nothing more, and the target closes its side", async () => {
    const initiator = await target.login();
    await initiator.good({ cdb: read10(0, 8), read: 8 * BLOCK_BYTES });
    initiator.halfClose();
    await initiator.receiveUntilClosed();
    await othersAreServed(await target.login());
  });
});
