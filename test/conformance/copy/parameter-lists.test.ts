/**
 * Parameter lists of EXTENDED COPY that are wrong (SPC-5): each is refused with the field that is wrong, and nothing of it is
 * copied, whatever else it asks for.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { read16, write16 } from "../../support/cdb.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import type { CommandResult } from "../../support/raw-task.js";
import { GOOD, outcomeOf } from "../../support/sense.js";
import { logIn, serveUnits } from "../../support/served-units.js";
import { copyOut, cscd, extendedCopy, listLid1, listLid4, nameOf, segment } from "../../support/third-party-copy.js";
import { Undo } from "../../support/undo.js";

const MIB = 2 ** 20;
const BLOCKS = MIB / 512;
const CSCDS_MAX = 64;
const SEGMENTS_MAX = 256;

/** "key/asc+ascq", and behind it the sense-key-specific bytes, if they are valid, and the segment of COPY ABORTED. */
function outcome(result: CommandResult): string {
  const code = outcomeOf(result);
  if (code === GOOD) return code;
  const { sense } = result;
  const specific = (sense[15]! & 0x80) === 0 ? "" : ` ${sense.subarray(15, 18).toString("hex")}`;
  return code.startsWith("a/") ? `${code}${specific} segment ${sense.readUInt32BE(8)}` : `${code}${specific}`;
}

