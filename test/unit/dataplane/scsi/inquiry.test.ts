import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { SENSE_BYTES_MAX } from "../../../../dataplane/scsi/sense.js";
import { COMMANDS } from "../../../../dataplane/scsi/table.js";
import { assertInvalidFieldInCdb, Bench, type BenchOptions, fromHex, hex, TARGET_NAME, UUID, u16 } from "./bench.js";

function inquiry(bench: Bench, allocationLength = 0xffff, lun = 0): Uint8Array {
  return bench.run([0x12, 0, 0, ...u16(allocationLength), 0], { lun }).data;
}

/** The page behind its header, which is checked. */
function vpd(code: number, options: BenchOptions = {}): Uint8Array {
  const { data } = new Bench(options).run([0x12, 0x01, code, 0xff, 0xff, 0]);
  assert.equal(hex(data.subarray(0, 4)), hex(Uint8Array.from([0, code, ...u16(data.length - 4)])));
  return data.subarray(4);
}

function ascii(text: string): string {
  return Buffer.from(text, "latin1").toString("hex");
}

test("standard data", () => {
  const expected =
    "00 00 06 12 5b 38 00 02" +
    ascii("RINGLUN ") +
    ascii("Virtual Disk    ") +
    ascii("0001") +
    "00".repeat(22) +
    "00a0 0960 0460 05c0 04c0 0600" +
    "00".repeat(26);
  assert.equal(hex(inquiry(new Bench())), hex(fromHex(expected)));
});

test("standard data of a removable unit has RMB", () => {
  assert.equal(hex(inquiry(new Bench({ removable: true })).subarray(0, 2)), "0080");
});

test("a LUN without a unit has peripheral qualifier 011b, and no vital product data", () => {
  const bench = new Bench({ removable: true });
  for (const lun of [1, -1]) {
    const data = inquiry(bench, 96, lun);
    assert.equal(hex(data.subarray(0, 3)), "7f0006");
    assert.equal(data.length, 96);
    assertInvalidFieldInCdb(bench.run([0x12, 0x01, 0x00, 0, 255, 0], { lun }), "2");
    assertInvalidFieldInCdb(bench.run([0x12, 0x01, 0x83, 0, 255, 0], { lun }), "2");
  }
});

test("every allocation length is legal, and the additional length does not depend on it", () => {
  const bench = new Bench();
  const whole = hex(inquiry(bench));
  for (const length of [0, 1, 4, 5, 36, 95, 96, 97, 255, 256, 511, 512]) {
    assert.equal(hex(inquiry(bench, length)), whole.slice(0, 2 * length));
    const page = bench.run([0x12, 0x01, 0xb0, ...u16(length), 0]).data;
    assert.equal(page.length, Math.min(length, 64));
  }
});

test("a page code without EVPD, and pages that are not there, are refused", () => {
  const bench = new Bench();
  assertInvalidFieldInCdb(bench.run([0x12, 0x00, 0x80, 0, 255, 0]), "2");
  for (const code of [0x01, 0x81, 0x82, 0x84, 0x89, 0xb3, 0xff]) {
    assertInvalidFieldInCdb(bench.run([0x12, 0x01, code, 0, 255, 0]), "2");
  }
});

test("page 00 lists the pages, and each of them can be read", () => {
  const list = vpd(0x00);
  assert.equal(hex(list), "008083858687888fb0b1b2");
  for (const code of list) if (code !== 0x85 && code !== 0x88) vpd(code);
});

test("page 8f: third-party copy, its bounds and RODs", () => {
  const expected = [
    "0000 0020 000000000000 0080 00000258 0000003c 0000000000000000 0000000000020000",
    "0001 0014 10 83 05 00 01 10 11 1c 84 07 00 01 03 04 05 07 08 000000",
    "0004 001c 00000000 0040 0100 00002400 00000000 000000000000000000000000",
    "0008 0004 02 02 e4 00",
    "000c 0004 0002 ffff",
    `0106 005c ${"00".repeat(12)} 00000001 ffffffff 00000258 ${"00".repeat(18)} 0030`,
    `0000 002c 0000 0000 ${"00".repeat(8)} 0000000004000000 ${"00".repeat(24)}`,
    "0108 0084 0000 0080",
    `00010000 03 00 0000 ${"00".repeat(56)} ffff0001 02 00 0000 ${"00".repeat(56)}`,
    `8001 0020 000000ff 00000020 00000000 09 00 ${"00".repeat(18)}`,
  ];
  assert.equal(hex(vpd(0x8f)), expected.join("").replaceAll(" ", ""));
  // OPTIMAL TRANSFER COUNT is told in blocks.
  assert.equal(hex(vpd(0x8f, { blockLengthBytes: 4096 }).subarray(28, 36)), "0000000000004000");
});

