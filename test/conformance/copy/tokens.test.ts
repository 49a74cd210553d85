/**
 * Copies by token (SBC-4, ODX): POPULATE TOKEN, WRITE USING TOKEN, RECEIVE ROD TOKEN INFORMATION, REPORT ALL ROD TOKENS. The
 * tokens are of the type access upon reference: they give what the blocks hold when they are used.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { read16, write16 } from "../../support/cdb.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { CommandResult } from "../../support/raw-task.js";
import { GOOD, outcomeOf } from "../../support/sense.js";
import { logIn, serveUnits } from "../../support/served-units.js";
import {
  copyIn,
  copyOut,
  nameOf,
  populateToken,
  populateTokenList,
  type Range,
  ROD_TOKEN_BYTES,
  rodInformation,
  tokenOf,
  writeUsingToken,
  writeUsingTokenList,
  zeroToken,
} from "../../support/third-party-copy.js";
import { Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const BLOCKS = (4 * MIB) / 512;
const COMPLETED = 0x01;
const COMPLETED_WITH_PART = 0x03;
const LOGICAL_BLOCKS = 0xf1;
const RANGES_MAX = 128;
const TIMEOUT_MAX_S = 600;

/** "key/asc+ascq", and behind it the sense-key-specific bytes, if they are valid, and INFORMATION. */
function outcome(result: CommandResult): string {
  const code = outcomeOf(result);
  if (code === GOOD) return code;
  const { sense } = result;
  const specific = (sense[15]! & 0x80) === 0 ? "" : ` ${sense.subarray(15, 18).toString("hex")}`;
  return (sense[0]! & 0x80) === 0 ? `${code}${specific}` : `${code}${specific} at ${sense.readUInt32BE(3)}`;
}

/** `blocks` blocks, each of which says which one it is. */
function numbered(first: number, blocks: number): Buffer {
  const data = Buffer.alloc(blocks * 512);
  for (let i = 0; i < blocks; i++) data.fill(1 + ((first + i) % 251), i * 512, (i + 1) * 512);
  return data;
}

