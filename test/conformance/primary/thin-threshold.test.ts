/** Logical block provisioning thresholds (SBC-4): every nexus is told, once, when its unit's file system runs short of space. */
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { modeSense10, requestSense, testUnitReady } from "../../support/cdb.js";
import { MemoryFileSystem, skipWithoutLoop } from "../../support/file-system.js";
import { parseSense } from "../../support/pdu.js";
import type { RawInitiator } from "../../support/raw-initiator.js";
import { logIn } from "../../support/served-units.js";
import { RunningTarget, TARGET_NAME } from "../../support/target.js";
import { Undo } from "../../support/undo.js";
import { assertSense, hex } from "./fixture.js";

const MIB = 2 ** 20;
const POLL_MS = 100;
const WAIT_MS = 20_000;

/** The answer of the first TEST UNIT READY that is not good. */
async function firstSense(initiator: RawInitiator): Promise<Buffer> {
  for (const endMs = Date.now() + WAIT_MS; Date.now() < endMs; ) {
    const { status, sense } = await initiator.command({ cdb: testUnitReady() });
    if (status !== 0) return sense;
    await sleep(POLL_MS);
  }
  return assert.fail("nothing was told");
}

/** Long enough for several looks at the file system. */
async function assertSilent(initiator: RawInitiator): Promise<void> {
  for (let i = 0; i < 5; i++) {
    await sleep(1000);
    await initiator.good({ cdb: testUnitReady() });
  }
}

async function select(initiator: RawInitiator, page: Buffer): Promise<{ status: number; sense: Buffer }> {
  const list = Buffer.concat([Buffer.alloc(8), page]);
  list[8]! &= 0x7f;
  return initiator.command({ cdb: Buffer.from([0x55, 0x10, 0, 0, 0, 0, 0, 0, list.length, 0]), write: list });
}

async function provisioningPage(initiator: RawInitiator, control = 0): Promise<Buffer> {
  const data = await initiator.good({ cdb: modeSense10(control | 0x1c, 0x02), read: 1024 });
  return Buffer.from(data.subarray(8 + data.readUInt16BE(6)));
}

test("a threshold that is configured, and one that is set", { skip: skipWithoutLoop() }, async (context) => {
  const undo = new Undo(context);
  const memory = new MemoryFileSystem(64 * MIB);
  undo.add(() => memory.release());
  const target = await RunningTarget.start({
    config: ({ port }) => `
portalGroups: [{ tag: 1, portals: ["127.0.0.1:${port}"] }]
targets: [{ name: "${TARGET_NAME}", portalGroups: [1], luns: { 0: thin } }]
units: { thin: { file: "${memory.path("disk.img")}", size: 1GiB, thinThreshold: 40MiB } }
workers: 2
`,
  });
  undo.add(() => target.stop());
  const [one, other] = [
    await logIn(undo, target, 1, "iqn.2026-11.io.ringlun:one"),
    await logIn(undo, target, 1, "iqn.2026-11.io.ringlun:other"),
  ];
  assert.equal(hex(await provisioningPage(one)), `dc020014${"00".repeat(12)}8001000000000028`);
  assert.equal(hex(await provisioningPage(one, 0x40)), `dc020014${"00".repeat(12)}80000000ffffffff`);

  writeFileSync(memory.path("others"), Buffer.alloc(30 * MIB));
  const sense = await firstSense(one);
  assert.deepEqual(parseSense(sense), { key: 6, asc: 0x38, ascq: 0x07, information: 16 });
  // It may have been told on the way here; REQUEST SENSE tells it as its data.
  const data = await other.good({ cdb: requestSense(), read: 252 });
  assert.deepEqual(parseSense(data), { key: 6, asc: 0x38, ascq: 0x07, information: 16 });
  await assertSilent(one);

  const page = await provisioningPage(one);
  page.writeUInt32BE(20, 20);
  assert.equal((await select(one, page)).status, 0);
  assertSense(await other.command({ cdb: testUnitReady() }), 6, 0x2a, 0x01);
  writeFileSync(memory.path("more"), Buffer.alloc(20 * MIB));
  assert.equal(parseSense(await firstSense(one)).asc, 0x38);
  assert.equal(parseSense(await firstSense(other)).asc, 0x38);

  page[16] = 0;
  assert.equal((await select(one, page)).status, 0);
  assertSense(await other.command({ cdb: testUnitReady() }), 6, 0x2a, 0x01);
  for (const name of ["others", "more"]) rmSync(memory.path(name));
  writeFileSync(memory.path("all"), Buffer.alloc(60 * MIB));
  await assertSilent(one);

  page[17] = 0x02;
  const { status, sense: refused } = await select(one, page);
  assert.equal(status, 2);
  assert.deepEqual([parseSense(refused).key, parseSense(refused).asc, refused.readUInt16BE(16)], [5, 0x26, 8 + 17]);
});