test("page 8f lists the service actions that the command table has", () => {
  const page = vpd(0x8f);
  const list = [...page.subarray(36 + 5, 36 + 5 + page[36 + 4]!)];
  const expected = [0x83, 0x84].flatMap((opcode) => {
    const actions = COMMANDS.filter((command) => command.opcode === opcode).map(({ serviceAction }) => serviceAction);
    return [opcode, actions.length, ...actions];
  });
  assert.deepEqual(list, expected);
});

test("pages 85 and 88 are control's to answer", () => {
  for (const code of [0x85, 0x88]) {
    const bench = new Bench();
    assert.equal(bench.run([0x12, 0x01, code, 0, 255, 0]).status, "good");
    assert.deepEqual(bench.operations, ["control"]);
    assertInvalidFieldInCdb(bench.run([0x12, 0x01, code, 0, 255, 0], { lun: 1 }), "2");
  }
});

test("page 86: task attributes, a volatile cache, and how long sense data can be", () => {
  const senseLength = SENSE_BYTES_MAX.toString(16).padStart(2, "0");
  assert.equal(hex(vpd(0x86)), `000701${"00".repeat(6)}${senseLength}${"00".repeat(50)}`);
});

test("page 87: all mode pages are shared by all nexuses", () => {
  assert.equal(hex(vpd(0x87)), "3fff0000");
});

test("the well-known unit says that it is one, and names the port and the target alone", () => {
  const bench = new Bench({ luns: [] });
  assert.equal(hex(inquiry(bench, 96, 0xc101).subarray(0, 3)), "1e0006");
  const page = (code: number) => bench.run([0x12, 0x01, code, 0x04, 0, 0], { lun: 0xc101 });
  assert.equal(hex(page(0x00).data), "1e0000020083");
  const [ofUnit, ofTarget] = [vpd(0x83), page(0x83).data];
  // NAA and T10 designators come first.
  const ofPortAndTarget = hex(ofUnit).slice(2 * (12 + 4 + 8 + 36));
  assert.equal(hex(ofTarget), `1e83${hex(Uint8Array.from(u16(ofPortAndTarget.length / 2)))}${ofPortAndTarget}`);
  for (const code of [0x80, 0x86, 0xb0]) assertInvalidFieldInCdb(page(code), "2");
});

test("page 80 is the UUID", () => {
  assert.equal(hex(vpd(0x80)), ascii(UUID));
});

interface Designator {
  readonly protocol: number;
  readonly codeSet: number;
  readonly flags: number;
  readonly association: number;
  readonly type: number;
  readonly designator: Uint8Array;
}

function designators(options: BenchOptions = {}): Designator[] {
  const page = vpd(0x83, options);
  const found: Designator[] = [];
  let at = 0;
  while (at < page.length) {
    const length = page[at + 3]!;
    assert.equal(page[at + 2], 0);
    found.push({
      protocol: page[at]! >>> 4,
      codeSet: page[at]! & 0x0f,
      flags: page[at + 1]! & 0xc0,
      association: (page[at + 1]! >>> 4) & 3,
      type: page[at + 1]! & 0x0f,
      designator: page.slice(at + 4, at + 4 + length),
    });
    at += 4 + length;
  }
  assert.equal(at, page.length);
  return found;
}

const NAA_OF_UUID = "33a5024d9e7bf519";

test("page 83: the unit's NAA 3 and T10 names", () => {
  const [naa, t10] = designators();
  assert.deepEqual(
    { ...naa, designator: hex(naa!.designator) },
    {
      protocol: 0,
      codeSet: 1,
      flags: 0,
      association: 0,
      type: 3,
      // Never to change: hosts know their disks by it.
      designator: NAA_OF_UUID,
    },
  );
  assert.equal(NAA_OF_UUID, `3${createHash("sha256").update(UUID).digest("hex").slice(1, 16)}`);
  assert.deepEqual(
    { ...t10, designator: hex(t10!.designator) },
    {
      protocol: 0,
      codeSet: 2,
      flags: 0,
      association: 0,
      type: 1,
      designator: ascii(`RINGLUN ${UUID}`),
    },
  );
});

