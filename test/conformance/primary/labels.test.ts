/** Identifying information, timestamps and priorities (SPC-5): what one nexus sets, the others see and are told once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { testUnitReady } from "../../support/cdb.js";
import { assertSense, hex, serve } from "./fixture.js";

const fixture = serve();

/** MAINTENANCE IN and OUT. `scope` is byte 2, `type` byte 10. */
function maintenance(opcode: number, action: number, length: number, { scope = 0, type = 0 } = {}): Buffer {
  const cdb = Buffer.from([opcode, action, scope, 0, 0, 0, 0, 0, 0, 0, type << 1, 0]);
  cdb.writeUInt32BE(length, 6);
  return cdb;
}

const reportInformation = maintenance(0xa3, 0x05, 600);
const reportTimestamp = maintenance(0xa3, 0x0f, 12);

test("identifying information is told to all but its author, and survives kill -9", async () => {
  const [author, reader] = [await fixture.login("author"), await fixture.login("reader")];
  assert.equal(hex(await author.good({ cdb: reportInformation, read: 600 })), "00000000");
  await author.good({ cdb: maintenance(0xa4, 0x06, 5), write: Buffer.from("label") });
  assertSense(await reader.command({ cdb: testUnitReady() }), 6, 0x3f, 0x05);
  await reader.good({ cdb: testUnitReady() });
  await author.good({ cdb: testUnitReady() });
  assert.equal((await reader.good({ cdb: reportInformation, read: 600 })).subarray(4).toString(), "label");
  await fixture.target.kill9();
  await fixture.target.run();
  const again = await fixture.login("again");
  assert.equal((await again.good({ cdb: reportInformation, read: 600 })).subarray(4).toString(), "label");
});

test("a list that is shorter than announced, or text that is none, changes nothing", async () => {
  const initiator = await fixture.login("short");
  const before = hex(await initiator.good({ cdb: reportInformation, read: 600 }));
  assertSense(await initiator.command({ cdb: maintenance(0xa4, 0x06, 9), write: Buffer.alloc(8, 0x61) }), 5, 0x1a, 0);
  const text = maintenance(0xa4, 0x06, 4, { type: 0x02 });
  assertSense(await initiator.command({ cdb: text, write: Buffer.from("text") }), 5, 0x26, 0);
  assertSense(
    await initiator.command({ cdb: maintenance(0xa4, 0x06, 65_535), write: Buffer.alloc(65_535) }),
    5,
    0x24,
    0,
  );
  assert.equal(hex(await initiator.good({ cdb: reportInformation, read: 600 })), before);
});

test("a timestamp that is set counts on from there, for every nexus", async () => {
  const [setter, reader] = [await fixture.login("setter"), await fixture.login("clock")];
  const machine = await setter.good({ cdb: reportTimestamp, read: 12 });
  assert.equal(machine[2], 3);
  assert.ok(Math.abs(machine.readUIntBE(4, 6) - Date.now()) < 60_000);
  const list = Buffer.alloc(12);
  list.writeUIntBE(1_000_000, 4, 6);
  await setter.good({ cdb: maintenance(0xa4, 0x0f, 12), write: list });
  assertSense(await reader.command({ cdb: testUnitReady() }), 6, 0x2a, 0x10);
  const told = await reader.good({ cdb: reportTimestamp, read: 12 });
  assert.equal(told[2], 2);
  const passedMs = told.readUIntBE(4, 6) - 1_000_000;
  assert.ok(passedMs >= 0 && passedMs < 60_000);
});

test("a priority is the nexus' own, and the initial one for all is told to the others", async () => {
  const [one, other] = [await fixture.login("first"), await fixture.login("second")];
  const priority = async (initiator: typeof one) =>
    (await initiator.good({ cdb: maintenance(0xa3, 0x0e, 255), read: 255 })).readUInt8(4);
  await one.good({ cdb: maintenance(0xa4, 0x0e, 1), write: Buffer.from([0x09]) });
  assert.deepEqual([await priority(one), await priority(other)], [9, 0]);
  const all = await other.good({ cdb: maintenance(0xa3, 0x0e, 4096, { scope: 0x40 }), read: 4096 });
  assert.equal(all.readUInt32BE(0), all.length - 4);
  assert.ok(all.includes("iqn.2026-11.io.ringlun:first,i,0x"));
  await other.good({ cdb: maintenance(0xa4, 0x0e, 0, { scope: 0x80 }) });
  assertSense(await one.command({ cdb: testUnitReady() }), 6, 0x2a, 0x08);
  assert.equal(await priority(one), 0);
});
