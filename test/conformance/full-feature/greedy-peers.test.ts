/**
 * Initiators that ask for much and do not read, are asked for much and do not send, or leave a gap: they hold memory of the
 * target for as long as they like, and must not keep it from others (RFC 7143 section 4.2.2.1 for what may be refused).
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { read10, write10 } from "../../support/cdb.js";
import { OPCODE_NOP_OUT, TAG_NONE } from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { CommandOptions } from "../../support/raw-task.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

const MIB = 1024 * 1024;
const BLOCKS_PER_MIB = MIB / BLOCK_BYTES;
const TASK_SET_FULL = 0x28;
/** Less than a silent connection is borne, and more than the patience of a target that is short of buffers. */
const SERVED_WITHIN_MS = 16_000;

describe("greedy peers", () => {
  const target = startTarget({ size: "256MiB", session: "firstBurstLength: 262144, initialR2T: false" });
  const long = { MaxRecvDataSegmentLength: "262144", MaxBurstLength: "262144" };

  /** The command ends with GOOD; where the target says that it is full, it is tried again. */
  async function served(witness: RawInitiator, options: CommandOptions): Promise<Buffer> {
    const deadline = performance.now() + SERVED_WITHIN_MS;
    for (;;) {
      const { status, data } = await witness.command(options, SERVED_WITHIN_MS);
      if (status === 0) return data;
      assert.equal(status, TASK_SET_FULL);
      assert.ok(performance.now() < deadline, "TASK SET FULL for ever");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** Reads and writes of all sizes. */
  async function othersAreServed(): Promise<void> {
    const witness = await target.login({ ...long, InitialR2T: "Yes" });
    for (let round = 0; round < 3; round++) {
      for (const blocks of [8, 128, BLOCKS_PER_MIB]) {
        const write = pattern(blocks * BLOCK_BYTES, round + blocks);
        await served(witness, { cdb: write10(0, blocks), write });
        assert.ok((await served(witness, { cdb: read10(0, blocks), read: write.length })).equals(write));
      }
    }
    assert.equal((await witness.logout()).response, 0);
    witness.destroy();
  }

  it("that ask for data and do not read it", async () => {
    const peers: RawInitiator[] = [];
    for (let i = 0; i < 8; i++) {
      const peer = await target.login(long);
      peers.push(peer);
      peer.pause();
      for (let j = 0; j < 64; j++) await peer.start({ cdb: read10(j * BLOCKS_PER_MIB, BLOCKS_PER_MIB), read: MIB });
    }
    await othersAreServed();
    // They were only slow: what they asked for comes when they read.
    for (const peer of peers) peer.destroy();
  });

  it("that are asked for data and do not send it", async () => {
    const peers: RawInitiator[] = [];
    for (let i = 0; i < 8; i++) {
      const peer = await target.login({ ...long, ImmediateData: "No", InitialR2T: "Yes", MaxOutstandingR2T: "4" });
      peers.push(peer);
      const write = Buffer.alloc(MIB);
      for (let j = 0; j < 64; j++)
        await peer.start({ cdb: write10(j * BLOCKS_PER_MIB, BLOCKS_PER_MIB), write, leaveR2Ts: true });
    }
    await othersAreServed();
    for (const peer of peers) peer.destroy();
  });

  it("that are many, each with little", async () => {
    const peers: RawInitiator[] = [];
    for (let i = 0; i < 200; i++) {
      const peer = await target.login({ ...long, ImmediateData: "No", InitialR2T: "Yes" });
      peers.push(peer);
      await peer.start({ cdb: write10(0, 512), write: Buffer.alloc(512 * BLOCK_BYTES), leaveR2Ts: true });
    }
    await othersAreServed();
    for (const peer of peers) peer.destroy();
  });

  it("that announce data and do not send it", async () => {
    const peers: RawInitiator[] = [];
    for (let i = 0; i < 4; i++) {
      const peer = await target.login({ ...long, InitialR2T: "No", FirstBurstLength: "262144" });
      peers.push(peer);
      for (let j = 0; j < 64; j++) {
        await peer.start({
          cdb: write10(j * 512, 512),
          write: Buffer.alloc(262_144),
          immediateLength: 0,
          unsolicitedLength: 0,
          fields: { flags: 0x21 },
        });
      }
    }
    await othersAreServed();
    for (const peer of peers) peer.destroy();
  });

  it("that hold all buffers there are: they are closed, since others wait", async () => {
    const peers: RawInitiator[] = [];
    for (let i = 0; i < 10; i++) {
      const peer = await target.login({ ...long, InitialR2T: "No" });
      peers.push(peer);
      const fields = { flags: 0x21 };
      for (let j = 0; j < 200; j++) {
        await peer.start({
          cdb: write10(j, 1),
          write: Buffer.alloc(512),
          immediateLength: 0,
          unsolicitedLength: 0,
          fields,
        });
      }
    }
    await othersAreServed();
    // As many as it takes: the first of them surely.
    await peers[0]!.receiveUntilClosed();
    for (const peer of peers) peer.destroy();
  });

  it("that leave a gap in CmdSN, and send much behind it", async () => {
    const peers: RawInitiator[] = [];
    const write = Buffer.alloc(262_144);
    for (let i = 0; i < 2; i++) {
      const peer = await target.login({ ...long, FirstBurstLength: "262144" });
      peers.push(peer);
      peer.session.cmdSN++;
      for (let j = 0; j < 80; j++) await peer.start({ cdb: write10(j * 512, 512), write });
    }
    await othersAreServed();
    for (const peer of peers) peer.destroy();
  });

  it("that ping with much data and do not read the echo: they are closed", async () => {
    const peer = await target.login(long);
    peer.pause();
    const ping = pattern(262_144);
    const sent = async (): Promise<void> => {
      for (let i = 0; i < 200; i++) {
        await peer.send({ opcode: OPCODE_NOP_OUT, immediate: true, targetTransferTag: TAG_NONE }, ping);
      }
    };
    // The target closes, and our socket breaks, while there is still something to send.
    await assert.rejects(sent);
    await othersAreServed();
  });

  it("that send pings ahead of their turn: they are closed", async () => {
    const peer = await target.login(long);
    peer.session.cmdSN++;
    const ping = pattern(262_144);
    for (let i = 0; i < 5; i++) await peer.send({ opcode: OPCODE_NOP_OUT, targetTransferTag: TAG_NONE }, ping);
    await peer.receiveUntilClosed();
    await othersAreServed();
  });
});