test("page 83: the port by number, by group and by name, and the target by name", () => {
  const [relative, group, port, target] = designators({ targetPortalGroupTag: 0x1a2b }).slice(2);
  const iscsi = { protocol: 5, flags: 0x80 };
  assert.deepEqual(
    { ...relative, designator: hex(relative!.designator) },
    {
      ...iscsi,
      codeSet: 1,
      association: 1,
      type: 4,
      designator: "00001a2b",
    },
  );
  assert.deepEqual(
    { ...group, designator: hex(group!.designator) },
    {
      ...iscsi,
      codeSet: 1,
      association: 1,
      type: 5,
      designator: "00001a2b",
    },
  );
  // 27 + 9 bytes and the NUL, padded to a multiple of four.
  assert.deepEqual(
    { ...port, designator: hex(port!.designator) },
    {
      ...iscsi,
      codeSet: 3,
      association: 1,
      type: 8,
      designator: `${ascii(`${TARGET_NAME},t,0x1a2b`)}00000000`,
    },
  );
  assert.deepEqual(
    { ...target, designator: hex(target!.designator) },
    {
      ...iscsi,
      codeSet: 3,
      association: 2,
      type: 8,
      designator: `${ascii(TARGET_NAME)}00`,
    },
  );
  assert.equal(designators().length, 6);
});

test("page 83: small tags have four digits", () => {
  assert.ok(Buffer.from(designators({ targetPortalGroupTag: 1 })[4]!.designator).includes(",t,0x0001\0"));
});

test("units differ in page 80 and in all designators of the unit, also by a hair", () => {
  const uuids = [1, 2, 3].map((n) => `00000000-0000-0000-0000-00000000000${n}`);
  const names = uuids.map((uuid) =>
    designators({ uuid })
      .slice(0, 2)
      .map(({ designator }) => hex(designator)),
  );
  assert.equal(new Set(names.map(([naa]) => naa)).size, 3);
  assert.equal(new Set(names.map(([, t10]) => t10)).size, 3);
});

/** By the offsets of SBC-4, which count the header. */
function u32At(page: Uint8Array, offset: number): number {
  return new DataView(page.buffer, page.byteOffset).getUint32(offset - 4);
}

test("page B0 tells the limits, in blocks", () => {
  const page = vpd(0xb0, { blockLengthBytes: 512, thin: true });
  const expected = "00 80 0008 00010000 00000200 00010000 ffffffff 00000100 00000008 80000000 0000000000020000";
  assert.equal(hex(page), `${hex(fromHex(expected))}000001000000000800000008${"00".repeat(8)}`);
  const of4096 = vpd(0xb0, { blockLengthBytes: 4096, thin: true });
  assert.equal(
    hex(of4096.subarray(0, 40)),
    hex(fromHex("00 10 0001 00002000 00000040 00002000 ffffffff 00000100 00000000 00000000 0000000000004000")),
  );
});

test("page B0 of a unit that cannot deallocate has no UNMAP limits", () => {
  const page = vpd(0xb0, { thin: false });
  for (const offset of [20, 24, 28, 32]) assert.equal(u32At(page, offset), 0);
  assert.equal(u32At(page, 40), 0x2_0000);
});

test("page B1: not rotating, VERIFY compares unmapped blocks, and what SANITIZE has erased can be read (WABEREQ, WACEREQ 01b)", () => {
  assert.equal(hex(vpd(0xb1)), `0001005001${"00".repeat(55)}`);
});

test("page B2: UNMAP and WRITE SAME unmap, and unmapped blocks read as zeroes", () => {
  // Threshold sets of 1 MiB.
  assert.equal(hex(vpd(0xb2, { thin: true })), "0be40200");
  assert.equal(hex(vpd(0xb2, { thin: true, blockLengthBytes: 4096 })), "08e40200");
  assert.equal(hex(vpd(0xb2, { thin: false })), "00000000");
});