describe("parameter lists of EXTENDED COPY", () => {
  const undo = new Undo({ after });
  let initiator: RawInitiator;
  let names: Buffer[];
  const content = Buffer.alloc(8 * 512, 0x3c);

  before(async () => {
    const folder = undo.folder();
    const unit = (name: string) => ({ path: join(folder, name), sizeBytes: MIB, cache: "writeback" as const });
    const target = await serveUnits(undo, [unit("a"), unit("b"), { ...unit("c"), blockLength: 4096 }]);
    initiator = await logIn(undo, target, 3);
    names = [await nameOf(initiator, 0), await nameOf(initiator, 1), await nameOf(initiator, 2)];
    await initiator.good({ cdb: write16(0, 8), write: content });
  });

  const good = () => segment({ source: 0, destination: 1, from: 0, to: 0, blocks: 8 });
  const both = () => [cscd(names[0]!), cscd(names[1]!)];

  /** The list is refused, and the segment before the wrong one, which is right, has not been copied. */
  async function refused(list: Buffer, expected: string): Promise<void> {
    const marker = Buffer.alloc(content.length, 0x99);
    await initiator.good({ cdb: write16(0, 8), write: marker, lun: 1 });
    assert.equal(outcome(await extendedCopy(initiator, list)), expected);
    const data = await initiator.good({ cdb: read16(0, 8), read: content.length, lun: 1 });
    assert.ok(data.equals(marker), "nothing is copied");
  }

  it("one that is right is carried out", async () => {
    assert.equal(outcome(await extendedCopy(initiator, listLid1(both(), [good()]))), "good");
    const data = await initiator.good({ cdb: read16(0, 8), read: content.length, lun: 1 });
    assert.ok(data.equals(content));
  });

  it("of length 0: no error, and nothing to do", async () => {
    for (const action of [0x00, 0x01, 0x10, 0x11]) await initiator.good({ cdb: copyOut(action, 0) });
  });

  it("shorter than a header, or than they say", async () => {
    const list = listLid1(both(), [good()]);
    for (const length of [1, 15, 16, 16 + 31, 16 + 64 + 27]) await refused(list.subarray(0, length), "5/1a00");
    const lid4 = listLid4(both(), [good()], {});
    for (const length of [1, 47, 48, lid4.length - 1]) {
      const cut = lid4.subarray(0, length);
      assert.equal(outcome(await initiator.command({ cdb: copyOut(0x01, length), write: cut })), "5/1a00");
    }
  });

  it("of which less comes than the CDB says", async () => {
    const list = listLid1(both(), [good()]);
    assert.equal(
      outcome(await initiator.command({ cdb: copyOut(0x00, list.length), write: list.subarray(0, list.length - 4) })),
      "5/1a00",
    );
  });

  it("with lengths that lie", async () => {
    const list = (fields: object) => listLid1(both(), [good()], fields);
    await refused(list({ cscdLength: 0xffff }), "5/1a00");
    await refused(list({ segmentLength: 0xffff_ffff }), "5/1a00");
    await refused(list({ segmentLength: 29 }), "5/1a00");
    await refused(list({ cscdLength: 63 }), "5/2600 800002");
    await refused(list({ segmentLength: 27 }), "5/2600 800008");
    await refused(list({ segmentLength: 1 }), "5/2600 800008");
    await refused(list({ inlineLength: 1 }), "5/260b 80000c");
    await refused(list({ inlineLength: 0xffff_ffff }), "5/260b 80000c");
  });

  it("with too many descriptors", async () => {
    const many = (count: number) => Array.from({ length: count }, () => cscd(names[0]!));
    const segments = (count: number) => Array.from({ length: count }, good);
    await refused(listLid1(many(CSCDS_MAX + 1), [good()]), "5/2606 800002");
    await refused(listLid1(both(), segments(SEGMENTS_MAX + 1)), "5/2608 800008");
    await refused(listLid1(many(CSCDS_MAX + 1), segments(SEGMENTS_MAX)), "5/1a00");
    const all = [...both(), ...many(CSCDS_MAX - 2)];
    assert.equal(outcome(await extendedCopy(initiator, listLid1(all, segments(SEGMENTS_MAX)))), "good");
  });

  it("of types that are not supported", async () => {
    await refused(listLid1([cscd(names[0]!, { type: 0xe0 }), ...both()], [good()]), "5/2607 800010");
    await refused(listLid1([...both(), cscd(names[0]!, { type: 0xe5 })], [good()]), "5/2607 800050");
    const stream = segment({ from: 0, to: 0, blocks: 1, type: 0x03 });
    await refused(listLid1(both(), [good(), stream]), "5/2609 80006c");
  });

  it("with fields that are wrong", async () => {
    await refused(listLid1(both(), [good()], { flags: 0x08 }), "5/2600 8c0001");
    await refused(listLid1(both(), [good()], { flags: 0x18, id: 1 }), "5/2600 800000");
    await refused(listLid1([cscd(names[0]!, { designatorLength: 21 }), ...both()], [good()]), "5/2600 800017");
    await refused(listLid1([cscd(names[0]!, { blockLength: 4096 }), ...both()], [good()]), "5/2600 80002d");
    const long = segment({ from: 0, to: 0, blocks: 1, descriptorLength: 0x1c });
    await refused(listLid1(both(), [good(), long]), "5/2600 80006e");
  });

  it("whose segments refer to nothing", async () => {
    const unknown = [...both(), cscd(Buffer.alloc(8, 0x3f))];
    const from = (source: number) => [good(), segment({ source, destination: 1, from: 0, to: 0, blocks: 1 })];
    const to = (destination: number) => [good(), segment({ source: 0, destination, from: 0, to: 0, blocks: 1 })];
    await refused(listLid1(both(), from(2)), "a/0804 a00004 segment 1");
    await refused(listLid1(both(), to(2)), "a/0804 a00006 segment 1");
    await refused(listLid1(both(), to(0x07ff)), "a/0804 a00006 segment 1");
    await refused(listLid1(both(), to(0xf800)), "a/0804 a00006 segment 1");
    await refused(listLid1(unknown, from(2)), "a/0d02 800050 segment 1");
    await refused(listLid1(unknown, to(2)), "a/0d02 800050 segment 1");
    assert.equal(outcome(await extendedCopy(initiator, listLid1(unknown, [good()]))), "good", "none refers to it");
    const named = (fields: object) => listLid1([...both(), cscd(names[1]!, fields)], to(2));
    await refused(named({ peripheral: 0x01 }), "a/0d03 800050 segment 1");
    await refused(named({ codeSet: 2 }), "a/0d02 800050 segment 1");
    await refused(named({ designatorType: 0x13 }), "a/0d02 800050 segment 1");
    await refused(named({ designatorType: 2 }), "a/0d02 800050 segment 1");
    await refused(named({ designatorLength: 7 }), "a/0d02 800050 segment 1");
  });

  it("whose segments reach beyond the end, up to 2^64", async () => {
    const list = (fields: { from: number; to: number; blocks: number }) =>
      listLid1(both(), [good(), segment({ source: 0, destination: 1, ...fields })]);
    await refused(list({ from: BLOCKS, to: 0, blocks: 1 }), "a/0000 a0000c segment 1");
    await refused(list({ from: BLOCKS - 7, to: 0, blocks: 8 }), "a/0000 a0000c segment 1");
    await refused(list({ from: 0, to: BLOCKS - 7, blocks: 8 }), "a/0000 a00014 segment 1");
    await refused(list({ from: 0, to: 0, blocks: 65535 }), "a/0000 a0000c segment 1");
    await refused(list({ from: 2 ** 63, to: 0, blocks: 1 }), "a/0000 a0000c segment 1");
    const highest = segment({ source: 0, destination: 1, from: 0, to: 0, blocks: 1 });
    highest.fill(0xff, 20);
    await refused(listLid1(both(), [good(), highest]), "a/0000 a00014 segment 1");
    await refused(list({ from: BLOCKS + 1, to: 0, blocks: 0 }), "a/0000 a0000c segment 1");
    assert.equal(outcome(await extendedCopy(initiator, list({ from: BLOCKS, to: BLOCKS, blocks: 0 }))), "good");
  });

  it("whose segment is no whole number of the other unit's blocks", async () => {
    const all = [...both(), cscd(names[2]!)];
    const odd = segment({ source: 0, destination: 2, from: 0, to: 0, blocks: 9 });
    await refused(listLid1(all, [good(), odd]), "a/260a segment 1");
    const list = listLid1(all, [segment({ source: 0, destination: 2, from: 0, to: 1, blocks: 8 })]);
    assert.equal(outcome(await extendedCopy(initiator, list)), "good");
    const data = await initiator.good({ cdb: read16(1, 1), read: 4096, lun: 2 });
    assert.ok(data.equals(content));
    // DC: blocks of the destination.
    const counted = segment({ source: 0, destination: 2, from: 0, to: 2, blocks: 1, flags: 0x02 });
    assert.equal(outcome(await extendedCopy(initiator, listLid1(all, [counted]))), "good");
    assert.ok((await initiator.good({ cdb: read16(2, 1), read: 4096, lun: 2 })).equals(content));
  });

  it("FFFFh is the unit that the command was sent to", async () => {
    const list = listLid1([cscd(names[1]!)], [segment({ source: 0xffff, destination: 0, from: 0, to: 64, blocks: 8 })]);
    assert.equal(outcome(await extendedCopy(initiator, list)), "good");
    assert.ok((await initiator.good({ cdb: read16(64, 8), read: 4096, lun: 1 })).equals(content));
  });

  it("of LID4", async () => {
    const send = (list: Buffer) => initiator.command({ cdb: copyOut(0x01, list.length), write: list });
    const list = listLid4(both(), [segment({ source: 0, destination: 1, from: 0, to: 128, blocks: 8 })], {
      id: 0x1234_5678,
    });
    assert.equal(outcome(await send(list)), "good");
    assert.ok((await initiator.good({ cdb: read16(128, 8), read: 4096, lun: 1 })).equals(content));
    const changed = (byte: number, value: number) => {
      const other = Buffer.from(list);
      other[byte] = value;
      return other;
    };
    assert.equal(outcome(await send(changed(0, 0x02))), "5/2600 800000");
    assert.equal(outcome(await send(changed(3, 0x1f))), "5/2600 800002");
    assert.equal(outcome(await send(changed(16, 0xfe))), "5/2600 800010");
    assert.equal(outcome(await send(changed(1, 0x18))), "5/2600 800014");
    assert.equal(outcome(await send(changed(47, 1))), "5/260b 80002e");
    const immediate = listLid4(both(), [good()], { id: 0, flags: 0x18 }, true);
    assert.equal(outcome(await send(immediate)), "5/2600 8c0001");
  });

  it("service actions that there are not, and CDBs with other bits set", async () => {
    for (const action of [0x02, 0x12, 0x1f]) {
      assert.equal(outcome(await initiator.command({ cdb: copyOut(action, 0) })), "5/2400 cc0001");
    }
    const cdb = copyOut(0x00, 0);
    cdb[9] = 0x01;
    assert.equal(outcome(await initiator.command({ cdb })), "5/2400 c80009");
    const list = listLid1(both(), [good()]);
    const huge = await initiator.command({ cdb: copyOut(0x00, 65537), write: list });
    assert.equal(outcome(huge), "5/1a00");
  });
});
