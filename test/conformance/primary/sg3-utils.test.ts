/**
 * What the tools of sg3_utils send, byte for byte as they build it, and what they need back to say what they are for. Through
 * the project's own initiator: the tools themselves want a SCSI device of the kernel's.
 */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { assertSense, hex, serve } from "./fixture.js";

const BLOCK = 512;
const BLOCKS = (64 * 2 ** 20) / BLOCK;
const SENSE_ILLEGAL_REQUEST = 5;

function u16(value: number): number[] {
  return [value >> 8, value & 0xff];
}

function u32(value: number): number[] {
  return [value >>> 24, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff];
}

function u64(value: bigint): number[] {
  return [...u32(Number(value >> 32n)), ...u32(Number(value & 0xffff_ffffn))];
}

/** What lies between the header of a page and its end, cut into its descriptors. */
function split(list: Buffer, headerBytes: number, lengthOf: (rest: Buffer) => number): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = headerBytes; at < list.length; ) {
    const length = lengthOf(list.subarray(at));
    assert.ok(length > 0 && at + length <= list.length, `a piece of ${length} bytes at ${at} of ${list.length}`);
    pieces.push(list.subarray(at, at + length));
    at += length;
  }
  return pieces;
}

describe("the commands of sg3_utils", () => {
  const fixture = serve();

  async function data(initiator: RawInitiator, cdb: readonly number[], read: number): Promise<Buffer> {
    return initiator.good({ cdb: Buffer.from(cdb), read });
  }

  /** As sg_vpd does it: 252 bytes, and again where the page is longer. */
  async function vpd(initiator: RawInitiator, page: number): Promise<Buffer> {
    const cdb = (length: number) => [0x12, 0x01, page, ...u16(length), 0];
    const first = await data(initiator, cdb(252), 252);
    assert.equal(first[1], page);
    const length = 4 + first.readUInt16BE(2);
    const whole = length <= 252 ? first : await data(initiator, cdb(length), length);
    assert.equal(whole.length, length);
    return whole;
  }

  it("sg_inq: 36 bytes, then as many as there are", async () => {
    const initiator = await fixture.login("inq");
    const first = await data(initiator, [0x12, 0, 0, 0, 36, 0], 36);
    assert.equal(first.length, 36);
    const length = 5 + first[4]!;
    const all = await data(initiator, [0x12, 0, 0, 0, length, 0], length);
    assert.equal(all.length, length);
    assert.ok(all.subarray(0, 36).equals(first));
    assert.equal(all[0], 0x00, "a connected block device");
    assert.equal(all[3]! & 0x0f, 2, "RESPONSE DATA FORMAT");
    assert.match(all.toString("latin1", 8, 36), /^[\x20-\x7e]{28}$/);
    // CmdDt (-c), obsolete.
    const cmdDt = await initiator.command({ cdb: Buffer.from([0x12, 0x02, 0, 0, 36, 0]), read: 36 });
    assertSense(cmdDt, SENSE_ILLEGAL_REQUEST, 0x24, 0);
  });

  it("sg_vpd, sg_inq --page: every page that page 00h lists, and no other", async () => {
    const initiator = await fixture.login("vpd");
    const pages = [...(await vpd(initiator, 0x00)).subarray(4)];
    assert.deepEqual(
      pages,
      pages.toSorted((a, b) => a - b),
    );
    for (const page of [0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2]) assert.ok(pages.includes(page), `page ${page}`);
    for (let page = 0; page < 256; page++) {
      if (pages.includes(page)) await vpd(initiator, page);
      else {
        const cdb = Buffer.from([0x12, 0x01, page, 0, 252, 0]);
        assertSense(await initiator.command({ cdb, read: 252 }), SENSE_ILLEGAL_REQUEST, 0x24, 0);
      }
    }
    const designators = split(await vpd(initiator, 0x83), 4, (rest) => 4 + rest[3]!);
    const kinds = designators.map((designator) => designator[1]! & 0x3f);
    assert.ok(kinds.includes(0x03), "an NAA name of the unit");
    assert.ok(kinds.includes(0x14), "a relative target port");
    assert.ok(kinds.includes(0x28), "the target's name");
  });

  it("sg_modes: all pages and subpages in the four page controls, by 10 and by 6 bytes, each as when asked for alone", async () => {
    const initiator = await fixture.login("modes");
    for (let control = 0; control < 4; control++) {
      const cdb10 = (page: number, subpage: number) => [0x5a, 0, (control << 6) | page, subpage, 0, 0, 0, 0x20, 0, 0];
      const ten = await data(initiator, cdb10(0x3f, 0xff), 8192);
      assert.equal(ten.readUInt16BE(0), ten.length - 2);
      const descriptorBytes = ten.readUInt16BE(6);
      const lengthOf = (page: Buffer) => ((page[0]! & 0x40) === 0 ? 2 + page[1]! : 4 + page.readUInt16BE(2));
      const pages = split(ten, 8 + descriptorBytes, lengthOf);
      assert.ok(pages.length >= 5);
      for (const page of pages) {
        const subpage = (page[0]! & 0x40) === 0 ? 0 : page[1]!;
        const alone = await data(initiator, cdb10(page[0]! & 0x3f, subpage), 8192);
        assert.equal(hex(alone.subarray(8 + descriptorBytes)), hex(page));
      }
      const withoutSubpages = pages.filter((page) => (page[0]! & 0x40) === 0);
      const six = await data(initiator, [0x1a, 0, (control << 6) | 0x3f, 0, 252, 0], 252);
      assert.equal(hex(six.subarray(4 + six[3]!)), hex(Buffer.concat(withoutSubpages)));
      // -d: without block descriptors.
      const bare = await data(initiator, [0x5a, 0x08, (control << 6) | 0x3f, 0, 0, 0, 0, 0x20, 0, 0], 8192);
      assert.equal(bare.readUInt16BE(6), 0);
      assert.equal(hex(bare.subarray(8)), hex(Buffer.concat(withoutSubpages)));
    }
  });

  it("sg_opcodes: all, with timeouts, one by one; and the task management functions", async () => {
    const initiator = await fixture.login("opcodes");
    const cdb = (options: number, opcode = 0, action = 0) => [
      0xa3,
      0x0c,
      options,
      opcode,
      ...u16(action),
      ...u32(8192),
      0,
      0,
    ];
    const all = await data(initiator, cdb(0), 8192);
    assert.equal(all.readUInt32BE(0), all.length - 4);
    const commands = split(all, 4, (rest) => ((rest[5]! & 0x02) === 0 ? 8 : 20));
    const timed = await data(initiator, cdb(0x80), 8192);
    assert.equal(split(timed, 4, (rest) => ((rest[5]! & 0x02) === 0 ? 8 : 20)).length, commands.length);
    for (const command of commands) {
      const [opcode, action] = [command[0]!, command.readUInt16BE(2)];
      const hasAction = (command[5]! & 0x01) !== 0;
      const one = await data(initiator, cdb(hasAction ? 2 : 1, opcode, action), 8192);
      assert.equal(one[1]! & 0x07, 3, "in conformance with the standard");
      assert.equal(one.readUInt16BE(2), command.readUInt16BE(6), "CDB length");
      assert.equal(one[4], opcode);
      assert.equal(hex(await data(initiator, cdb(3, opcode, action), 8192)), hex(one));
      const withTimeout = await data(initiator, cdb((hasAction ? 2 : 1) | 0x80, opcode, action), 8192);
      assert.equal(withTimeout.length, one.length + 12);
      // The other of the two questions is an error.
      const wrong = await initiator.command({ cdb: Buffer.from(cdb(hasAction ? 1 : 2, opcode, action)), read: 8192 });
      assertSense(wrong, SENSE_ILLEGAL_REQUEST, 0x24, 0);
    }
    const none = await data(initiator, cdb(1, 0x95), 8192);
    assert.equal(none[1]! & 0x07, 1, "not supported");

    const functions = await data(initiator, [0xa3, 0x0d, 0, 0, 0, 0, ...u32(4), 0, 0], 4);
    const repd = await data(initiator, [0xa3, 0x0d, 0x80, 0, 0, 0, ...u32(16), 0, 0], 16);
    assert.equal(functions[0]! & 0xd8, 0xd8, "ABORT TASK, ABORT TASK SET, CLEAR TASK SET, LOGICAL UNIT RESET");
    assert.deepEqual([functions.length, repd.length, repd[3], repd[0]], [4, 16, 12, functions[0]]);
  });

  it("sg_persist: keys, capabilities and status in, and registering, reserving, releasing, clearing out", async () => {
    const initiator = await fixture.login("persist");
    const persistIn = (action: number) => data(initiator, [0x5e, action, 0, 0, 0, 0, 0, 0x20, 0, 0], 8192);
    const persistOut = (action: number, type: number, key: bigint, actionKey: bigint) =>
      initiator.good({
        cdb: Buffer.from([0x5f, action, type, 0, 0, 0, 0, 0, 24, 0]),
        write: Buffer.from([...u64(key), ...u64(actionKey), 0, 0, 0, 0, 0, 0, 0, 0]),
      });
    const before = (await persistIn(0x00)).readUInt32BE(0);
    assert.equal((await persistIn(0x02)).readUInt16BE(0), 8);
    await persistOut(0x00, 0, 0n, 0x1234n);
    await persistOut(0x01, 5, 0x1234n, 0n);
    assert.equal(hex(await persistIn(0x00)), `${hex(Buffer.from(u32(before + 1)))}000000080000000000001234`);
    const reservation = await persistIn(0x01);
    assert.equal(hex(reservation.subarray(4)), "0000001000000000000012340000000000050000");
    const status = await persistIn(0x03);
    assert.equal(status.readUInt32BE(4), status.length - 8);
    assert.equal(status.readBigUInt64BE(8), 0x1234n);
    await persistOut(0x02, 5, 0x1234n, 0n);
    assert.equal((await persistIn(0x01)).readUInt32BE(4), 0);
    await persistOut(0x03, 0, 0x1234n, 0n);
    assert.equal((await persistIn(0x00)).readUInt32BE(4), 0);
  });

  async function write(initiator: RawInitiator, lba: number, blocks: number, fill: number): Promise<void> {
    const cdb = Buffer.from([0x8a, 0, ...u64(BigInt(lba)), ...u32(blocks), 0, 0]);
    await initiator.good({ cdb, write: Buffer.alloc(blocks * BLOCK, fill) });
  }

  /** First bytes of blocks. */
  async function blocksAt(initiator: RawInitiator, lba: number, blocks: number): Promise<number[]> {
    const all = await data(initiator, [0x88, 0, ...u64(BigInt(lba)), ...u32(blocks), 0, 0], blocks * BLOCK);
    return Array.from({ length: blocks }, (_, i) => all[i * BLOCK]!);
  }

  it("sg_unmap", async () => {
    const initiator = await fixture.login("unmap");
    await write(initiator, 0, 6, 0xaa);
    const descriptors = [...u64(1n), ...u32(2), 0, 0, 0, 0, ...u64(4n), ...u32(1), 0, 0, 0, 0];
    const list = Buffer.from([...u16(38), ...u16(32), 0, 0, 0, 0, ...descriptors]);
    await initiator.good({ cdb: Buffer.from([0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0]), write: list });
    assert.deepEqual(await blocksAt(initiator, 0, 6), [0xaa, 0, 0, 0xaa, 0, 0xaa]);
    const anchored = await initiator.command({ cdb: Buffer.from([0x42, 1, 0, 0, 0, 0, 0, 0, 40, 0]), write: list });
    assertSense(anchored, SENSE_ILLEGAL_REQUEST, 0x24, 0);
  });

  it("sg_write_same: 10 and 16 bytes, --unmap, --ndob; 32 bytes are refused", async () => {
    const initiator = await fixture.login("write-same");
    const block = Buffer.alloc(BLOCK, 0xbb);
    await initiator.good({ cdb: Buffer.from([0x41, 0, ...u32(100), 0, ...u16(3), 0]), write: block });
    assert.deepEqual(await blocksAt(initiator, 100, 4), [0xbb, 0xbb, 0xbb, 0]);
    await initiator.good({ cdb: Buffer.from([0x93, 0, ...u64(102n), ...u32(3), 0, 0]), write: block });
    assert.deepEqual(await blocksAt(initiator, 100, 6), [0xbb, 0xbb, 0xbb, 0xbb, 0xbb, 0]);
    const zeroes = Buffer.alloc(BLOCK);
    await initiator.good({ cdb: Buffer.from([0x93, 0x08, ...u64(101n), ...u32(1), 0, 0]), write: zeroes });
    await initiator.good({ cdb: Buffer.from([0x93, 0x09, ...u64(103n), ...u32(1), 0, 0]) });
    assert.deepEqual(await blocksAt(initiator, 100, 5), [0xbb, 0, 0xbb, 0, 0xbb]);
    const long = Buffer.from([
      0x7f,
      0,
      0,
      0,
      0,
      0,
      0,
      0x18,
      ...u16(0x0d),
      0,
      0,
      ...u64(100n),
      ...u32(0),
      ...u32(0),
      ...u32(1),
    ]);
    assert.equal(long.length, 32);
    assertSense(await initiator.command({ cdb: long, write: block }), SENSE_ILLEGAL_REQUEST, 0x20, 0);
    assert.deepEqual(await blocksAt(initiator, 100, 1), [0xbb]);
  });

  it("sg_compare_and_write", async () => {
    const initiator = await fixture.login("compare-and-write");
    await write(initiator, 200, 1, 0x11);
    const cdb = Buffer.from([0x89, 0, ...u64(200n), 0, 0, 0, 1, 0, 0]);
    const pair = (compared: number, written: number) =>
      Buffer.concat([Buffer.alloc(BLOCK, compared), Buffer.alloc(BLOCK, written)]);
    await initiator.good({ cdb, write: pair(0x11, 0x22) });
    assert.deepEqual(await blocksAt(initiator, 200, 1), [0x22]);
    const other = pair(0x22, 0x33);
    other[7] = 0;
    const miscompare = await initiator.command({ cdb, write: other });
    assertSense(miscompare, 0x0e, 0x1d, 0);
    assert.equal(miscompare.sense[0]! & 0x80, 0x80, "INFORMATION is valid");
    assert.equal(miscompare.sense.readUInt32BE(3), 7, "the offset of the first difference");
    assert.deepEqual(await blocksAt(initiator, 200, 1), [0x22]);
  });

  it("sg_logs: the length by 4 bytes, then the page; all that page 00h lists", async () => {
    const initiator = await fixture.login("logs");
    const page = async (code: number, subpage: number): Promise<Buffer> => {
      const cdb = (length: number) => [0x4d, 0, 0x40 | code, subpage, 0, 0, 0, ...u16(length), 0];
      const head = await data(initiator, cdb(4), 4);
      assert.equal(head.length, 4);
      assert.deepEqual([head[0]! & 0x3f, (head[0]! & 0x40) === 0 ? 0 : head[1]!], [code, subpage]);
      const length = 4 + head.readUInt16BE(2);
      const whole = await data(initiator, cdb(length), length);
      assert.equal(whole.length, length);
      return whole;
    };
    const supported = (await page(0x00, 0x00)).subarray(4);
    assert.ok(supported.length >= 3);
    for (const code of supported) {
      const whole = await page(code, 0);
      if (code !== 0) split(whole, 4, (parameter) => 4 + parameter[3]!);
    }
    for (const pair of split(await page(0x00, 0xff), 4, () => 2)) await page(pair[0]! & 0x3f, pair[1]!);
  });

  it("sg_luns: by every SELECT REPORT", async () => {
    const initiator = await fixture.login("luns");
    for (const [select, luns] of [
      [0x00, ["0000000000000000"]],
      [0x01, ["c101000000000000"]],
      [0x02, ["0000000000000000", "c101000000000000"]],
    ] as const) {
      const list = await data(initiator, [0xa0, 0, select, 0, 0, 0, ...u32(8192), 0, 0], 8192);
      assert.equal(list.readUInt32BE(0), list.length - 8);
      assert.deepEqual(split(list, 8, () => 8).map(hex), luns, `SELECT REPORT ${select}`);
    }
  });

  it("sg_readcap: by 10 and by 16 bytes; with the obsolete PMI it is refused", async () => {
    const initiator = await fixture.login("readcap");
    const ten = await data(initiator, [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0], 8);
    assert.deepEqual([ten.readUInt32BE(0), ten.readUInt32BE(4)], [BLOCKS - 1, BLOCK]);
    const sixteen = await data(initiator, [0x9e, 0x10, ...u64(0n), ...u32(32), 0, 0], 32);
    assert.deepEqual([sixteen.readBigUInt64BE(0), sixteen.readUInt32BE(8)], [BigInt(BLOCKS - 1), BLOCK]);
    const pmi = await initiator.command({ cdb: Buffer.from([0x25, 0, 0, 0, 0, 0, 0, 0, 1, 0]), read: 8 });
    assertSense(pmi, SENSE_ILLEGAL_REQUEST, 0x24, 0);
  });

  it("sg_rep_zones, sg_reset_wp: this is no zoned disk", async () => {
    const initiator = await fixture.login("zones");
    const report = Buffer.from([0x95, 0x00, ...u64(0n), ...u32(16_384), 0, 0]);
    assertSense(await initiator.command({ cdb: report, read: 16_384 }), SENSE_ILLEGAL_REQUEST, 0x20, 0);
    const reset = Buffer.from([0x94, 0x04, ...u64(0n), 0, 0, 0, 0, 1, 0]);
    assertSense(await initiator.command({ cdb: reset }), SENSE_ILLEGAL_REQUEST, 0x20, 0);
  });
});