describe("copies by token", () => {
  const undo = new Undo({ after });
  /** LUN 0 and LUN 1 have blocks of 512 bytes, LUN 2 of 4096. */
  let initiator: RawInitiator;
  let other: RawInitiator;
  let id = 100;

  before(async () => {
    const folder = undo.folder();
    const unit = (name: string) => ({ path: join(folder, name), sizeBytes: 4 * MIB, cache: "writeback" as const });
    const target = await serveUnits(undo, [unit("a"), unit("b"), { ...unit("c"), blockLength: 4096 }], 2);
    initiator = await logIn(undo, target, 3);
    other = await logIn(undo, target, 3, "iqn.2026-11.io.ringlun:other");
    await initiator.good({ cdb: write16(0, 512), write: numbered(0, 512) });
  });

  const use = (token: Uint8Array, ranges: readonly Range[], fields = {}, lun = 1) =>
    writeUsingToken(initiator, writeUsingTokenList(token, ranges, fields), ++id, lun).then(outcome);
  const blocksAt = (lba: number, blocks: number, lun = 1) =>
    initiator.good({ cdb: read16(lba, blocks), read: blocks * 512, lun });

  it("a token says what it is", async () => {
    const token = await tokenOf(initiator, [
      { lba: 16, blocks: 8 },
      { lba: 100, blocks: 3 },
    ]);
    assert.equal(token.subarray(0, 8).toString("hex"), "00010000" + "0000" + "01f8");
    const name = await nameOf(initiator, 0);
    const creator = `e4000000010300${"08"}${name.toString("hex")}${"00".repeat(12)}00000200`;
    assert.equal(token.subarray(16, 48).toString("hex"), creator);
    assert.equal(token.readBigUInt64BE(56), 11n * 512n);
    assert.equal(token.readUInt32BE(96), 512);
    assert.match(token.subarray(132).toString("latin1"), /^iqn\.2026-11\.io\.ringlun:test\0/);
    const again = await tokenOf(initiator, [
      { lba: 16, blocks: 8 },
      { lba: 100, blocks: 3 },
    ]);
    assert.ok(!again.subarray(8, 16).equals(token.subarray(8, 16)));
    assert.ok(!again.subarray(400).equals(token.subarray(400)));
  });

  it("ranges of the ROD are laid over the ranges to write", async () => {
    const token = await tokenOf(initiator, [
      { lba: 10, blocks: 5 },
      { lba: 3, blocks: 0 },
      { lba: 100, blocks: 7 },
    ]);
    assert.equal(
      await use(token, [
        { lba: 64, blocks: 2 },
        { lba: 32, blocks: 10 },
      ]),
      "good",
    );
    const expected = Buffer.concat([numbered(10, 5), numbered(100, 7)]);
    assert.ok((await blocksAt(64, 2)).equals(expected.subarray(0, 2 * 512)));
    assert.ok((await blocksAt(32, 10)).equals(expected.subarray(2 * 512)));
    const { serviceAction, status, transferCount, units, segments } = await rodInformation(initiator, id, 1);
    assert.deepEqual([serviceAction, status, transferCount, units, segments], [0x11, COMPLETED, 12, LOGICAL_BLOCKS, 2]);
    const { sense } = await initiator.command({ cdb: copyIn(0x07, id), read: 1024, lun: 1 });
    assert.equal(sense.subarray(12, 18).toString("hex"), "240000c00002", "it is told once");
  });

  it("from an offset on, and as far as the ROD goes", async () => {
    const token = await tokenOf(initiator, [
      { lba: 200, blocks: 4 },
      { lba: 300, blocks: 4 },
    ]);
    assert.equal(await use(token, [{ lba: 0, blocks: 3 }], { offset: 3 }), "good");
    assert.ok((await blocksAt(0, 3)).equals(Buffer.concat([numbered(203, 1), numbered(300, 2)])));
    await initiator.good({ cdb: write16(0, 8), write: Buffer.alloc(8 * 512, 0xee), lun: 1 });
    assert.equal(
      await use(
        token,
        [
          { lba: 0, blocks: 2 },
          { lba: 4, blocks: 4 },
        ],
        { offset: 5 },
      ),
      "good",
    );
    const { status, transferCount } = await rodInformation(initiator, id, 1);
    assert.deepEqual([status, transferCount], [COMPLETED_WITH_PART, 3]);
    const kept = Buffer.alloc(512, 0xee);
    const expected = [numbered(301, 2), kept, kept, numbered(303, 1), kept, kept, kept];
    assert.ok((await blocksAt(0, 8)).equals(Buffer.concat(expected)));
    assert.equal(await use(token, [{ lba: 0, blocks: 1 }], { offset: 8 }), "5/2600 800008");
    assert.equal(await use(token, [{ lba: 0, blocks: 1 }], { offset: 2 ** 53 }), "5/2600 800008");
  });

  it("to a unit of another block length: in its blocks", async () => {
    const token = await tokenOf(initiator, [{ lba: 8, blocks: 20 }]);
    assert.equal(await use(token, [{ lba: 1, blocks: 3 }], {}, 2), "good");
    const { status, transferCount } = await rodInformation(initiator, id, 2);
    assert.deepEqual([status, transferCount], [COMPLETED_WITH_PART, 2]);
    const data = await initiator.good({ cdb: read16(1, 2), read: 8192, lun: 2 });
    assert.ok(data.equals(numbered(8, 16)));
  });

  it("a token gives what is there when it is used: access upon reference", async () => {
    const token = await tokenOf(initiator, [{ lba: 400, blocks: 1 }]);
    const newer = Buffer.alloc(512, 0x77);
    await initiator.good({ cdb: write16(400, 1), write: newer });
    assert.equal(await use(token, [{ lba: 9, blocks: 1 }]), "good");
    assert.ok((await blocksAt(9, 1)).equals(newer));
    await initiator.good({ cdb: write16(400, 1), write: numbered(400, 1) });
  });

  it("the zero token writes zeroes, as many as are asked for", async () => {
    await initiator.good({ cdb: write16(1000, 64), write: numbered(0, 64), lun: 1 });
    assert.equal(
      await use(
        zeroToken(),
        [
          { lba: 1001, blocks: 9 },
          { lba: 1040, blocks: 8 },
        ],
        { offset: 99 },
      ),
      "good",
    );
    const expected = numbered(0, 64);
    expected.fill(0, 512, 10 * 512);
    expected.fill(0, 40 * 512, 48 * 512);
    assert.ok((await blocksAt(1000, 64)).equals(expected));
    const { status, transferCount } = await rodInformation(initiator, id, 1);
    assert.deepEqual([status, transferCount], [COMPLETED, 17]);
  });

  it("IMMED: the status comes at once, and the outcome is asked for", async () => {
    const token = await tokenOf(initiator, [{ lba: 0, blocks: 512 }]);
    assert.equal(await use(token, [{ lba: 2048, blocks: 512 }], { flags: 0x01 }), "good");
    for (;;) {
      const { status, transferCount } = await rodInformation(initiator, id, 1);
      assert.ok(status === COMPLETED || status === 0x12, `${status}`);
      if (status !== COMPLETED) continue;
      assert.equal(transferCount, 512);
      break;
    }
    assert.ok((await blocksAt(2048, 512)).equals(numbered(0, 512)));
  });

  it("by another initiator, and through another unit, the same token works", async () => {
    const token = await tokenOf(initiator, [{ lba: 50, blocks: 4 }]);
    const list = writeUsingTokenList(token, [{ lba: 3000, blocks: 4 }]);
    assert.equal(outcome(await writeUsingToken(other, list, 1, 1)), "good");
    assert.ok((await blocksAt(3000, 4)).equals(numbered(50, 4)));
    // On the source itself, over itself.
    const own = writeUsingTokenList(token, [{ lba: 600, blocks: 4 }]);
    assert.equal(outcome(await writeUsingToken(other, own, 1, 0)), "good");
    assert.ok((await blocksAt(600, 4, 0)).equals(numbered(50, 4)));
  });

  it("a token that is not one of ours", async () => {
    const token = await tokenOf(initiator, [{ lba: 0, blocks: 1 }]);
    const changed = (byte: number) => {
      const bytes = Buffer.from(token);
      bytes[byte]! ^= 0x01;
      return bytes;
    };
    const ranges = [{ lba: 0, blocks: 1 }];
    for (const byte of [8, 15, 16, 127, 300, 511]) assert.equal(await use(changed(byte), ranges), "5/2304", `${byte}`);
    assert.equal(await use(changed(1), ranges), "5/2301");
    assert.equal(await use(changed(7), ranges), "5/230a");
    assert.equal(await use(Buffer.alloc(ROD_TOKEN_BYTES), ranges), "5/2301");
    assert.equal(await use(Buffer.alloc(ROD_TOKEN_BYTES, 0xff), ranges), "5/2301");
    assert.equal(await use(token, ranges), "good");
  });

  it("a token ends when it is deleted, and when nobody has used it for so long", async () => {
    const ranges = [{ lba: 0, blocks: 1 }];
    const deleted = await tokenOf(initiator, ranges);
    assert.equal(await use(deleted, ranges, { flags: 0x02 }), "good");
    assert.equal(await use(deleted, ranges), "5/2304");
    const idle = await tokenOf(initiator, ranges, { timeoutS: 1 });
    await sleep(1100);
    assert.equal(await use(idle, ranges), "5/2304");
  });

  it("REPORT ALL ROD TOKENS tells of all, without what makes them unguessable", async () => {
    const token = await tokenOf(initiator, [{ lba: 77, blocks: 1 }]);
    const data = await other.good({ cdb: copyIn(0x08, 0, 65536), read: 65536 });
    assert.equal(data.readUInt32BE(0), data.length - 4);
    const told = Array.from({ length: (data.length - 8) / 96 }, (_, i) => data.subarray(8 + 96 * i, 104 + 96 * i));
    assert.equal(told.filter((bytes) => bytes.equals(token.subarray(0, 96))).length, 1);
    assert.equal((await other.good({ cdb: copyIn(0x08, 0, 1), read: 64 })).length, 1);
  });

  it("POPULATE TOKEN with a list that is wrong", async () => {
    const send = (list: Buffer) => populateToken(initiator, list, ++id).then(outcome);
    const one = [{ lba: 0, blocks: 1 }];
    for (const length of [1, 15]) assert.equal(await send(populateTokenList(one).subarray(0, length)), "5/1a00");
    assert.equal(await send(populateTokenList(one).subarray(0, 31)), "5/1a00");
    assert.equal(await send(populateTokenList(one, { rangesLength: 0xfff0 })), "5/1a00");
    assert.equal(await send(populateTokenList(one, { rangesLength: 0 })), "5/2600 80000e");
    assert.equal(await send(populateTokenList(one, { rangesLength: 15 })), "5/2600 80000e");
    assert.equal(await send(populateTokenList(one, { dataLength: 29 })), "5/2600 800000");
    assert.equal(await send(populateTokenList(one, { timeoutS: TIMEOUT_MAX_S + 1 })), "5/2600 800004");
    assert.equal(await send(populateTokenList(one, { timeoutS: TIMEOUT_MAX_S })), "good");
    assert.equal(await send(populateTokenList(one, { flags: 0x02, rodType: 0x0080_0000 })), "5/2600 800008");
    assert.equal(await send(populateTokenList(one, { flags: 0x02, rodType: 0x0001_0000 })), "good");
    assert.equal(await send(populateTokenList(one, { rodType: 0x0080_0000 })), "good", "RTV=0");
    const many = Array.from({ length: RANGES_MAX + 1 }, (_, lba) => ({ lba, blocks: 1 }));
    assert.equal(await send(populateTokenList(many)), "5/2608 80000e");
    assert.equal(await send(populateTokenList(many.slice(1))), "good");
    assert.equal(
      await send(
        populateTokenList([
          { lba: 8, blocks: 8 },
          { lba: 0, blocks: 9 },
        ]),
      ),
      "5/2600 800020",
    );
    assert.equal(
      await send(
        populateTokenList([
          { lba: 8, blocks: 8 },
          { lba: 0, blocks: 8 },
        ]),
      ),
      "good",
    );
    assert.equal(await send(populateTokenList([{ lba: BLOCKS, blocks: 1 }])), `5/2100 at ${BLOCKS}`);
    assert.equal(await send(populateTokenList([{ lba: BLOCKS - 1, blocks: 2 }])), `5/2100 at ${BLOCKS}`);
    const highest = populateTokenList(one);
    highest.fill(0xff, 16, 24);
    assert.equal(await send(highest), "5/2100");
  });

  it("WRITE USING TOKEN with a list that is wrong writes nothing", async () => {
    const token = await tokenOf(initiator, [{ lba: 0, blocks: 8 }]);
    const marker = Buffer.alloc(8 * 512, 0x55);
    await initiator.good({ cdb: write16(500, 8), write: marker, lun: 1 });
    const ranges = [
      { lba: 500, blocks: 4 },
      { lba: 504, blocks: 4 },
    ];
    const send = (list: Buffer) => writeUsingToken(initiator, list, ++id, 1).then(outcome);
    for (const length of [1, 535, 536 + 31]) {
      assert.equal(await send(writeUsingTokenList(token, ranges).subarray(0, length)), "5/1a00");
    }
    assert.equal(await send(writeUsingTokenList(token, ranges, { rangesLength: 0 })), "5/2600 800216");
    assert.equal(await send(writeUsingTokenList(token, ranges, { rangesLength: 31 })), "5/2600 800216");
    assert.equal(await send(writeUsingTokenList(token, ranges, { dataLength: 565 })), "5/2600 800000");
    assert.equal(await send(writeUsingTokenList(token, [...ranges, { lba: 507, blocks: 1 }])), "5/2600 800238");
    assert.equal(
      await send(writeUsingTokenList(token, [...ranges, { lba: BLOCKS, blocks: 1 }])),
      `5/2100 at ${BLOCKS}`,
    );
    assert.ok((await blocksAt(500, 8)).equals(marker));
    const less = writeUsingTokenList(token, ranges);
    const cut = await initiator.command({ cdb: copyOut(0x11, less.length, 7), write: less.subarray(0, 540), lun: 1 });
    assert.equal(outcome(cut), "5/1a00");
  });
});
