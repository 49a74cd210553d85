/** Residual counts: what the command moves against what the initiator expects (RFC 7143 sections 11.4.5, 11.4.1). */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { inquiry, modeSense6, read10, reportLuns, testUnitReady, write10 } from "../../support/cdb.js";
import { FLAG_OVERFLOW, FLAG_UNDERFLOW } from "../../support/pdu.js";
import type { CommandOptions } from "../../support/raw-task.js";
import { BLOCK_BYTES, pattern, startTarget } from "./fixture.js";

describe("residuals (RFC 7143 section 11.4.5)", () => {
  const target = startTarget({ session: "initialR2T: false" });
  const contents = pattern(64 * BLOCK_BYTES, 1);

  before(async () => {
    await (await target.login()).good({ cdb: write10(0, 64), write: contents });
  });

  /** Positive: underflow, negative: overflow (the initiator's way to say it). */
  async function residualOf(options: CommandOptions): Promise<{ status: number; residual: number; bytes: number }> {
    const initiator = await target.login();
    const { status, residual, data, task } = await initiator.command(options);
    const flags = task.end!.flags;
    assert.ok(!(flags & FLAG_OVERFLOW && flags & FLAG_UNDERFLOW), "O and U are mutually exclusive");
    if (!(flags & (FLAG_OVERFLOW | FLAG_UNDERFLOW))) assert.equal(task.end!.field("residualCount"), 0);
    // o, u and the Bidirectional Read Residual Count are not for commands of one direction.
    assert.equal(flags & 0x18, 0);
    return { status, residual, bytes: data.length };
  }

  for (const [expected, blocks, residual] of [
    [BLOCK_BYTES, 1, 0],
    [10_000, 1, 10_000 - BLOCK_BYTES],
    [0xffffff, 4, 0xffffff - 2048],
    [200, 1, 200 - BLOCK_BYTES],
    [BLOCK_BYTES, 2, -BLOCK_BYTES],
    [1000, 2, 1000 - 1024],
    [1, 64, 1 - 32_768],
    [0, 1, -BLOCK_BYTES],
    [0, 0, 0],
    [512, 0, 512],
  ] as const) {
    it(`READ of ${blocks} blocks, ${expected} bytes expected`, async () => {
      const bytes = Math.min(expected, blocks * BLOCK_BYTES);
      const initiator = await target.login();
      const { status, residual: reported, data } = await initiator.command({ cdb: read10(0, blocks), read: expected });
      assert.deepEqual({ status, reported, bytes: data.length }, { status: 0, reported: residual, bytes });
      assert.ok(data.equals(contents.subarray(0, bytes)));
    });
  }

  it("READ without the R bit, nothing expected", async () => {
    assert.deepEqual(await residualOf({ cdb: read10(0, 1) }), { status: 0, residual: -BLOCK_BYTES, bytes: 0 });
  });

  for (const [expected, blocks, residual, written] of [
    [BLOCK_BYTES, 1, 0, 1],
    [10_000, 1, 10_000 - BLOCK_BYTES, 1],
    [100_000, 2, 100_000 - 1024, 2],
    [200, 1, 200 - BLOCK_BYTES, 0],
    [BLOCK_BYTES, 2, -BLOCK_BYTES, 1],
    [1000, 2, 1000 - 1024, 1],
    [0, 1, -BLOCK_BYTES, 0],
    [512, 0, 512, 0],
  ] as const) {
    for (const initialR2T of ["Yes", "No"]) {
      it(`WRITE of ${blocks} blocks, ${expected} bytes expected, InitialR2T=${initialR2T}`, async () => {
        const initiator = await target.login({ InitialR2T: initialR2T });
        const old = pattern(8 * BLOCK_BYTES, 99);
        await initiator.good({ cdb: write10(100, 8), write: old });
        const write = pattern(expected, expected + 1);
        const { status, residual: reported } = await initiator.command({ cdb: write10(100, blocks), write });
        assert.deepEqual({ status, reported }, { status: 0, reported: residual });
        // Whole blocks only are written, as many as data came for and no more than the CDB says.
        const now = await initiator.good({ cdb: read10(100, 8), read: 8 * BLOCK_BYTES });
        const end = written * BLOCK_BYTES;
        assert.ok(now.subarray(0, end).equals(write.subarray(0, end)));
        assert.ok(now.subarray(end).equals(old.subarray(end)));
      });
    }
  }

  it("allocation length, Expected Data Transfer Length and what there is, each the least (section 11.4.5.3)", async () => {
    for (const [allocation, expected] of [
      [96, 96],
      [96, 255],
      [255, 255],
      [255, 96],
      [5, 255],
      [255, 5],
      [0, 255],
      [255, 0],
      [4096, 65_536],
    ] as const) {
      const whole = (await (await target.login()).good({ cdb: inquiry(), read: 255 })).length;
      const presented = Math.min(allocation, whole);
      assert.deepEqual(await residualOf({ cdb: inquiry(undefined, allocation), read: expected }), {
        status: 0,
        residual: expected - presented,
        bytes: Math.min(presented, expected),
      });
    }
  });

  it("REPORT LUNS truncated by the allocation length is no overflow", async () => {
    assert.deepEqual(await residualOf({ cdb: reportLuns(16), read: 16 }), { status: 0, residual: 0, bytes: 16 });
    assert.deepEqual(await residualOf({ cdb: reportLuns(4096), read: 4096 }), { status: 0, residual: 4080, bytes: 16 });
  });

  it("commands without data, data expected", async () => {
    assert.deepEqual(await residualOf({ cdb: testUnitReady(), read: 100 }), { status: 0, residual: 100, bytes: 0 });
    assert.deepEqual(await residualOf({ cdb: testUnitReady(), write: Buffer.alloc(100) }), {
      status: 0,
      residual: 100,
      bytes: 0,
    });
  });

  it("commands that fail have moved nothing", async () => {
    assert.deepEqual(await residualOf({ cdb: read10(1 << 30, 8), read: 4096 }), {
      status: 2,
      residual: 4096,
      bytes: 0,
    });
    assert.deepEqual(await residualOf({ cdb: write10(1 << 30, 8), write: Buffer.alloc(4096) }), {
      status: 2,
      residual: 4096,
      bytes: 0,
    });
  });

  it("data in the wrong direction: a WRITE that moves nothing has failed, of a READ all is residual", async () => {
    // A CDB that writes with the R bit must not look as if it had worked.
    const { status, residual, bytes } = await residualOf({ cdb: write10(0, 1), read: BLOCK_BYTES });
    assert.deepEqual({ status, bytes }, { status: 2, bytes: 0 });
    assert.ok(residual > 0);
    // With one that reads and the W bit nothing of what the initiator expected to send is moved.
    for (const [cdb, length] of [
      [read10(0, 1), BLOCK_BYTES],
      [read10(0, 8), 100],
      [modeSense6(0x08), 64],
    ] as const) {
      assert.deepEqual(await residualOf({ cdb, write: Buffer.alloc(length) }), {
        status: 0,
        residual: length,
        bytes: 0,
      });
    }
    const now = await (await target.login()).good({ cdb: read10(0, 1), read: BLOCK_BYTES });
    assert.ok(now.equals(contents.subarray(0, BLOCK_BYTES)));
  });
});
