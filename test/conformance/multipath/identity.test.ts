/** All paths lead to one unit: what identifies it is the same, what identifies the port is the path's own (SPC-5). */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inquiry, read10, testUnitReady } from "../../support/cdb.js";
import { RawInitiator } from "../../support/raw-initiator.js";
import { senseOf } from "../../support/sense.js";
import { TARGET_NAME } from "../../support/target.js";
import { READ_FULL_STATUS } from "../reservations/fixture.js";
import {
  GOOD,
  OPTIMIZED,
  type Path,
  parseGroups,
  reportGroups,
  SECOND_TARGET_NAME,
  STANDBY,
  startPaths,
} from "./fixture.js";

/** "association/type": designator in hexadecimal. */
function designators(page: Buffer): Map<string, string> {
  const found = new Map<string, string>();
  for (let at = 4; at < page.length; at += 4 + page[at + 3]!) {
    const kind = `${(page[at + 1]! >> 4) & 3}/${page[at + 1]! & 0x0f}`;
    assert.ok(!found.has(kind), kind);
    found.set(kind, page.subarray(at + 4, at + 4 + page[at + 3]!).toString("hex"));
  }
  return found;
}

const UNIT_NAA = "0/3";
const UNIT_T10 = "0/1";
const TARGET_SCSI_NAME = "2/8";
const PORT_RELATIVE = "1/4";
const PORT_GROUP = "1/5";
const PORT_SCSI_NAME = "1/8";

describe("paths to one unit", () => {
  const paths = startPaths(2);

  async function both(): Promise<[Path, Path]> {
    return [await paths.path("a", 1), await paths.path("a", 2)];
  }

  it("standard data says that access states change, implicitly and explicitly", async () => {
    for (const path of await both()) assert.equal((await path.inquiry())[5]! & 0x30, 0x30, "TPGS");
  });

  it("pages 80 and 83 identify one unit of one target, and different ports", async () => {
    const [one, other] = await both();
    assert.deepEqual(await one.inquiry(0x80), await other.inquiry(0x80));
    const [first, second] = [designators(await one.inquiry(0x83)), designators(await other.inquiry(0x83))];
    for (const kind of [UNIT_NAA, UNIT_T10, TARGET_SCSI_NAME]) {
      assert.ok(first.get(kind)!.length > 0);
      assert.equal(first.get(kind), second.get(kind), kind);
    }
    assert.deepEqual(
      [PORT_RELATIVE, PORT_GROUP].map((kind) => [first.get(kind), second.get(kind)]),
      [
        ["00000001", "00000002"],
        ["00000001", "00000002"],
      ],
    );
    assert.equal(
      Buffer.from(second.get(PORT_SCSI_NAME)!, "hex").toString().replaceAll("\0", ""),
      `${TARGET_NAME},t,0x0002`,
    );
  });

  it("another target shows the same unit, with the same states", async () => {
    const [path] = await both();
    const initiator = await RawInitiator.connect(paths.target.places.port2);
    await initiator.login({ targetName: SECOND_TARGET_NAME, initiatorName: path.name });
    const page = await initiator.good({ cdb: inquiry(0x83), read: 255, lun: 5 });
    const [first, second] = [designators(await path.inquiry(0x83)), designators(page)];
    for (const kind of [UNIT_NAA, UNIT_T10]) assert.equal(first.get(kind), second.get(kind), kind);
    assert.notEqual(first.get(TARGET_SCSI_NAME), second.get(TARGET_SCSI_NAME));
    assert.equal(await path.set([2, STANDBY]), GOOD);
    const told = senseOf(await initiator.command({ cdb: testUnitReady(), lun: 5 }));
    assert.deepEqual([told.key, told.code], [6, 0x2a06]);
    const groups = parseGroups(await initiator.good({ cdb: reportGroups(), read: 1024, lun: 5 }));
    assert.deepEqual(groups, await path.groups());
    assert.equal(senseOf(await initiator.command({ cdb: read10(0, 1), read: 512, lun: 5 })).code, 0x040b);
    assert.equal(await path.set([2, OPTIMIZED]), GOOD);
    await initiator.logout();
  });

  it("page 88, REPORT TARGET PORT GROUPS and READ FULL STATUS number the ports as page 83 does", async () => {
    const [one, other] = await both();
    const page = await one.inquiry(0x88);
    assert.deepEqual(page, await other.inquiry(0x88));
    const ports: number[] = [];
    for (let at = 4; at < page.length; ) {
      ports.push(page.readUInt16BE(at + 2));
      assert.equal(page.readUInt16BE(at + 6), 0, "no initiator port");
      const length = page.readUInt16BE(at + 10);
      const name = page
        .subarray(at + 16, at + 12 + length)
        .toString()
        .replaceAll("\0", "");
      assert.equal(name, `${TARGET_NAME},t,0x000${ports.at(-1)}`);
      at += 12 + length;
    }
    assert.deepEqual(ports, [1, 2]);
    assert.deepEqual(
      (await one.groups()).map((group) => [group.tag, group.ports]),
      [
        [1, [1]],
        [2, [2]],
      ],
    );
    await one.register(1);
    await other.register(2);
    const status = await one.in(READ_FULL_STATUS);
    const registered: [number, number][] = [];
    for (let at = 8; at < status.length; at += 24 + status.readUInt32BE(at + 20)) {
      registered.push([Number(status.readBigUInt64BE(at)), status.readUInt16BE(at + 18)]);
    }
    assert.deepEqual(registered, [
      [1, 1],
      [2, 2],
    ]);
  });

  it("both header formats, cut where the initiator wants", async () => {
    const [path] = await both();
    const plain = await path.initiator.good({ cdb: reportGroups(0), read: 1024 });
    assert.equal(plain.length, 4 + 2 * 12);
    const extended = await path.initiator.good({ cdb: reportGroups(1), read: 1024 });
    assert.equal(extended.subarray(0, 8).toString("hex"), "0000001c10010000");
    assert.deepEqual(parseGroups(extended, 8), parseGroups(plain));
    for (const length of [0, 1, 3, 4, 11, 27, 28, 29]) {
      const cut = await path.initiator.good({ cdb: reportGroups(0, length), read: length });
      assert.deepEqual(cut, plain.subarray(0, length), `${length}`);
    }
    for (const format of [2, 7]) {
      const { sense } = await path.result({ cdb: reportGroups(format), read: 1024 });
      // ILLEGAL REQUEST, INVALID FIELD IN CDB, byte 1 bit 7.
      assert.equal(sense.subarray(2, 3).toString("hex"), "05");
      assert.equal(sense.subarray(12, 18).toString("hex"), "240000cf0001");
    }
  });
});
