/** The REPORT LUNS well-known logical unit, and every way in which an ordinary one is named (SPC-5, SAM-5). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inquiry, read10, reportLuns, requestSense, testUnitReady } from "../../support/cdb.js";
import { TARGET_NAME } from "../../support/target.js";
import { assertSense, hex, serve } from "./fixture.js";

const fixture = serve({
  config: ({ port }) => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: [{ name: "${TARGET_NAME}", portalGroups: [1], luns: { 0: a, 300: b, 16383: c } }]
units: { a: { null: true, size: 1MiB }, b: { null: true, size: 2MiB }, c: { null: true, size: 3MiB } }
workers: 2
`,
});
const WELL_KNOWN = Buffer.from("c101000000000000", "hex");

function lun(text: string): Buffer {
  return Buffer.from(text.padEnd(16, "0"), "hex");
}

test("it lists what there is, itself included where that is asked for", async () => {
  const initiator = await fixture.login("lists");
  const luns = ["0000", "412c", "7fff"].map((each) => each.padEnd(16, "0")).join("");
  for (const at of [WELL_KNOWN, lun("0000"), lun("0009")]) {
    const report = async (select: number) =>
      hex(await initiator.good({ cdb: reportLuns(4096, select), read: 4096, lun: at }));
    assert.equal(await report(0x00), `0000001800000000${luns}`);
    assert.equal(await report(0x01), "0000000800000000c101000000000000");
    assert.equal(await report(0x02), `0000002000000000${luns}c101000000000000`);
    assert.equal(await report(0x11), `0000001800000000${luns}`);
    for (const select of [0x10, 0x12]) assert.equal(await report(select), "0000000000000000");
  }
});

test("it has four commands, and no medium", async () => {
  const initiator = await fixture.login("commands");
  await initiator.good({ cdb: testUnitReady(), lun: WELL_KNOWN });
  const data = await initiator.good({ cdb: inquiry(undefined, 36), read: 36, lun: WELL_KNOWN });
  assert.equal(data[0], 0x1e);
  const sense = await initiator.good({ cdb: requestSense(), read: 252, lun: WELL_KNOWN });
  assert.equal(hex(sense.subarray(0, 3)), "700000");
  assertSense(await initiator.command({ cdb: read10(0, 1), read: 512, lun: WELL_KNOWN }), 5, 0x20, 0);
  assertSense(await initiator.command({ cdb: testUnitReady(), lun: lun("c102") }), 5, 0x25, 0);
});

test("a unit answers in flat space addressing as well, and above 255 only so", async () => {
  const initiator = await fixture.login("addressing");
  for (const [address, blocks] of [
    ["0000", 2048],
    ["4000", 2048],
    ["412c", 4096],
    ["7fff", 6144],
  ] as const) {
    await initiator.command({ cdb: testUnitReady(), lun: lun(address) });
    const capacity = await initiator.good({
      cdb: Buffer.from([0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
      read: 8,
      lun: lun(address),
    });
    assert.equal(capacity.readUInt32BE(0), blocks - 1, address);
  }
  for (const address of ["012c", "4001", "0001", "4000000000000001"]) {
    assertSense(await initiator.command({ cdb: testUnitReady(), lun: lun(address) }), 5, 0x25, 0);
  }
});
